package reactor

import (
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"weak"

	"golang.org/x/sys/unix"
)

// waiting is an Awaiter that keeps what it is told.
type waiting struct {
	Awaiter
	got []Events // leader's
}

func newWaiting() *waiting {
	a := new(waiting)
	a.Fn = func(got Events) { a.got = append(a.got, got) }
	return a
}

func (a *waiting) called() bool { return len(a.got) > 0 }

// wants checks what a was told since it was last asked.
func (a *waiting) wants(t testing.TB, want ...Events) {
	t.Helper()
	if len(a.got) != len(want) {
		t.Fatalf("told %v, want %v", a.got, want)
	}
	for i := range want {
		if a.got[i] != want[i] {
			t.Fatalf("told %v, want %v", a.got, want)
		}
	}
	a.got = nil
}

func newAwaitRig(t testing.TB) *rig {
	t.Helper()
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	t.Cleanup(func() {
		if n := r.l.Awaiting(); n != 0 {
			t.Errorf("%d awaiters left", n)
		}
	})
	return r
}

func (r *rig) await(fd int, events Events, a *waiting) {
	r.t.Helper()
	if err := r.l.Await(fd, events, &a.Awaiter); err != nil {
		r.t.Fatal(err)
	}
}

// turn takes what events are there.
func (r *rig) turn() {
	r.t.Helper()
	if err := r.l.Poll(0); err != nil {
		r.t.Fatal(err)
	}
	for r.l.Dispatch() {
	}
}

// calm checks that the poller has nothing to tell, again and again or at all.
func (r *rig) calm() {
	r.t.Helper()
	r.turn()
	if n, err := r.l.poll.wait(0); n != 0 || err != nil {
		r.t.Fatalf("%d events (%v), want none", n, err)
	}
}

func socketpair(t testing.TB) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		_ = unix.SetNonblock(fd, true)
	}
	t.Cleanup(func() { closeFD(fds[0]); closeFD(fds[1]) })
	return fds[0], fds[1]
}

func put(t testing.TB, fd int) {
	t.Helper()
	if _, err := unix.Write(fd, []byte("x")); err != nil {
		t.Fatal(err)
	}
}

