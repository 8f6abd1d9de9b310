package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/spool"
)

// bodies is a rig with room for so many bytes of bodies in files, and 4 KiB in memory for each.
type bodies struct {
	*rig
	inFiles atomic.Int64
}

func newBodies(t *testing.T, room int64) *bodies {
	b := &bodies{rig: newRig(t)}
	b.cfg.BodyBuffer = 4096
	dir := t.TempDir()
	b.srv.Bodies = &spool.Source{
		Open: func() (*os.File, error) {
			f, err := os.CreateTemp(dir, "")
			return f, errors.Join(err, os.Remove(f.Name()))
		},
		Take: func(n int64) bool {
			if b.inFiles.Add(n) <= room {
				return true
			}
			b.inFiles.Add(-n)
			return false
		},
		Give: func(n int64) { b.inFiles.Add(-n) },
	}
	return b
}

// begins sends the head of a body of that framing.
func (b *bodies) begins(framing string) { b.take([]byte(asks(7, `"UPLOAD_STREAM":"0",`+framing))) }

// piece sends what is at that offset.
func (b *bodies) piece(at int, data string, last bool) {
	done := ""
	if last {
		done = `,"UPLOAD_STREAM_DONE":"1"`
	}
	b.take([]byte(message(7, fmt.Sprintf(`{"UPLOAD_STREAM":"%d"%s}`, at, done), data)))
}

// until waits for ok.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// runs waits for the next request that is offered.
func (b *bodies) runs(t *testing.T) (x *exchange) {
	t.Helper()
	until(t, "a request is offered", func() bool { x = b.offered(); return x != nil })
	return x
}

// paid waits until credits for so many bytes were sent.
func (b *bodies) paid(t *testing.T, want int) {
	t.Helper()
	sum := 0
	until(t, fmt.Sprint("credits for ", want), func() bool {
		for _, m := range b.out.taken() {
			if _, tail, ok := strings.Cut(m, "7:credits,"); ok {
				var digits, n int
				if _, err := fmt.Sscanf(tail, "%d:%d", &digits, &n); err == nil {
					sum += n
				}
			}
		}
		return sum >= want
	})
	if sum != want {
		t.Errorf("credits for %d bytes instead of %d", sum, want)
	}
}

const known, chunked = `"content-length":"12000",`, `"transfer-encoding":"chunked",`

// A body in pieces is complete before its request is offered, which costs its client credits, and no thread.
func TestCollected(t *testing.T) {
	for _, framing := range []string{known, chunked} {
		for _, size := range []int{3000, 12000} {
			b := newBodies(t, 1<<20)
			b.begins(strings.Replace(framing, "12000", fmt.Sprint(size), 1))
			b.paid(t, window)
			body := strings.Repeat("0123456789", size/10)
			for at := 0; at < size; at += 3000 {
				if b.offered() != nil {
					t.Fatal("it is offered before all of it is there")
				}
				last := at+3000 == size
				b.piece(at, body[at:at+3000], last)
				if !last {
					b.paid(t, 3000)
				}
			}
			x := b.runs(t)
			if !x.open() || x.refusal != 0 || x.Req.BodyLen != int64(size) {
				t.Fatal("refused:", x.refusal, x.why)
			}
			var got []byte
			switch x.Req.Body {
			case bridge.BodyBlock:
				got = x.Req.Block.Bytes()[:size]
			case bridge.BodyFile:
				got = make([]byte, size+1)
				n, _ := unix.Pread(x.Req.BodyFD, got, 0)
				got = got[:n]
				_ = unix.Close(x.Req.BodyFD)
			}
			if (x.Req.Body == bridge.BodyFile) != (size > b.cfg.BodyBuffer) || string(got) != body {
				t.Errorf("%d bytes, kind %d", len(got), x.Req.Body)
			}
			x.answers("done")
			until(t, "nothing is kept", func() bool { return b.inFiles.Load() == 0 && b.needy.Load() == 0 })
		}
	}
}

// Whom nobody can run gets what a socket's client would.
func TestCollectingIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		framing string
		limit   int64
		timeout time.Duration
		status  int
	}{
		"too large": {chunked, 5000, 0, 413},
		"too late":  {known, 0, time.Millisecond, 408},
		"no room":   {chunked, 0, 0, 503},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBodies(t, 0)
			b.cfg.LimitRequestBody, b.cfg.BodyTimeout, b.cfg.LingerTimeout = c.limit, c.timeout, time.Hour
			b.begins(c.framing)
			if c.timeout == 0 {
				b.piece(0, strings.Repeat("x", 6000), false)
			}
			x := b.runs(t)
			if x.refusal != c.status {
				t.Errorf("%d %s", x.refusal, x.why)
			}
			if !x.lingers() { // the client is to come to read it
				t.Error("the rest is not thrown away")
			}
			if c.timeout == 0 {
				b.paid(t, window+6000)
			}
			x.endLinger(x.l, true)
		})
	}
}

// Where there is no room, and the length is known, the application reads the rest as it comes.
func TestCollectingWithoutRoom(t *testing.T) {
	for _, room := range []int64{0, 10000} {
		b := newBodies(t, room)
		b.begins(known)
		body := strings.Repeat("0123456789", 1200)
		b.piece(0, body[:7000], false)
		if room > 0 {
			b.paid(t, window+7000)
			b.piece(7000, body[7000:11000], false)
		}
		x := b.runs(t)
		if !x.open() || x.refusal != 0 || x.Req.Body != bridge.BodyStream {
			t.Fatal("it does not run with what has come")
		}
		at := 7000
		if room > 0 {
			at = 11000
		}
		b.piece(at, body[at:], true)
		var got bytes.Buffer
		buf := make([]byte, 1000)
		if n := x.Read(buf[:0], false); (n == bridge.ReadNothing) != (x.stored > 0) {
			t.Errorf("with the GIL %d is read, with %d bytes in a file", n, x.stored)
		}
		for n := x.Read(buf, true); n > 0; n = x.Read(buf, true) {
			got.Write(buf[:n])
		}
		if got.String() != body {
			t.Errorf("%d bytes with room for %d", got.Len(), room)
		}
		x.answers("done")
		until(t, "nothing is kept", func() bool { return b.inFiles.Load() == 0 })
	}
}

// Who leaves before all has come, or is still at it when the server has to end, is never heard of.
func TestCollectingEnds(t *testing.T) {
	for name, ends := range map[string]func(*bodies){
		"the client leaves": func(b *bodies) { b.take([]byte(aside(7, `{"METHOD":"JSON"}`, "disconnect"))) },
		"the server ends":   func(b *bodies) { b.Over() },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBodies(t, 1<<20)
			b.begins(known)
			b.piece(0, strings.Repeat("x", 6000), false)
			b.paid(t, window+6000)
			if b.inFiles.Load() != 6000 {
				t.Error("it is not in a file")
			}
			ends(b)
			until(t, "nothing is kept", func() bool { return b.busy.Load() == 0 && b.inFiles.Load() == 0 })
			if b.offered() != nil {
				t.Error("it is offered")
			}
		})
	}
}
