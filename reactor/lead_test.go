package reactor

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestEchoManyConnections(t *testing.T) {
	r := newRig(t, &hooks{ready: echo}, Options{AcceptBatch: 7, MaxEvents: 5}, ListenOptions{})
	r.h.accepted = func(*Conn) {}
	r.run()
	var wg sync.WaitGroup
	for i := range 60 {
		nc := r.dial()
		wg.Go(func() {
			for k := range 20 {
				out := pattern(i*100+k, 1+i*k*31%40000)
				go nc.Write(out)
				in := make([]byte, len(out))
				if _, err := io.ReadFull(nc, in); err != nil {
					t.Errorf("connection %d round %d: %v", i, k, err)
					return
				}
				sameBytes(t, in, out)
			}
			nc.Close()
		})
	}
	wg.Wait()
	yieldUntil(t, "all closed", func() bool { return r.l.Conns() == 0 })
}

// leader is one of the goroutines of TestHandOver.
type leader struct{ deposed bool }

// TestHandOver hands the lead over in the middle of Ready, while events are left in the ready queue, and goes on with the
// connection. The race detector is the judge: nothing of the loop may be touched by the one that handed over.
func TestHandOver(t *testing.T) {
	lead := make(chan struct{})
	quit := make(chan struct{})
	var current *leader // belongs to the leader
	var handovers int   // likewise
	h := &hooks{accepted: func(c *Conn) { c.SetDeadline(c.Loop().NowNanos() + int64(time.Minute)) }}
	h.ready = func(c *Conn) {
		me := current
		c.Acquire()
		handovers++
		if handovers%3 != 0 {
			me.deposed = true
			lead <- struct{}{} // somebody else leads from here on
			runtime.Gosched()
		}
		echo(c) // reads, sends, perhaps asks for the close
		if me.deposed {
			c.SetDeadline(c.Loop().NowNanos() + int64(30*time.Second))
			c.Release()
			return
		}
		if c.ReleaseLocal() {
			c.Loop().PostConn(c)
		}
	}
	r := newRig(t, h, Options{}, ListenOptions{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			me := &leader{}
			for {
				select {
				case <-lead:
				case <-quit:
					return
				}
				me.deposed, current = false, me
				for !me.deposed {
					if err := r.l.Poll(-1); err != nil {
						t.Error(err)
						return
					}
					for !me.deposed && r.l.Dispatch() {
					}
					select {
					case <-quit:
						return
					default:
					}
				}
			}
		})
	}
	var clients sync.WaitGroup
	for i := range 12 {
		nc := r.dial()
		clients.Go(func() {
			defer nc.Close()
			for k := range 150 {
				out := []byte(fmt.Sprintf("request %d of client %d", k, i))
				if _, err := nc.Write(out); err != nil {
					t.Error(err)
					return
				}
				in := make([]byte, len(out))
				if _, err := io.ReadFull(nc, in); err != nil {
					t.Errorf("client %d round %d: %v", i, k, err)
					return
				}
				sameBytes(t, in, out)
			}
		})
	}
	lead <- struct{}{}
	clients.Wait()
	yieldUntil(t, "all closed", func() bool { return r.l.Conns() == 0 })
	close(quit)
	r.l.Wake()
	wg.Wait()
}

// TestNoLostWakeUp gives every ready connection to another goroutine, which reads a little and releases it while new
// input arrives. If a wake-up got lost, a client would wait for ever.
func TestNoLostWakeUp(t *testing.T) {
	work := make(chan *Conn, 64)
	h := &hooks{accepted: func(*Conn) {}}
	h.ready = func(c *Conn) {
		c.Acquire()
		work <- c
	}
	r := newRig(t, h, Options{}, ListenOptions{})
	var workers sync.WaitGroup
	for range 3 {
		workers.Go(func() {
			var buf [3]byte // less than a message: Readable stays noted
			for c := range work {
				n, err := c.Read(buf[:])
				if n > 0 {
					c.Send(Piece{Bytes: buf[:n]})
				}
				if err == io.EOF {
					c.CloseAfterFlush()
				}
				c.Release()
			}
		})
	}
	r.run()
	rounds := 3000
	if testing.Short() {
		rounds = 300
	}
	var clients sync.WaitGroup
	for range 6 {
		nc := r.dial()
		clients.Go(func() {
			defer nc.Close()
			in := make([]byte, 8)
			for k := range rounds {
				out := []byte("12345678")[:1+k%8]
				nc.Write(out[:len(out)/2])
				nc.Write(out[len(out)/2:])
				if _, err := io.ReadFull(nc, in[:len(out)]); err != nil {
					t.Errorf("round %d: %v", k, err)
					return
				}
			}
		})
	}
	clients.Wait()
	yieldUntil(t, "all closed", func() bool { return r.l.Conns() == 0 })
	close(work)
	workers.Wait()
}

