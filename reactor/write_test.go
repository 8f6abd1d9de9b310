package reactor

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/internal/spool"
)

// TestMixedPieces sends random mixtures of transient bytes, held bytes and file ranges, by Send, SendBytes and Append, to a
// reader that starts late, and compares every byte. Transient bytes are overwritten as soon as the contract allows it, held ones
// when they are given back.
func TestMixedPieces(t *testing.T) {
	for _, tc := range []struct {
		name  string
		copy  bool
		spool int64
		size  int // of the largest piece
		lead  bool
	}{
		{name: "small", size: 3000, lead: true},
		{name: "large", size: 300_000, lead: true},
		{name: "huge", size: 5_000_000, lead: true},
		{name: "owner alone", size: 300_000},
		{name: "no sendfile", size: 300_000, copy: true, lead: true},
		{name: "spool", size: 300_000, spool: 100_000, lead: true},
		{name: "spool of small pieces", size: 3000, spool: 20_000, lead: true},
		{name: "spool without sendfile", size: 300_000, spool: 100_000, copy: true, lead: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := Options{SpoolAbove: tc.spool}
			if tc.spool > 0 {
				o.Spool = &spool.Source{Open: func() (*os.File, error) { return tempFile(t), nil }}
			}
			r := newRig(t, &hooks{}, o, ListenOptions{SndBuf: 128 << 10})
			r.l.copyFiles = tc.copy
			before := openFDs(t)
			c, nc := r.connect()
			c.Acquire()
			if tc.lead {
				r.run()
			}
			rnd := rand.New(rand.NewPCG(7, uint64(tc.size)))
			var want []byte
			var in *reader
			for i := range 60 {
				if rnd.IntN(3) == 0 {
					b := pattern(i, rnd.IntN(tc.size))
					want = append(want, b...)
					if err := c.SendBytes(b); err != nil {
						t.Fatal(err)
					}
					scribble(b)
				}
				var ps []Piece
				var transient [][]byte
				for range rnd.IntN(12) {
					b := pattern(i, rnd.IntN(tc.size))
					if rnd.IntN(5) == 0 {
						b = b[:0]
					}
					want = append(want, b...)
					switch rnd.IntN(3) {
					case 0:
						transient = append(transient, b)
						ps = append(ps, Piece{Bytes: b})
					case 1:
						ps = append(ps, r.hold(b))
					case 2:
						junk := rnd.IntN(100)
						fd := fileOf(t, append(make([]byte, junk), b...))
						ps = append(ps, Piece{File: fd, Off: int64(junk), Len: int64(len(b))})
					}
					if len(want) > 12_000_000 {
						break
					}
				}
				var err error
				if rnd.IntN(2) == 0 {
					_, err = c.Send(ps...)
				} else {
					c.Append(ps)
					if rnd.IntN(2) == 0 {
						_, err = c.Flush()
					}
					err = errors.Join(err, c.Settle())
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, b := range transient {
					scribble(b)
				}
				if tc.spool > 0 && c.QueuedBytes() > tc.spool+int64(tc.size) {
					t.Errorf("%d bytes in memory, limit %d", c.QueuedBytes(), tc.spool)
				}
				if i == 30 {
					in = readAll(nc)
				}
				if len(want) > 12_000_000 {
					break
				}
			}
			if in == nil {
				in = readAll(nc)
			}
			if err := waitQueued(c, 0, 0, patience); err != nil {
				t.Fatal(err)
			}
			c.CloseAfterFlush()
			c.Release()
			if tc.lead {
				<-in.done
			} else {
				r.until("all read", in.finished)
			}
			if in.err != nil {
				t.Fatal(in.err)
			}
			sameBytes(t, in.got.Bytes(), want)
			if c.Pending() || c.QueuedBytes() != 0 || c.SpooledBytes() != 0 {
				t.Errorf("left: pending %v, %d bytes, %d spooled", c.Pending(), c.QueuedBytes(), c.SpooledBytes())
			}
			if n := c.SentBytes(); n != uint32(len(want)) {
				t.Errorf("SentBytes %d, want %d", n, len(want))
			}
			nc.Close()
			yieldUntil(t, "descriptors closed", func() bool {
				if !tc.lead {
					r.l.Poll(0)
					for r.l.Dispatch() {
					}
				}
				return openFDs(t) <= before
			})
		})
	}
}

