package zeromq

import (
	"sync"
	"syscall"
	"time"
)

// outgoing is a message that is being sent, maybe to several links.
type outgoing struct {
	parts   [][]byte
	size    int    // on the wire
	kept    []byte // as it is on the wire, once somebody has to keep it
	full    bool   // more than Bound is queued for one of those that get it
	scratch *[]byte
}

// scratchSize is up to where a message is put together for one write; of larger ones a part is written by itself.
const scratchSize = 64 << 10

var scratches = sync.Pool{New: func() any {
	b := make([]byte, 0, scratchSize)
	return &b
}}

func newOutgoing(parts [][]byte) outgoing {
	return outgoing{parts: parts, size: encodedSize(parts)}
}

func (m *outgoing) release() {
	if m.scratch != nil {
		scratches.Put(m.scratch)
	}
}

// item is the message to be kept.
func (m *outgoing) item() item {
	if m.kept == nil {
		m.kept = appendMessage(make([]byte, 0, m.size), m.parts)
	}
	return item{m.kept, time.Now()}
}

// writeNow writes as much as can be written without waiting.
func (m *outgoing) writeNow(x *session) (n int) {
	if m.scratch == nil {
		m.scratch = scratches.Get().(*[]byte)
	}
	if m.size <= scratchSize {
		b := appendMessage((*m.scratch)[:0], m.parts)
		*m.scratch = b
		return x.tryWrite(b)
	}
	b := (*m.scratch)[:0]
	for i, p := range m.parts {
		flags := byte(flagMore)
		if i == len(m.parts)-1 {
			flags = 0
		}
		b = header(b, flags, len(p))
		if len(b)+len(p) <= scratchSize/2 {
			b = append(b, p...)
			continue
		}
		for _, piece := range [...][]byte{b, p} {
			done := x.tryWrite(piece)
			if n += done; done < len(piece) {
				return n
			}
		}
		b = b[:0]
	}
	return n + x.tryWrite(b)
}

// tryWrite writes as much of b as can be written without waiting. An error shows when the writer tries again.
func (x *session) tryWrite(b []byte) int {
	x.try, x.tried = b, 0
	_ = x.raw.Write(x.attempt)
	x.try = nil
	return x.tried
}

// attempted is what tryWrite has done with the descriptor.
func (x *session) attempted(fd uintptr) bool {
	for len(x.try) > 0 {
		n, err := syscall.Write(int(fd), x.try)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		x.tried += n
		x.try = x.try[n:]
	}
	return true
}
