package h1

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/request"
)

// withBody is a request whose body begins to come; length -1: in chunks.
func withBody(s *Server, length int64) *exchange {
	x := newExchange(&Server{limits: httpparse.DefaultLimits()})
	x.c, x.p.ContentLength, x.p.Chunked = &conn{s: s}, length, length < 0
	limits := httpparse.DefaultLimits()
	x.body.Init(&x.p.Request, &limits)
	return x
}

// TestMemoryOfBodies: one body gets what --body-buffer says, and all together no more than their share, after which even a
// small one goes to its file; what they give back can be had again.
func TestMemoryOfBodies(t *testing.T) {
	inUse := bridge.Counters()["bodies"]
	const each = 2 << 20
	s := &Server{cfg: &config.Config{BodyBuffer: each, TempDir: t.TempDir()}}
	th := &thread{Thread: crew.New(1, nil).Standby(), s: s}
	data := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	keep := func(x *exchange, data []byte) bool {
		ok := th.keep(nil, x, data)
		th.spill(x.c, x)
		return ok && x.ahead == nil
	}
	fill := func(length int64) *exchange {
		x := withBody(s, length)
		for x.fileFD < 0 && x.size < each {
			if !keep(x, data) {
				t.Fatal("a body was refused")
			}
		}
		return x
	}
	var all []*exchange
	for i := range request.MaxBodyMemory / each {
		x := fill([]int64{-1, each}[i%2])
		if x.fileFD >= 0 || len(x.mem.Bytes) != each || !bytes.Equal(x.mem.Bytes, bytes.Repeat(data, each/len(data))) {
			t.Fatalf("body %d: %d bytes in memory, file %d", len(all), len(x.mem.Bytes), x.fileFD)
		}
		all = append(all, x)
	}
	if !keep(all[0], data) || all[0].fileFD < 0 || all[0].mem.Bytes != nil {
		t.Error("a body beyond its buffer stays in memory")
	}
	all = append(all, fill(each)) // what the first gave back
	if last := all[len(all)-1]; last.fileFD >= 0 {
		t.Error("memory that was given back cannot be had again")
	}
	over := fill(-1)
	if over.fileFD < 0 {
		t.Errorf("%d bytes of bodies in memory", bridge.BlocksCharged())
	}
	if n, err := unix.Seek(over.fileFD, 0, 2); err != nil || n != over.size {
		t.Errorf("%d of %d bytes in the file, %v", n, over.size, err)
	}
	gathered := all[1] // and then dropped before it ran
	gathered.gathered()
	if gathered.mem.Bytes != nil || gathered.Req.Block == 0 {
		t.Error("the memory of a body that has come is not the request's")
	}
	for _, x := range append(all, over) {
		x.reset()
	}
	if n := bridge.BlocksCharged(); n != 0 {
		t.Errorf("%d bytes counted without a body", n)
	}
	if n := bridge.Counters()["bodies"]; n != inUse {
		t.Errorf("%d blocks lost", n-inUse)
	}
}

// TestAnnouncedBodiesAreFree: a body that is only announced has no memory behind it, and does not count.
func TestAnnouncedBodiesAreFree(t *testing.T) {
	resident := func() (pages int) {
		text, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			t.Skip(err)
		}
		var size int
		fmt.Sscan(string(text), &size, &pages)
		return pages * os.Getpagesize()
	}
	const clients, announced = 500, 4 << 20
	s := &Server{cfg: &config.Config{BodyBuffer: 8 << 20}}
	th := &thread{Thread: crew.New(1, nil).Standby(), s: s}
	before := resident()
	var all []*exchange
	for range clients {
		x := withBody(s, announced)
		if !th.keep(nil, x, []byte("a few bytes")) || x.fileFD >= 0 {
			t.Fatal("a body was refused, or went to a file")
		}
		all = append(all, x)
	}
	if more, charged := resident()-before, bridge.BlocksCharged(); more > 64<<20 || charged != 0 {
		t.Errorf("%d clients that announced %d bytes each: %d bytes of memory, %d counted", clients, announced, more, charged)
	}
	for _, x := range all {
		x.reset()
	}
	// Those that go on count what they have sent.
	x := withBody(s, 1<<20)
	if !th.keep(nil, x, make([]byte, 100_000)) {
		t.Fatal("a body was refused")
	}
	x.mem.Settle()
	if n := bridge.BlocksCharged(); n != 100_000 {
		t.Errorf("100000 bytes count %d", n)
	}
	x.reset()
}

// TestGrowthIsGeometric: a body of unknown length moves a few times, not once for each chunk of it.
func TestGrowthIsGeometric(t *testing.T) {
	s := &Server{cfg: &config.Config{BodyBuffer: 60 << 20}}
	th := &thread{Thread: crew.New(1, nil).Standby(), s: s}
	x := withBody(s, -1)
	chunk := bytes.Repeat([]byte("x"), 16<<10)
	moves, at := 0, (*byte)(nil)
	for range 40 << 20 / len(chunk) {
		if !th.keep(nil, x, chunk) {
			t.Fatal("a body was refused")
		}
		if now := &x.mem.Bytes[0]; now != at {
			moves, at = moves+1, now
		}
	}
	if len(x.mem.Bytes) != 40<<20 || moves > 8 {
		t.Errorf("%d bytes, moved %d times", len(x.mem.Bytes), moves)
	}
	x.reset()
}

// TestSpilledChunksAreGathered: what one read has brought is one write to the file, however many chunks it is.
func TestSpilledChunksAreGathered(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK, 0) // each write is a message
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(pair[0])
	s := &Server{cfg: &config.Config{}}
	th := &thread{Thread: crew.New(1, nil).Standby(), s: s}
	x := withBody(s, -1)
	x.fileFD = pair[1]
	u := &unread{buf: bytes.Repeat([]byte("1\r\nx\r\n"), 1000)}
	u.w = len(u.buf)
	if c := (&conn{s: s, unread: u, x: x}); !th.feed(c, x) || c.r != c.w {
		t.Fatal("the chunks were refused")
	}
	got := make([]byte, 2000)
	if n, err := unix.Read(pair[0], got); n != 1000 || err != nil {
		t.Errorf("the first write had %d of 1000 bytes, %v", n, err)
	}
	if _, err := unix.Read(pair[0], got); err != unix.EAGAIN {
		t.Errorf("a second write: %v", err)
	}
	x.reset()
}
