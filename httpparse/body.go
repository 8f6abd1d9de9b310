package httpparse

import "math"

// Bodies: of a fixed length, chunked, or none. A Body is fed what comes from the socket and hands back runs of body
// bytes; trailers are checked and thrown away.

// Body decodes one request body. The zero value is the body of a request without one.
type Body struct {
	left    int64 // bytes of data still to come, in the body or in the present chunk
	off     int64 // framing and data bytes consumed so far
	size    int64 // the chunk size being read
	ext     int   // what is left of Limits.ChunkExt
	trailer int   // what is left of Limits.TrailerSize
	err     *Error
	state   chunkState
	digits  uint8
	nameLen uint8 // of the trailer field being read
	nameMay uint8 // which of notInTrailers it may be
}

// Init makes the body that follows a head.
func (b *Body) Init(r *Request, l *Limits) {
	*b = Body{}
	switch {
	case r.Chunked:
		b.state = chunkSize
		b.ext, b.trailer = l.ChunkExt, l.TrailerSize
	case r.ContentLength > 0:
		b.state, b.left = fixedData, r.ContentLength
	}
}

// Done tells whether the body is complete: the next byte belongs to the next request.
func (b *Body) Done() bool { return b.state == bodyDone }

// Remaining is how many bytes of a fixed-length body are still to come, or -1 for a chunked body that goes on.
func (b *Body) Remaining() int64 {
	if b.state > fixedData {
		return -1
	}
	return b.left
}

// ChunkRemaining is how many bytes of the present chunk are still to come, 0 between chunks.
func (b *Body) ChunkRemaining() int64 {
	if b.state == chunkData {
		return b.left
	}
	return 0
}

// Want is how many bytes may be read straight to where the data goes, because nothing but data comes next. It is 0
// when framing comes next, and when the body is done.
func (b *Body) Want() int {
	if b.err != nil || b.state != fixedData && b.state != chunkData {
		return 0
	}
	return int(min(b.left, math.MaxInt))
}

// Took says that n bytes, at most Want, were read without Feed.
func (b *Body) Took(n int) {
	if n < 0 || n > b.Want() {
		panic("httpparse: Took more than Want")
	}
	b.take(int64(n))
}

func (b *Body) take(n int64) {
	b.left -= n
	b.off += n
	if b.left > 0 {
		return
	}
	if b.state == fixedData {
		b.state = bodyDone
	} else if b.state == chunkData {
		b.state = chunkDataCR
	}
}

// Feed takes bytes from the front of in: n of them, of which data, if any, is a run of body bytes; the rest is framing.
// Call it again with what follows until n == 0 or Done. Errors are sticky; their Offset counts from the first byte of
// the body, framing included. Bytes after the body are left alone.
func (b *Body) Feed(in []byte) (data []byte, n int, err error) {
	if b.err != nil {
		return nil, 0, b.err
	}
	if b.state > chunkData {
		n, f := b.framing(in)
		if f != CodeNone {
			b.err = &Error{Code: f, Reason: faults[f].reason, Offset: int(b.off) + n}
			return nil, 0, b.err
		}
		b.off += int64(n)
		if b.state != chunkData {
			return nil, n, nil
		}
		data, _, _ = b.Feed(in[n:])
		return data, n + len(data), nil
	}
	if b.state == bodyDone || len(in) == 0 {
		return nil, 0, nil
	}
	n = int(min(int64(len(in)), b.left))
	b.take(int64(n))
	return in[:n], n, nil
}
