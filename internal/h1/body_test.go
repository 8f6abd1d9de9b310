package h1

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/reactor"
)

// TestMemoryOfBodies: one body gets what --body-buffer says, and all together no more than their share, after which even a
// small one goes to its file; what they give back can be had again.
func TestMemoryOfBodies(t *testing.T) {
	inUse := reactor.BuffersInUse()
	const each = 2 << 20
	s := &Server{cfg: &config.Config{BodyBuffer: each, TempDir: t.TempDir()}}
	th := &thread{s: s}
	data := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	fill := func() *exchange {
		x := &exchange{fileFD: -1, c: &conn{s: s}}
		for x.fileFD < 0 && x.size < each {
			if !th.keep(nil, x, data) {
				t.Fatal("a body was refused")
			}
		}
		return x
	}
	var all []*exchange
	for range maxBodyMemory / each {
		x := fill()
		if x.fileFD >= 0 || len(x.mem) != each {
			t.Fatalf("body %d: %d bytes in memory, file %d", len(all), len(x.mem), x.fileFD)
		}
		all = append(all, x)
	}
	if !th.keep(nil, all[0], data) || all[0].fileFD < 0 || all[0].mem != nil {
		t.Error("a body beyond its buffer stays in memory")
	}
	all = append(all, fill()) // what the first gave back
	if last := all[len(all)-1]; last.fileFD >= 0 {
		t.Error("memory that was given back cannot be had again")
	}
	over := fill()
	if over.fileFD < 0 {
		t.Errorf("%d bytes of bodies in memory", s.bodyMemory.Load())
	}
	if n, err := unix.Seek(over.fileFD, 0, 2); err != nil || n != over.size {
		t.Errorf("%d of %d bytes in the file, %v", n, over.size, err)
	}
	for _, x := range append(all, over) {
		x.reset()
	}
	if n := s.bodyMemory.Load(); n != 0 {
		t.Errorf("%d bytes counted without a body", n)
	}
	if n := reactor.BuffersInUse(); n != inUse {
		t.Errorf("%d blocks lost", n-inUse)
	}
}

// TestGrowthIsBounded: a body that is only announced gets little memory.
func TestGrowthIsBounded(t *testing.T) {
	s := &Server{cfg: &config.Config{BodyBuffer: 1 << 30}}
	x := &exchange{fileFD: -1}
	for got, most := 0, reactor.BufferSize; got < 1<<22; most = 8 * cap(x.mem) {
		room := s.memRoom(x, 1<<30)
		if len(room) == 0 || cap(x.mem) > most {
			t.Fatalf("%d bytes of room, %d reserved after %d received", len(room), cap(x.mem), got)
		}
		got += len(room)
		x.mem = x.mem[:len(x.mem)+len(room)]
	}
	s.dropMem(x)
}
