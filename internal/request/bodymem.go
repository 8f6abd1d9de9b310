package request

// The memory of request bodies that are gathered. It is C's, because wsgi.input gets it as it is: what the reactor received
// is copied once, into what the application reads. For one goroutine at a time; freed by whatever thread lets go of the body last.

import "github.com/gowsgi/gowsgi/bridge"

// Above smallBody a body's memory counts: all bodies together have MaxBodyMemory of it, and what comes beyond that goes to
// a temporary file, however small the one body is. So the default of --body-buffer can be generous (1 MiB through a file
// cost twice as much CPU) and many slow uploads still cannot fill memory. What counts is what may have pages behind it:
// what was received, a step more while it is being received, or what an earlier body has left in the block.
const (
	smallBody     = 64 << 10
	bodyStep      = 256 << 10
	MaxBodyMemory = 64 << 20 // bytes
)

// BodyMemory is what is gathered of a body in memory. The zero value is nothing.
type BodyMemory struct {
	Bytes []byte // in block
	block bridge.Block
}

// Room returns where the next bytes of the body go, at least one and at most want of them, for Grow; nil if there is no room. The
// body may have buffer bytes; length is that of all of it, if it is known.
func (m *BodyMemory) Room(buffer int, length int64, want int) []byte {
	n := len(m.Bytes)
	want = min(want, buffer-n)
	if want <= 0 || n == cap(m.Bytes) && !m.reserve(buffer, length, want) {
		return nil
	}
	end := min(n+want, cap(m.Bytes))
	if end > smallBody && end > m.block.Charged() {
		step := min(n+bodyStep, cap(m.Bytes), buffer)
		if !m.block.Charge(max(step, m.block.Committed()), MaxBodyMemory) {
			end = m.block.Charged()
		} else {
			end = min(end, step)
		}
		if end <= n {
			return nil
		}
	}
	return m.Bytes[n:end]
}

// Grow takes in n bytes that are there now.
func (m *BodyMemory) Grow(n int) { m.Bytes = m.Bytes[:len(m.Bytes)+n] }

// Append takes in as much of data as there is room for, and returns the rest.
func (m *BodyMemory) Append(buffer int, length int64, data []byte) []byte {
	for len(data) > 0 {
		room := m.Room(buffer, length, len(data))
		if room == nil {
			break
		}
		n := copy(room, data)
		m.Grow(n)
		data = data[n:]
	}
	return data
}

// reserve reserves the memory: all of it where the length is known, else four times what there is, so that little is
// copied on the way. Reserving much is no risk: only what was written to is there.
func (m *BodyMemory) reserve(buffer int, length int64, want int) bool {
	n, most := len(m.Bytes), min(buffer, MaxBodyMemory)
	size := max(n+want, 4*cap(m.Bytes))
	if length > 0 {
		size = max(size, int(min(length, int64(most))))
	}
	size = min(size, max(most, n+want))
	var larger bridge.Block
	if m.block == 0 {
		larger = bridge.NewBlock(size)
	} else {
		larger = m.block.Grow(n, size)
	}
	if larger == 0 {
		return false
	}
	m.block, m.Bytes = larger, larger.Bytes()[:n]
	return true
}

// Settle is called when the client is waited for: what counts is what it has sent, not the step that it was given.
func (m *BodyMemory) Settle() {
	if m.block == 0 || m.block.Charged() == 0 {
		return
	}
	n := max(len(m.Bytes), m.block.Committed())
	if n <= smallBody {
		n = 0
	}
	m.block.Charge(n, MaxBodyMemory)
}

// Drop lets go of it.
func (m *BodyMemory) Drop() {
	if n := len(m.Bytes); m.block != 0 {
		m.Take().Free(n)
	}
}

// Take makes the caller the owner of it.
func (m *BodyMemory) Take() bridge.Block {
	b := m.block
	m.block, m.Bytes = 0, nil
	return b
}

// DropBlock lets go of a body that was given to the request, which never ran.
func (r *Request) DropBlock() {
	if r.Req.Block != 0 {
		r.Req.Block.Free(int(r.Req.BodyLen))
		r.Req.Block = 0
	}
}
