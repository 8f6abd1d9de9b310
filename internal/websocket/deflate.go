package websocket

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// What goes out is deflated without a compressor per connection: the library needs none between messages, only the end of
// those before, of which as much is kept as of what comes (keepOut).
const (
	keepOut      = 1 << smallBits
	deflateAbove = 64 // bytes; what is smaller grows, or shrinks by less than it costs
)

// syncEnd ends each deflated message and is left out on the way, RFC 7692 7.2.1.
var syncEnd = []byte{0, 0, 0xff, 0xff}

// deflater is the outgoing direction. One message at a time.
type deflater struct {
	bits int
	keep bool
	past []byte // the end of what was sent, keepOut at most
}

// append appends msg deflated.
func (d *deflater) append(dst, msg []byte) []byte {
	out := &sliceWriter{dst}
	window := 1 << d.bits
	past := d.past
	if d.bits == fullBits {
		_ = flate.StatelessDeflate(out, msg, false, past) // a slice takes all
	} else {
		// Half a window at a time, referring to the half before: no reference reaches farther than the window.
		for half, rest := window/2, msg; len(rest) > 0; {
			part := rest[:min(half, len(rest))]
			_ = flate.StatelessDeflate(out, part, false, past[max(0, len(past)-half):])
			rest, past = rest[len(part):], part
		}
	}
	return bytes.TrimSuffix(out.b, syncEnd)
}

// remember says that msg, deflated, was sent.
func (d *deflater) remember(msg []byte) {
	if d.keep {
		d.past = remember(d.past, msg, min(keepOut, 1<<d.bits/2))
	}
}

type sliceWriter struct{ b []byte }

func (w *sliceWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

// remember is the end of past and msg together, n bytes at most.
func remember(past, msg []byte, n int) []byte {
	if len(msg) >= n {
		return append(past[:0], msg[len(msg)-n:]...)
	}
	if over := len(past) + len(msg) - n; over > 0 {
		past = past[:copy(past, past[over:])]
	}
	return append(past, msg...)
}

// inflater is the incoming direction. One message at a time.
type inflater struct {
	keep int
	past []byte // as much of what came as the next message may refer to
}

var (
	errTooBig = errors.New("websocket: message too big")
	errBroken = errors.New("websocket: bad compressed data")
)

// inflateEnd is syncEnd, and a last block, so that the reader knows where the message ends.
var inflateEnd = []byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff}

var inflaters = sync.Pool{New: func() any { return &inflating{r: flate.NewReader(nil)} }}

type inflating struct {
	in  twoReader
	r   io.ReadCloser
	buf [4096]byte
}

// twoReader reads a message and then inflateEnd.
type twoReader struct{ now, then []byte }

func (t *twoReader) Read(p []byte) (int, error) {
	if len(t.now) == 0 {
		t.now, t.then = t.then, nil
	}
	if len(t.now) == 0 {
		return 0, io.EOF
	}
	n := copy(p, t.now)
	t.now = t.now[n:]
	return n, nil
}

func (t *twoReader) ReadByte() (byte, error) {
	if len(t.now) == 0 {
		t.now, t.then = t.then, nil
	}
	if len(t.now) == 0 {
		return 0, io.EOF
	}
	b := t.now[0]
	t.now = t.now[1:]
	return b, nil
}

// mostStreams is how many streams a message may be of: each begins with a window to be copied, and may have two bytes.
const mostStreams = 64

// inflate returns the message, which must not have more than limit bytes. Behind a block that says it is the last one there
// may be others: RFC 7692 7.2.3.4 lets a compressor end what it has at hand so.
func (f *inflater) inflate(msg []byte, limit int) (out []byte, err error) {
	z := inflaters.Get().(*inflating)
	defer func() {
		z.in = twoReader{}
		inflaters.Put(z)
	}()
	z.in = twoReader{msg, inflateEnd}
	past := f.past
	for n := 0; len(z.in.now) > 0 && z.in.then != nil || n == 0; n++ {
		if n > 0 {
			past = remember(append([]byte(nil), f.past...), out, 1<<fullBits)
		}
		if n == mostStreams || z.r.(flate.Resetter).Reset(&z.in, past) != nil {
			return nil, errBroken
		}
		if out, err = z.read(out, limit); err != nil {
			return nil, err
		}
	}
	if f.keep > 0 {
		f.past = remember(f.past, out, f.keep)
	}
	return out, nil
}

// read appends what one stream has.
func (z *inflating) read(out []byte, limit int) ([]byte, error) {
	for {
		n, err := z.r.Read(z.buf[:])
		if len(out)+n > limit {
			return nil, errTooBig
		}
		out = append(out, z.buf[:n]...)
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, errBroken
		}
	}
}
