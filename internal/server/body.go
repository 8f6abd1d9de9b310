package server

// Request bodies: gathered before the app runs, in memory and then in a temporary file, so that a slow upload occupies no
// thread. On the leader. Streaming bodies are in stream.go.

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/reactor"
)

const scratchSize = 256 << 10

// Above smallBody a body's memory counts: all bodies together have maxBodyMemory of it, and what comes beyond that goes to
// a temporary file, however small the one body is. So the default of --body-buffer can be generous (1 MiB through a file
// cost twice as much CPU) and many slow uploads still cannot fill memory.
const (
	smallBody     = 64 << 10
	maxBodyMemory = 64 << 20
)

// startBody decides what to do with the body that follows the head of x. True: the request can be run.
func (t *thread) startBody(c *conn, x *exchange) bool {
	s, h := t.s, &x.p.Request
	if !h.HasBody() {
		return true
	}
	limit := s.cfg.LimitRequestBody
	if limit > 0 && h.ContentLength > limit {
		t.rejectLarge(c)
		return false
	}
	x.body.Init(h, &s.limits)
	if n := h.ContentLength; n > int64(s.cfg.BodyBuffer) && !s.cfg.BodyStreaming && !s.fits(&s.inBodies, s.cfg.BodySpoolTotal, n) {
		s.spaceUsedUp(bridge.TallyBodiesUnspooled, nil)
		x.req.Body = bridge.BodyStream
		return true
	}
	if s.cfg.BodyStreaming || h.Expect100 {
		x.req.Body = bridge.BodyStream
		return true
	}
	if n := h.ContentLength; n >= 0 && int64(c.w-c.r) >= n {
		// All of it came with the head: the app's copy is made straight from the input.
		x.req.Body, x.req.Memory = bridge.BodyMemory, c.buf[c.r:c.r+int(n)]
		c.r += int(n)
		return true
	}
	if !t.feed(c, x) {
		return false
	}
	if x.ahead != nil {
		return true
	}
	if x.body.Done() {
		x.gathered()
		return true
	}
	// The head's block stays with the request; what comes after the body will need another.
	x.block, c.buf, c.r, c.w = c.buf, nil, 0, 0
	c.enter(phaseBody, s.cfg.BodyTimeout)
	x.bodySince = s.loop.NowNanos()
	return c.rc.Readable() && t.readBody(c)
}

// feed decodes the input that is here. False: the request was rejected.
func (t *thread) feed(c *conn, x *exchange) bool {
	for c.r < c.w && !x.body.Done() && x.ahead == nil {
		data, n, err := x.body.Feed(c.buf[c.r:c.w])
		if err != nil {
			t.rejectBody(c, err)
			return false
		}
		c.r += n
		if len(data) > 0 && !t.keep(c, x, data) {
			return false
		}
		if n == 0 {
			break
		}
	}
	// A chunk that is only announced counts already: nobody has to send it to learn that it is too much.
	if limit := t.s.cfg.LimitRequestBody; limit > 0 && x.size+x.body.ChunkRemaining() > limit {
		t.rejectLarge(c)
		return false
	}
	return true
}

func (t *thread) rejectLarge(c *conn) {
	t.reject(c, 413, "the request body is larger than "+bytesText(t.s.cfg.LimitRequestBody))
}

func (t *thread) rejectBody(c *conn, err error) {
	var bad *httpparse.Error
	if errors.As(err, &bad) {
		t.reject(c, bad.Status(), bad.Reason)
	} else {
		t.reject(c, 400, "")
	}
}

// readBody reads until the body is complete (true) or nothing more comes now.
func (t *thread) readBody(c *conn) bool {
	x := c.x
	for {
		var n int
		var err error
		want := x.body.Want()
		switch {
		case want == 0: // framing comes next
			if c.buf == nil {
				t.takeInput(c)
			}
			if c.r == c.w {
				c.r, c.w = 0, 0
			}
			if n, err = c.rc.Read(c.buf[c.w:]); err == nil {
				c.w += n
				if !t.feed(c, x) {
					return false
				}
			}
		default:
			if dst := t.s.memRoom(x, want); dst != nil {
				if n, err = c.rc.Read(dst); err == nil {
					x.mem = x.mem[:len(x.mem)+n]
					x.size += int64(n)
					x.body.Took(n)
				}
				break
			}
			if t.scratch == nil {
				t.scratch = make([]byte, scratchSize)
			}
			if n, err = c.rc.Read(t.scratch[:min(want, len(t.scratch))]); err == nil {
				x.body.Took(n)
				if !t.keep(c, x, t.scratch[:n]) {
					return false
				}
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, reactor.ErrWouldBlock):
			return false
		case errors.Is(err, io.EOF):
			// Cut short: the app never gets to see it (and cannot take it for whole).
			t.reject(c, 400, "the client closed before the end of the request body")
			return false
		default:
			c.rc.Abort()
			return false
		}
		if x.ahead != nil {
			if c.buf == nil {
				t.takeInput(c)
			}
			return true
		}
		if x.body.Done() {
			x.gathered()
			return true
		}
		if limit := t.s.cfg.LimitRequestBody; limit > 0 && x.size > limit {
			t.rejectLarge(c)
			return false
		}
		now := t.s.loop.NowNanos()
		if t.tooSlow(x, now) {
			t.reject(c, 408, "the request body comes too slowly")
			return false
		}
		c.expireIn(t.s.cfg.BodyTimeout)
		if !c.rc.Readable() {
			return false
		}
	}
}

