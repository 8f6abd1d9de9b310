package gateway

import (
	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/rules"
)

// pair is two sockets: the application asks the first one whether its client is gone, and then the second one is shut.
type pair [2]int

var noPair = pair{-1, -1}

func (p pair) close() {
	for _, fd := range p {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// pairs are those that no request has now: there are as many as requests that run, not as many as wait.
type pairs struct {
	mu   rules.Short
	free []pair
}

// take is one, or none if no descriptor is left.
func (s *pairs) take() pair {
	s.mu.Lock()
	if n := len(s.free); n > 0 {
		p := s.free[n-1]
		s.free = s.free[:n-1]
		s.mu.Unlock()
		return p
	}
	s.mu.Unlock()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return noPair
	}
	return p
}

// give takes one back; most are kept, so that the descriptors of a crowd are free again.
func (s *pairs) give(p pair, most int) {
	s.mu.Lock()
	keep := len(s.free) < most
	if keep {
		s.free = append(s.free, p)
	}
	s.mu.Unlock()
	if !keep {
		p.close()
	}
}

func (s *pairs) closeAll() {
	s.mu.Lock()
	free := s.free
	s.free = nil
	s.mu.Unlock()
	for _, p := range free {
		p.close()
	}
}