// TestReadKeepsNotes notes input, as the leader would, while the owner reads. Whenever the owner finds Readable cleared, it
// must have read everything noted before. A unix socket, because there what was sent is there at once.
func TestReadKeepsNotes(t *testing.T) {
	ln, err := Listen("unix", filepath.Join(socketDir(t), "s"), ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := newRigOn(t, ln, &hooks{}, Options{})
	c, nc := r.connect()
	f, err := nc.(*net.UnixConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	client := int(f.Fd())
	c.Acquire()
	var noted atomic.Int64
	var failed atomic.Bool
	rounds := int64(50_000)
	if testing.Short() {
		rounds = 10_000
	}
	done := make(chan struct{})
	go func() { // leads
		defer close(done)
		for range rounds {
			for !failed.Load() {
				if n, _ := send(client, []byte("x"), false); n == 1 {
					break
				}
			}
			r.l.note(c.FD(), c.gen, evRead)
			noted.Add(1)
		}
	}()
	var buf [64]byte
	for read := int64(0); read < rounds; {
		n, err := c.Read(buf[:])
		if err != nil && err != ErrWouldBlock {
			t.Fatal(err)
		}
		read += int64(n)
		if k := noted.Load(); !c.Readable() && read < k {
			t.Errorf("not Readable, but only %d of %d bytes were read", read, k)
			failed.Store(true)
			break
		}
	}
	<-done
	c.Release()
}

// TestPostConnAlwaysArrives posts from several goroutines; each post must be followed by a Ready.
func TestPostConnAlwaysArrives(t *testing.T) {
	var posted, seen atomic.Int64
	h := &hooks{}
	r := newRig(t, h, Options{}, ListenOptions{})
	c, _ := r.connect()
	r.until("first event", func() bool { return true })
	h.ready = func(*Conn) { seen.Store(posted.Load()) }
	r.run()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2000 {
				n := posted.Add(1)
				r.l.PostConn(c)
				yieldUntil(t, "Ready after PostConn", func() bool { return seen.Load() >= n })
			}
		})
	}
	wg.Wait()
}

func TestPostConnOfOwnedWaitsForRelease(t *testing.T) {
	ready := 0
	r := newRig(t, &hooks{ready: func(*Conn) { ready++ }}, Options{}, ListenOptions{})
	c, _ := r.connect()
	c.Acquire()
	r.l.PostConn(c)
	tasks := 0
	r.l.Post(func() { tasks++ })
	r.until("the post is through", func() bool { return tasks == 1 })
	if ready != 0 {
		t.Fatal("Ready for an owned connection")
	}
	c.Release()
	r.until("Ready after Release", func() bool { return ready == 1 })
	c.Acquire()
	c.Release() // nothing noted: nothing posted
	if r.l.posted.Load() != nil {
		t.Error("Release posted although nothing was noted")
	}
	c.Acquire()
	if c.ReleaseLocal() {
		t.Error("ReleaseLocal reports a note that is not there")
	}
	c.Acquire()
	c.state.Or(stReadable)
	if !c.ReleaseLocal() {
		t.Error("ReleaseLocal overlooks Readable")
	}
}

func TestWakeCoalesces(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	for range 100 {
		r.l.Wake() // nobody is in Poll
	}
	if n := r.l.wakeWrites.Load(); n != 0 {
		t.Fatalf("%d writes with nobody in Poll", n)
	}
	if err := r.l.Poll(-1); err != nil { // returns at once because of those
		t.Fatal(err)
	}
	returned := make(chan error)
	go func() { returned <- r.l.Poll(-1) }()
	yieldUntil(t, "Poll blocks", func() bool { return r.l.sleep.Load() == sleeping })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				r.l.Wake()
			}
		})
	}
	wg.Wait()
	if err := <-returned; err != nil {
		t.Fatal(err)
	}
	if n := r.l.wakeWrites.Load(); n != 1 {
		t.Fatalf("%d writes for one Poll", n)
	}
}

