package h1

// The memory of request bodies that are gathered. It is C's, because wsgi.input gets it as it is: what the reactor received
// is copied once, into what the application reads. On the leader; freed by whatever thread lets go of the body last.

import "github.com/gowsgi/gowsgi/bridge"

// Above smallBody a body's memory counts: all bodies together have maxBodyMemory of it, and what comes beyond that goes to
// a temporary file, however small the one body is. So the default of --body-buffer can be generous (1 MiB through a file
// cost twice as much CPU) and many slow uploads still cannot fill memory. What counts is what may have pages behind it:
// what was received, a step more while it is being received, or what an earlier body has left in the block.
const (
	smallBody     = 64 << 10
	bodyStep      = 256 << 10
	maxBodyMemory = 64 << 20
)

// memRoom returns where the next bytes of the body go, at least one and at most want of them; nil if they are to go to the
// file.
func (s *Server) memRoom(x *exchange, want int) []byte {
	n := len(x.mem)
	want = min(want, s.cfg.BodyBuffer-n)
	if x.fileFD >= 0 || want <= 0 || n == cap(x.mem) && !s.growMem(x, want) {
		return nil
	}
	end := min(n+want, cap(x.mem))
	if end > smallBody && end > x.store.Charged() {
		step := min(n+bodyStep, cap(x.mem), s.cfg.BodyBuffer)
		if !x.store.Charge(max(step, x.store.Committed()), maxBodyMemory) {
			end = x.store.Charged()
		} else {
			end = min(end, step)
		}
		if end <= n {
			return nil
		}
	}
	return x.mem[n:end]
}

// growMem reserves the memory: all of it where the length is known, else four times what there is, so that little is
// copied on the way. Reserving much is no risk: only what was written to is there.
func (s *Server) growMem(x *exchange, want int) bool {
	most := min(s.cfg.BodyBuffer, maxBodyMemory)
	size := max(len(x.mem)+want, 4*cap(x.mem))
	if length := x.p.ContentLength; length > 0 {
		size = max(size, int(min(length, int64(most))))
	}
	size = min(size, max(most, len(x.mem)+want))
	var larger bridge.Block
	if x.store == 0 {
		larger = bridge.NewBlock(size)
	} else {
		larger = x.store.Grow(len(x.mem), size)
	}
	if larger == 0 {
		return false
	}
	x.store, x.mem = larger, larger.Bytes()[:len(x.mem)]
	return true
}

// settleMem is called when the client is waited for: what counts is what it has sent, not the step that it was given.
func (x *exchange) settleMem() {
	if x.store == 0 || x.store.Charged() == 0 {
		return
	}
	n := max(len(x.mem), x.store.Committed())
	if n <= smallBody {
		n = 0
	}
	x.store.Charge(n, maxBodyMemory)
}

func (x *exchange) dropMem() {
	if n := len(x.mem); x.store != 0 {
		x.takeMem().Free(n)
	}
	if x.Req.Block != 0 { // gathered, but never run
		x.Req.Block.Free(int(x.Req.BodyLen))
		x.Req.Block = 0
	}
}

// takeMem makes the caller the owner of the body's memory.
func (x *exchange) takeMem() bridge.Block {
	b := x.store
	x.store, x.mem = 0, nil
	return b
}
