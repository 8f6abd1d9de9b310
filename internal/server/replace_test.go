package server

import (
	"sync/atomic"
	"testing"

	"github.com/gowsgi/gowsgi/bridge"
)

// TestWhoReplacesABlockedLeader: an idle thread if blocking is rare, and the standby if it is not or nobody is idle.
func TestWhoReplacesABlockedLeader(t *testing.T) {
	for _, c := range []struct {
		name   string
		rare   bool
		idle   int
		credit int32 // of the pool; 0: a thread leads
	}{
		{"rare", true, 2, 0},
		{"rare, nobody idle", true, 0, 1},
		{"often", false, 2, pooledFor},
	} {
		s := &Server{}
		s.watch = &bridge.Watch{Credit: new(atomic.Int32)}
		s.standby = &thread{s: s, parker: newParker()}
		for range c.idle {
			s.idle = append(s.idle, &thread{s: s, parker: newParker(), idle: true})
		}
		all := append([]*thread(nil), s.idle...)
		s.replace(c.rare)
		if s.standbyTakes.Load() != (c.credit > 0) || s.watch.Credit.Load() != c.credit {
			t.Errorf("%s: the standby takes the lead: %v, credit %d", c.name, s.standbyTakes.Load(), s.watch.Credit.Load())
		}
		if c.credit > 0 {
			s.standby.parker.wait() // it has been told
			if len(s.idle) != c.idle {
				t.Errorf("%s: %d threads are idle still", c.name, len(s.idle))
			}
			continue
		}
		heir := all[len(all)-1] // the last to become idle
		heir.parker.wait()
		if !heir.toLead || heir.idle || len(s.idle) != c.idle-1 {
			t.Errorf("%s: toLead %v, idle %v, %d others idle", c.name, heir.toLead, heir.idle, len(s.idle))
		}
	}
}
