package server

// One request: calling the app, and deciding what becomes of the connection; its response is in response.go. On the
// Python thread that runs it, which owns the connection.

import (
	"sync"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/reactor"
)

type finishTask = bridge.Finish

// exchange is one request in flight. It is pooled; reset says what a new one looks like.
type exchange struct {
	p   *httpparse.Parser // holds the head
	req bridge.Request
	c   *conn
	t   *thread // while it runs

	peer reactor.AddrText // of the last request too

	// Request body, see body.go and stream.go.
	body      httpparse.Body
	block     []byte // pooled block with the head, once it is no longer the connection's
	own       []byte // the head of a request that was staged; kept for the next
	mem       []byte // pooled
	counted   int64  // of Server.bodyMemory
	size      int64
	fileFD    int
	stored    int64  // in the file; counted by Server.inBodies, when fileFD is the bridge's, too
	ahead     *ahead // it could not be stored any further, see space.go
	bodySince int64
	mu        sync.Mutex // stream reads, which may come from several threads
	continued bool       // 100 Continue was sent
	badBody   bool

	// Response.
	at       time.Time // of the complete head; only with an access log
	status   int
	headOut  bool
	chunked  bool
	noBody   bool  // HEAD, 204, 304: whatever the app gives
	keep     bool  // keep the connection
	left     int64 // of the declared Content-Length; -1: none
	sent     int64 // body bytes
	excess   bool
	hijacked bool
}

func newExchange(l httpparse.Limits) *exchange {
	x := &exchange{p: httpparse.NewParser(l), fileFD: -1}
	return x
}

// begin makes x the request whose head is arena.
func (x *exchange) begin(c *conn, arena []byte) {
	x.c = c
	if c.s.access != nil {
		x.at = time.Now()
	}
	h := &x.p.Request
	r := &x.req
	r.Head, r.Arena, r.Number = h, arena, 0
	r.Template = uint32(c.tmpl)
	r.HasHost = h.Host.Len > 0
	r.FD = c.rc.FD()
	r.Conn = c.number
	r.RemoteAddr, r.RemotePort = x.remote(c)
	r.ScriptName, r.ServerPort = httpparse.Span{}, httpparse.Span{}
	r.Body, r.Memory = bridge.BodyNone, nil
	x.headOut, x.chunked, x.noBody, x.excess, x.hijacked = false, false, false, false, false
	x.continued, x.badBody = false, false
	x.left, x.sent, x.size, x.status = -1, 0, 0, 0
}

// reset lets go of everything that is held for the request.
func (x *exchange) reset() {
	if x.block != nil {
		reactor.PutBuffer(x.block)
		x.block = nil
	}
	if x.mem != nil {
		x.c.s.dropMem(x)
	}
	if x.fileFD >= 0 {
		closeFD(x.fileFD)
		x.fileFD = -1
	}
	if x.stored > 0 {
		x.c.s.inBodies.Add(-x.stored)
		x.stored = 0
	}
	x.ahead = nil
	x.req.Arena, x.req.Memory = nil, nil
	x.c, x.t = nil, nil
}

// run serves c.x and then whatever complete requests follow it in the input, answers in order. c is owned by t. False: c is
// among the connections whose answers are gathered, and is released with those.
func (t *thread) run(c *conn) (release bool) {
	for {
		t.gather = false
		t.round++
		x := c.x
		c.phase = phaseRun
		x.t = t
		t.serve(c, x)
		gathered := t.gather // c is no more ours to close: only to be left as it is between requests
		keep := t.settleInput(c, x) && !(t.s.stopping.Load() && c.r == c.w)
		c.x = nil
		t.recycle(x)
		if gathered {
			t.dropInput(c)
			return false
		}
		if !keep {
			t.flushAll(c)
			if c.rc.Broken() {
				c.phase = phaseClosing
				c.rc.Abort()
			} else if c.phase != phaseClosing { // not aborted
				c.close()
			}
			return true
		}
		more := c.r < c.w
		if !more {
			t.dropInput(c)
		}
		if !more || c.rc.QueuedBytes() > flushAbove || c.finishing() {
			t.flushAll(c)
			if c.rc.Pending() {
				c.enter(phaseWriting, t.s.cfg.WriteTimeout)
				return true
			}
			if c.finishing() {
				c.finishNow()
			}
		}
		if !more {
			c.enterIdle(t.s.cfg.KeepAlive)
			return true
		}
		c.phase = phaseIdle
		done, ready := t.parse(c)
		if !done || !ready {
			t.flushAll(c)
			if c.rc.Pending() && c.phase != phaseClosing && c.phase != phaseBody {
				// The rest of the next head is read when this output has gone.
				c.enter(phaseWriting, t.s.cfg.WriteTimeout)
			}
			return true
		}
	}
}

func (t *thread) flushAll(c *conn) {
	if t.flush.Load() != nil {
		t.box.sendHeld()
		t.flush.Store(nil)
	}
	if c.rc.QueuedBytes() > 0 {
		c.rc.Flush()
	}
}

// serve calls the app and writes its response.
func (t *thread) serve(c *conn, x *exchange) {
	t.beginCall()
	step, res := t.py.Call(&x.req, x)
	t.endCall()
	if step == bridge.End && res.Flags&(bridge.Sized|bridge.Written) == bridge.Sized {
		t.whole(c, x, res)
		t.logAccess(c, x, res)
		return
	}
	t.box.sendHeld()
	for n := 0; step == bridge.More; n++ {
		if n == 1 {
			t.sendGathered() // this may go on for long, a short step at a time
		}
		if !t.blocks(c, x, res, false) {
			t.beginCall()
			t.py.Abandon()
			t.endCall()
			t.cut(c, x)
			t.logAccess(c, x, res)
			return
		}
		t.beginCall()
		step = t.py.Next()
		t.endCall()
	}
	switch step {
	case bridge.End:
		if t.blocks(c, x, res, true) {
			t.end(c, x)
		} else {
			t.cut(c, x)
		}
	case bridge.File:
		t.file(c, x, res)
	case bridge.Failed:
		if x.headOut {
			t.cut(c, x)
		} else {
			t.out = httpparse.AppendErrorResponse(t.out[:0], 500, "", t.s.date(), x.p.HeadMethod, t.s.cfg.ServerHeader)
			x.status, x.keep, x.headOut, x.sent = 500, false, true, bodySize(t.out)
			c.rc.Send(reactor.Piece{Bytes: t.out})
		}
	case bridge.Hijacked:
		x.keep = false
	}
	t.logAccess(c, x, res)
}

// settleInput brings the input to the place where the next request begins. False: it cannot, or the connection ends.
func (t *thread) settleInput(c *conn, x *exchange) bool {
	if x.req.Body == bridge.BodyStream && !t.settleStream(c, x) {
		x.keep = false
	}
	return x.keep && !c.rc.Broken()
}
