package exchange

import (
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/zeromq"
	"github.com/gowsgi/gowsgi/reactor"
)

// The connections that requests come by have no goroutines that read. Who waits for a request leads the exchange's loop, and
// has it from the kernel itself: a goroutine in between would have to be woken, and to wake the thread, for each of them; on a
// machine whose only CPU Python uses, Go's scheduler comes to that after milliseconds. One leads at a time. The lead is
//
//   - for a moment that of who asks whether there is a request (take), without waiting;
//   - a thread's of the program's that waits, until it has what it waits for;
//   - then that of another one that waits;
//   - or else a goroutine's, the stand-in, if somebody waits who cannot lead (a suspended request, a thread that the server may
//     want back), if requests that are on their way are to come in (Shutdown, Close), or if all threads have been busy for so
//     long that a peer might wonder: it answers heartbeats and sees connections end. It makes way for a thread.
//
// A SUB's connections are read by goroutines.

// busy is how long nobody leads before the stand-in does: patience, but for tests.
const busy = 100 * time.Millisecond

// leading is who leads. With x.mu; loop is only the leader's, as reactor has it.
type leading struct {
	loop    *reactor.Loop // nil: goroutines read
	leader  *awaiting
	standIn bool
	turns   uint64 // of leaders
	watch   *time.Timer
	watched bool   // watch is set
	seen    uint64 // turns, when that was
	stopped bool   // by full
	over    bool   // loop is to be closed

	patience time.Duration
}

// leads is for the options of the socket that requests come by.
func (x *exchange) leads(o *zeromq.Options) (err error) {
	x.patience = busy
	if x.loop, err = reactor.NewLoop(nil, reactor.Options{MaxEvents: 16}); err == nil {
		o.Loop, o.Full = x.loop, x.full
	}
	return err
}

// full tells whether nothing more is to be taken from the peers. On the leader.
func (x *exchange) full() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stopped = len(x.in) > 0 && !x.leaving
	return x.stopped
}

// resumes tells whether the socket is to be told that it is not full any more. With x.mu.
func (x *exchange) resumes() bool {
	resumes := x.stopped && (x.leaving || len(x.in) == 0)
	x.stopped = x.stopped && !resumes
	return resumes
}

func (x *exchange) resume(resumes bool) {
	if resumes {
		x.requests.Resume()
	}
}

// lead is called by a thread that waits, without the GIL. It leads if nobody else does: bridge.LeadWoken if it has been woken,
// or a descriptor; once that is readable, or a moment later, the next call leads on, until Forget. bridge.LeadFollows: another
// one leads, and the thread's semaphore is posted when it is woken, or is to lead.
func (x *exchange) lead(number uint64) int {
	x.mu.Lock()
	a := x.find(number)
	switch {
	case a == nil || a.woken:
		x.mu.Unlock()
		return bridge.LeadWoken
	case x.leader == nil && !x.standIn:
		x.leader = a
		x.turns++
	case x.leader != a:
		makeWay := x.standIn
		x.mu.Unlock()
		if makeWay {
			x.loop.Wake()
		}
		return bridge.LeadFollows
	}
	x.mu.Unlock()
	for {
		if fd, ok := x.loop.Sleep(); ok {
			return fd
		}
		_ = x.turn(0)
		x.mu.Lock()
		woken := a.woken
		x.mu.Unlock()
		if woken {
			return bridge.LeadWoken
		}
	}
}

// glancing leads while it looks what has come.
var glancing = &awaiting{what: bridge.AwaitRoom, woken: true}

// glance reads what has come, if nobody leads. With x.mu, which it gives back meanwhile.
func (x *exchange) glance() {
	if x.loop == nil || x.leader != nil || x.standIn || x.over {
		return
	}
	x.leader = glancing
	x.turns++
	x.mu.Unlock()
	_ = x.turn(0)
	x.mu.Lock()
	x.leader = nil
	x.handOver()
}

// turn has done what there is to do. On the leader.
func (x *exchange) turn(timeout time.Duration) error {
	err := x.loop.Poll(timeout)
	for x.loop.Dispatch() {
		continue
	}
	return err
}

// handOver sees to it that somebody leads, if anybody needs that. With x.mu.
func (x *exchange) handOver() {
	if x.loop == nil || x.leader != nil || x.standIn {
		return
	}
	if a := x.able(); a != nil && !x.over {
		a.waiter.Wake(-1)
		return
	}
	if x.leaving || x.unable() {
		x.stand()
		return
	}
	x.later()
}

// able is a thread that can lead, and unable tells whether somebody waits who cannot. With x.mu.
func (x *exchange) able() *awaiting {
	for _, a := range x.waiting {
		if a.leads && !a.woken {
			return a
		}
	}
	return nil
}

func (x *exchange) unable() bool {
	for _, a := range x.waiting {
		if !a.leads && !a.woken && a.what != bridge.AwaitRoom {
			return true
		}
	}
	return false
}

// stand has the stand-in lead. With x.mu, while nobody does.
func (x *exchange) stand() {
	x.standIn = true
	x.turns++
	go func() {
		for x.stands() {
			if x.turn(-1) != nil {
				return
			}
		}
	}()
}

// stands tells whether the stand-in goes on.
func (x *exchange) stands() bool {
	x.mu.Lock()
	if x.over {
		x.mu.Unlock()
		_ = x.loop.Close() // and nobody leads any more
		return false
	}
	defer x.mu.Unlock()
	if x.able() == nil {
		return true
	}
	x.standIn = false
	x.handOver()
	return false
}

// later looks whether nobody leads. With x.mu.
func (x *exchange) later() {
	if x.watched {
		return
	}
	x.watched, x.seen = true, x.turns
	if x.watch == nil {
		x.watch = time.AfterFunc(x.patience, x.look)
	} else {
		x.watch.Reset(x.patience)
	}
}

func (x *exchange) look() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.watched = false
	switch {
	case x.leader != nil || x.standIn:
	case x.turns != x.seen:
		x.later()
	default:
		x.stand()
	}
}

// endLoop closes the loop, when the sockets are closed.
func (x *exchange) endLoop() {
	x.mu.Lock()
	x.over = true
	x.handOver()
	x.mu.Unlock()
	if x.loop != nil {
		x.loop.Wake()
	}
}
