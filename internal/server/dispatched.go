package server

// --mongrel2-dispatcher: requests come from a dispatcher, and answers go to it, by one socket; another one has its pings.

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"math/bits"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/gateway"
	"github.com/gowsgi/gowsgi/internal/m2device"
	"github.com/gowsgi/gowsgi/internal/rules"
	"github.com/gowsgi/gowsgi/internal/zeromq"
)

// dispatched is a handler of a dispatcher's. How they talk is in docs/mongrel2-devices.md.
type dispatched struct {
	cfg            *config.Config
	requests       config.Spec
	pings          config.Spec
	identity       string
	dealer, pinged *zeromq.Socket
	gateway        *gateway.Gateway
	peer           *m2device.Peer

	mu      rules.Short // of what it says of itself: in what order matters
	counts  bool        // the dispatcher is one that wants to know how many requests run at once
	leaving bool
	apart   atomic.Int64 // requests that need no thread, as the dispatcher was told
	heard   atomic.Bool  // there is a dispatcher
	known   atomic.Bool  // it was new to one

	leave sync.Once
	left  chan struct{} // closed when the dispatcher has said that nothing more will come
}

func newDispatched(cfg *config.Config, log *slog.Logger) (d *dispatched, err error) {
	d = &dispatched{cfg: cfg, left: make(chan struct{})}
	if d.requests, d.pings, err = config.ParseDispatcher(cfg.Mongrel2Dispatcher); err != nil {
		return nil, err
	}
	identity := d.requests.Identity
	if identity == "" {
		identity = newIdentity()
	}
	d.identity = identity
	d.peer = &m2device.Peer{
		Here: "the dispatcher at " + d.requests.Endpoint + " is there",
		Missing: "no request can come: no dispatcher's pings come from " + d.pings.Endpoint +
			"; is it running, and is that its ping_spec? docs/mongrel2.md has more",
		Info: func(line string) { log.Info(line) }, Warn: func(line string) { log.Warn(line) },
	}
	return d, nil
}

// newIdentity is a name that no other process has: by it the dispatcher knows this one after a reconnection.
func newIdentity() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("%.64s-%d-%.6s", host, os.Getpid(), rand.Text())
}

// begin implements behind. Whoever leads reads what comes.
func (d *dispatched) begin(s *Server, plain uint8) {
	d.dealer = zeromq.New(zeromq.Dealer, zeromq.Options{Identity: []byte(d.identity), Loop: s.loop, Receive: d.receive,
		Log: m2device.Named(d.peer.Warn, zeromq.Dealer, d.requests.Endpoint, "the dispatcher's disp_spec")})
	d.pinged = zeromq.New(zeromq.Sub, zeromq.Options{Receive: d.ping,
		Log: m2device.Named(d.peer.Warn, zeromq.Sub, d.pings.Endpoint, "the dispatcher's ping_spec")})
	d.pinged.Subscribe(nil)
	d.gateway = newGateway(s, plain, d, dealer{d.dealer})
	d.gateway.TellApart(d.changed)
	s.http.Host(leaver{d.gateway, d})
}

// connect implements behind.
func (d *dispatched) connect() error {
	if err := join(d.dealer, d.requests); err != nil {
		return err
	}
	d.peer.Expect()
	return join(d.pinged, d.pings)
}

// joined implements behind.
func (d *dispatched) joined(done <-chan struct{}) { d.dealer.Joined(done) }

// close implements behind.
func (d *dispatched) close() {
	d.peer.End()
	if d.gateway == nil {
		return
	}
	d.pinged.Close(0)
	linger := lingerTime
	if !d.heard.Load() { // there is nobody for whom to wait
		linger = 0
	}
	d.dealer.Close(linger)
	d.gateway.Close()
}

// dealer is where answers go: behind an empty part.
type dealer struct{ *zeromq.Socket }

// Send implements gateway.Out.
func (d dealer) Send(parts ...[]byte) (room bool, err error) {
	return d.Socket.Send(append([][]byte{nil}, parts...)...)
}

// RoomFor implements gateway.Out: all messages go to the dispatcher.
func (d dealer) RoomFor(_ []byte, done <-chan struct{}) bool { return d.Room(done) }

// Queue implements gateway.Out: it sends, as the queue of a DEALER is its writer's.
func (d dealer) Queue(parts ...[]byte) (room bool, err error) { return d.Send(parts...) }

// What is said between a handler and its dispatcher that is no request.
const (
	sayLeave = "X" // nothing more is wanted; and the answer: nothing more will come
	sayRuns  = "T" // how many requests run at once
	sayFresh = "N" // the dispatcher: throw away what you have from before, I do not know it; and the answer, with that number
)

// receive is the socket's Receive.
func (d *dispatched) receive(m zeromq.Message) {
	switch string(m[len(m)-1]) {
	case sayLeave:
		d.mu.Lock()
		leaving := d.leaving
		d.mu.Unlock()
		if leaving {
			d.leave.Do(func() { close(d.left) })
		}
	case sayFresh:
		if d.known.Swap(true) {
			d.peer.Warn("the dispatcher was started anew, or has given this process up: its clients are gone")
		}
		d.gateway.Lost(nil)
		d.say(sayFresh)
	default:
		d.gateway.Receive(m)
	}
}

// ping is the Receive of the socket for pings: who answers none is dead.
func (d *dispatched) ping(m zeromq.Message) {
	d.heard.Store(true)
	d.peer.Is(true)
	d.mu.Lock()
	d.counts = string(m[len(m)-1]) == "1"
	d.mu.Unlock()
	d.say(sayRuns)
}

// say tells the dispatcher that this handler is here, by this word; or that it leaves: another word behind that would call it back.
func (d *dispatched) say(word string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var text []byte
	switch {
	case d.leaving:
		text = []byte(sayLeave)
	case d.counts:
		n := rounded(d.gateway.Apart())
		d.apart.Store(n)
		text = strconv.AppendInt([]byte(word), min(int64(d.cfg.Threads)+n, 99999), 10)
	}
	_, _ = d.dealer.Send(nil, text)
}

// changed is called when n requests need no thread. More of them are told at once, in leaps; fewer with the next ping.
func (d *dispatched) changed(n int64) {
	if before := d.apart.Load(); n > before && d.heard.Load() && d.apart.CompareAndSwap(before, rounded(n)) {
		go d.say(sayRuns) // not with the caller's lock
	}
}

// rounded is the next power of two: so that not each change is told.
func rounded(n int64) int64 {
	if n <= 0 {
		return 0
	}
	return 1 << bits.Len64(uint64(n-1))
}

// leaver is the gateway, which takes its leave first when the server stops.
type leaver struct {
	*gateway.Gateway
	d *dispatched
}

// BeginStop implements h1.Guest.
func (l leaver) BeginStop() {
	l.d.mu.Lock()
	l.d.leaving = true
	l.d.mu.Unlock()
	l.d.say(sayLeave)
	l.Gateway.BeginStop()
}

// Resume implements gateway.In.
func (d *dispatched) Resume() { d.dealer.Resume() }

// Drain implements gateway.In: it waits until nothing more will come. The dispatcher gives no more than this process has asked for, so it is
// never too much.
func (d *dispatched) Drain() {
	if !d.heard.Load() {
		return
	}
	rules.Waits("for the dispatcher to say that nothing more will come")
	select {
	case <-d.left:
	case <-time.After(min(drainTime, d.cfg.GracefulTimeout)):
	}
}
