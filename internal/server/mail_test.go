package server

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/reactor"
)

// mailServer has two threads, of which the second is idle.
func mailServer(t *testing.T) (s *Server, owner, other *thread) {
	t.Helper()
	loop, err := reactor.NewLoop(nil, reactor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = loop.Close() })
	s = &Server{}
	s.loop = loop
	s.watch = &bridge.Watch{Credit: new(atomic.Int32)}
	s.standby = &thread{s: s, parker: newParker()}
	owner = &thread{s: s, parker: newParker(), word: new(atomic.Uint64)}
	other = &thread{s: s, parker: newParker(), word: new(atomic.Uint64), idle: true}
	s.threads, s.idle = []*thread{owner, other}, []*thread{other}
	return s, owner, other
}

// Mail is for its thread, and for whoever is free while that one runs a request: it may be waiting for what the mail does.
func TestWhoDoesTheMail(t *testing.T) {
	for _, c := range []struct {
		name  string
		state func(owner *thread)
		other bool
	}{
		{"free", func(*thread) {}, false},
		{"about to run a request", func(owner *thread) { owner.engaged = true }, true},
		{"in a call", func(owner *thread) { owner.word.Store(wordInCall) }, true},
	} {
		s, owner, other := mailServer(t)
		c.state(owner)
		var by *thread
		s.mailTo(owner, func(th *thread) { by = th })
		told := owner
		if c.other {
			told = other
		}
		if told.idle || slices.Contains(s.idle, told) {
			t.Errorf("%s: a request may be given to the thread that has mail to do", c.name)
		}
		told.parker.wait()
		s.putJob(&conn{}) // for next to return
		if got, _, _ := other.next(); got == nil || !other.engaged {
			t.Errorf("%s: no request for the other thread", c.name)
		}
		if c.other != (by == other) {
			t.Errorf("%s: done by the other thread: %v", c.name, by == other)
		}
		if owner.doMail() == c.other || by == nil || s.mailed.Load() != 0 {
			t.Errorf("%s: not done once", c.name)
		}
	}
}

// A thread that does mail may be kept by it, so it is not idle: a request given to it would wait.
func TestWhoDoesMailIsNotIdle(t *testing.T) {
	s, owner, other := mailServer(t)
	owner.engaged = true
	listed := true
	s.mailTo(owner, func(*thread) {
		s.mu.Lock()
		defer s.mu.Unlock()
		listed = len(s.idle) > 0
		s.putJob(&conn{})
	})
	other.next()
	if listed {
		t.Error("listed as idle")
	}
}

// Mail that came to a leader just before its call is seen when the call blocks.
func TestMailOfALeaderThatBlocks(t *testing.T) {
	s, owner, other := mailServer(t)
	s.mailTo(owner, func(*thread) {})
	w := uint64(wordLeads | wordInCall)
	owner.word.Store(w)
	s.callBlocked(0, w)
	s.standby.parker.wait()
	other.parker.wait() // or nobody would look
	if !other.doMail() {
		t.Error("the idle thread finds no mail")
	}
	// Its response may take more calls, and between two of them it cannot do any mail either.
	owner.leading = true
	owner.endCall()
	if !owner.engaged {
		t.Error("a leader that was replaced has a request to end, and does not say so")
	}
}
