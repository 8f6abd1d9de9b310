package server

import "time"

// tellManager tells systemd that the server serves, and then that it lives: where WatchdogSec= is set, as long as the reactor
// turns and the threads get on with their calls. The server's workers leave that to the master.
func (s *Server) tellManager() {
	if s.manager == nil {
		return
	}
	go func() {
		s.manager.Ready(s.listeningOn())
		if limit := s.manager.Watchdog(); limit > 0 {
			every := max(limit/8, 10*time.Millisecond)
			s.pulse(every, func() {}, func() { s.loop.Post(func() { go s.manager.Alive() }) })
		}
	}()
}
