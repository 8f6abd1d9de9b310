package reactor

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// polled tells whether the loop's epoll has c.
func polled(t *testing.T, c *Conn) bool {
	t.Helper()
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", c.Loop().poll.ep))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(info), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "tfd:" && f[1] == fmt.Sprint(c.FD()) {
			return true
		}
	}
	return false
}

// TestDeferred: connections that have sent something are accepted and read one after the other, and closed without having
// been in the poller; one that sends nothing comes a little later, and is polled.
func TestDeferred(t *testing.T) {
	var calls []string
	note := func(what string, c *Conn) {
		_, port := c.RemoteAddr()
		calls = append(calls, fmt.Sprint(what, " ", port))
	}
	closed := 0
	h := &hooks{closed: func(c *Conn) { closed++ }}
	r := newRig(t, h, Options{}, ListenOptions{Defer: true})
	h.accepted = func(c *Conn) { note("accepted", c); r.conns = append(r.conns, c) }
	h.ready = func(c *Conn) {
		note("ready", c)
		if polled(t, c) {
			t.Error("registered with epoll although its data were there")
		}
		if _, err := c.Read(make([]byte, 10)); err == nil {
			c.CloseAfterFlush()
		}
	}
	silent := r.dial()
	var want []string
	for range 3 {
		nc := r.dial()
		nc.Write([]byte("x"))
		port := nc.LocalAddr().(*net.TCPAddr).Port
		for _, what := range []string{"accepted", "ready"} {
			want = append(want, fmt.Sprint(what, " ", port))
		}
	}
	r.l.Poll(0)
	for r.l.Dispatch() {
	}
	if !slices.Equal(calls, want) || closed != 3 {
		t.Errorf("calls: %q, want %q; %d of 3 closed", calls, want, closed)
	}
	r.until("the silent one", func() bool { return len(r.conns) == 4 })
	if _, port := r.conns[3].RemoteAddr(); port != silent.LocalAddr().(*net.TCPAddr).Port {
		t.Error("some other connection")
	}
	r.l.Poll(0)
	if closed != 3 || !polled(t, r.conns[3]) {
		t.Error("not registered with epoll")
	}
}

// TestDeferredStaysOpen: a connection that is served and stays open is polled.
func TestDeferredStaysOpen(t *testing.T) {
	r := newRig(t, &hooks{ready: echo}, Options{}, ListenOptions{Defer: true})
	nc := r.dial()
	for range 3 {
		nc.Write([]byte("x"))
		r.untilAnswer(nc)
	}
}

// TestAcceptBatch: others get their turn between the connections of a crowd, and the next Poll after so many.
func TestAcceptBatch(t *testing.T) {
	var calls []string
	h := &hooks{ready: func(c *Conn) { calls = append(calls, "ready"); c.CloseAfterFlush() }}
	r := newRig(t, h, Options{AcceptBatch: 3}, ListenOptions{Defer: true})
	for range 5 {
		r.dial().Write([]byte("x"))
	}
	r.l.Post(func() { calls = append(calls, "posted") })
	r.l.Poll(0)
	for r.l.Dispatch() {
	}
	if want := []string{"ready", "posted", "ready", "ready"}; !slices.Equal(calls, want) {
		t.Errorf("in the first round: %q, want %q", calls, want)
	}
	r.until("the others", func() bool { return len(calls) == 6 })
}

// TestLookForWaiting: a connection for which the wake-up went to somebody else is accepted without one, unless accepting rests.
func TestLookForWaiting(t *testing.T) {
	r := newRig(t, &hooks{ready: echo}, Options{}, ListenOptions{})
	nc := r.dial() // and nobody polls
	nc.Write([]byte("x"))
	dispatch := func() {
		r.l.LookForWaiting()
		for r.l.Dispatch() {
		}
	}
	r.l.LetOthers(true)
	if dispatch(); len(r.conns) != 0 {
		t.Fatal("accepting rested")
	}
	r.l.LetOthers(false)
	dispatch()
	dispatch() // with nobody there
	if len(r.conns) != 1 {
		t.Fatalf("%d connections", len(r.conns))
	}
	r.untilAnswer(nc)
}

// TestLetOthers: while accepting rests a connection waits, and is accepted afterwards; the end of accepting takes it, too.
func TestLetOthers(t *testing.T) {
	r := newRig(t, &hooks{ready: echo}, Options{Shared: true}, ListenOptions{})
	r.l.LetOthers(true)
	nc := r.dial()
	nc.Write([]byte("x"))
	r.l.Poll(0)
	for r.l.Dispatch() {
	}
	if len(r.conns) != 0 {
		t.Fatal("it did not rest")
	}
	r.l.LetOthers(false)
	r.untilAnswer(nc)
	r.l.LetOthers(true)
	last := r.dial()
	last.Write([]byte("x"))
	r.l.StopAccepting()
	r.until("closed", func() bool { return !r.l.Accepting() })
	r.untilAnswer(last)
}

// TestLetOthersAtTheEnd: whoever leads while listeners stay open a moment longer may be busy, and the others have ended.
func TestLetOthersAtTheEnd(t *testing.T) {
	r := newRig(t, &hooks{ready: echo}, Options{Shared: true}, ListenOptions{})
	r.ln.Adopt()
	nc := r.dial() // nobody polls yet
	nc.Write([]byte("x"))
	r.l.LetOthers(true)
	r.l.StopAccepting()
	r.l.LetOthers(true)
	r.until("closed", func() bool { return !r.l.Accepting() })
	r.untilAnswer(nc)
}

// TestStopAcceptingDeferred: a client that got its connection just before, and has not come round to sending, is served.
// One that comes later is not let in.
func TestStopAcceptingDeferred(t *testing.T) {
	h := &hooks{ready: echo}
	r := newRig(t, h, Options{}, ListenOptions{Defer: true})
	nc := r.dial()
	nc.Write([]byte("x"))
	r.until("accepted", func() bool { return len(r.conns) == 1 })
	before := r.dial()
	r.l.StopAccepting()
	if !r.l.Accepting() {
		t.Fatal("the listener was closed at once")
	}
	if c, err := net.DialTimeout("tcp", r.ln.Addr(), 50*time.Millisecond); err == nil {
		c.Close()
		t.Error("a new connection was let in")
	}
	before.Write([]byte("x"))
	r.until("closed", func() bool { return !r.l.Accepting() })
	r.untilAnswer(before)
	if _, err := net.Dial("tcp", r.ln.Addr()); err == nil {
		t.Error("still listening")
	}
}

// TestStopAcceptingShared: where other sockets share the port, nobody is kept from it: who comes meanwhile is served.
func TestStopAcceptingShared(t *testing.T) {
	r := newRig(t, &hooks{ready: echo}, Options{}, ListenOptions{Defer: true, ReusePort: true})
	nc := r.dial()
	nc.Write([]byte("x"))
	r.until("accepted", func() bool { return len(r.conns) == 1 })
	r.l.StopAccepting()
	late := r.dial()
	late.Write([]byte("x"))
	r.until("closed", func() bool { return !r.l.Accepting() })
	r.untilAnswer(late)
}

// TestStopAcceptingIdle: where nobody came lately, nobody is waited for.
func TestStopAcceptingIdle(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{Defer: true})
	r.l.StopAccepting()
	if r.l.Accepting() {
		t.Error("still accepting")
	}
}
