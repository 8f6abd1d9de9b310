package gateway

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/spool"
)

const patience = time.Minute

// files counts what is in files, and can refuse more.
type files struct {
	mu    sync.Mutex
	in    int64
	asked int
	told  int
	less  chan struct{} // something has been given back
}

// spools has the rig keep in files what is beyond so many bytes. grants: asked so often, whether there is room.
func (r *rig) spools(t *testing.T, buffer int, grants func(asked int) bool) *files {
	f := &files{less: make(chan struct{}, 1000)}
	r.cfg.ResponseBuffer = buffer
	r.srv.Spool = &spool.Source{
		Open: func() (*os.File, error) {
			file, err := os.CreateTemp(t.TempDir(), "")
			if err != nil {
				return nil, err
			}
			return file, os.Remove(file.Name())
		},
		Take: func(n int64) bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.asked++; !grants(f.asked) {
				return false
			}
			f.in += n
			return true
		},
		Give: func(n int64) {
			f.mu.Lock()
			f.in -= n
			f.mu.Unlock()
			f.less <- struct{}{}
		},
		Full: func(error) { f.told++ },
	}
	return f
}

func (f *files) now() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.in
}

// empties waits until nothing is in files.
func (f *files) empties(t *testing.T) {
	t.Helper()
	for limit := time.After(patience); f.now() != 0; {
		select {
		case <-f.less:
		case <-limit:
			t.Fatalf("%d bytes are still in files", f.now())
		}
	}
}

// receives waits until so many bytes, and a message that hangs up if that is set, have been sent to client 7.
func (r *rig) receives(t *testing.T, n int, hangUp bool) []byte {
	t.Helper()
	var got []byte
	ended := false
	limit := time.After(patience)
	for len(got) < n || hangUp && !ended {
		for _, m := range r.out.taken() {
			body, ok := strings.CutPrefix(m, "uuid 1:7, ")
			if !ok || ended {
				t.Fatalf("unexpected: %.50q", m)
			}
			ended = body == ""
			got = append(got, body...)
		}
		if len(got) >= n && (ended || !hangUp) {
			break
		}
		select {
		case <-r.out.more:
		case <-limit:
			t.Fatalf("%d bytes of %d have come, hung up %v", len(got), n, ended)
		}
	}
	return got
}

func (r *rig) credits(n int) {
	r.take([]byte(aside(7, fmt.Sprintf(`{"METHOD":"JSON","DOWNLOAD_CREDITS":"%d"}`, n), "credits")))
}

func block(i, n int) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("%07d\n", i)), n/8)
}

// TestASlowClientWaitsInAFile: memory is bounded, the thread is free, and the bytes are those that were sent, whatever room there is
// in files, and when.
func TestASlowClientWaitsInAFile(t *testing.T) {
	for name, grants := range map[string]func(int) bool{
		"always":    func(int) bool { return true },
		"sometimes": func(n int) bool { return n%3 > 0 },
		"never":     func(int) bool { return false },
		"at first":  func(n int) bool { return n < 3 },
	} {
		for _, buffer := range []int{0, 100_000, 1 << 20} {
			t.Run(fmt.Sprint(name, " ", buffer), func(t *testing.T) {
				r := newRig(t)
				f := r.spools(t, buffer, grants)
				r.take([]byte(asks(7, `"DOWNLOAD_CREDITS":"102400",`)))
				x := r.offered()
				var want []byte
				for i := range 40 {
					b := block(i, 48_000)
					want = append(want, b...)
					x.out = append(x.out, b...)
					x.send(true)
					x.l.spill()
					if memory, _ := x.l.queued(); name == "always" && (memory > int64(buffer) || x.Full()) {
						t.Fatalf("block %d: %d bytes in memory, full %v", i, memory, x.Full())
					}
					if i == 25 { // the client goes on for a while
						r.credits(500_000)
					}
				}
				if name == "always" && f.now() == 0 || name == "never" && (f.now() > 0 || f.told != 1 || !x.Full()) {
					t.Errorf("%d bytes in files, told %d times, full %v", f.now(), f.told, x.Full())
				}
				x.keep = false
				x.answered()
				r.credits(10_000_000)
				if got := r.receives(t, len(want), true); !bytes.Equal(got, want) {
					t.Errorf("%d bytes of %d have come, or others", len(got), len(want))
				}
				f.empties(t)
			})
		}
	}
}

// TestAnAnswerInAFileIsNotOver: the next request waits until the client has taken it.
func TestAnAnswerInAFileIsNotOver(t *testing.T) {
	r := newRig(t)
	f := r.spools(t, 1000, func(int) bool { return true })
	r.take([]byte(asks(7, `"DOWNLOAD_CREDITS":"1000",`)))
	r.take([]byte(asks(7, "")))
	x := r.offered()
	want := block(1, 480_000)
	x.keep = true
	x.out = append(x.out, want...)
	x.send(true)
	x.l.spill()
	x.answered()
	if r.offered() != nil {
		t.Fatal("the next one is run")
	}
	r.credits(480_000)
	if got := r.receives(t, len(want), false); !bytes.Equal(got, want) {
		t.Error("other bytes")
	}
	f.empties(t)
	y := r.offered()
	if y == nil {
		t.Fatal("the next one is not run")
	}
	y.answers("next")
	if got := r.receives(t, 4, false); string(got) != "next" {
		t.Errorf("%q", got)
	}
}

