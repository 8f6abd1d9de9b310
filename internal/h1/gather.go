package h1

// What a leader does so that it changes between its own work, the app's and the kernel's as rarely as possible: each of them
// finds the caches full of the others.
//
// Staging: all requests that have come are read and parsed before the first of them runs.
//
// Gathering: while requests wait for the leader, small answers that are ready wait for each other, a millisecond at most, and
// leave one after the other. A client whose answers come one by one, each after a time in which it has nothing to do, falls
// asleep in between and is woken for each of them, by an interrupt to another core: of a Flask page's 159 µs of CPU that was
// 17 in the kernel, and as much again in user space, whose caches the kernel's work for each answer empties.

import (
	"time"

	"github.com/gowsgi/gowsgi/bridge"
)

const (
	slowAbove = 20 * time.Microsecond // of time for each request
	gatherFor = time.Millisecond
	gatherMax = 64 << 10 // bytes
	crowd     = 12       // with fewer that are fast, clients better work on the first answers while the others are made
	lookEvery = 4        // answers; how often gatherFor is looked at while requests are not slow

	ownHead        = 4 << 10 // bytes of the largest head that moves, see moveHead
	spareExchanges = 64      // that a thread keeps
)

// gathering is the part of thread that this file is about.
type gathering struct {
	gather bool // the answer just made waits for others
	slow   bool // the requests of the last round took longer than slowAbove each
	many   bool // the last round had so many of them, or this one begins so, that it pays at any speed
	round  int  // requests run since the last Poll, by the leader

	since int64 // when the first of the answers in the outbox came; loop clock
}

// busy tells whether there is more to do before the next Poll. Leader only.
func (s *Server) busy() bool { return s.staged.Len() > 0 || s.loop.Busy() }

// crowded tells whether so many requests wait for this leader that it works by rounds: then one that is complete waits in
// Server.staged.
func (t *thread) crowded() bool {
	return t.Leads() && (t.slow || t.many || t.round >= crowd) && t.s.busy()
}

// stage leaves c, whose request is complete, for when all that have come are read.
func (t *thread) stage(c *conn) {
	t.moveHead(c)
	t.s.staged.Push(c)
}

// moveHead moves the head of c's request, which is to wait, to a place of its own, if nothing else is in its block: that has
// 16 KB, and the next connection is read into it, while it is in the caches.
func (t *thread) moveHead(c *conn) {
	if x := c.x; c.r == c.w && x.Req.Body == bridge.BodyNone && x.block == nil && len(x.Req.Arena) <= ownHead {
		x.own = append(x.own[:0], x.Req.Arena...)
		x.Req.Arena = x.own
		t.dropInput(c)
	}
}

// copies is up to which size a body is copied to the outbox.
func (t *thread) copies() int64 {
	if t.slow && t.Leads() {
		return flushAbove // a microsecond or two, where the request takes more than twenty
	}
	return copyBelow
}

// gathers decides whether the answer of size bytes that is complete now, on c, is to wait for others. Only for answers that
// settle the connection's state: afterwards it belongs to the outbox.
func (t *thread) gathers(c *conn, size int) bool {
	x := c.x
	return x.keep && x.Exact() && x.Req.Body != bridge.BodyStream && size < flushAbove && t.crowded() &&
		c.r == c.w && !c.rc.Pending() && !c.rc.Broken() && !c.finishing() && !t.s.stopping.Load()
}

// gathered leaves the answer in t.out in the outbox.
func (t *thread) gathered(c *conn) {
	if t.box.keep(t.Thread, c, t.out) == 1 {
		t.since = t.s.loop.Clock()
	}
	t.gather = true
}

// endRound finds out whether staging and gathering would pay in the next round. Leader only, before it waits.
func (t *thread) endRound() {
	if t.round > 1 { // the clock is read at the end of rounds in which there was something to gather
		loop := t.s.loop
		t.slow = loop.Clock()-loop.NowNanos() > int64(t.round)*int64(slowAbove)
	}
	t.round = 0
}

// boundWait sends what has waited long enough. After each piece of a leader's work, which may have lost it the lead, perhaps
// just before an answer came: nobody else would send that.
func (t *thread) boundWait() {
	waiting, size := t.box.waiting()
	switch {
	case waiting == 0:
	case size >= gatherMax || !t.Leads():
		t.sendGathered()
	case t.slow || waiting%lookEvery == 0:
		waited := t.s.loop.Clock() - t.since
		t.slow = t.slow || waited > int64(waiting)*int64(slowAbove) // not only from the next round on
		if waited > int64(gatherFor) {
			t.sendGathered()
		}
	}
}

// sendGathered sends the gathered answers. By the thread itself.
func (t *thread) sendGathered() {
	if waiting, _ := t.box.waiting(); waiting > 0 {
		t.box.sendWhole(t.Thread, t.answered)
	}
}

// answered releases a connection whose gathered answer was sent. By the thread or the monitor, see outbox.sendWhole.
func (t *thread) answered(c *conn) {
	if c.rc.Pending() {
		c.enter(phaseWriting, t.s.cfg.WriteTimeout)
	} else {
		t.finishWriting(c)
	}
	t.release(c)
}