// tooSlow applies the minimum rate, after the grace.
func (t *thread) tooSlow(x *exchange, now int64) bool {
	elapsed := now - x.bodySince
	rate := int64(t.s.cfg.BodyMinRate)
	return rate > 0 && elapsed > int64(config.BodyMinRateGrace) && x.size < rate*(elapsed/1e9)
}

// memRoom returns where the next bytes of the body go, at least one and at most want of them; nil if they are to go to the
// file.
func (s *Server) memRoom(x *exchange, want int) []byte {
	want = min(want, s.cfg.BodyBuffer-len(x.mem))
	if x.fileFD >= 0 || want <= 0 || len(x.mem) == cap(x.mem) && !s.growMem(x, want) {
		return nil
	}
	room := x.mem[len(x.mem):cap(x.mem)]
	return room[:min(len(room), want)]
}

// growMem makes the memory larger, by what is wanted but at most eightfold: nobody gets much for only announcing a size,
// and little is copied on the way.
func (s *Server) growMem(x *exchange, want int) bool {
	size := len(x.mem) + want
	if x.mem == nil {
		size = min(size, reactor.BufferSize)
	} else {
		size = min(size, 8*cap(x.mem))
	}
	larger := reactor.GetBufferSize(size)
	if size = cap(larger); size > smallBody {
		more := int64(size) - x.counted
		if s.bodyMemory.Add(more) > maxBodyMemory {
			s.bodyMemory.Add(-more)
			reactor.PutBuffer(larger)
			return false
		}
		x.counted += more
	}
	n := copy(larger, x.mem)
	reactor.PutBuffer(x.mem)
	x.mem = larger[:n]
	return true
}

func (s *Server) dropMem(x *exchange) {
	reactor.PutBuffer(x.mem)
	x.mem = nil
	if x.counted > 0 {
		s.bodyMemory.Add(-x.counted)
		x.counted = 0
	}
}

// keep stores decoded body bytes, in memory up to the limit and then in a file. False: the request was rejected.
func (t *thread) keep(c *conn, x *exchange, data []byte) bool {
	x.size += int64(len(data))
	if limit := t.s.cfg.LimitRequestBody; limit > 0 && x.size > limit {
		t.rejectLarge(c)
		return false
	}
	for len(data) > 0 {
		room := t.s.memRoom(x, len(data))
		if room == nil {
			break
		}
		n := copy(room, data)
		x.mem = x.mem[:len(x.mem)+n]
		data = data[n:]
	}
	if len(data) == 0 {
		return true
	}
	if err := t.s.store(x, data); err != nil {
		t.s.spaceUsedUp(bridge.TallyBodiesUnspooled, err)
		x.goAhead(data)
	}
	return true
}

var errNoSpace = errors.New("the bound is reached")

// store appends data to the temporary file, after what was in memory. After an error memory and x.stored bytes of the file are
// as before.
func (s *Server) store(x *exchange, data []byte) error {
	n := int64(len(data))
	if x.fileFD < 0 {
		n += int64(len(x.mem))
	}
	if !s.takeForBody(n) {
		return errNoSpace
	}
	err := s.write(x, data)
	if err != nil {
		s.inBodies.Add(-n)
		return err
	}
	x.stored += n
	return nil
}

func (s *Server) write(x *exchange, data []byte) error {
	if x.fileFD >= 0 {
		err := writeAll(x.fileFD, data)
		if err != nil {
			_ = unix.Ftruncate(x.fileFD, x.stored)
		}
		return err
	}
	fd, err := s.tempFD()
	if err == nil {
		if err = writeAll(fd, x.mem); err == nil {
			err = writeAll(fd, data)
		}
		if err != nil {
			closeFD(fd)
		}
	}
	if err != nil {
		return err
	}
	x.fileFD = fd
	s.dropMem(x)
	return nil
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("write", err)
		}
		data = data[n:]
	}
	return nil
}

// gathered hands the complete body to the request.
func (x *exchange) gathered() {
	if x.fileFD >= 0 {
		x.req.Body, x.req.BodyFD, x.req.FileLen = bridge.BodyFile, x.fileFD, x.size
		x.fileFD = -1 // the bridge closes it
		return
	}
	x.req.Body, x.req.Memory = bridge.BodyMemory, x.mem
}
