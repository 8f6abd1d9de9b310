package server

// What a running request may ask for: the exchange as bridge.Responder. The calls come from the request's thread, or from
// any other Python thread of the app, while the connection is owned.

import (
	"errors"
	"io"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/reactor"
)

// Write implements bridge.Responder: the write callable. PEP 3333 wants the data on its way before write returns, so this
// does not wait for more.
func (x *exchange) Write(res *bridge.Response, data []byte) bridge.WriteResult {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.t.box.sendHeld()
	c := x.c
	var out []byte
	if !x.headOut {
		x.decide(res, false, 0)
		out = x.head(make([]byte, 0, 512), res)
	}
	tooMuch := false
	if x.left >= 0 && !x.noBody && int64(len(data)) > x.left {
		data, tooMuch, x.excess = data[:x.left], true, true
	}
	if !x.noBody && len(data) > 0 {
		x.took(int64(len(data)))
		if x.chunked {
			out = appendChunk(out, data)
		} else {
			out = append(out, data...)
		}
	}
	if _, err := c.rc.Send(reactor.Piece{Bytes: out}); err != nil || c.rc.Broken() || c.rc.Closing() {
		return bridge.WriteGone
	}
	switch {
	case tooMuch:
		return bridge.WriteTooMuch
	case c.s.overfull(c):
		return bridge.WriteWait
	}
	return bridge.WriteOK
}

// Drain implements bridge.Responder.
func (x *exchange) Drain() bool { return x.c.s.waitForClient(x.c) }

// EarlyHints implements bridge.Responder.
func (x *exchange) EarlyHints(lines []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.headOut || x.p.Minor == 0 {
		return // too late, or the client would not understand it
	}
	x.t.box.sendHeld()
	out := append([]byte("HTTP/1.1 103 Early Hints\r\n"), lines...)
	x.c.rc.Send(reactor.Piece{Bytes: append(out, "\r\n"...)})
}

// SocketTaken implements bridge.Responder.
func (x *exchange) SocketTaken() {
	x.hijacked = true
	x.t.box.sendHeld()
	x.c.rc.Flush()
}

// Read implements bridge.Responder: the body of a request that was handed to the app before it had come.
func (x *exchange) Read(dst []byte, wait bool) int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	s, c := x.c.s, x.c
	for {
		if x.badBody {
			return bridge.ReadBadFrame
		}
		if n, err := x.readAhead(dst); err != nil {
			s.log.Error("a temporary file cannot be read", "error", err)
			x.badBody = true
			return bridge.ReadBadFrame
		} else if n > 0 {
			return int64(n)
		}
		n, err := x.pull(dst)
		switch {
		case err == nil && n > 0:
			x.size += int64(n)
			if limit := s.cfg.LimitRequestBody; limit > 0 && x.size > limit {
				x.badBody = true
				return bridge.ReadBadFrame
			}
			return int64(n)
		case x.body.Done() && err == nil:
			return 0
		case err == nil:
			continue // only framing
		case errors.Is(err, reactor.ErrWouldBlock):
		case errors.Is(err, io.EOF):
			x.badBody = true
			return bridge.ReadGone
		default:
			x.badBody = true
			return bridge.ReadBadFrame
		}
		// The client may be waiting for this before it sends anything (RFC 9110 10.1.1).
		if x.p.Expect100 && !x.continued && !x.headOut {
			x.continued = true
			x.t.box.sendHeld()
			c.rc.Send(reactor.Piece{Bytes: continueLine})
			continue
		}
		if !wait {
			return bridge.ReadNothing
		}
		timeout := s.cfg.BodyTimeout
		if timeout <= 0 {
			timeout = -1
		}
		if err := c.rc.WaitReadable(timeout); err != nil {
			if errors.Is(err, reactor.ErrTimeout) {
				return bridge.ReadStalled
			}
			return bridge.ReadGone
		}
	}
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// pull decodes what is here already, or reads. 0 and nil: framing was consumed, or the body is done.
func (x *exchange) pull(dst []byte) (int, error) {
	c := x.c
	if x.body.Done() {
		return 0, nil
	}
	// Input that came with the head, then what earlier reads left over.
	if c.r < c.w {
		return x.decode(dst, c.buf, &c.r, c.w)
	}
	if want := x.body.Want(); want > 0 {
		n, err := c.rc.Read(dst[:min(len(dst), want)])
		if err == nil {
			x.body.Took(n)
		}
		return n, err
	}
	// Framing comes next. The head's block stays as it is, because the environ of the log needs it.
	if x.block == nil {
		x.block, c.buf = c.buf, reactor.GetBuffer()
	}
	n, err := c.rc.Read(c.buf)
	if err != nil {
		return 0, err
	}
	c.r, c.w = 0, n
	return x.decode(dst, c.buf, &c.r, c.w)
}

func (x *exchange) decode(dst, buf []byte, r *int, w int) (int, error) {
	in := buf[*r:w]
	if want := x.body.Want(); want > 0 {
		n := copy(dst[:min(len(dst), want)], in)
		x.body.Took(n)
		*r += n
		return n, nil
	}
	// Only framing, byte by byte at most up to the data: Feed would hand out data that dst may have no room for.
	for i := 1; i <= len(in); i++ {
		data, n, err := x.body.Feed(in[i-1 : i])
		if err != nil {
			return 0, err
		}
		*r += n
		if len(data) > 0 { // cannot be: data begins only when Want is positive
			return copy(dst, data), nil
		}
		if x.body.Done() || x.body.Want() > 0 {
			return 0, nil
		}
	}
	return 0, nil
}

// settleStream is called when the app has answered: whatever it left of the body is skipped if it is here already. False:
// the rest would have to be waited for, so the connection ends.
func (t *thread) settleStream(c *conn, x *exchange) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.badBody {
		c.rc.Linger()
		return false
	}
	var skip [4096]byte
	for budget := 64 << 10; budget > 0 && !x.body.Done(); {
		if x.p.Expect100 && !x.continued && c.r == c.w {
			break // whether the client sends the body after all is its choice
		}
		n, err := x.pull(skip[:])
		if err != nil {
			break
		}
		budget -= n
	}
	if !x.body.Done() {
		c.rc.Linger()
		return false
	}
	return true
}