func TestSendBytesToNobody(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	aborted, _ := r.connect()
	aborted.Acquire()
	aborted.Abort()
	if err := aborted.SendBytes([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("to an aborted connection: %v", err)
	}
	reset, nc := r.connect()
	reset.Acquire()
	nc.(*net.TCPConn).SetLinger(0)
	nc.Close()
	r.until("the reset noticed", func() bool { return reset.SendBytes([]byte("x")) != nil })
	if !reset.Broken() || reset.Pending() {
		t.Errorf("after a reset: broken %v, pending %v", reset.Broken(), reset.Pending())
	}
	if n := aborted.SentBytes(); n != 0 {
		t.Errorf("%d bytes were sent", n)
	}
	reset.Abort()
	reset.Release()
	aborted.Release()
}

// fill sends until the socket takes no more, and as much again as both ends' buffers may still grow by. It returns what was
// sent.
func fill(t *testing.T, c *Conn) []byte {
	t.Helper()
	var want []byte
	for c.QueuedBytes() < 1_000_000 {
		b := pattern(len(want), 100_000)
		want = append(want, b...)
		if _, err := c.Send(Piece{Bytes: b}); err != nil {
			t.Fatal(err)
		}
	}
	return want
}

// TestDrainedAndProgress: what is left over is reported by the leader as it goes, for owned connections too.
func TestDrainedAndProgress(t *testing.T) {
	var drained, progress int
	r := newRig(t, &hooks{
		drained:  func(*Conn) { drained++ },
		progress: func(*Conn) { progress++ },
	}, Options{}, ListenOptions{SndBuf: 128 << 10})
	for _, owned := range []bool{false, true} {
		drained, progress = 0, 0
		c, nc := r.connect()
		if owned {
			c.Acquire()
		}
		big := pattern(3, 4_000_000)
		want := string(big)
		queued, err := c.Send(Piece{Bytes: big})
		scribble(big)
		if err != nil || queued == 0 || int64(queued) != c.QueuedBytes() {
			t.Fatalf("Send: %d, %v; QueuedBytes %d", queued, err, c.QueuedBytes())
		}
		got := make([]byte, len(want))
		go io.ReadFull(nc, got)
		r.until("drained", func() bool { return drained == 1 })
		if progress == 0 {
			t.Error("no Progress on the way")
		}
		if c.Pending() {
			t.Error("Pending after Drained")
		}
		if owned {
			c.Release()
		}
		c.CloseAfterFlush()
		r.until("closed", func() bool { return r.l.Conns() == 0 })
	}
}

// TestDrainedByAnotherThread: whoever empties the queue, the leader reports it.
func TestDrainedByAnotherThread(t *testing.T) {
	drained := 0
	r := newRig(t, &hooks{drained: func(*Conn) { drained++ }}, Options{}, ListenOptions{SndBuf: 128 << 10})
	c, nc := r.connect()
	fill(t, c)
	c.CloseAfterFlush()
	in := readAll(nc)
	for c.Pending() { // not driving the loop
		if _, err := c.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	r.until("closed", in.finished)
	if drained > 1 {
		t.Errorf("Drained %d times", drained)
	}
	c, nc = r.connect()
	drained = 0
	fill(t, c)
	readAll(nc)
	for c.Pending() {
		c.Flush()
	}
	r.until("Drained", func() bool { return drained == 1 })
}

func TestFileShort(t *testing.T) {
	for _, copy := range []bool{false, true} {
		t.Run(fmt.Sprintf("copy=%v", copy), func(t *testing.T) {
			var failed error
			r := newRig(t, &hooks{failed: func(c *Conn, err error) { failed = err; c.Abort() }}, Options{}, ListenOptions{})
			r.l.copyFiles = copy
			c, nc := r.connect()
			_, err := c.Send(Piece{Bytes: []byte("head")}, Piece{File: fileOf(t, []byte("short")), Len: 50}, r.hold([]byte("tail")))
			if !errors.Is(err, ErrFileShort) || !c.Broken() {
				t.Fatalf("err %v, broken %v", err, c.Broken())
			}
			if _, err := c.Send(r.hold([]byte("more")), Piece{File: fileOf(t, nil), Len: 1}); !errors.Is(err, ErrFileShort) {
				t.Errorf("Send on a broken connection: %v", err)
			}
			c.Append([]Piece{r.hold([]byte("more"))})
			in := readAll(nc)
			r.until("client sees the end", in.finished)
			if !errors.Is(failed, ErrFileShort) {
				t.Errorf("Failed(%v)", failed)
			}
			if !errors.Is(in.err, syscall.ECONNRESET) {
				t.Errorf("the client read %q and then %v, want a reset", in.got.String(), in.err)
			}
			r.holds.check(t)
		})
	}
}

// TestFileThatIsNone: a pipe has no offsets, neither for sendfile nor for the copy.
func TestFileThatIsNone(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	pr, _ := pipe(t)
	c, _ := r.connect()
	fd, _ := dupCloexec(int(pr.Fd()))
	_, err := c.Send(Piece{File: fd, Len: 10})
	if !errors.Is(err, syscall.ESPIPE) || !c.Broken() || !strings.Contains(err.Error(), "pread") {
		t.Errorf("a pipe as file piece: %v", err)
	}
}

// TestWritableBetweenFullAndQueued: the socket becomes writable after the owner found it full and before it has queued the
// rest. The leader sees nothing to flush then, so the owner must try again: there will be no other event.
func TestWritableBetweenFullAndQueued(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	c, nc := r.connect()
	r.until("first event", func() bool { return c.state.Load()&stWritable != 0 })
	c.Acquire()
	c.state.And(^uint32(stWritable))
	c.mu.Lock()
	// Here the owner's send said that the socket is full.
	r.l.note(c.FD(), c.gen, evWrite)
	if r.l.Dispatch() {
		t.Error("the leader found something to do")
	}
	c.enqueueLocked([]Piece{{Bytes: []byte("rest")}})
	if got := c.stayLocked(false); got != flushAgain {
		t.Errorf("stayLocked: %v, want another try", got)
	}
	c.flushLocked()
	c.unlock()
	buf := make([]byte, 4)
	if _, err := io.ReadFull(nc, buf); err != nil || string(buf) != "rest" {
		t.Errorf("got %q, %v", buf, err)
	}
	c.Release()
}

// TestLeaderDoesNotWaitForALock: while another thread is busy with the output, the leader goes on, and the flush it left
// out is made up for.
func TestLeaderDoesNotWaitForALock(t *testing.T) {
	drained := 0
	r := newRig(t, &hooks{drained: func(*Conn) { drained++ }}, Options{}, ListenOptions{SndBuf: 128 << 10})
	c, nc := r.connect()
	c.Acquire()
	fill(t, c)
	c.mu.Lock()
	readAll(nc) // makes the socket writable
	r.until("the leader comes by", func() bool { return c.state.Load()&stMissed != 0 })
	c.unlock()
	r.until("drained", func() bool { return drained == 1 })
	c.Release()
}

// TestUnholdOnEveryEnd: tokens come back once, whether the queue is sent, aborted, broken or closed.
func TestUnholdOnEveryEnd(t *testing.T) {
	for name, end := range map[string]func(r *rig, c *Conn, nc io.Closer){
		"abort":          func(r *rig, c *Conn, nc io.Closer) { c.Abort() },
		"abort by owner": func(r *rig, c *Conn, nc io.Closer) { c.Acquire(); c.Abort(); c.Release() },
		"peer resets":    func(r *rig, c *Conn, nc io.Closer) { nc.Close() },
		"loop closes":    func(r *rig, c *Conn, nc io.Closer) { r.l.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, &hooks{}, Options{}, ListenOptions{SndBuf: 128 << 10})
			c, nc := r.connect()
			nc.Write([]byte("unread, so that closing resets"))
			fill(t, c)
			c.Append([]Piece{r.hold(pattern(1, 100_000)), {File: fileOf(t, pattern(2, 10)), Len: 10}, r.hold(pattern(1, 100))})
			if _, err := c.Send(r.hold(pattern(3, 50_000)), r.hold(nil), r.hold(pattern(3, 5))); err != nil {
				t.Fatal(err)
			}
			before := len(r.out)
			if before != 2 { // the big ones are kept, the small ones were copied
				t.Errorf("%d tokens out while queued, want 2", before)
			}
			end(r, c, nc)
			if name != "loop closes" {
				r.until("closed", func() bool { return r.l.Conns() == 0 })
			}
			r.holds.check(t)
			if _, err := c.Send(r.hold([]byte("x"))); err == nil {
				t.Error("Send after the end succeeded")
			}
		})
	}
}

