package server

// The end: a graceful stop that lets requests in flight finish, and the forced end after it.

import (
	"sync/atomic"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/rules"
)

type stopState struct {
	stopBy   atomic.Int64 // when the grace is used up, Unix time in ns
	grace    *time.Timer  // until then; under graceMu
	graceMu  rules.Short
	draining atomic.Bool
	shared   atomic.Bool   // another master's workers have the listeners, too
	quick    atomic.Bool   // whoever stops it does not want to wait
	stopped  chan struct{} // closed at the end
	forced   chan struct{} // closed when the grace is used up
	cut      atomic.Bool   // requests were running then
	embedded bool          // run by a Python program: its process is not ours to end
}

// Stop ends the server gracefully: no new connections, requests in flight get grace to finish. Any goroutine. Again it can
// only make the grace shorter.
func (s *Server) Stop(grace time.Duration) { s.stop(grace, 0) }

// stop is Stop; an idle connection is kept for one more request as long as patience.
func (s *Server) stop(grace, patience time.Duration) {
	grace = max(grace, time.Nanosecond)
	if s.worker != nil && grace <= quickly {
		s.quick.Store(true)
	}
	if !s.http.Stop(patience) {
		s.shorten(grace)
		return
	}
	bridge.SetStopping(true)
	s.stopBy.Store(time.Now().Add(grace).UnixNano())
	s.loop.Post(s.beginStop)
}

// shorten has what is left of the grace end earlier.
func (s *Server) shorten(grace time.Duration) {
	s.graceMu.Lock()
	defer s.graceMu.Unlock()
	by := time.Now().Add(grace).UnixNano()
	if by >= s.stopBy.Load() {
		return
	}
	s.stopBy.Store(by)
	if s.grace != nil {
		s.grace.Reset(grace)
	}
}

// beginStop runs on the leader.
func (s *Server) beginStop() {
	s.spare.give()
	s.graceMu.Lock()
	grace := time.Until(time.Unix(0, s.stopBy.Load()))
	timer := time.NewTimer(grace)
	s.grace = timer
	s.graceMu.Unlock()
	s.log.Info("stopping", "connections", s.loop.Conns(), "grace", grace.Round(time.Millisecond))
	s.http.BeginStop()
	go func() {
		defer timer.Stop()
		s.manager.Stopping("stopping")
		select {
		case <-s.stopped:
		case <-timer.C:
			s.graceOver()
		}
	}()
}

// graceOver cuts what is still there.
func (s *Server) graceOver() {
	sockets := s.http.EndSockets()
	s.endSuspended()
	s.awaitSockets(sockets)
	busy := max(s.crew.InCalls(), s.http.Aside().Waiting()) // some do not take the end for one
	s.cut.Store(busy > 0)
	s.http.Over()
	close(s.forced)
	if busy == 0 {
		return // only clients were slow: the loop ends by itself now
	}
	why := "the grace is over, and requests that still run are cut"
	if s.embedded {
		s.log.Warn(why, "busy", busy)
		if s.worker != nil {
			go s.overstayed()
		}
		return
	}
	s.endNow(why, bridge.AtExit, "busy", busy)
}

// endSuspended lets suspended requests end with an exception, and what they do then be done.
func (s *Server) endSuspended() {
	parked, threads := s.http.Aside().Over()
	if parked+threads > 0 {
		s.log.Warn("the grace is over, and suspended requests are ended", "suspended", parked+threads)
	} else if s.http.Aside().Waiting() == 0 {
		return // else some go on just now, and their next wait ends
	}
	end := time.After(cutLimit)
	for s.http.Aside().Waiting() > 0 || threads > 0 { // of those nobody knows when they have answered
		select {
		case <-s.stopped:
			return
		case <-end:
			return
		case <-time.After(cutLimit / 100):
		}
	}
}

// awaitSockets lets the application answer to the end of the sockets that it has.
func (s *Server) awaitSockets(n int) {
	if n == 0 {
		return
	}
	s.log.Warn("the grace is over, and sockets that the application has taken are ended", "sockets", n)
	for end := time.Now().Add(cutLimit); s.http.Sockets() > 0 && time.Now().Before(end); {
		select {
		case <-s.stopped:
			return
		case <-time.After(cutLimit / 100):
		}
	}
}

func (s *Server) flushLogs() { s.http.FlushLog() }

// unlink removes what would be left behind by an end without finish.
func (s *Server) unlink() {
	s.closeListeners()
	removePidFile(s.cfg.PidFile)
}
