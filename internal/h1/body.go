package h1

// Request bodies: gathered before the app runs, in memory and then in a temporary file, so that a slow upload occupies no
// thread. On the leader. Streaming bodies are in stream.go.

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/rules"
	"github.com/gowsgi/gowsgi/reactor"
)

const (
	scratchSize = 256 << 10
	// A chunk of which less is still to come is read with what follows it, instead of by a system call of its own.
	smallRest = 4 << 10
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
	if s.cfg.BodyStreaming || h.Expect100 && s.cfg.ExpectContinue == "app" {
		x.Req.Body = bridge.BodyStream
		return true
	}
	if n := h.ContentLength; n >= 0 && int64(c.w-c.r) >= n {
		// All of it came with the head: the app's copy is made straight from the input.
		x.Req.Body, x.Req.Memory = bridge.BodyMemory, c.buf[c.r:c.r+int(n)]
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
	if h.Expect100 && h.Minor > 0 { // nothing speaks against it; the client may be waiting (RFC 9110 10.1.1)
		t.box.sendHeld(t.Thread)
		t.sendOn(c, continueLine)
	}
	// The head's block stays with the request; what comes after the body will need another.
	x.block, c.buf, c.r, c.w = c.buf, nil, 0, 0
	c.enter(phaseBody, s.cfg.BodyTimeout)
	x.bodySince = s.loop.NowNanos()
	return c.rc.Readable() && t.readBody(c)
}

// feed decodes the input that is here. False: the request was rejected.
func (t *thread) feed(c *conn, x *exchange) bool {
	t.scratch = t.scratch[:0]
	for c.r < c.w && !x.body.Done() {
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
	if !t.spill(c, x) {
		return false
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
		case want == 0, want < smallRest && x.body.Remaining() < 0: // framing comes next, or nearly
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
					x.mem.Grow(n)
					x.size += int64(n)
					x.body.Took(n)
				}
				break
			}
			buf := t.spillRoom()[:min(want, scratchSize)]
			if n, err = c.rc.Read(buf); err == nil {
				x.body.Took(n)
				if !t.keep(c, x, buf[:n]) {
					return false
				}
				if !t.spill(c, x) {
					return false
				}
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, reactor.ErrWouldBlock):
			x.mem.Settle()
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
		if t.s.cfg.BodyTooSlow(x.size, time.Duration(now-x.bodySince)) {
			t.reject(c, 408, "the request body comes too slowly")
			return false
		}
		c.expireIn(t.s.cfg.BodyTimeout)
		if !c.rc.Readable() {
			x.mem.Settle()
			return false
		}
		if t.turn.Over(int64(n), t.s.loop.Clock) {
			t.s.loop.PostConn(c.rc) // others first
			return false
		}
	}
}

// memRoom returns where the next bytes of the body go; nil if they are to go to the file.
func (s *Server) memRoom(x *exchange, want int) []byte {
	if x.fileFD >= 0 {
		return nil
	}
	return x.mem.Room(s.cfg.BodyBuffer, x.p.ContentLength, want)
}

// keep stores decoded body bytes, in memory up to the limit and then in a file. False: the request was rejected.
func (t *thread) keep(c *conn, x *exchange, data []byte) bool {
	x.size += int64(len(data))
	if limit := t.s.cfg.LimitRequestBody; limit > 0 && x.size > limit {
		t.rejectLarge(c)
		return false
	}
	if x.fileFD < 0 {
		data = x.mem.Append(t.s.cfg.BodyBuffer, x.p.ContentLength, data)
	}
	if len(data) > 0 {
		t.scratch = append(t.spillRoom(), data...)
	}
	return true
}

// spillRoom is where bytes for the file are put together: one write for all that one read has brought, not one for each
// chunk in it. Between two reads nothing is there.
func (t *thread) spillRoom() []byte {
	if t.scratch == nil {
		t.scratch = make([]byte, 0, scratchSize)
	}
	return t.scratch
}

// spill writes what keep has put there. Where there is no room for it the request runs with what has come; but not if nobody
// knows the length: the application would see no CONTENT_LENGTH, and most take such a body for none. False: the request was
// rejected.
func (t *thread) spill(c *conn, x *exchange) bool {
	if len(t.scratch) == 0 {
		return true
	}
	if t.Py != nil {
		t.Py.Release()
	}
	rules.Waits("for a disk")
	err := t.s.store(x, t.scratch)
	if err != nil {
		t.s.spaceUsedUp(bridge.TallyBodiesUnspooled, err)
		if x.p.Chunked {
			t.reject(c, 503, "there is no room for a body of unknown length")
		} else {
			x.goAhead(t.scratch)
		}
	}
	if cap(t.scratch) > 2*scratchSize {
		t.scratch = nil
	}
	t.scratch = t.scratch[:0]
	return err == nil || x.ahead != nil
}

var errNoSpace = errors.New("the bound is reached")

// store appends data to the temporary file, after what was in memory. After an error memory and x.stored bytes of the file are
// as before.
func (s *Server) store(x *exchange, data []byte) error {
	n := int64(len(data))
	if x.fileFD < 0 {
		n += int64(len(x.mem.Bytes))
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
		if err = writeAll(fd, x.mem.Bytes); err == nil {
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
	x.mem.Drop()
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
	x.Req.BodyLen = x.size
	switch {
	case x.fileFD >= 0:
		x.Req.Body, x.Req.BodyFD = bridge.BodyFile, x.fileFD
		x.fileFD = -1 // the bridge closes it
	case x.mem.Bytes != nil:
		x.Req.Body, x.Req.Block = bridge.BodyBlock, x.mem.Take()
	default:
		x.Req.Body = bridge.BodyMemory
	}
}
