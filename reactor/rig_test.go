package reactor

// What the tests share. Most tests drive the loop from their own goroutine, so that they are deterministic.

import (
	"bytes"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 20 * time.Second

// hooks is a Handler made of functions; nil ones do nothing.
type hooks struct {
	accepted, ready, drained, progress, expired, expiredOwned, goneOwned, inputOwned, closed func(*Conn)
	failed                                                                                   func(*Conn, error)
}

func call(f func(*Conn), c *Conn) {
	if f != nil {
		f(c)
	}
}

func (h *hooks) Accepted(c *Conn)     { call(h.accepted, c) }
func (h *hooks) Ready(c *Conn)        { call(h.ready, c) }
func (h *hooks) Drained(c *Conn)      { call(h.drained, c) }
func (h *hooks) Progress(c *Conn)     { call(h.progress, c) }
func (h *hooks) Expired(c *Conn)      { call(h.expired, c) }
func (h *hooks) ExpiredOwned(c *Conn) { call(h.expiredOwned, c) }
func (h *hooks) GoneOwned(c *Conn)    { call(h.goneOwned, c) }
func (h *hooks) InputOwned(c *Conn)   { call(h.inputOwned, c) }
func (h *hooks) Closed(c *Conn)       { call(h.closed, c) }
func (h *hooks) Failed(c *Conn, err error) {
	if h.failed != nil {
		h.failed(c, err)
	} else {
		c.Abort()
	}
}

// holds counts the tokens given out and taken back.
type holds struct {
	mu   sync.Mutex
	last uintptr
	out  map[uintptr][]byte
	bad  int
}

// hold returns a held piece. Its bytes are overwritten when the token comes back.
func (h *holds) hold(b []byte) Piece {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	if h.out == nil {
		h.out = map[uintptr][]byte{}
	}
	h.out[h.last] = b
	return Piece{Bytes: b, Hold: h.last}
}

func (h *holds) unhold(token uintptr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, ok := h.out[token]
	if !ok {
		h.bad++
		return
	}
	scribble(b)
	delete(h.out, token)
}

func (h *holds) check(t testing.TB) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.bad != 0 || len(h.out) != 0 {
		t.Errorf("held pieces: %d given back twice or never given out, %d not given back", h.bad, len(h.out))
	}
}

func scribble(b []byte) {
	for i := range b {
		b[i] = '!'
	}
}

// rig is a loop with a listener on a free port.
type rig struct {
	t  testing.TB
	l  *Loop
	ln *Listener
	h  *hooks
	holds
	conns []*Conn // as accepted

	done chan struct{} // of run
	quit bool          // leader only
}

func newRig(t testing.TB, h *hooks, o Options, lo ListenOptions) *rig {
	t.Helper()
	ln, err := Listen("tcp", "127.0.0.1:0", lo)
	if err != nil {
		t.Fatal(err)
	}
	return newRigOn(t, ln, h, o)
}

func newRigOn(t testing.TB, ln *Listener, h *hooks, o Options) *rig {
	t.Helper()
	r := &rig{t: t, ln: ln, h: h}
	if h.accepted == nil {
		h.accepted = func(c *Conn) { r.conns = append(r.conns, c) }
	}
	if o.Log == nil {
		o.Log = t.Logf
	}
	o.Unhold = r.unhold
	before := BuffersInUse()
	var err error
	if r.l, err = NewLoop(h, o); err != nil {
		t.Fatal(err)
	}
	if err := r.l.AddListener(ln); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r.done != nil {
			r.stop()
		}
		if err := r.l.Close(); err != nil {
			t.Error(err)
		}
		r.holds.check(t)
		if n := r.l.Conns(); n != 0 {
			t.Errorf("%d connections left after Close", n)
		}
		if n := BuffersInUse() - before; n != 0 {
			t.Errorf("%d buffers not put back", n)
		}
	})
	return r
}

// dial connects a client. It works before the loop has accepted.
func (r *rig) dial() net.Conn {
	r.t.Helper()
	network, addr := "tcp", r.ln.Addr()
	if r.ln.Network() == "unix" {
		network, addr = "unix", r.ln.Path()
	}
	nc, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return nc
}

