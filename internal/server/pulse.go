package server

import (
	"sync/atomic"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/crew"
)

// pulse tells a master that this worker lives, until the server has stopped: at intervals it calls beaten, unless all threads
// are in the calls in which they were at the last look, and not before the GIL could be had; the module's heartbeat was called
// with it then. Who waits for another request in its thread lives, too, and whose threads talk to clients. look is called each time, first.
func (s *Server) pulse(every time.Duration, look, beaten func()) {
	stuck := crew.NewStuck(s.crew)
	var waiting atomic.Bool // for the GIL
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		look()
		if (!stuck.Still() || bridge.ThreadWaits() > 0) && waiting.CompareAndSwap(false, true) {
			go func() {
				bridge.Heartbeat()
				waiting.Store(false)
				beaten()
			}()
		}
		select {
		case <-s.stopped:
			return
		case <-tick.C:
		}
	}
}
