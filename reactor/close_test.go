package reactor

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

func TestConnIsSmall(t *testing.T) {
	size := unsafe.Sizeof(Conn{})
	t.Logf("a Conn has %d bytes", size)
	if size > 400 {
		t.Errorf("a Conn has %d bytes, more than 400", size)
	}
}

// TestHalfClose: what was sent before the peer closed its side is delivered, then the end, and the answer still arrives.
func TestHalfClose(t *testing.T) {
	for _, size := range []int{10, 64, 1000} { // shorter than, as long as, and longer than the buffer
		var got []byte
		r := newRig(t, &hooks{}, Options{}, ListenOptions{})
		r.h.ready = func(c *Conn) {
			if !c.PeerGone() {
				return
			}
			buf := make([]byte, 64)
			for c.Readable() {
				n, err := c.Read(buf)
				got = append(got, buf[:n]...)
				if err == io.EOF {
					c.Send(Piece{Bytes: []byte("answer")})
					c.CloseAfterFlush()
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
			t.Error("Readable was cleared before the end of the stream was read")
		}
		want := pattern(size, size)
		nc := r.dial()
		nc.Write(want)
		nc.(*net.TCPConn).CloseWrite()
		in := readAll(nc)
		r.until("answered", in.finished)
		sameBytes(t, got, want)
		if in.got.String() != "answer" || in.err != nil {
			t.Errorf("client got %q, %v", in.got.String(), in.err)
		}
	}
}

func TestReadNotes(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	c, nc := r.connect()
	buf := make([]byte, 4)
	if _, err := c.Read(buf); err != ErrWouldBlock {
		t.Fatalf("nothing there: %v", err)
	}
	nc.Write([]byte("123456"))
	if err := waitReadable(c, patience); err != nil {
		t.Fatal(err)
	}
	r.until("noted", c.Readable)
	if n, err := c.Read(buf); n != 4 || err != nil || !c.Readable() {
		t.Errorf("filled: %d, %v, readable %v", n, err, c.Readable())
	}
	if n, err := c.Read(buf); n != 2 || err != nil || c.Readable() {
		t.Errorf("short: %d, %v, readable %v", n, err, c.Readable())
	}
	if err := waitReadable(c, 20*time.Millisecond); err != ErrTimeout {
		t.Errorf("WaitReadable: %v", err)
	}
	if c.Peek() {
		t.Error("Peek says gone")
	}
	nc.Write([]byte("x"))
	nc.Close()
	r.until("gone", c.PeerGone)
	if c.Peek() {
		t.Error("Peek says gone with data left")
	}
	c.Read(buf[:1])
	if !c.Peek() {
		t.Error("Peek says not gone")
	}
	if n, err := c.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

// TestPeerGoneIsSeenWhileOwned: the thread in the app call can find out that nobody waits for its answer.
func TestPeerGoneIsSeenWhileOwned(t *testing.T) {
	ready := 0
	r := newRig(t, &hooks{ready: func(c *Conn) { ready++ }}, Options{}, ListenOptions{})
	c, nc := r.connect()
	c.Acquire()
	nc.Close()
	r.until("gone", c.PeerGone)
	if ready != 0 {
		t.Error("Ready while owned")
	}
	c.Release()
	r.until("Ready", func() bool { return ready == 1 })
}

func TestPeerResets(t *testing.T) {
	for _, owned := range []bool{false, true} {
		var failed error
		var broken bool
		h := &hooks{
			failed: func(c *Conn, err error) { failed = err; c.Abort() },
			ready:  func(c *Conn) { broken = c.Broken() },
		}
		r := newRig(t, h, Options{}, ListenOptions{})
		c, nc := r.connect()
		if owned {
			c.Acquire()
		}
		nc.(*net.TCPConn).SetLinger(0)
		nc.Close()
		r.until("broken", c.Broken)
		if owned {
			if failed != nil {
				t.Error("Failed while owned")
			}
			c.Release()
			r.until("Ready with Broken", func() bool { return broken })
		} else {
			r.until("closed", func() bool { return r.l.Conns() == 0 })
			if !errors.Is(failed, syscall.ECONNRESET) {
				t.Errorf("Failed(%v)", failed)
			}
		}
	}
}

// TestLingeringClose: a client that sends on while it is answered still reads the whole answer.
func TestLingeringClose(t *testing.T) {
	for _, asked := range []bool{false, true} {
		var c *Conn
		closed := 0
		answer := pattern(9, 3_000_000)
		h := &hooks{closed: func(*Conn) { closed++ }}
		r := newRig(t, h, Options{}, ListenOptions{SndBuf: 128 << 10})
		h.ready = func(c *Conn) { // reads nothing
			c.Send(Piece{Bytes: answer})
			if asked {
				c.Read(make([]byte, 100))
				c.Linger()
			}
			c.CloseAfterFlush()
		}
		c, nc := r.connect()
		nc.Write(pattern(1, 100))
		r.until("closing", c.Closing)
		sent := make(chan struct{})
		go func() {
			nc.Write(pattern(2, 500_000)) // less than LingerBytes
			nc.(*net.TCPConn).CloseWrite()
			close(sent)
		}()
		in := readAll(nc)
		r.until("read", in.finished)
		<-sent
		if in.err != nil {
			t.Error(in.err)
		}
		sameBytes(t, in.got.Bytes(), answer)
		r.until("closed", func() bool { return closed == 1 })
	}
}

func TestLingerEnds(t *testing.T) {
	for name, o := range map[string]Options{
		"by time":  {LingerTime: 100 * time.Millisecond},
		"by bytes": {LingerTime: time.Hour, LingerBytes: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			expired := 0
			r := newRig(t, &hooks{expired: func(*Conn) { expired++ }}, o, ListenOptions{})
			c, nc := r.connect()
			c.SetDeadline(r.l.NowNanos() + int64(time.Millisecond)) // must not count any more
			c.Linger()
			c.CloseAfterFlush()
			in := readAll(nc)
			r.until("write side shut down", in.finished)
			if r.l.Conns() != 1 {
				t.Fatal("closed at once")
			}
			if o.LingerBytes > 0 {
				nc.Write(pattern(1, 5000))
			}
			r.until("closed", func() bool { return r.l.Conns() == 0 })
			if expired != 0 {
				t.Error("Expired while lingering")
			}
		})
	}
}

func TestAbortResets(t *testing.T) {
	for _, owned := range []bool{false, true} {
		r := newRig(t, &hooks{}, Options{}, ListenOptions{})
		c, nc := r.connect()
		c.Send(Piece{Bytes: []byte("half an ans")})
		in := readAll(nc)
		if owned {
			c.Acquire()
			c.Abort()
			<-in.done // before the leader has done anything
			if r.l.Conns() != 1 {
				t.Error("closed under its owner")
			}
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("Read after Abort succeeded")
			}
			c.Release()
		} else {
			c.Abort()
		}
		r.until("the client sees it", in.finished)
		if !errors.Is(in.err, syscall.ECONNRESET) {
			t.Errorf("owned %v: the client got %q and %v, want a reset", owned, in.got.String(), in.err)
		}
		r.until("closed", func() bool { return r.l.Conns() == 0 })
	}
}

// TestAbortByAnotherThread races an abort with the release by the owner.
func TestAbortByAnotherThread(t *testing.T) {
	r := newRig(t, &hooks{accepted: func(*Conn) {}}, Options{}, ListenOptions{})
	h := r.h
	h.ready = func(c *Conn) {
		c.Acquire()
		var both sync.WaitGroup
		both.Go(c.Abort)
		both.Go(func() {
			c.Send(Piece{Bytes: []byte("x")})
			c.Release()
		})
		both.Wait()
	}
	r.run()
	for range 200 {
		nc := r.dial()
		nc.Write([]byte("x"))
		if _, err := io.Copy(io.Discard, nc); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client got %v, want a reset", err)
		}
		nc.Close()
	}
	yieldUntil(t, "all closed", func() bool { return r.l.Conns() == 0 })
}

