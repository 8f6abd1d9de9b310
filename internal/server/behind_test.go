package server

import "testing"

// late is a behind whose requests can come when it is told so.
type late struct {
	behind
	now chan struct{}
}

func (l late) joined(done <-chan struct{}) {
	select {
	case <-l.now:
	case <-done:
	}
}

// A worker is ready when requests can come, or after a while; others do not wait.
func TestServesWhenJoined(t *testing.T) {
	for _, c := range []struct {
		name          string
		s             *Server
		waits, joined bool
	}{
		{"alone", &Server{mongrel2: late{}}, false, false},
		{"a worker", &Server{worker: &worker{}}, false, false},
		{"a worker behind Mongrel2", &Server{worker: &worker{}, mongrel2: late{now: make(chan struct{})}}, true, true},
		{"that is not there", &Server{worker: &worker{}, mongrel2: late{}}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			started := make(chan struct{})
			c.s.serves(func() { close(started) })
			select {
			case <-started:
				if c.joined {
					t.Fatal("it does not wait")
				}
			default:
				if !c.waits {
					t.Fatal("it waits")
				}
			}
			if c.joined {
				close(c.s.mongrel2.(late).now)
			}
			<-started
		})
	}
}
