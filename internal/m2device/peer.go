package m2device

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gowsgi/gowsgi/internal/zeromq"
)

const missingAfter = 5 * time.Second

// Peer says what has become of the other end of sockets, which connect again and again. Any goroutine.
type Peer struct {
	Here, Gone, Missing string // what is said
	Info, Warn          func(string)
	After               time.Duration // without anybody Missing is said; 0: missingAfter

	mu         sync.Mutex
	here, over bool
	timer      *time.Timer
}

// Expect begins: it should be there soon.
func (p *Peer) Expect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(cmp.Or(p.After, missingAfter), func() { p.is(false, p.Missing) })
}

// Is tells whether it is there.
func (p *Peer) Is(here bool) {
	p.mu.Lock()
	news := here != p.here
	p.mu.Unlock()
	if news {
		p.is(here, p.Gone)
	}
}

// is says so; otherwise if it is not there.
func (p *Peer) is(here bool, otherwise string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	if p.here = here; p.timer != nil {
		p.timer.Stop()
	}
	if here {
		p.Info(p.Here)
	} else {
		p.Warn(otherwise)
	}
}

// End has nothing more said.
func (p *Peer) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over = true; p.timer != nil {
		p.timer.Stop()
	}
}

// Named is say for a socket's Log: lines about the endpoint that it connects to say what that is.
func Named(say func(string), kind zeromq.Type, endpoint, name string) func(string) {
	prefix := fmt.Sprintf("ZeroMQ %s at %s: ", kind, endpoint)
	return func(line string) {
		if why, ok := strings.CutPrefix(line, prefix); ok {
			line = fmt.Sprintf("%s at %s: %s", name, endpoint, why)
			if !strings.HasSuffix(why, "another is made") {
				line += "; it is tried again"
			}
		}
		say(line)
	}
}

// TakesAnswers are the lines about a Mongrel2 that takes answers at recv.
func TakesAnswers(recv string) (here, missing string) {
	return "Mongrel2 takes answers at " + recv, "no request can come: nobody takes answers at " + recv +
		"; is Mongrel2 running, and is that its recv_spec? docs/mongrel2.md has more"
}