func TestCloseWaitsForTheQueue(t *testing.T) {
	closed := 0
	r := newRig(t, &hooks{closed: func(*Conn) { closed++ }}, Options{}, ListenOptions{SndBuf: 128 << 10})
	for _, owned := range []bool{false, true} {
		closed = 0
		c, nc := r.connect()
		if owned {
			c.Acquire()
		}
		want := fill(t, c)
		c.CloseAfterFlush()
		r.l.Poll(0)
		for r.l.Dispatch() {
		}
		if owned {
			go c.Release()
		}
		if closed != 0 {
			t.Fatal("closed with output pending")
		}
		in := readAll(nc)
		r.until("closed", func() bool { return closed == 1 && in.finished() })
		sameBytes(t, in.got.Bytes(), want)
	}
}

// TestStaleEvents: an event for a connection that is gone does not reach the one that got its descriptor.
func TestStaleEvents(t *testing.T) {
	ready := 0
	r := newRig(t, &hooks{ready: func(*Conn) { ready++ }}, Options{}, ListenOptions{})
	a, _ := r.connect()
	a.CloseAfterFlush()
	r.until("closed", func() bool { return r.l.Conns() == 0 })
	b, _ := r.connect()
	r.l.table[a.FD()] = b // whatever descriptor it got, a's place in the table is b's now
	r.l.note(a.FD(), a.gen, evRead|evGone|evErr)
	if b.Readable() || b.PeerGone() || b.Broken() {
		t.Error("a stale event reached the next connection")
	}
	if a.FD() != b.FD() {
		r.l.table[a.FD()] = nil
	}
	// Posts for a closed connection go nowhere.
	r.l.PostConn(a)
	a.Abort()
	a.CloseAfterFlush()
	r.l.Poll(0)
	for r.l.Dispatch() {
	}
	if ready != 0 {
		t.Error("Ready for a closed connection")
	}
}

