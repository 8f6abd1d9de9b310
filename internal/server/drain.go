package server

// A stop that announces itself: load balancers find out before the listeners close.

import (
	"time"

	"github.com/gowsgi/gowsgi/bridge"
)

// onceMore is how long a worker that stops while others serve keeps an idle connection for one more request. A client that
// asks on connections that it keeps loses nothing then, as the answer tells it to take another one.
const onceMore = 2 * time.Second

// drain serves on for delay, with answers that end their connections, and calls stop then. Any goroutine; again it does
// nothing.
func (s *Server) drain(delay time.Duration, stop func()) {
	if s.http.Stopping() || s.draining.Swap(true) {
		return
	}
	bridge.SetStopping(true)
	s.http.Drain()
	s.log.Info("stopping after --drain-delay: answers end their connections until then", "delay", delay)
	time.AfterFunc(delay, stop)
}
