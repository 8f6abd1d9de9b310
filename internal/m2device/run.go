package m2device

import (
	"os"
	"sync"
	"time"

	"github.com/gowsgi/gowsgi/internal/zeromq"
)

// decider is a dispatcher or a pull2xreq.
type decider interface {
	fromServer(message []byte)
	fromHandler(id string, body []byte)
	arrived(handler string)
	tick()
	serverLost()
	full() bool
	busy() int
	given() uint64
	needs(until uint64) bool
}

// hub is the sockets around one, and its output. Its lock is held while it decides; nothing of the sockets that is done
// meanwhile waits.
type hub struct {
	say    func(string)
	pull   *zeromq.Socket
	pub    *zeromq.Socket // nil: responses do not come through here
	router *zeromq.Socket
	peer   *Peer          // Mongrel2; nil: nobody knows whether it is there
	pings  *zeromq.Socket // nil: there are none
	done   chan struct{}

	mu       sync.Mutex
	d        decider
	crowded  bool          // more than enough is queued for handlers
	overfull bool          // or for Mongrel2
	away     bool          // Mongrel2 has gone
	room     chan struct{} // closed when d is no longer full
}

// pingBody tells handlers that they may say how many requests they run. m2wsgi's do not look at it.
var pingBody = []byte("1")

func (h *hub) toHandler(id string, body []byte) {
	if room, err := h.router.Send([]byte(id), nil, body); err == nil && !room {
		h.crowded = true
	}
}

func (h *hub) toServer(message []byte) {
	if room, err := h.pub.Send(message); err == nil && !room {
		h.overfull = true
	}
}

func (h *hub) ping() {
	if h.pings != nil {
		_, _ = h.pings.Send(pingBody)
	}
}

func (h *hub) connected(id string) bool { return h.router.Connected([]byte(id)) }
func (h *hub) forget(id string)         { h.router.Forget([]byte(id)) }
func (h *hub) log(line string)          { h.say(line) }

// received is the PULL's Receive: it returns when another request may be taken.
func (h *hub) received(m zeromq.Message) {
	if len(m) != 1 {
		h.say("Mongrel2 sent a message of several parts")
		return
	}
	h.mu.Lock()
	if h.away { // it was being read when the connection was reset
		h.mu.Unlock()
		return
	}
	h.d.fromServer(m[0])
	for h.d.full() {
		room := h.room
		h.mu.Unlock()
		select {
		case <-room:
		case <-h.done:
			return
		}
		h.mu.Lock()
	}
	crowded := h.crowded
	h.crowded = false
	h.mu.Unlock()
	if crowded {
		h.router.Room(h.done)
	}
}

// heard is the ROUTER's Receive: as long as Mongrel2 does not take answers, no more are taken from handlers.
func (h *hub) heard(m zeromq.Message) {
	if len(m) != 3 || len(m[1]) != 0 {
		h.say("a handler sent a message that is not an empty part and one more")
		return
	}
	h.mu.Lock()
	h.d.fromHandler(string(m[0]), m[2])
	overfull := h.overfull
	h.overfull = false
	h.decided()
	h.mu.Unlock()
	if overfull {
		h.pub.Room(h.done)
	}
}

// arrived is the ROUTER's Arrived.
func (h *hub) arrived(id []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.d.arrived(string(id))
	h.decided()
}

// decided lets the PULL go on if there is room. It is called with mu.
func (h *hub) decided() {
	if !h.d.full() {
		close(h.room)
		h.room = make(chan struct{})
	}
}

func (h *hub) tick() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.d.tick()
	h.decided()
}

func (h *hub) busy() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.d.busy()
}

// needs tells whether what runs since then still waits for what Mongrel2 says, which comes as requests do.
func (h *hub) needs(until uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.d.needs(until)
}

// is tells whether Mongrel2 is there.
func (h *hub) is(there bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away = !there; there {
		return
	}
	h.d.serverLost()
	h.decided()
}

const (
	grace     = 30 * time.Second // for what is running when a device was told to stop
	lookAfter = 10 * time.Millisecond
)

// run ticks until the first signal, and then goes on until nothing is running, the grace is over, or another signal
// comes.
func (h *hub) run(interval time.Duration, signals <-chan os.Signal) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	h.tick()
	for stopped := false; !stopped; {
		select {
		case <-ticker.C:
			h.tick()
		case <-signals:
			stopped = true
		}
	}
	end := time.After(grace)
	drained := make(chan struct{})
	h.mu.Lock()
	last := h.d.given()
	h.mu.Unlock()
	go func() {
		defer close(drained)
		for h.needs(last) {
			select {
			case <-h.done:
				return
			case <-time.After(lookAfter):
			}
		}
		h.pull.Drain(grace)
	}()
	look := time.NewTicker(lookAfter)
	defer look.Stop()
	for over := false; !over; {
		select {
		case <-ticker.C:
			h.tick()
		case <-signals:
			over = true
		case <-end:
			over = true
		case <-drained:
			drained = nil
		case <-look.C:
			over = drained == nil && h.busy() == 0
		}
	}
	h.close()
}

// close ends the sockets, with a moment for what they have queued.
func (h *hub) close() {
	close(h.done)
	if h.peer != nil {
		h.peer.End()
	}
	h.pull.Close(0)
	if h.pings != nil {
		h.pings.Close(0)
	}
	h.router.Close(time.Second)
	if h.pub != nil {
		h.pub.Close(5 * time.Second)
	}
}

// gated are a PULL and a PUB: requests are taken while Mongrel2 listens to answers. When it is gone the answers that it
// has not taken are worthless, even harmful: one that has started anew gives other clients the same numbers. there is called
// then, with nothing of the old one's left on the way but for what receive is just being called with, and when it is back.
func gated(send, recv spec, receive func(zeromq.Message), there func(bool), log func(string)) (pull, pub *zeromq.Socket,
	peer *Peer, err error) {
	ready := make(chan struct{}) // pull is there
	peer = &Peer{Gone: "Mongrel2 has gone, or the connection to it: all requests have ended", Info: log, Warn: log}
	peer.Here, peer.Missing = TakesAnswers(recv.endpoint)
	pub, err = recv.open(zeromq.Pub, zeromq.Options{Log: Named(log, zeromq.Pub, recv.endpoint, "recv_spec"), Keep: -1, Subscribed: func(yes bool) {
		<-ready
		peer.Is(yes)
		if yes {
			there(true)
			pull.Start()
			return
		}
		pull.Pause()
		pull.Reset()
		there(false)
	}})
	if err == nil {
		pull, err = send.open(zeromq.Pull, zeromq.Options{Log: Named(log, zeromq.Pull, send.endpoint, "send_spec"), Paused: true, Receive: receive})
	}
	if err == nil {
		peer.Expect()
	}
	close(ready)
	return pull, pub, peer, err
}