func TestSpool(t *testing.T) {
	opened := 0
	o := Options{SpoolAbove: 200_000, Spool: &spool.Source{Open: func() (*os.File, error) { opened++; return tempFile(t), nil }}}
	r := newRig(t, &hooks{}, o, ListenOptions{SndBuf: 128 << 10})
	c, nc := r.connect()
	c.Acquire()
	before := openFDs(t)
	var want []byte
	for i := range 300 {
		b := pattern(i, 50_000)
		want = append(want, b...)
		p := Piece{Bytes: b}
		if i%2 == 0 {
			p = r.hold(b)
		}
		if _, err := c.Send(p); err != nil {
			t.Fatal(err)
		}
		if c.QueuedBytes() > 200_000 {
			t.Fatalf("%d bytes in memory", c.QueuedBytes())
		}
	}
	if c.SpooledBytes() < 5_000_000 || opened != 1 {
		t.Errorf("%d spooled in %d files", c.SpooledBytes(), opened)
	}
	in := readAll(nc)
	if err := waitQueued(c, 0, 0, patience); err != nil {
		t.Fatal(err)
	}
	if n := openFDs(t); n != before {
		t.Errorf("%d descriptors, %d before the spool", n, before)
	}
	c.CloseAfterFlush()
	c.Release()
	r.until("all read", in.finished)
	sameBytes(t, in.got.Bytes(), want)

	r.holds.check(t)
}

