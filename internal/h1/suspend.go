package h1

// Suspended requests: exchange as request.Client, for the time when no thread has it. The request owns its connection, as if
// it ran; the leader only takes notes.

import (
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/rules"
	"github.com/gowsgi/gowsgi/reactor"
)

// suspendState is the part of Server that this file is about.
type suspendState struct {
	asideMu rules.Short
	// aside are the suspended requests that want to know when their client goes.
	aside map[*reactor.Conn]*exchange
}

// Suspended implements request.Client.
func (x *exchange) Suspended(gone bool) {
	t, c := x.t, x.c
	t.flushAll(c)
	x.Alone(func() { t.moveHead(c) }) // else another thread reads what is here; next time
	if !gone {
		return
	}
	s := c.s
	s.asideMu.Lock()
	if s.aside == nil {
		s.aside = map[*reactor.Conn]*exchange{}
	}
	s.aside[c.rc] = x
	s.asideMu.Unlock()
	c.rc.WatchGone(true)
	if c.rc.PeerGone() { // before that
		s.GoneOwned(c.rc)
	}
}

// GoneOwned implements reactor.Handler: the peer of a suspended request's connection has closed. There may still be input
// that it has sent before, and then it waits for its answer.
func (s *Server) GoneOwned(rc *reactor.Conn) {
	if !rc.Broken() && !rc.Peek() {
		return
	}
	s.asideMu.Lock()
	defer s.asideMu.Unlock() // until then the request goes on nowhere
	if x := s.aside[rc]; x != nil {
		x.ClientGone()
	}
}

// Resume implements request.Client.
func (x *exchange) Resume(ct *crew.Thread) {
	c := x.c
	s := c.s
	s.asideMu.Lock()
	_, watched := s.aside[c.rc]
	delete(s.aside, c.rc)
	s.asideMu.Unlock()
	if watched {
		c.rc.WatchGone(false)
	}
	t := s.thread(ct)
	t.turn = crew.Turn{}
	t.begins(c)
	r := runSuspended
	if x.GoOn(ct, &t.local) {
		over := false
		if r, over = t.answer(c, x); !over {
			r = t.run(c)
		}
	}
	if t.letGo(c, r) {
		t.input(c)
	}
	t.boundWait()
}
