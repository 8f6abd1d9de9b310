package reactor

import (
	"slices"
	"testing"
)

// peers are others as a test wants them.
type peers struct {
	told                 []int // what they were told, -1 for none accepted
	ahead                bool
	calls, waited, comes int
}

func (p *peers) Set(conns int, accepts bool) {
	if !accepts {
		conns = -1
	}
	p.told = append(p.told, conns)
}
func (p *peers) Ahead() bool { return p.ahead }
func (p *peers) Call()       { p.calls++ }
func (p *peers) Waited()     { p.waited++ }
func (p *peers) Comes()      { p.comes++ }

// TestAheadOfPeers: who is ahead leaves a connection alone for a moment, and takes it if nobody else does.
func TestAheadOfPeers(t *testing.T) {
	r := newRig(t, &hooks{}, Options{Shared: true, AcceptBatch: 4}, ListenOptions{})
	p := &peers{ahead: true}
	r.l.SetPeers(p)
	for range 6 {
		r.dial()
	}
	r.until("it is left alone", func() bool { return p.calls == 1 })
	if len(r.conns) != 0 || r.l.listeners[0].armed {
		t.Fatalf("%d accepted", len(r.conns))
	}
	r.until("a batch is taken", func() bool { return p.waited == 1 && len(r.conns) == 4 })
	r.until("and then the rest", func() bool { return p.waited == 2 && len(r.conns) == 6 })
	if p.calls != 2 {
		t.Error("called", p.calls)
	}
}

// TestCalledByPeers: who is called accepts, and ends its rest if it is no longer ahead.
func TestCalledByPeers(t *testing.T) {
	r := newRig(t, &hooks{}, Options{Shared: true, AcceptBatch: 4}, ListenOptions{})
	p := &peers{ahead: true}
	r.l.SetPeers(p)
	r.dial()
	r.until("it is left alone", func() bool { return p.calls == 1 })
	p.ahead = false
	r.l.Called()
	r.until("it is taken", func() bool { return len(r.conns) == 1 })
	if p.comes != 1 {
		t.Error("comes", p.comes)
	}
	r.l.rest() // as if another had been woken for it
	r.l.listeners[0].armed = true
	r.dial()
	r.l.Called()
	r.until("it looks", func() bool { return len(r.conns) == 2 })
}

// TestPeersKnow: they are told how many connections there are, and when none are accepted.
func TestPeersKnow(t *testing.T) {
	r := newRig(t, &hooks{}, Options{Shared: true}, ListenOptions{})
	p := &peers{}
	r.l.SetPeers(p)
	r.dial()
	r.until("it is told", func() bool { return slices.Equal(p.told, []int{0, 1}) })
	r.l.LetOthers(true)
	r.l.Poll(0)
	r.l.LetOthers(false)
	r.l.Poll(0)
	r.conns[0].Abort()
	r.until("none", func() bool { return slices.Equal(p.told, []int{0, 1, -1, 1, 0}) })
	r.l.StopAccepting()
	r.until("the end", func() bool { return p.told[len(p.told)-1] == -1 })
}

// TestAheadWhenItStops: what waits while it rests for others is taken at the end.
func TestAheadWhenItStops(t *testing.T) {
	r := newRig(t, &hooks{}, Options{Shared: true, AcceptBatch: 4}, ListenOptions{})
	p := &peers{ahead: true}
	r.l.SetPeers(p)
	r.dial()
	r.until("it is left alone", func() bool { return p.calls == 1 })
	if r.l.peers.enough {
		r.l.StopAccepting()
	}
	r.until("it is taken", func() bool { return len(r.conns) == 1 })
}