// TestDrainNeedsNoClient, if there is a file.
func TestDrainNeedsNoClient(t *testing.T) {
	r := newRig(t)
	room := false
	f := r.spools(t, 1000, func(int) bool { return room })
	r.take([]byte(asks(7, `"DOWNLOAD_CREDITS":"1000",`)))
	x := r.offered()
	x.out = append(x.out, block(1, 100_000)...)
	x.send(true)
	done := make(chan bool)
	go func() { done <- x.Drain() }()
	r.until(t, "somebody waits", func() bool {
		x.l.mu.Lock()
		defer x.l.mu.Unlock()
		return x.l.changed != nil
	})
	r.credits(100_000) // without room for it, the client has to take it
	if !<-done {
		t.Error("it is said to have gone")
	}
	x.out = append(x.out, block(1, 100_000)...)
	x.send(true)
	if room = true; !x.Drain() || f.now() == 0 {
		t.Error("it does not go to a file")
	}
	// Over what one answer has in files the thread waits all the same.
	r.cfg.ResponseSpool = 50_000
	if !x.Full() {
		t.Error("there is no end to it")
	}
	go func() { done <- x.Drain() }()
	x.Over()
	if <-done {
		t.Error("it did not wait")
	}
	r.take([]byte(aside(7, `{"METHOD":"JSON"}`, "disconnect")))
	f.empties(t)
}

func TestWhoTakesNothingIsCut(t *testing.T) {
	r := newRig(t)
	r.cfg.WriteTimeout = time.Millisecond
	f := r.spools(t, 1000, func(int) bool { return true })
	r.take([]byte(asks(7, `"DOWNLOAD_CREDITS":"1000",`)))
	x := r.offered()
	x.out = append(x.out, block(1, 100_000)...)
	x.send(true)
	x.l.spill()
	x.keep = true
	x.answered()
	r.receives(t, 0, true)
	f.empties(t)
	r.until(t, "it is over", func() bool { return r.busy.Load() == 0 })
}

// TestAFileThatCannotBeRead: the client can tell.
func TestAFileThatCannotBeRead(t *testing.T) {
	r := newRig(t)
	f := r.spools(t, 1000, func(int) bool { return true })
	r.srv.Spool.Open = func() (*os.File, error) { return os.OpenFile(os.DevNull, os.O_WRONLY, 0) }
	r.take([]byte(asks(7, `"DOWNLOAD_CREDITS":"1000",`)))
	x := r.offered()
	x.out = append(x.out, block(1, 100_000)...)
	x.send(true)
	x.l.spill()
	r.credits(10_000)
	r.receives(t, 0, true)
	f.empties(t)
	if !x.Gone() {
		t.Error("the application is not told")
	}
}

// TestPour: a block that is larger than memory has room for.
func TestPour(t *testing.T) {
	r := newRig(t)
	f := r.spools(t, 100_000, func(int) bool { return true })
	r.take([]byte(asks(7, `"DOWNLOAD_CREDITS":"1000",`)))
	x := r.offered()
	x.chunked = true
	data := block(1, 5_000_000)
	x.out = append(x.out, "head"...)
	x.out = x.pour(x.out, x.prefix, data)
	if memory, _ := x.l.queued(); memory > 100_000 || cap(x.out) > 2*plainPiece {
		t.Errorf("%d bytes wait in memory, %d are about to", memory, cap(x.out))
	}
	x.answers("")
	want := fmt.Sprintf("head%x\r\n%s\r\n", len(data), data)
	r.credits(10_000_000)
	if got := r.receives(t, len(want), false); string(got) != want {
		t.Error("other bytes")
	}
	f.empties(t)
}

// TestNothingComesWithinAChunk: of a large block without the GIL, while another thread writes.
func TestNothingComesWithinAChunk(t *testing.T) {
	r := newRig(t)
	asked, goOn := make(chan struct{}), make(chan struct{})
	f := r.spools(t, 1000, func(n int) bool {
		if n == 1 {
			asked <- struct{}{}
			<-goOn
		}
		return true
	})
	r.take([]byte(asks(7, `"DOWNLOAD_CREDITS":"1000",`)))
	x := r.offered()
	x.chunked = true
	data := block(1, 3*plainPiece)
	done := make(chan struct{})
	go func() {
		x.pourAll([]bridge.Piece{{Ptr: unsafe.Pointer(&data[0]), Len: uintptr(len(data))}})
		close(done)
	}()
	<-asked // now a part of it waits for the file
	if got := x.Write(nil, -1, true, []byte("other"), false); got != bridge.Again {
		t.Error(got)
	}
	close(goOn)
	<-done
	x.send(true)
	if got := x.Write(nil, -1, true, []byte("other"), true); got != bridge.WriteOK {
		t.Error(got)
	}
	want := fmt.Sprintf("%x\r\n%s\r\n5\r\nother\r\n", len(data), data)
	r.credits(10_000_000)
	if got := r.receives(t, len(want), false); string(got) != want {
		t.Error("other bytes")
	}
	x.answers("")
	f.empties(t)
}

// TestAShortFileEndsTheConnection, or the client would wait for the rest.
func TestAShortFileEndsTheConnection(t *testing.T) {
	r := newRig(t)
	path := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.take([]byte(asks(7, "")))
	x := r.offered()
	x.keep = true
	x.out = append(x.out, "head "...)
	x.readIn(fd, 0, 10)
	x.send(false)
	x.answered()
	if got := r.receives(t, 10, true); string(got) != "head short" {
		t.Errorf("%q", got)
	}
}

func (r *rig) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("not in time: ", what)
		}
	}
}