// until drives the loop from the test's goroutine.
func (r *rig) until(what string, cond func() bool) {
	r.t.Helper()
	end := time.Now().Add(patience)
	for !cond() {
		if time.Now().After(end) {
			r.t.Fatalf("never happened: %s", what)
		}
		if err := r.l.Poll(20 * time.Millisecond); err != nil {
			r.t.Fatal(err)
		}
		for r.l.Dispatch() {
		}
	}
}

// untilAnswer drives the loop until nc has a byte to read.
func (r *rig) untilAnswer(nc net.Conn) {
	r.t.Helper()
	got := make(chan error, 1)
	go func() { _, err := nc.Read(make([]byte, 1)); got <- err }()
	r.until("an answer", func() bool { return len(got) == 1 })
	if err := <-got; err != nil {
		r.t.Error(err)
	}
}

// connect dials and drives the loop until the connection is accepted.
func (r *rig) connect() (*Conn, net.Conn) {
	r.t.Helper()
	n := len(r.conns)
	nc := r.dial()
	r.until("accepted", func() bool { return len(r.conns) > n })
	return r.conns[n], nc
}

// run leads from a goroutine until the test ends; fatal errors in it end the loop.
func (r *rig) run() {
	r.done = make(chan struct{})
	go func() {
		defer close(r.done)
		for {
			if err := r.l.Poll(-1); err != nil {
				r.t.Error(err)
				return
			}
			for r.l.Dispatch() {
			}
			if r.quit {
				return
			}
		}
	}()
}

func (r *rig) stop() {
	r.l.Post(func() { r.quit = true })
	<-r.done
	r.done = nil
}

// echo answers what it reads, until the peer closes.
func echo(c *Conn) {
	buf := GetBuffer()
	defer PutBuffer(buf)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			c.Send(Piece{Bytes: buf[:n]})
		}
		if err == ErrWouldBlock || err == nil && !c.Readable() {
			return
		}
		if err != nil {
			c.CloseAfterFlush()
			return
		}
	}
}

// pattern returns n bytes that differ from any other position's.
func pattern(seed, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte('a' + x%26)
	}
	return b
}

// fileOf returns a descriptor of an unlinked file with that content, to be given to a Piece.
func fileOf(t testing.TB, content []byte) int {
	t.Helper()
	f := tempFile(t)
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := dupCloexec(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func tempFile(t testing.TB) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "piece")
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(f.Name())
	return f
}

// reader reads in the background what a client gets.
type reader struct {
	got  bytes.Buffer
	err  error
	done chan struct{}
}

func readAll(nc net.Conn) *reader {
	r := &reader{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		_, r.err = io.Copy(&r.got, nc)
	}()
	return r
}

func (r *reader) finished() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func sameBytes(t testing.TB, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("byte %d of %d/%d differs: %q, want %q", i, len(got), len(want), got[i:min(i+20, len(got))], want[i:min(i+20, len(want))])
			return
		}
	}
	t.Errorf("%d bytes, want %d", len(got), len(want))
}

// openFDs counts this process's descriptors.
func openFDs(t testing.TB) int {
	t.Helper()
	es, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc")
	}
	return len(es)
}

// yieldUntil waits for what another goroutine does.
func yieldUntil(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// connectRaw is connect with a client that Go's own poller knows nothing of: it allocates nothing and makes no system calls
// of its own.
func (r *rig) connectRaw() (*Conn, int) {
	r.t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { closeFD(fd) })
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: r.ln.Port(), Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		r.t.Fatal(err)
	}
	n := len(r.conns)
	r.until("accepted", func() bool { return len(r.conns) > n })
	return r.conns[n], fd
}

func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// waitQueued and waitReadable wait with an alarm of their own.
func waitQueued(c *Conn, mem, all int64, stall time.Duration) error {
	var a Alarm
	defer a.Close()
	return c.WaitQueued(mem, all, stall, &a)
}

func waitReadable(c *Conn, timeout time.Duration) error {
	var a Alarm
	defer a.Close()
	return c.WaitReadable(timeout, &a)
}
