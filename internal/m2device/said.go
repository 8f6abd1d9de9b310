package m2device

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Lines that a device says: so many at once, and so many a second, as handlers and servers that send nonsense send much of it.
const (
	saidAtOnce   = 500
	saidASecond  = 10
	saidTimeForm = "2006-01-02 15:04:05 -0700"
)

// speaker writes a device's lines.
type speaker struct {
	name string
	to   io.Writer

	mu     sync.Mutex
	limit  *rate.Limiter
	silent int // lines that were left out since the last one
}

func newSpeaker(name string, to io.Writer) *speaker {
	return &speaker{name: name, to: to, limit: rate.NewLimiter(saidASecond, saidAtOnce)}
}

func (s *speaker) say(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.limit.Allow() {
		s.silent++
		return
	}
	if s.silent > 0 {
		s.write(fmt.Sprintf("%d lines were left out here", s.silent))
		s.silent = 0
	}
	s.write(line)
}

func (s *speaker) write(line string) {
	_, _ = fmt.Fprintf(s.to, "%s [%d] %s: %s\n", time.Now().Format(saidTimeForm), os.Getpid(), s.name, line)
}
