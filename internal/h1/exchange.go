package h1

// A request on its connection: from its complete head to the place where the next one begins. On the thread that runs it,
// which owns the connection; its response is in response.go.

import (
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/request"
	"github.com/gowsgi/gowsgi/internal/rules"
	"github.com/gowsgi/gowsgi/reactor"
)

// exchange is one request in flight, and its client. It is pooled; reset says what a new one looks like.
type exchange struct {
	request.Request
	p *httpparse.Parser // holds the head
	c *conn
	t *thread // while it runs

	peer reactor.AddrText // of the last request too

	// Request body, see body.go and stream.go.
	body      httpparse.Body
	block     []byte             // pooled block with the head, once it is no longer the connection's
	held      int                // of Server.heads
	own       []byte             // the head of a request that was staged; kept for the next
	mem       request.BodyMemory // what is gathered
	size      int64
	fileFD    int
	stored    int64  // in the file; counted by Server.inBodies, when fileFD is the bridge's, too
	ahead     *ahead // it could not be stored any further, see space.go
	bodySince int64
	reading   rules.Mutex   // body bytes of a running request
	waited    time.Duration // for them
	alarm     reactor.Alarm // ends the waits of a running request
	continued bool          // 100 Continue was sent
	badBody   bool

	// Response.
	chunked bool
	keep    bool // keep the connection
}

func newExchange(s *Server) *exchange {
	x := &exchange{p: httpparse.NewParser(s.limits), fileFD: -1}
	x.Client, x.Service = x, &s.requests
	return x
}

// begin makes x the request whose head is arena.
func (x *exchange) begin(c *conn, arena []byte) {
	x.c = c
	x.Reset()
	if x.Service.Access != nil {
		x.At = time.Now()
	}
	h := &x.p.Request
	r := &x.Req
	r.Head, r.Arena, r.Number = h, arena, 0
	r.Template = uint32(c.tmpl)
	r.HasHost = h.Host.Len > 0
	r.FD = c.rc.FD()
	r.Conn = c.number
	r.RemoteAddr, r.RemotePort = x.remote(c)
	r.ScriptName, r.ServerPort = httpparse.Span{}, httpparse.Span{}
	r.Body, r.Memory = bridge.BodyNone, nil
	x.chunked, x.continued, x.badBody = false, false, false
	x.size, x.waited = 0, 0
}

// reset lets go of everything that is held for the request.
func (x *exchange) reset() {
	if x.block != nil {
		reactor.PutBuffer(x.block)
		x.block = nil
	}
	x.mem.Drop()
	x.DropBlock() // gathered, but never run
	if x.held > 0 {
		x.c.s.letGo(&x.held)
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
	x.alarm.Close()
	x.Req.Arena, x.Req.Memory = nil, nil
	x.c, x.t = nil, nil
}

// What run has come to.
type ran int

const (
	runDone      ran = iota
	runGathered      // the connection is among those whose answers are gathered, and is released with those
	runTurn          // its turn is over: it goes to the end of the ready queue
	runSuspended     // the request is suspended, or its socket still carried, and owns the connection
)

// run serves c.x and then whatever complete requests follow it in the input, for a turn, answers in order. c is owned by t.
func (t *thread) run(c *conn) ran {
	for {
		x := t.begins(c)
		if !x.Run(t.Thread, &t.local) {
			return runSuspended
		}
		if r, over := t.answer(c, x); over {
			return r
		}
	}
}

// begins makes t the thread that runs c.x.
func (t *thread) begins(c *conn) *exchange {
	t.gather = false
	t.round++
	c.phase = phaseRun
	c.x.t = t
	return c.x
}

// answer is called when x is answered. Not over: c.x is the next request of the input.
func (t *thread) answer(c *conn, x *exchange) (r ran, over bool) {
	if x.Upgraded() {
		c.x = nil
		t.recycle(x)
		t.dropInput(c)
		c.phase = phaseSocket
		return runDone, true
	}
	gathered := t.gather // c is no more ours to close: only to be left as it is between requests
	awaitEnd := t.s.takeBack(c)
	keep := t.settleInput(c, x)
	c.x = nil
	sent := x.Sent()
	t.recycle(x)
	if gathered {
		t.dropInput(c)
		return runGathered, true
	}
	if awaitEnd != nil {
		t.flushAll(c)
		c.phase = phaseClosing
		go func() {
			awaitEnd()
			c.close()
			c.rc.Release() // not by a post: the loop may be closed by now
		}()
		return runSuspended, true
	}
	if !keep {
		t.flushAll(c)
		if c.rc.Broken() {
			c.phase = phaseClosing
			t.abort(c.rc)
		} else if c.phase != phaseClosing { // not aborted
			c.closeAnswered()
		}
		return runDone, true
	}
	more := c.r < c.w
	if !more {
		t.dropInput(c)
	}
	turn := more && t.turn.Over(sent, t.s.loop.Clock)
	if !more || turn || c.queuedAbove(flushAbove) || c.finishing() {
		t.flushAll(c)
		if c.rc.Pending() {
			c.enter(phaseWriting, t.s.cfg.WriteTimeout)
			return runDone, true
		}
		t.finishNow(c)
	}
	if !more {
		c.rest()
		return runDone, true
	}
	if turn {
		c.enter(phaseHead, t.s.cfg.HeadTimeout) // a stop serves what has been read
		return runTurn, true
	}
	c.phase = phaseIdle
	done, ready := t.parse(c)
	if !done || !ready {
		t.flushAll(c)
		if c.rc.Pending() && c.phase != phaseClosing && c.phase != phaseBody {
			// The rest of the next head is read when this output has gone.
			c.enter(phaseWriting, t.s.cfg.WriteTimeout)
		}
		return runDone, true
	}
	return runDone, false
}

// abort waits, for who sends on rc just now, only without the GIL. t may not lead any more then.
func (t *thread) abort(rc *reactor.Conn) {
	if t.Py == nil {
		rc.Abort()
		return
	}
	t.Py.Pause()
	t.Blocking(rc.Abort)
}

// flushAll sends what waits for more on c.
func (t *thread) flushAll(c *conn) {
	t.box.sendHeld(t.Thread)
	t.box.forget(t.Thread)
	if c.queuedAbove(0) && !c.rc.TryFlush() {
		t.Py.Pause()
		t.Blocking(func() { _, _ = c.rc.Flush() })
	}
}

// queuedAbove tells whether more than n bytes are queued in memory, or nobody can tell as another thread sends.
func (c *conn) queuedAbove(n int64) bool {
	if !c.rc.Pending() {
		return false
	}
	mem, _, ok := c.rc.TryQueued()
	return !ok || mem > n
}

// settleInput brings the input to the place where the next request begins. False: it cannot, or the connection ends.
func (t *thread) settleInput(c *conn, x *exchange) bool {
	if x.Req.Body == bridge.BodyStream && !t.settleStream(c, x) {
		x.keep = false
	}
	return x.keep && !c.rc.Broken() && !x.Hijacked()
}

var _ crew.Task = (*conn)(nil)