// fillFD writes until fd takes no more, drainFD reads until there is no more.
func fillFD(t testing.TB, fd int) {
	t.Helper()
	block := make([]byte, 4096)
	for {
		if _, err := unix.Write(fd, block); err == syscall.EAGAIN {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func drainFD(t testing.TB, fd int) {
	t.Helper()
	block := make([]byte, 1<<16)
	for {
		if n, err := unix.Read(fd, block); err == syscall.EAGAIN || n == 0 {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// moveTo makes to, which is closed, or closed by this, another number of fd.
func moveTo(t testing.TB, fd, to int) {
	t.Helper()
	if err := dupOnto(fd, to); err != nil {
		t.Fatal(err)
	}
}

func TestAwaitReadable(t *testing.T) {
	r, a := newAwaitRig(t), newWaiting()
	x, y := socketpair(t)
	for range 3 {
		r.await(x, Readable, a)
		r.calm()
		a.wants(t)
		put(t, y)
		r.turn()
		a.wants(t, Readable)
		r.calm() // it is readable still, but nobody awaits it
		a.wants(t)
		r.await(x, Readable, a) // it is readable already
		r.turn()
		a.wants(t, Readable)
		drainFD(t, x)
	}
}

func TestAwaitWritable(t *testing.T) {
	r, a := newAwaitRig(t), newWaiting()
	x, y := socketpair(t)
	r.await(x, Writable, a)
	r.turn()
	a.wants(t, Writable)
	fillFD(t, x)
	r.await(x, Writable, a)
	r.calm()
	a.wants(t)
	drainFD(t, y)
	r.turn()
	a.wants(t, Writable)
	r.calm()
}

func TestAwaitBothAtOnce(t *testing.T) {
	r, a := newAwaitRig(t), newWaiting()
	x, y := socketpair(t)
	r.await(x, Readable|Writable, a)
	r.turn()
	a.wants(t, Writable)
	fillFD(t, x)
	r.await(x, Readable|Writable, a)
	r.calm()
	put(t, y)
	r.turn()
	a.wants(t, Readable)
	drainFD(t, y)
	r.await(x, Readable|Writable, a)
	r.turn()
	a.wants(t, Readable|Writable)
}

// TestAwaitSeveral: on one descriptor some read, some write; what comes for the ones leaves the others waiting.
func TestAwaitSeveral(t *testing.T) {
	for _, readFirst := range []bool{true, false} {
		r := newAwaitRig(t)
		x, y := socketpair(t)
		fillFD(t, x)
		var order []int
		var read, write [3]*waiting
		for i := range read {
			read[i], write[i] = newWaiting(), newWaiting()
			fn := read[i].Fn
			read[i].Fn = func(got Events) { order = append(order, i); fn(got) }
			if readFirst {
				r.await(x, Readable, read[i])
				r.await(x, Writable, write[i])
			} else {
				r.await(x, Writable, write[i])
				r.await(x, Readable, read[i])
			}
		}
		both := newWaiting()
		r.await(x, Readable|Writable, both)
		r.calm()
		if n := r.l.Awaiting(); n != 7 {
			t.Fatalf("%d wait", n)
		}
		put(t, y)
		r.turn()
		for i := range read {
			read[i].wants(t, Readable)
			write[i].wants(t)
			if order[i] != i {
				t.Fatalf("called in order %v", order)
			}
		}
		both.wants(t, Readable)
		r.calm()
		drainFD(t, y)
		r.turn()
		for i := range write {
			read[i].wants(t)
			write[i].wants(t, Writable)
		}
		both.wants(t)
		r.calm()
	}
}

// TestAwaitOneMore: who comes later changes what the descriptor is armed for, and takes nothing from who is there.
func TestAwaitOneMore(t *testing.T) {
	r, a, b := newAwaitRig(t), newWaiting(), newWaiting()
	x, y := socketpair(t)
	r.await(x, Readable, a)
	r.await(x, Writable, b)
	r.turn()
	a.wants(t)
	b.wants(t, Writable)
	put(t, y)
	r.turn()
	a.wants(t, Readable)
	// The same when the event has come, but has not been seen.
	r.await(x, Readable, a)
	fillFD(t, x)
	r.await(x, Writable, b)
	r.turn()
	a.wants(t, Readable)
	b.wants(t)
	if !r.l.Forget(x, &b.Awaiter) {
		t.Error("nobody was waiting")
	}
	// An event that the poller has given out already, of an arming before the last.
	drainFD(t, x)
	r.await(x, Readable, a)
	put(t, y)
	if n, _ := r.l.poll.wait(0); n != 1 {
		t.Fatalf("%d events", n)
	}
	fd, gen, bits := r.l.poll.event(0)
	r.await(x, Writable, b)
	r.l.note(fd, gen, bits)
	r.turn()
	a.wants(t, Readable)
	b.wants(t)
	r.l.Forget(x, &b.Awaiter)
	// A third of the first one's kind.
	fillFD(t, x)
	c := newWaiting()
	r.await(x, Readable, a)
	r.await(x, Writable, b)
	r.await(x, Readable, c)
	drainFD(t, y)
	r.turn()
	b.wants(t, Writable)
	put(t, y)
	r.turn()
	a.wants(t, Readable)
	c.wants(t, Readable)
	// Nothing is armed that nobody awaits any more.
	drainFD(t, x)
	r.await(x, Writable, a)
	r.turn()
	a.wants(t, Writable)
	r.await(x, Readable, b)
	if n, _ := r.l.poll.wait(0); n != 0 {
		t.Errorf("%d events after a call", n)
	}
	r.l.Forget(x, &b.Awaiter)
	r.await(x, Writable, a)
	r.l.Forget(x, &a.Awaiter)
	r.await(x, Readable, b)
	if n, _ := r.l.poll.wait(0); n != 0 {
		t.Errorf("%d events after a wait was given up", n)
	}
	r.l.Forget(x, &b.Awaiter)
}

func TestAwaitEnd(t *testing.T) {
	for _, c := range []struct {
		name  string
		pair  func(t testing.TB) (x, y int)
		end   func(y int)
		write bool // whether that ends writing, too
	}{
		{"closed", socketpair, func(y int) { unix.Shutdown(y, unix.SHUT_RDWR) }, true},
		{"half closed", socketpair, func(y int) { unix.Shutdown(y, unix.SHUT_WR) }, runtime.GOOS == "darwin"},
		{"nothing listens", refused, func(int) {}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, a, b := newAwaitRig(t), newWaiting(), newWaiting()
			x, y := c.pair(t)
			if c.name != "nothing listens" {
				fillFD(t, x)
			}
			r.await(x, Readable, a)
			r.await(x, Writable, b)
			c.end(y)
			r.until("the end", a.called)
			a.wants(t, Readable)
			if c.write {
				r.until("the end", b.called)
				b.wants(t, Writable)
			} else {
				r.calm()
				b.wants(t)
				r.l.Forget(x, &b.Awaiter)
			}
			r.calm()
		})
	}
}

// refused is a socket whose connect fails, by and by or at once.
func refused(t testing.TB) (x, _ int) {
	ln, err := Listen("tcp", "127.0.0.1:0", ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Port()
	ln.Close()
	if x, err = streamSocket(unix.AF_INET); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeFD(x) })
	err = unix.Connect(x, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	if err != syscall.EINPROGRESS && err != syscall.ECONNREFUSED {
		t.Fatal(err)
	}
	return x, -1
}

// TestAwaitPipe: a pipe tells of its end by EPOLLHUP or EPOLLERR alone.
func TestAwaitPipe(t *testing.T) {
	r, a := newAwaitRig(t), newWaiting()
	x, y := pipe(t)
	r.await(int(x.Fd()), Readable, a)
	r.calm()
	y.Close()
	r.turn()
	a.wants(t, Readable)
	x, y = pipe(t)
	fd := int(y.Fd())
	_ = unix.SetNonblock(fd, true)
	fillFD(t, fd)
	r.await(fd, Writable, a)
	r.calm()
	x.Close()
	r.turn()
	a.wants(t, Writable)
}

func TestAwaitErrors(t *testing.T) {
	r, a := newAwaitRig(t), newWaiting()
	x, _ := socketpair(t)
	file := tempFile(t)
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	gone, _ := dupCloexec(x)
	closeFD(gone)
	for _, c := range []struct {
		name   string
		fd     int
		events Events
		want   error
	}{
		{"a file", int(file.Fd()), Readable, ErrAlwaysReady},
		{"a directory", int(dir.Fd()), Readable, ErrAlwaysReady},
		{"closed", gone, Readable, syscall.EBADF},
		{"-1", -1, Writable, syscall.EBADF},
		{"never open", 1<<31 - 1, Readable, syscall.EBADF},
		{"too large", 1 << 40, Readable, syscall.EBADF},
		{"no events", x, 0, syscall.EINVAL},
		{"other events", x, 4, syscall.EINVAL},
	} {
		for range 2 {
			if err := r.l.Await(c.fd, c.events, &a.Awaiter); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
			if r.l.Forget(c.fd, &a.Awaiter) || r.l.CancelFD(c.fd) != nil {
				t.Errorf("%s: waits", c.name)
			}
		}
	}
	if n := len(r.l.awaits.pages); n > 1<<20>>8 {
		t.Errorf("%d pages", n)
	}
	r.await(x, Readable, a)
	if err := r.l.Await(x, Readable, &a.Awaiter); err != ErrAwaiting {
		t.Errorf("%v, want %v", err, ErrAwaiting)
	}
	if n := r.l.Awaiting(); n != 1 {
		t.Errorf("%d wait", n)
	}
	r.l.Forget(x, &a.Awaiter)
	r.calm()
	a.wants(t)
}

// TestAwaitReused: a descriptor is closed under those who await it, and its number means another one, or none.
func TestAwaitReused(t *testing.T) {
	other := func(t *testing.T) (x, y int) { return socketpair(t) }
	for _, c := range []struct {
		name string
		kept bool // a duplicate keeps what it was before
		now  func(t *testing.T) (x, y int)
		want error
	}{
		{"a socket", false, other, nil},
		{"a socket, with a duplicate of the first", true, other, nil},
		{"a file", true, func(t *testing.T) (x, y int) { return int(tempFile(t).Fd()), -1 }, ErrAlwaysReady},
		{"closed", true, func(*testing.T) (x, y int) { return -1, -1 }, syscall.EBADF},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, a, b := newAwaitRig(t), newWaiting(), newWaiting()
			x, y := socketpair(t)
			n, err := dupCloexec(x)
			if err != nil {
				t.Fatal(err)
			}
			defer closeFD(n)
			r.await(n, Readable, a)
			if !c.kept {
				r.await(n, Writable, b)
				r.turn()
				b.wants(t, Writable)
				moveTo(t, y, x) // closes it
			}
			x2, y2 := c.now(t)
			if x2 >= 0 {
				moveTo(t, x2, n)
			} else {
				closeFD(n)
			}
			if err := r.l.Await(n, Readable, &b.Awaiter); !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if r.l.Forget(n, &a.Awaiter) {
				t.Error("the first waits still")
			}
			if err := r.l.Await(y, Readable, &a.Awaiter); err != ErrAwaiting {
				t.Errorf("%v before it was told", err)
			}
			r.turn()
			a.wants(t, 0)
			if c.kept {
				put(t, y) // an event with that number, which is for nobody
			}
			r.calm()
			a.wants(t)
			b.wants(t)
			if c.want == nil {
				put(t, y2)
				r.turn()
				b.wants(t, Readable)
			}
			r.calm()
		})
	}
}

// TestAwaitDuplicate: the number is closed, but what it meant has an event, and others await the number's event as well.
func TestAwaitDuplicate(t *testing.T) {
	r, a, b := newAwaitRig(t), newWaiting(), newWaiting()
	x, y := socketpair(t)
	n, err := dupCloexec(x)
	if err != nil {
		t.Fatal(err)
	}
	fillFD(t, n)
	r.await(n, Readable, a)
	r.await(n, Writable, b)
	r.calm()
	closeFD(n)
	put(t, y)
	r.turn()
	a.wants(t, Readable)
	b.wants(t, 0) // it could not be armed again
	drainFD(t, y)
	r.calm()
	b.wants(t)
	// The same when the number means another one by then, which is writable.
	other, _ := socketpair(t)
	if n, err = dupCloexec(x); err != nil {
		t.Fatal(err)
	}
	fillFD(t, n)
	drainFD(t, n)
	r.await(n, Readable, a)
	r.await(n, Writable, b)
	moveTo(t, other, n)
	put(t, y)
	r.turn()
	a.wants(t, Readable)
	b.wants(t, 0)
	r.calm()
	closeFD(n)
	drainFD(t, y)
	// Both numbers at once are two descriptors.
	n, err = dupCloexec(x)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFD(n)
	drainFD(t, x)
	r.await(x, Readable, a)
	r.await(n, Readable, b)
	put(t, y)
	r.turn()
	a.wants(t, Readable)
	b.wants(t, Readable)
}

func TestAwaitAgainFromFn(t *testing.T) {
	r := newAwaitRig(t)
	x, y := socketpair(t)
	var a Awaiter
	n, others := 0, newWaiting()
	a.Fn = func(got Events) {
		if got != Readable {
			t.Errorf("told %d", got)
		}
		if n++; n < 5 {
			if err := r.l.Await(x, Readable, &a); err != nil {
				t.Error(err)
			}
		}
	}
	if err := r.l.Await(x, Readable, &a); err != nil {
		t.Fatal(err)
	}
	r.await(x, Readable, others)
	put(t, y)
	r.turn()
	others.wants(t, Readable)
	if n != 1 {
		t.Fatalf("called %d times in a turn", n)
	}
	for range 6 {
		r.turn()
	}
	if n != 5 {
		t.Fatalf("called %d times", n)
	}
}

func TestAwaitForget(t *testing.T) {
	r := newAwaitRig(t)
	x, y := socketpair(t)
	a := []*waiting{newWaiting(), newWaiting(), newWaiting()}
	for gone := range a { // each place in the ring
		for _, w := range a {
			r.await(x, Readable, w)
		}
		if !r.l.Forget(x, &a[gone].Awaiter) || r.l.Forget(x, &a[gone].Awaiter) {
			t.Fatal("forgotten never or twice")
		}
		if r.l.Forget(y, &a[(gone+1)%3].Awaiter) {
			t.Fatal("forgotten for another descriptor")
		}
		put(t, y)
		r.turn()
		for i, w := range a {
			if i == gone {
				w.wants(t)
			} else {
				w.wants(t, Readable)
				if r.l.Forget(x, &w.Awaiter) {
					t.Fatal("called and forgotten")
				}
			}
		}
		drainFD(t, x)
	}
	// Nobody is left; the descriptor is armed still, and its event finds nobody, once.
	r.await(x, Readable, a[0])
	r.l.Forget(x, &a[0].Awaiter)
	put(t, y)
	r.calm()
	a[0].wants(t)
	// Armed for the one who was forgotten, not for who is left.
	drainFD(t, x)
	r.await(x, Readable, a[0])
	r.await(x, Writable, a[1])
	r.l.Forget(x, &a[1].Awaiter)
	r.calm()
	a[0].wants(t)
	put(t, y)
	r.turn()
	a[0].wants(t, Readable)
}

func TestAwaitCancel(t *testing.T) {
	r, a, b, c := newAwaitRig(t), newWaiting(), newWaiting(), newWaiting()
	x, y := socketpair(t)
	n, _ := dupCloexec(x)
	if r.l.CancelFD(n) != nil {
		t.Error("somebody was waiting")
	}
	fillFD(t, n)
	r.await(n, Readable, a)
	r.await(n, Writable, b)
	r.await(y, Writable, c)
	if got := r.l.CancelFD(n); len(got) != 2 || got[0] != &a.Awaiter || got[1] != &b.Awaiter {
		t.Fatalf("cancelled %v", got)
	}
	if n := r.l.Awaiting(); n != 1 {
		t.Errorf("%d wait", n)
	}
	put(t, y)
	drainFD(t, y)
	if r.l.Forget(n, &a.Awaiter) || r.l.CancelFD(n) != nil || r.l.CancelFD(-1) != nil || r.l.CancelFD(1<<30) != nil {
		t.Error("waits still")
	}
	if events, _ := r.l.poll.wait(0); events != 1 { // y's alone: n is not in the poller any more
		t.Errorf("%d events", events)
	}
	r.l.CancelFD(y)
	r.calm()
	a.wants(t)
	b.wants(t)
	c.wants(t)
	r.await(n, Readable, a) // it was not closed after all
	r.turn()
	a.wants(t, Readable)
	// Cancelled too late, when the number means nothing; then it means the same again.
	r.await(n, Readable, b)
	closeFD(n)
	if got := r.l.CancelFD(n); len(got) != 1 {
		t.Fatalf("cancelled %v", got)
	}
	moveTo(t, x, n)
	defer closeFD(n)
	r.await(n, Readable, a)
	r.turn()
	a.wants(t, Readable)
	b.wants(t)
}

func TestAwaitClose(t *testing.T) {
	l, err := NewLoop(&hooks{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := []*waiting{newWaiting(), newWaiting(), newWaiting()}
	x, y := socketpair(t)
	n, _ := dupCloexec(x)
	again := error(nil)
	fn := a[0].Fn
	a[0].Fn = func(got Events) { fn(got); again = l.Await(x, Readable, &a[0].Awaiter) }
	for i, fd := range []int{n, x, y} {
		if err := l.Await(fd, Readable, &a[i].Awaiter); err != nil {
			t.Fatal(err)
		}
	}
	closeFD(n) // lost, but nobody has been told
	if err := l.Await(n, Readable, &Awaiter{}); !errors.Is(err, syscall.EBADF) {
		t.Fatal(err)
	}
	if n := l.Awaiting(); n != 3 {
		t.Errorf("%d wait", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, a := range a {
		a.wants(t, 0)
		if l.Forget(x, &a.Awaiter) {
			t.Error("forgotten as well")
		}
	}
	if again != ErrClosed || l.Await(x, Readable, &a[0].Awaiter) != ErrClosed || l.Awaiting() != 0 || l.CancelFD(x) != nil {
		t.Errorf("waits after Close: %v", again)
	}
}

// TestAwaitGenerations: they come round, and are never those of a connection, nor none, nor any.
func TestAwaitGenerations(t *testing.T) {
	r, a := newAwaitRig(t), newWaiting()
	x, y := socketpair(t)
	put(t, y)
	r.l.gen, r.l.awaits.gen = awaitGen-2, awaitGen-4
	for range 6 {
		r.await(x, Readable, a)
		if gen := r.l.awaits.at(x).gen; gen&awaitGen == 0 || gen == anyGen {
			t.Errorf("generation %#x", gen)
		}
		r.turn()
		a.wants(t, Readable)
		if c, _ := r.connect(); c.gen == 0 || c.gen&awaitGen != 0 {
			t.Errorf("generation %#x of a connection", c.gen)
		}
	}
}

func TestAwaitAllocates(t *testing.T) {
	if instrumented {
		t.Skip("instrumented")
	}
	r := newAwaitRig(t)
	x, y := socketpair(t)
	put(t, y)
	var a Awaiter
	a.Fn = func(Events) {}
	if n := testing.AllocsPerRun(100, func() {
		if r.l.Await(x, Readable, &a) != nil || r.l.Poll(0) != nil || r.l.Awaiting() != 0 {
			t.Error("not called")
		}
		if r.l.Await(x, Readable, &a) != nil || !r.l.Forget(x, &a) {
			t.Error("not waiting")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestAwaitKeepsNobody: neither the loop holds on to whom nobody else knows, nor one who waited with him.
func TestAwaitKeepsNobody(t *testing.T) {
	r := newAwaitRig(t)
	x, y := socketpair(t)
	var gone []weak.Pointer[waiting]
	var kept []*waiting
	one := func(fd int, events Events) {
		a := newWaiting()
		gone = append(gone, weak.Make(a))
		r.await(fd, events, a)
		b := newWaiting()
		kept = append(kept, b)
		r.await(fd, events, b)
	}
	func() {
		fillFD(t, x)
		one(x, Readable)
		one(x, Writable)
		one(x, Readable)
		one(x, Writable)
		for _, i := range []int{0, 1} {
			if !r.l.Forget(x, &kept[i].Awaiter) || !r.l.Forget(x, &gone[i].Value().Awaiter) {
				t.Error("not waiting")
			}
		}
		put(t, y)
		r.turn()
		if n := len(r.l.CancelFD(x)); n != 2 {
			t.Errorf("%d waited", n)
		}
		n, _ := dupCloexec(y)
		one(n, Readable)
		one(n, Readable)
		closeFD(n)
		_ = r.l.Await(n, Readable, &Awaiter{})
		r.turn()
	}()
	for i, p := range gone {
		for range 5 {
			runtime.GC()
		}
		if p.Value() != nil {
			t.Errorf("%d is still there", i)
		}
	}
	runtime.KeepAlive(kept)
}

// TestAwaitForgetRace: a descriptor becomes ready just when its wait is given up.
func TestAwaitForgetRace(t *testing.T) {
	r := newAwaitRig(t)
	r.run()
	x, y := socketpair(t)
	rounds, both := 20000, [2]int{}
	if testing.Short() {
		rounds = 2000
	}
	var a Awaiter
	calls := make(chan Events, 2)
	a.Fn = func(got Events) { calls <- got }
	start := make(chan struct{})
	go func() {
		for range start {
			unix.Write(y, []byte("x"))
		}
	}()
	defer close(start)
	for i := range rounds {
		if err := r.l.Await(x, Readable, &a); err != nil {
			t.Fatal(err)
		}
		start <- struct{}{}
		for range i % 64 * 8 {
			r.l.Awaiting() // some nanoseconds
		}
		if i%512 == 0 {
			runtime.Gosched()
		}
		if r.l.Forget(x, &a) {
			both[0]++
			for fds := [1]unix.PollFd{{Fd: int32(x), Events: unix.POLLIN}}; ; {
				if n, _ := unix.Poll(fds[:], -1); n == 1 {
					break
				}
			}
			if len(calls) != 0 {
				t.Fatal("called and forgotten")
			}
		} else {
			both[1]++
			if got := <-calls; got != Readable {
				t.Fatalf("told %v", got)
			}
		}
		drainFD(t, x)
	}
	t.Logf("%d forgotten, %d called", both[0], both[1])
}

// TestAwaitPingPong: many goroutines wait for each other while somebody leads.
func TestAwaitPingPong(t *testing.T) {
	r := newAwaitRig(t)
	r.run()
	var all sync.WaitGroup
	for range 32 {
		x, y := socketpair(t)
		for i, fd := range []int{x, y} {
			all.Go(func() {
				var a Awaiter
				called := make(chan Events, 1)
				a.Fn = func(got Events) { called <- got }
				buf := make([]byte, 1)
				for round := range 200 {
					if i == 0 || round > 0 {
						unix.Write(fd, buf)
					}
					for {
						if n, err := unix.Read(fd, buf); n == 1 {
							break
						} else if err != syscall.EAGAIN {
							t.Errorf("read %d, %v", n, err)
							return
						}
						if err := r.l.Await(fd, Readable, &a); err != nil {
							t.Error(err)
							return
						}
						if got := <-called; got != Readable {
							t.Errorf("told %v", got)
							return
						}
					}
				}
				unix.Write(fd, buf)
			})
		}
	}
	all.Wait()
}

// TestAwaitAnything: goroutines do everything with a few descriptors at once, closing them and all. Each wait ends in exactly
// one way, and what is ready is told of.
func TestAwaitAnything(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := newAwaitRig(t)
	r.run()
	var fds [4][2]int
	var spare [4][2]int
	for i := range fds {
		fds[i][0], fds[i][1] = socketpair(t)
		spare[i][0], spare[i][1] = socketpair(t)
	}
	type one struct {
		Awaiter
		ends atomic.Int32
	}
	cancelled := func(as []*Awaiter, owner func(*Awaiter) *one) {
		for _, a := range as {
			owner(a).ends.Add(1)
		}
	}
	var owners sync.Map
	owner := func(a *Awaiter) *one { o, _ := owners.Load(a); return o.(*one) }
	rounds := 5000
	if testing.Short() {
		rounds = 500
	}
	var all sync.WaitGroup
	for g := range 6 {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(g)))
			var a [3]*one
			for i := range a {
				a[i] = new(one)
				owners.Store(&a[i].Awaiter, a[i])
				a[i].Fn = func(got Events) {
					if got&^a[i].Awaiter.events != 0 {
						t.Errorf("told %v", got)
					}
					a[i].ends.Add(1)
				}
			}
			block := make([]byte, 64)
			for range rounds {
				k := rnd.IntN(len(fds))
				fd, peer := fds[k][0], fds[k][1]
				w := a[rnd.IntN(len(a))]
				switch rnd.IntN(10) {
				case 0:
					cancelled(r.l.CancelFD(fd), owner)
				case 1:
					unix.Write(peer, block[:1])
				case 2:
					unix.Read(fd, block)
				case 3: // the number means the other pair's end, or again that of its own
					_ = dupOnto(spare[k][rnd.IntN(2)], fd)
				default:
					if err := r.l.Await(fd, Events(1+rnd.IntN(3)), &w.Awaiter); err != nil {
						t.Error(err)
						return
					}
					if rnd.IntN(2) == 0 {
						runtime.Gosched()
					}
					if r.l.Forget(fd, &w.Awaiter) {
						w.ends.Add(1)
					}
					for end := time.Now().Add(patience); w.ends.Load() == 0; runtime.Gosched() {
						if time.Now().After(end) {
							t.Error("a wait never ended")
							return
						}
					}
					if n := w.ends.Swap(0); n != 1 {
						t.Errorf("a wait ended %d times", n)
					}
				}
			}
		})
	}
	all.Wait()
}

// TestAwaitMany: ten thousand wait at once, are told in any order, and leave nothing but the table.
func TestAwaitMany(t *testing.T) {
	const want = 10000
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	n := min(want, (int(min(limit.Cur, 1<<20))-openFDs(t)-100)/2)
	if n < 100 {
		t.Skip("no descriptors")
	}
	t.Logf("%d socket pairs", n)
	r := newAwaitRig(t)
	fds := make([][2]int, n)
	for i := range fds {
		fds[i][0], fds[i][1] = socketpair(t)
	}
	order := rand.Perm(n)
	as := make([]*waiting, n)
	for i := range as {
		as[i] = newWaiting()
		r.await(fds[i][0], Readable, as[i])
	}
	r.calm()
	if k := r.l.Awaiting(); k != n {
		t.Fatalf("%d wait", k)
	}
	for _, i := range order[:n/2] {
		put(t, fds[i][1])
	}
	for _, i := range order[n/2 : n/2+n/4] {
		if !r.l.Forget(fds[i][0], &as[i].Awaiter) {
			t.Fatal("not waiting")
		}
	}
	for _, i := range order[n/2+n/4:] {
		if got := r.l.CancelFD(fds[i][0]); len(got) != 1 || got[0] != &as[i].Awaiter {
			t.Fatal("not waiting")
		}
	}
	r.until("all told", func() bool { return r.l.Awaiting() == 0 })
	r.calm()
	for k, i := range order {
		if k < n/2 {
			as[i].wants(t, Readable)
		} else {
			as[i].wants(t)
		}
	}
}

// TestAwaitWakesLeader: the leader is blocked when somebody begins to wait.
func TestAwaitWakesLeader(t *testing.T) {
	r := newAwaitRig(t)
	r.run()
	x, y := socketpair(t)
	called := make(chan Events, 1)
	a := Awaiter{Fn: func(got Events) { called <- got }}
	for range 100 {
		yieldUntil(t, "the leader sleeps", func() bool { return r.l.sleep.Load() == sleeping })
		if err := r.l.Await(x, Readable, &a); err != nil {
			t.Fatal(err)
		}
		put(t, y)
		select {
		case <-called:
		case <-time.After(patience):
			t.Fatal("never called")
		}
		drainFD(t, x)
	}
}

func BenchmarkAwait(b *testing.B) {
	r := newAwaitRig(b)
	x, y := socketpair(b)
	put(b, y)
	a := Awaiter{Fn: func(Events) {}}
	b.ReportAllocs()
	for b.Loop() {
		if r.l.Await(x, Readable, &a) != nil || r.l.Poll(0) != nil {
			b.Fatal("not awaited")
		}
	}
}
