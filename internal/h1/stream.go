package h1

// What a running request may ask for: exchange as request.Client, for the request's thread and any other Python thread of
// the application, while the connection is owned. With the GIL (wait false) nothing here waits.

import (
	"errors"
	"io"
	"math"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/reactor"
)

// sendNow sends out behind what is held. False: it would have to wait.
func (x *exchange) sendNow(out []byte, wait bool) bool {
	if !x.t.box.push(wait) {
		return false
	}
	if wait {
		_, _ = x.c.rc.Send(reactor.Piece{Bytes: out})
		return true
	}
	return x.c.rc.TrySend(reactor.Piece{Bytes: out})
}

// Write implements request.Client.
func (x *exchange) Write(res *bridge.Response, length int64, body bool, data []byte, wait bool) bridge.WriteResult {
	var out []byte
	if res != nil {
		x.frame(res, length, body)
		out = x.appendHead(make([]byte, 0, 512+len(data)), res, length)
	}
	if len(data) > 0 {
		if x.chunked {
			out = appendChunk(out, data)
		} else if out == nil {
			out = data
		} else {
			out = append(out, data...)
		}
	}
	if !x.sendNow(out, wait) {
		return bridge.Again
	}
	if x.Gone() {
		return bridge.WriteGone
	}
	return bridge.WriteOK
}

// Full implements request.Client. More in memory than the buffer is what found no room in a file. While another thread
// sends nobody can tell, and Drain will.
func (x *exchange) Full() bool {
	if !x.c.rc.Pending() {
		return false
	}
	mem, spooled, ok := x.c.rc.TryQueued()
	buffer := int64(x.c.s.cfg.ResponseBuffer)
	return !ok || mem > buffer || mem+spooled > buffer+x.c.s.cfg.ResponseSpool
}

// Drain implements request.Client: a quarter has to be gone.
func (x *exchange) Drain() bool {
	cfg := x.c.s.cfg
	buffer := int64(cfg.ResponseBuffer)
	low, lowMem := (buffer+cfg.ResponseSpool)/4*3, int64(math.MaxInt64)
	if x.c.rc.QueuedBytes() > buffer {
		lowMem = buffer / 4 * 3
	}
	if err := x.c.rc.WaitQueued(lowMem, low, cfg.WriteTimeout, &x.alarm); err != nil {
		if !errors.Is(err, reactor.ErrEnded) {
			x.Service.Log.Info("a client takes no data: its connection is cut", "client", x.c.peer(), "error", err)
		}
		return false
	}
	return true
}

// Gone implements request.Client.
func (x *exchange) Gone() bool { return x.c.rc.Broken() || x.c.rc.Closing() }

// Over implements request.Client.
func (x *exchange) Over() { x.alarm.Ring() }

// Hints implements request.Client.
func (x *exchange) Hints(lines []byte, wait bool) bridge.WriteResult {
	if x.p.Minor == 0 {
		return bridge.WriteOK // the client would not understand it
	}
	out := append([]byte("HTTP/1.1 103 Early Hints\r\n"), lines...)
	if !x.sendNow(append(out, "\r\n"...), wait) {
		return bridge.Again
	}
	return bridge.WriteOK
}

// Read implements request.Client: the body of a request that was handed to the application before it had come. One call
// decodes as many chunks as are here and dst has room for, for a turn.
func (x *exchange) Read(dst []byte, wait bool) int64 {
	if wait {
		x.reading.Lock()
	} else if !x.reading.TryLock() {
		return bridge.ReadNothing
	}
	defer x.reading.Unlock()
	got := 0
	for began := int64(0); ; {
		n, more := x.readSome(dst[got:])
		switch {
		case n >= 0 && more:
			got += int(n)
			if got == 0 { // only framing: 0 would be the end of the body
				continue
			}
			if got < len(dst) {
				now := x.c.s.loop.Clock()
				if began == 0 {
					began = now
				}
				if now-began < int64(readTurn) {
					continue
				}
			}
			return int64(got)
		case got > 0:
			return int64(got) // what it is will be said by the next call
		case n != bridge.ReadNothing:
			return n
		}
		// The client may be waiting for this before it sends anything (RFC 9110 10.1.1).
		if x.p.Expect100 && !x.continued && !x.HeadSent() {
			told := x.BeforeHead(wait, func() bool {
				x.continued = x.sendNow(continueLine, wait)
				return x.continued
			})
			if !told {
				return bridge.ReadNothing
			}
			continue
		}
		if !wait {
			return bridge.ReadNothing
		}
		if n := x.awaitBody(); n != 0 {
			return n
		}
	}
}

const readTurn = time.Millisecond

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// readSome reads what is here. more: n bytes, perhaps none, were read, and it may be asked again. Else 0 is the end of the
// body, and less one of the bridge.Read… constants.
func (x *exchange) readSome(dst []byte) (n int64, more bool) {
	if x.badBody {
		return bridge.ReadBadFrame, false
	}
	if ahead, err := x.readAhead(dst); err != nil {
		x.Service.Log.Error("a temporary file cannot be read", "error", err)
		x.badBody = true
		return bridge.ReadBadFrame, false
	} else if ahead > 0 {
		return int64(ahead), true
	}
	if x.body.Done() {
		return 0, false
	}
	got, err := x.pull(dst)
	switch {
	case err == nil:
		x.size += int64(got)
		if limit := x.c.s.cfg.LimitRequestBody; limit > 0 && x.size > limit {
			x.badBody = true
			return bridge.ReadBadFrame, false
		}
		return int64(got), true
	case errors.Is(err, reactor.ErrWouldBlock):
		return bridge.ReadNothing, false
	case errors.Is(err, io.EOF):
		x.badBody = true
		return bridge.ReadGone, false
	}
	x.badBody = true
	return bridge.ReadBadFrame, false
}

// awaitBody waits for more of the body; the minimum rate counts only the time that is waited. 0, or what Read is to return.
func (x *exchange) awaitBody() int64 {
	cfg := x.c.s.cfg
	timeout := cfg.BodyTimeout
	if timeout <= 0 {
		timeout = -1
	}
	begun := time.Now()
	err := x.c.rc.WaitReadable(timeout, &x.alarm)
	x.waited += time.Since(begun)
	switch {
	case errors.Is(err, reactor.ErrEnded):
		return bridge.ReadOver
	case errors.Is(err, reactor.ErrTimeout):
		return bridge.ReadStalled
	case err != nil:
		return bridge.ReadGone
	}
	if cfg.BodyTooSlow(x.size, x.waited) {
		x.badBody = true
		return bridge.ReadStalled
	}
	return 0
}

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
	// Framing, and the data behind it, of which no more is looked at than dst has room for.
	data, n, err := x.body.Feed(in[:min(len(in), len(dst))])
	if err != nil {
		return 0, err
	}
	*r += n
	return copy(dst, data), nil
}

// settleStream is called when the app has answered: whatever it left of the body is skipped if it is here already. False:
// the rest would have to be waited for, so the connection ends.
func (t *thread) settleStream(c *conn, x *exchange) bool {
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
