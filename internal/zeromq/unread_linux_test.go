package zeromq

import (
	"bytes"
	"io"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/reactor"
)

// A PUB's connection does not wait for acknowledgements for ever, whoever made it; one of the others may stand still.
func TestUnacknowledgedDataEndsAConnectionOfAPub(t *testing.T) {
	timeout := func(s *Socket) (ms int) {
		t.Helper()
		until(t, "connected", func() bool { return len(s.sessions()) == 1 })
		err := s.sessions()[0].raw.Control(func(fd uintptr) {
			ms, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		})
		if err != nil {
			t.Fatal(err)
		}
		return ms
	}
	bound, connected := open(t, Pub, Options{}), open(t, Pub, Options{})
	first, second := open(t, Sub, Options{}), open(t, Sub, Options{})
	connect(t, first, bind(t, bound, anyPort))
	connect(t, connected, bind(t, second, anyPort))
	for _, s := range []*Socket{bound, connected} {
		if ms := timeout(s); ms != 60_000 {
			t.Errorf("PUB: %d ms", ms)
		}
	}
	if ms := timeout(first); ms != 0 {
		t.Errorf("SUB: %d ms", ms)
	}
}

// After Reset nothing is delivered of what came before, be it read already or not.
func TestResetThrowsAway(t *testing.T) {
	at, next := server(t)
	in := newInbox()
	pull := open(t, Pull, Options{Receive: in.put})
	connect(t, pull, at)
	r := next()
	r.greet("PUSH", nil)
	pull.Pause()
	for range 100 {
		r.write(appendMessage(nil, [][]byte{bytes.Repeat([]byte("old"), 1000)}))
	}
	until(t, "some of it was read", func() bool { return len(pull.sessions()) == 1 && unread(t, pull) < 100*3009 })
	pull.Reset()
	pull.Start()
	r = next()
	r.greet("PUSH", nil)
	r.write(appendMessage(nil, [][]byte{[]byte("new")}))
	in.want(t, "new")
}

// At the end nobody may lead the loop any more. What has come all the same is read, as a connection that is closed before is reset,
// and the peer may lose what it has not read.
func TestDrivenIsReadToTheEndWithoutALeader(t *testing.T) {
	noLeak(t)
	loop, err := reactor.NewLoop(noHandler{}, reactor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = loop.Close() }()
	for _, stopped := range []bool{false, true} {
		var full atomic.Bool
		at, next := server(t)
		dealer := open(t, Dealer, Options{Loop: loop, Full: full.Load})
		connect(t, dealer, at)
		r := next()
		r.greet("ROUTER", nil)
		until(t, "connected", func() bool { return len(dealer.sessions()) == 1 })
		if full.Store(stopped); stopped {
			until(t, "paused", func() bool {
				_ = loop.Poll(0)
				d := dealer.sessions()[0].driven
				d.mu.Lock()
				defer d.mu.Unlock()
				return d.state == paused
			})
		}
		r.write(appendMessage(nil, [][]byte{[]byte("late")}))
		until(t, "it is here", func() bool { return unread(t, dealer) > 0 })
		send(t, dealer, "last")
		x := dealer.sessions()[0]
		dealer.Close(within)
		if got := r.message(); got != "last" {
			t.Errorf("got %q", got)
		}
		<-x.gone
		if _, _, err := r.d.next(); err != io.EOF {
			t.Error("the connection ended with:", err)
		}
		raw, _ := r.c.(syscall.Conn).SyscallConn()
		if err := raw.Control(func(fd uintptr) {
			if got, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); got != 0 {
				t.Error("it was reset:", syscall.Errno(got))
			}
		}); err != nil {
			t.Error(err)
		}
	}
}