// TestIdleSleeps: with connections that have far deadlines and nothing to do, Poll sleeps as long as it may.
func TestIdleSleeps(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	for range 20 {
		c, _ := r.connect()
		c.SetDeadline(r.l.NowNanos() + int64(time.Hour))
	}
	r.until("first events", func() bool { return true })
	r.l.Poll(0)
	for r.l.Dispatch() {
	}
	// A signal may end a wait early; Go sends some.
	start := time.Now()
	polls := 0
	for time.Since(start) < 299*time.Millisecond {
		if err := r.l.Poll(150 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if r.l.Dispatch() {
			t.Error("something to do on an idle loop")
		}
		polls++
	}
	if polls > 10 {
		t.Errorf("Poll woke up %d times in 0.3 s", polls)
	}
}

func TestWatchFD(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	pr, pw := pipe(t)
	got := bytes.Buffer{}
	err := r.l.WatchFD(int(pr.Fd()), func() {
		var b [2]byte
		n, _ := pr.Read(b[:])
		got.Write(b[:n])
	})
	if err != nil {
		t.Fatal(err)
	}
	pw.WriteString("signal")
	r.until("watched descriptor read", func() bool { return got.String() == "signal" })
	if err := r.l.UnwatchFD(int(pr.Fd())); err != nil {
		t.Fatal(err)
	}
	pw.WriteString("more")
	r.l.Poll(0)
	if r.l.Dispatch() {
		t.Error("an unwatched descriptor was reported")
	}
}

func TestClock(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	before := r.l.NowNanos()
	if before <= 0 {
		t.Fatal("the clock must not start at 0, which means no deadline")
	}
	r.l.Poll(5 * time.Millisecond)
	if d := r.l.NowNanos() - before; d < int64(4*time.Millisecond) {
		t.Errorf("the clock moved by %v", time.Duration(d))
	}
	if d := time.Since(r.l.Now()).Abs(); d > time.Second {
		t.Errorf("Now is %v off the wall clock", d)
	}
}

func TestEachAndConns(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	r.connect()
	r.connect()
	n := 0
	r.l.Each(func(c *Conn) { n++; c.CloseAfterFlush() })
	if n != 2 || r.l.Conns() != 2 {
		t.Fatalf("Each: %d, Conns: %d", n, r.l.Conns())
	}
	r.until("closed", func() bool { return r.l.Conns() == 0 })
}

// TestNoAllocation drives the whole way of a request by hand and counts.
func TestNoAllocation(t *testing.T) {
	if instrumented {
		t.Skip("it allocates by itself")
	}
	buf := make([]byte, 4096)
	answer := pattern(1, 300)
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	r.h.ready = func(c *Conn) {
		c.Acquire()
		c.Read(buf)
		c.SetDeadline(r.l.NowNanos() + int64(time.Minute))
		c.Send(Piece{Bytes: answer})
		c.ReleaseLocal()
	}
	_, client := r.connectRaw()
	in := make([]byte, 4096)
	round := func() {
		send(client, answer[:50], false)
		for {
			r.l.Poll(-1)
			for r.l.Dispatch() {
			}
			if n, _ := recv(client, in, 0); n > 0 {
				break
			}
		}
	}
	round()
	check := func(what string, f func()) {
		t.Helper()
		if n := testing.AllocsPerRun(200, f); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	check("one piece", round)

	r.h.ready = func(c *Conn) { c.Read(buf); c.Send(Piece{Bytes: answer[:100]}, Piece{Bytes: answer[100:]}) }
	check("two pieces", round)

	fd := fileOf(t, answer)
	defer closeFD(fd)
	r.h.ready = func(c *Conn) {
		c.Read(buf)
		dup, _ := dupCloexec(fd)
		c.Send(Piece{Bytes: answer[:100]}, Piece{File: dup, Len: 200})
	}
	round()
	check("head and file", round)

	r.h.ready = func(c *Conn) {
		c.Acquire()
		c.Read(buf)
		c.Send(Piece{Bytes: answer})
		r.l.PostConn(c)
		c.Release()
	}
	round()
	check("post and release", round)
	check("buffers", func() { PutBuffer(GetBuffer()) })
}

func BenchmarkEcho(b *testing.B) {
	buf := make([]byte, 4096)
	answer := pattern(1, 150)
	h := &hooks{ready: func(c *Conn) {
		c.Acquire()
		c.Read(buf)
		c.SetDeadline(c.Loop().NowNanos() + int64(time.Minute))
		c.Send(Piece{Bytes: answer})
		c.ReleaseLocal()
	}}
	r := newRig(b, h, Options{}, ListenOptions{})
	_, client := r.connectRaw()
	in := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		send(client, answer, false)
		r.l.Poll(-1)
		for r.l.Dispatch() {
		}
		recv(client, in, 0)
	}
}

// A leader may wait for the loop's descriptor beside others.
func TestSleep(t *testing.T) {
	l, err := NewLoop(nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asleep := func() (fds []unix.PollFd) {
		t.Helper()
		fd, ok := l.Sleep()
		fds = []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, _ := unix.Poll(fds, 0); !ok || n > 0 {
			t.Fatal("there is something to do")
		}
		return fds
	}
	asleep()
	called := 0
	l.Post(func() { called++ })
	if _, ok := l.Sleep(); ok {
		t.Fatal("it would sleep with something to do")
	}
	if err := l.Poll(0); err != nil || !l.Dispatch() || called != 1 {
		t.Fatal(err, called)
	}
	fds := asleep()
	go l.Wake()
	for {
		if n, err := unix.Poll(fds, 20000); n == 1 {
			break
		} else if err != unix.EINTR {
			t.Fatal(n, err)
		}
	}
	if err := l.Poll(0); err != nil || l.Dispatch() {
		t.Fatal(err, "there was nothing to do but to wake up")
	}
}