// TestSpoolWithoutRoom: what cannot go to the file stays in memory, in order, however often that changes, and somebody is told.
func TestSpoolWithoutRoom(t *testing.T) {
	noSpace := errors.New("no space")
	for name, open := range map[string]func() (*os.File, error){
		"refused":   func() (*os.File, error) { return tempFile(t), nil },
		"no file":   func() (*os.File, error) { return nil, noSpace },
		"read only": func() (*os.File, error) { return os.Open(os.DevNull) },
		"granted":   func() (*os.File, error) { return tempFile(t), nil },
	} {
		t.Run(name, func(t *testing.T) {
			asked, taken, told := 0, int64(0), 0
			var why error
			o := Options{
				SpoolAbove: 100_000,
				Spool: &spool.Source{
					Open: open,
					Take: func(n int64) bool {
						asked++
						if name == "refused" && asked%3 != 0 {
							return false
						}
						taken += n
						return true
					},
					Give: func(n int64) { taken -= n },
					Full: func(err error) { told, why = told+1, err },
				},
			}
			r := newRig(t, &hooks{}, o, ListenOptions{SndBuf: 64 << 10})
			c, nc := r.connect()
			c.Acquire()
			var want []byte
			for i := range 100 {
				b := pattern(i, 20_000)
				want = append(want, b...)
				p := Piece{Bytes: b}
				if i%2 == 0 {
					p = r.hold(b)
				}
				if _, err := c.Send(p); err != nil {
					t.Fatal(err)
				}
			}
			mem, spooled := c.QueuedBytes(), c.SpooledBytes()
			switch name {
			case "refused":
				if spooled < 200_000 || mem < 500_000 || told != 1 || why != nil {
					t.Errorf("%d in memory, %d spooled, told %d times, %v", mem, spooled, told, why)
				}
			case "granted":
				if spooled < 1_000_000 || told != 0 {
					t.Errorf("%d in memory, %d spooled, told %d times, %v", mem, spooled, told, why)
				}
			default:
				if spooled != 0 || taken != 0 || mem < 1_000_000 || told != 1 || why == nil {
					t.Errorf("%d in memory, %d spooled, %d taken, told %d times, %v", mem, spooled, taken, told, why)
				}
			}
			in := readAll(nc)
			if err := waitQueued(c, 0, 0, patience); err != nil {
				t.Fatal(err)
			}
			c.CloseAfterFlush()
			c.Release()
			r.until("all read", in.finished)
			sameBytes(t, in.got.Bytes(), want)
			if taken != 0 {
				t.Errorf("%d bytes were never given back", taken)
			}
			r.holds.check(t)
		})
	}
}

