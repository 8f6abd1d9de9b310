package reactor

// What kqueue does not tell: whether the loop has a descriptor for itself.

import (
	"errors"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func dupOnto(fd, to int) error { return unix.Dup3(fd, to, unix.O_CLOEXEC) }

// TestAwaitOwn: what the loop polls for itself is not taken from it.
func TestAwaitOwn(t *testing.T) {
	a := newWaiting()
	h := &hooks{ready: echo}
	r := newRig(t, h, Options{}, ListenOptions{})
	h.accepted = func(c *Conn) {
		r.conns = append(r.conns, c)
		// Not in the poller yet: so it can be awaited, until the next Poll.
		if err := r.l.Await(int(c.fd), Writable, &a.Awaiter); err != nil {
			t.Error(err)
		}
	}
	x, y := pipe(t)
	read := false
	if err := r.l.WatchFD(int(x.Fd()), func() { read = true }); err != nil {
		t.Fatal(err)
	}
	c, nc := r.connect()
	r.until("told", a.called)
	a.wants(t, 0)
	for _, fd := range []int{int(c.fd), r.ln.fd, int(x.Fd()), r.l.poll.wakeup} {
		if err := r.l.Await(fd, Readable, &a.Awaiter); !errors.Is(err, syscall.EEXIST) {
			t.Errorf("%v, want EEXIST", err)
		}
	}
	if err := r.l.Await(r.l.poll.ep, Readable, &a.Awaiter); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("%v, want EINVAL", err)
	}
	nc.Write([]byte("x"))
	r.untilAnswer(nc)
	y.Write([]byte("x"))
	r.until("read", func() bool { return read })
	r.l.UnwatchFD(int(x.Fd()))
	h.accepted = func(c *Conn) { r.conns = append(r.conns, c) }
	r.connect()
}

// TestAwaitTaken: a connection, a watch or a listener gets the number of a descriptor that was awaited.
func TestAwaitTaken(t *testing.T) {
	for _, kind := range []string{"connection", "watch", "listener"} {
		t.Run(kind, func(t *testing.T) {
			a, b := newWaiting(), newWaiting()
			r := newRig(t, &hooks{ready: echo}, Options{}, ListenOptions{})
			x, y := socketpair(t)
			nc := r.dial()
			other, err := Listen("tcp", "127.0.0.1:0", ListenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if kind != "listener" {
				defer other.Close()
			}
			n, _ := dupCloexec(x) // the lowest that is free
			fillFD(t, n)
			r.await(n, Readable, a)
			r.await(n, Writable, b)
			done := false
			switch kind {
			case "connection":
				closeFD(n)
				r.until("accepted", func() bool { return len(r.conns) == 1 })
				if c := r.conns[0]; int(c.fd) != n {
					t.Skip("somebody else got the number")
				}
			case "watch":
				px, py := pipe(t)
				moveTo(t, int(px.Fd()), n)
				defer closeFD(n)
				if err := r.l.WatchFD(n, func() { done = true; r.l.UnwatchFD(n) }); err != nil {
					t.Fatal(err)
				}
				py.Write([]byte("x"))
			case "listener":
				moveTo(t, other.fd, n)
				port := other.Port()
				other.Close()
				other.fd = n
				if err := r.l.AddListener(other); err != nil {
					t.Fatal(err)
				}
				fd, err := streamSocket(unix.AF_INET)
				if err != nil {
					t.Fatal(err)
				}
				defer closeFD(fd)
				_ = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
			}
			r.until("told", func() bool { return a.called() && b.called() })
			a.wants(t, 0)
			b.wants(t, 0)
			if kind != "watch" || !done {
				if err := r.l.Await(n, Readable, &a.Awaiter); !errors.Is(err, syscall.EEXIST) {
					t.Fatalf("%v, want EEXIST", err)
				}
			}
			put(t, y) // the old one has an event, for nobody
			r.turn()
			switch kind {
			case "connection":
				nc.Write([]byte("x"))
				r.untilAnswer(nc)
			case "watch":
				r.until("read", func() bool { return done })
			case "listener":
				r.until("accepted", func() bool { return len(r.conns) == 2 })
			}
			a.wants(t)
			b.wants(t)
		})
	}
}