// TestDupOutlivesConn: a duplicate keeps the socket open but nothing of it reaches the loop any more.
func TestDupOutlivesConn(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	c, nc := r.connect()
	fd, err := c.Dup()
	if err != nil {
		t.Fatal(err)
	}
	defer closeFD(fd)
	c.CloseAfterFlush()
	r.until("closed", func() bool { return r.l.Conns() == 0 })
	nc.Write([]byte("hello"))
	if _, err := new(Alarm).wait(fd, 1, patience); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	r.l.Poll(50 * time.Millisecond)
	if time.Since(start) < 49*time.Millisecond {
		t.Error("the loop is woken for a connection it has closed")
	}
	buf := make([]byte, 10)
	if n, _ := recv(fd, buf, 0); string(buf[:n]) != "hello" {
		t.Errorf("the duplicate got %q", buf[:n])
	}
}

// TestLentEndsWithConn: for whoever has the descriptor that was lent, and for the peer.
func TestLentEndsWithConn(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	for name, end := range map[string]func(*Conn){
		"closed": (*Conn).CloseAfterFlush,
		"ended":  func(c *Conn) { c.EndLent(); c.Abort() },
	} {
		c, nc := r.connect()
		fd, err := c.Lend()
		if err != nil {
			t.Fatal(err)
		}
		defer closeFD(fd)
		end(c)
		r.until(name, func() bool { return r.l.Conns() == 0 })
		nc.SetReadDeadline(time.Now().Add(patience))
		if n, err := nc.Read(make([]byte, 1)); n > 0 || timedOut(err) {
			t.Errorf("%s: the peer has not been told: %v", name, err)
		}
		if n, errno := recv(fd, make([]byte, 1), 0); n > 0 || errno == syscall.EAGAIN {
			t.Errorf("%s: the descriptor is open still: %v", name, errno)
		}
	}
	c, nc := r.connect()
	c.EndLent() // it was not
	if _, err := nc.Write([]byte("x")); err != nil || c.Peek() {
		t.Error("a connection of nobody else's was ended")
	}
}

func timedOut(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

func TestLoopCloseLeavesOwnedToTheirOwners(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	c, nc := r.connect()
	r.connect()
	c.Acquire()
	if err := r.l.Close(); err != nil {
		t.Fatal(err)
	}
	if r.l.Conns() != 1 {
		t.Errorf("%d connections, want the owned one", r.l.Conns())
	}
	if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("its client: %v", err)
	}
	if _, err := c.Send(Piece{Bytes: []byte("x")}); err != ErrClosed {
		t.Errorf("Send: %v", err)
	}
	c.Release()
	if r.l.Conns() != 0 {
		t.Error("not closed on release")
	}
	if err := r.l.Poll(0); err != ErrClosed {
		t.Errorf("Poll: %v", err)
	}
	r.l.Wake()
	r.l.Post(func() {})
}

// TestAlarm: who waits for a client is called off, before it waits, while it does, and without a descriptor for it.
func TestAlarm(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	c, _ := r.connect()
	var a Alarm
	ended := make(chan error)
	go func() { ended <- c.WaitReadable(patience, &a) }()
	for a.fds.Load() == nil {
		runtime.Gosched()
	}
	a.Ring()
	if err := <-ended; err != ErrEnded {
		t.Error("a wait under way ends with", err)
	}
	if err := c.WaitReadable(patience, &a); err != ErrEnded {
		t.Error("a wait that comes later ends with", err)
	}
	a.Close()
	if err := c.WaitReadable(time.Millisecond, &a); err != ErrTimeout {
		t.Error("after Close:", err)
	}
	a.Close()
}