func TestWaitQueued(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{SndBuf: 128 << 10})
	c, nc := r.connect()
	c.Acquire()
	fill(t, c)
	start := time.Now()
	if err := waitQueued(c, 0, 0, 50*time.Millisecond); err != ErrStalled {
		t.Fatalf("nobody reads: %v", err)
	}
	if d := time.Since(start); d < 50*time.Millisecond {
		t.Errorf("gave up after %v", d)
	}
	if err := waitQueued(c, c.QueuedBytes(), c.QueuedBytes(), time.Nanosecond); err != nil {
		t.Errorf("low enough already: %v", err)
	}
	c.Send(Piece{Bytes: pattern(1, 3_000_000)})
	in := readAll(nc)
	if err := waitQueued(c, 1000, 1000, patience); err != nil { // nobody leads
		t.Fatal(err)
	}
	if c.QueuedBytes() > 1000 {
		t.Errorf("%d bytes queued", c.QueuedBytes())
	}
	waitQueued(c, 0, 0, 0)
	c.Abort()
	c.Release()
	<-in.done

	c, nc = r.connect()
	c.Acquire()
	nc.Write([]byte("x"))
	fill(t, c)
	failed := make(chan error)
	go func() { failed <- waitQueued(c, 0, 0, -1) }()
	nc.Close()
	if err := <-failed; !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("peer reset: %v", err)
	}
	c.Release()

	// Abort by another thread ends the wait.
	c, _ = r.connect()
	c.Acquire()
	fill(t, c)
	go func() { failed <- waitQueued(c, 0, 0, -1) }()
	c.Abort()
	if err := <-failed; !errors.Is(err, ErrClosed) {
		t.Errorf("aborted: %v", err)
	}
	c.Release()
}

// TestManyFlushers: owner, leader and a third thread flush at the same time; the order of the bytes stays.
func TestManyFlushers(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{SndBuf: 128 << 10})
	c, nc := r.connect()
	c.Acquire()
	r.run()
	in := readAll(nc)
	stop := make(chan struct{})
	third := make(chan struct{})
	go func() {
		defer close(third)
		for {
			select {
			case <-stop:
				return
			default:
				c.Flush()
				c.Peek()
			}
		}
	}()
	var want []byte
	for i := range 3000 {
		b := pattern(i, 1+i*7%3000)
		want = append(want, b...)
		if _, err := c.Send(Piece{Bytes: b[:len(b)/2]}, r.hold(b[len(b)/2:])); err != nil {
			t.Fatal(err)
		}
	}
	if err := waitQueued(c, 0, 0, patience); err != nil {
		t.Fatal(err)
	}
	close(stop)
	<-third
	c.CloseAfterFlush()
	c.Release()
	<-in.done
	sameBytes(t, in.got.Bytes(), want)
}

// TestTryQueued: who has the GIL does not wait for a thread that sends, perhaps from a disk.
func TestTryQueued(t *testing.T) {
	var c Conn
	c.state.Or(stPending)
	c.mu.Lock()
	if _, _, ok := c.TryQueued(); ok {
		t.Error("told while another thread has the lock")
	}
	c.mu.Unlock()
	if _, _, ok := c.TryQueued(); !ok {
		t.Error("not told")
	}
}

// TestTrySendBytesNeverSpools: neither behind a queue nor in front of one, of which the socket may leave a part.
func TestTrySendBytesNeverSpools(t *testing.T) {
	o := Options{SpoolAbove: 1000, Spool: &spool.Source{Open: func() (*os.File, error) { return tempFile(t), nil }}}
	r := newRig(t, &hooks{}, o, ListenOptions{SndBuf: 16 << 10})
	c, _ := r.connect()
	if c.TrySendBytes(pattern(0, 1<<20)) || c.SentBytes() != 0 || c.Pending() {
		t.Error("sent", c.SentBytes(), "and spooled", c.SpooledBytes())
	}
	if !c.TrySendBytes(pattern(0, 1000)) {
		t.Error("what fits in memory is refused")
	}
}
