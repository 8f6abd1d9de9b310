package h1

import (
	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/reactor"
)

// host is a Server as the crew sees it: what a leader does.
type host struct{ s *Server }

// sharedBatch is how many connections of a crowd a worker accepts at a time, where there are others: of 64 that come at once
// one alone would take all.
const sharedBatch = 4

// Begin implements crew.Host. Requests that the leader before has staged are run by this one, or, if that is the standby,
// by others.
func (h host) Begin(ct *crew.Thread) {
	s := h.s
	s.cur = s.thread(ct)
	if ct.Py != nil {
		return
	}
	for c := s.staged.Pop(); c != nil; c = s.staged.Pop() {
		s.crew.Submit(c)
	}
	s.share(ct) // before what is ready, a listener perhaps
}

// share lets other processes accept while all threads of this one are in calls.
func (s *Server) share(ct *crew.Thread) {
	if s.shares {
		s.loop.LetOthers(ct.Py == nil && !s.crew.Free())
	}
}

// Turn implements crew.Host.
func (h host) Turn(ct *crew.Thread) bool {
	s := h.s
	t := s.cur
	if s.guest != nil { // what it runs here may be much, and not the guest's
		s.guest.Flush()
	}
	if s.loop.Dispatch() {
		t.boundWait()
		return true
	}
	if c := s.staged.Pop(); c != nil {
		c.Run(ct)
		return true
	}
	return false
}

// Wait implements crew.Host.
func (h host) Wait(ct *crew.Thread) {
	s := h.s
	t := s.cur
	if t.sendGathered(); !ct.Leads() { // it had to wait for the outbox
		return
	}
	if s.guest != nil {
		s.guest.Flush()
	}
	last := t.round
	t.endRound()
	if access := s.requests.Access; access != nil && access.Waits() {
		if t.Py == nil {
			access.FlushSoon()
		} else if t.Blocking(access.FlushSoon); !t.Leads() { // a disk may be slow
			return
		}
	}
	if t.Py == nil && bridge.UnholdWaiting() {
		s.crew.LookRound() // who lets go of the objects, for which the standby has no GIL
	}
	t.Fair(s.loop.NowNanos())
	s.share(ct)
	if err := s.loop.Poll(-1); err != nil {
		s.fatal(err)
	}
	t.many = last >= crowd || s.loop.Waiting() >= crowd // a listener is one, however many it brings
}

// Idle implements crew.Host. The leader, who flushes the log as well, may wait for long by now.
func (h host) Idle(*crew.Thread) { h.s.requests.FlushLogSoon() }

// Wake implements crew.Host.
func (h host) Wake() { h.s.loop.Wake() }

// Finished implements crew.Host.
func (h host) Finished() bool {
	s := h.s
	if !s.stopping.Load() {
		if s.alone != nil && s.crew.Queued() == 0 && s.requests.Aside.Done() {
			s.alone()
		}
		return false
	}
	if s.guest != nil && !s.guest.Idle() && !s.over.Load() {
		return false
	}
	return s.over.Load() || !s.loop.Accepting() && s.loop.Conns() == 0 && s.crew.Queued() == 0 && s.requests.Aside.Idle()
}

// End implements crew.Host. Connections that are left when nothing is waited for any more are reset; who waits for one, in
// wsgi.input or for room in its queue, returns.
func (h host) End(*crew.Thread) {
	s := h.s
	s.cur.sendGathered()
	if s.guest != nil {
		s.guest.Flush()
	}
	if s.over.Load() {
		if s.guest != nil {
			s.guest.Over()
		}
		s.loop.Each(func(rc *reactor.Conn) {
			if k := socketOf(rc); k != nil { // nobody will say so afterwards
				k.Lost(s.cur.Index())
			}
			rc.Abort()
		})
	}
}

// Clock implements crew.Host.
func (h host) Clock() int64 { return h.s.loop.Clock() }
