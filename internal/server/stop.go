package server

// The end: a graceful stop that lets requests in flight finish, and the forced end after it.

import (
	"sync/atomic"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/reactor"
)

type stopState struct {
	stopping atomic.Bool
	stopBy   atomic.Int64  // when the grace is used up, Unix time in ns
	over     atomic.Bool   // it is
	forced   chan struct{} // closed with it
	cut      atomic.Bool   // requests were running then
	embedded bool          // run by a Python program: its process is not ours to end
}

// Stop ends the server gracefully: no new connections, requests in flight get grace to finish. Any goroutine; again does
// nothing.
func (s *Server) Stop(grace time.Duration) {
	if !s.stopping.CompareAndSwap(false, true) {
		return
	}
	s.stopBy.Store(time.Now().Add(grace).UnixNano())
	s.loop.Post(func() { s.beginStop(grace) })
}

// beginStop runs on the leader.
func (s *Server) beginStop(grace time.Duration) {
	s.spare.give()
	s.log.Info("stopping", "connections", s.loop.Conns(), "grace", grace)
	s.loop.StopAccepting()
	s.loop.Each(func(rc *reactor.Conn) {
		// Without an owner it has only just been accepted; its first request is still served.
		if c, ok := rc.Owner.(*conn); ok && !rc.Owned() && c.phase == phaseIdle {
			c.close()
		}
	})
	if grace <= 0 {
		grace = time.Nanosecond
	}
	go func() {
		select {
		case <-s.stopped:
		case <-time.After(grace):
			s.graceOver()
		}
	}()
}

// graceOver cuts what is still there.
func (s *Server) graceOver() {
	busy := 0
	for _, t := range s.threads {
		if t.word.Load()&wordInCall != 0 {
			busy++
		}
	}
	s.cut.Store(busy > 0)
	s.over.Store(true)
	close(s.forced)
	s.loop.Wake() // for cutAll
	if busy == 0 {
		return // only clients were slow: the loop ends by itself now
	}
	why := "the grace is over, and requests that still run are cut"
	if s.embedded {
		s.log.Warn(why, "busy", busy)
		return
	}
	s.endNow(why, bridge.AtExit, "busy", busy)
}

// cutAll resets the connections that are left when the grace is over; who waits for one, in wsgi.input or for room in its
// queue, returns. Leader only, as its last act but one: nobody leads after it.
func (s *Server) cutAll() {
	if s.over.Load() {
		s.loop.Each(func(rc *reactor.Conn) { rc.Abort() })
	}
}

// finished tells the leader to stop leading.
func (s *Server) finished() bool {
	if !s.stopping.Load() {
		return false
	}
	return s.over.Load() || !s.loop.Accepting() && s.loop.Conns() == 0 && s.queued.Load() == 0
}

func (s *Server) flushLogs() {
	if s.access != nil {
		s.access.Flush()
	}
}

// unlink removes what would be left behind by an end without finish.
func (s *Server) unlink() {
	s.closeListeners()
	removePidFile(s.cfg.PidFile)
}
