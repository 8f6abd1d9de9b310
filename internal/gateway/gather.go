package gateway

// Gathering. Answers for all clients of a Mongrel2 go by one connection, so several can leave by one system call, which wakes
// Mongrel2 once. While requests wait for the thread that leads, whole answers of its wait for theirs, a millisecond or so: of
// 8 clients' requests that makes one write of three or four.

import (
	"sync/atomic"
	"time"

	"github.com/gowsgi/gowsgi/internal/crew"
)

// Out is where answers go: a zeromq.Socket.
type Out interface {
	// Send sends a message, behind those of Queue. Neither waits.
	Send(parts ...[]byte) (room bool, err error)
	Queue(parts ...[]byte) (room bool, err error)
	// Flush sends what Queue has queued.
	Flush()
	// RoomFor waits until there is room for messages that begin so.
	RoomFor(to []byte, done <-chan struct{}) bool
}

const (
	gatherBelow = 16 << 10         // bytes of an answer
	gatherMost  = 64 << 10         // of all that wait
	gatherLong  = time.Millisecond // since the first
)

// gathering is the part of Gateway that this file is about.
type gathering struct {
	held  atomic.Int64 // bytes of the messages that wait for others
	since atomic.Int64 // when the first has come
}

// gathers tells whether the answer in x.out is to wait for others.
func (x *exchange) gathers() bool {
	return x.t != nil && x.t.Leads() && len(x.out) < gatherBelow && x.g.queued.Load() > 0
}

// send sends a message to a server. gather: it may wait for others. It never waits itself: what does not go now is queued, and only
// a socket that is closed takes nothing.
func (g *Gateway) send(to *sender, message []byte, gather bool) {
	room := true
	if !gather && g.held.Load() == 0 {
		room, _ = g.out.Send(message)
	} else {
		room, _ = g.out.Queue(message)
		// Afterwards: who flushes before finds nothing, and this thread will not wait before it has looked itself.
		switch held := g.held.Add(int64(len(message))); {
		case !gather || held > gatherMost:
			g.Flush()
		case held == int64(len(message)):
			g.since.Store(g.srv.Requests.Clock())
		case g.srv.Requests.Clock()-g.since.Load() > int64(gatherLong):
			g.Flush()
		}
	}
	if !room && !to.crowded.Load() {
		to.crowded.Store(true)
	}
}

// Flush implements h1.Guest.
func (g *Gateway) Flush() {
	if g.held.Load() != 0 && g.held.Swap(0) != 0 {
		g.out.Flush()
	}
}

// ran is called when t has run a request, which may have lost it the lead, perhaps before there was an answer: then nobody else
// would send that. Nor does what waits wait longer for one that has sent nothing.
func (g *Gateway) ran(t *crew.Thread) {
	if g.held.Load() != 0 && (!t.Leads() || g.srv.Requests.Clock()-g.since.Load() > int64(gatherLong)) {
		g.Flush()
	}
}
