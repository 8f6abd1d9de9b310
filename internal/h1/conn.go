package h1

// A connection between requests: reading heads, deciding what follows. Everything here runs on the thread that leads,
// while the connection is not owned, or on the thread that owns it.

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/reactor"
)

type phase uint8

const (
	phaseIdle    phase = iota // between requests: no byte of the next one
	phaseHead                 // part of a head is here
	phaseBody                 // head complete, body on its way
	phaseRun                  // with the app
	phaseWriting              // response complete, not all of it is taken by the client
	phaseClosing
	phaseNew    // no byte of the first request
	phaseSocket // a WebSocket whose request is over
)

// conn is what the server knows of one connection; reactor.Conn.Owner. Nearly all of them are idle: what is needed only
// while something happens is elsewhere, and TestConnSize watches over the rest.
type conn struct {
	rc *reactor.Conn
	s  *Server
	x  *exchange // the request being received or run
	*unread
	rare *rare // nil for most

	number  uint32 // unlike any other in the process
	tmpl    uint8
	phase   phase
	awaited bool // a PROXY header has to come first
	counted bool // among the connections of its address
}

// unread is input that nobody has looked at yet. A connection without any has the empty one, which nobody writes to.
type unread struct {
	buf     []byte // pooled block; buf[r:w] is the input
	r, w    int
	partial httpparse.State // of the head that began at r
	begun   bool            // partial is valid
	held    int             // see heads.go
}

var (
	nothing = new(unread)
	unreads = sync.Pool{New: func() any { return new(unread) }}
)

// rare is what few connections have.
type rare struct {
	from    *origin       // whom a PROXY header named
	finish  bridge.Finish // close() due when the queue has drained
	on      *crew.Thread  // that does it; nil: any
	carrier *carrier      // of the socket that the application has taken
	lent    int           // or its descriptor; 0: none
	before  flow          // what had gone over it then
	socket  *socket       // the WebSocket that it has become; set for good before WatchInput
}

func (c *conn) withRare() *rare {
	if c.rare == nil {
		c.rare = new(rare)
	}
	return c.rare
}

// lastConn is the number of the last connection. Servers that run one after another share it, as they share Python.
var lastConn atomic.Uint32

// Handler of the reactor.

// Accepted implements reactor.Handler.
func (s *Server) Accepted(rc *reactor.Conn) {
	c := &conn{rc: rc, s: s, unread: nothing, tmpl: s.templateOf(rc.Listener()), number: lastConn.Add(1)}
	rc.Owner = c
	if !s.arrived(c) {
		return
	}
	timeout := s.cfg.HeadTimeout // the first request has to come, as one that has begun
	if s.stopping.Load() {
		timeout = firstRequest
	}
	c.phase = phaseNew
	c.expireIn(timeout)
}

// Ready implements reactor.Handler.
func (s *Server) Ready(rc *reactor.Conn) {
	c := rc.Owner.(*conn)
	if c.phase == phaseIdle && !rc.Readable() && s.stopping.Load() {
		c.stop() // released just now, see release
		return
	}
	s.cur.input(c)
}

// Drained implements reactor.Handler.
func (s *Server) Drained(rc *reactor.Conn) {
	if k := socketOf(rc); k != nil {
		s.cur.socketMoved(rc, k)
		return
	}
	c := rc.Owner.(*conn)
	if !rc.Owned() && c.phase == phaseWriting {
		s.cur.written(c)
	}
}

// Progress implements reactor.Handler.
func (s *Server) Progress(rc *reactor.Conn) {
	c := rc.Owner.(*conn)
	if k := socketOf(rc); k != nil && (rc.Owned() || c.phase == phaseSocket) {
		s.cur.socketMoved(rc, k)
		return
	}
	if !rc.Owned() && (c.phase == phaseWriting || c.phase == phaseClosing) {
		c.expireIn(s.cfg.WriteTimeout)
	}
}

// Failed implements reactor.Handler.
func (s *Server) Failed(rc *reactor.Conn, _ error) { rc.Abort() }

// ExpiredOwned implements reactor.Handler. The thread that owns the connection has deadlines of its own.
func (s *Server) ExpiredOwned(rc *reactor.Conn) {
	if k := socketOf(rc); k != nil {
		s.cur.socketTick(rc, k)
	}
}

// Expired implements reactor.Handler.
func (s *Server) Expired(rc *reactor.Conn) {
	c := rc.Owner.(*conn)
	switch c.phase {
	case phaseIdle, phaseNew:
		c.closeIdle()
	case phaseHead:
		s.cur.reject(c, 408, "the request head took too long")
	case phaseBody:
		s.cur.reject(c, 408, "the request body took too long")
	case phaseSocket:
		s.cur.socketTick(rc, c.rare.socket)
	default:
		rc.Abort()
	}
}

// Closed implements reactor.Handler: nobody else has c any more.
func (s *Server) Closed(rc *reactor.Conn) {
	c := rc.Owner.(*conn)
	s.left(c)
	if k := socketOf(rc); k != nil {
		k.Lost(s.cur.Index())
		k.Finished()
	}
	c.dropInput()
	if c.x != nil {
		s.putExchange(c.x)
		c.x = nil
	}
	s.cur.finishNow(c)
	bridge.DropConn(c.number)
	if s.stopping.Load() {
		s.loop.Wake() // was it the last?
	}
}

// finishing tells whether a close() is due when the queue has drained.
func (c *conn) finishing() bool { return c.rare != nil && c.rare.finish != 0 }

// finishNow gives a file that was sent its close(): to its thread or, if any will do, to whoever is free first.
func (t *thread) finishNow(c *conn) {
	if !c.finishing() {
		return
	}
	f := finish(c.rare.finish)
	c.rare.finish = 0
	switch on := c.rare.on; {
	case on != nil:
		t.s.crew.PostTo(on, f)
	case t.Py != nil && t.Leads():
		t.Leave(f)
	default:
		t.s.crew.Post(f)
	}
}

// finish is a close() that is due, as a task.
type finish bridge.Finish

// Run implements crew.Task.
func (f finish) Run(t *crew.Thread) { t.Blocking(func() { t.Py.Finish(bridge.Finish(f)) }) }

func (c *conn) dropInput() {
	if u := c.unread; u != nothing {
		c.unread = nothing
		c.s.letGo(&u.held)
		reactor.PutBuffer(u.buf)
		*u = unread{}
		unreads.Put(u)
	}
}

// dropInput is that of c, but keeps the block for the next connection.
func (t *thread) dropInput(c *conn) {
	if u := c.unread; t.unread == nil && cap(u.buf) == reactor.BufferSize {
		c.unread = nothing
		t.unread, u.buf = u, u.buf[:reactor.BufferSize]
		u.r, u.w, u.begun = 0, 0, false
		return
	}
	c.dropInput()
}

// takeInput gives c a block for input.
func (t *thread) takeInput(c *conn) {
	if c.unread == nothing {
		if c.unread, t.unread = t.unread, nil; c.unread != nil {
			return
		}
		c.unread = unreads.Get().(*unread)
	}
	c.buf = reactor.GetBuffer()
}

func (c *conn) enterIdle(timeout time.Duration) {
	c.phase = phaseIdle
	c.expireIn(timeout)
}

// expireIn sets the deadline; 0 is none.
func (c *conn) expireIn(d time.Duration) {
	if d <= 0 {
		c.rc.SetDeadline(0)
	} else {
		c.rc.SetDeadline(c.s.loop.NowNanos() + d.Nanoseconds())
	}
}

func (c *conn) enter(p phase, timeout time.Duration) {
	c.enterIdle(timeout)
	c.phase = p
}

// close ends the connection when everything is written.
func (c *conn) close() {
	c.phase = phaseClosing
	c.expireIn(c.s.cfg.WriteTimeout)
	c.rc.CloseAfterFlush()
}

// reject answers a request that cannot be served and ends the connection: nothing more of it is read as a request.
func (t *thread) reject(c *conn, status int, reason string) {
	s := t.s
	t.box.sendHeld(t.Thread)
	if c.x == nil && !c.begun && c.r == c.w && status == 408 {
		c.close() // nothing was asked, so nothing is answered
		return
	}
	head := false
	if c.x != nil {
		head = c.x.p.HeadMethod
	}
	if s.cfg.Meinheld {
		status = meinheldStatus(status)
	}
	t.out = httpparse.AppendErrorResponse(t.out[:0], status, reason, s.date(), head, s.cfg.ServerHeader)
	if s.cfg.Meinheld {
		copy(t.out, "HTTP/1.0")
	}
	t.refuse(c, status, reason)
}

// meinheldStatus is what meinheld has for a status that it does not know.
func meinheldStatus(status int) int {
	switch status {
	case 404, 408, 411, 413, 417, 500, 503: // 404 is of a mount
		return status
	}
	return 400
}

// capitals reports whether a method may be one that meinheld knows.
func capitals(method []byte) bool {
	for _, b := range method {
		if (b < 'A' || b > 'Z') && b != '-' {
			return false
		}
	}
	return true
}

// refuse sends t.out as the last answer on c.
func (t *thread) refuse(c *conn, status int, reason string) {
	t.logReject(c, status, reason)
	t.sendOn(c, t.out)
	t.dropOut()
	c.rc.Linger()
	c.dropInput()
	c.close()
}

// mostReads is how often a connection is read from before others have their turn.
const mostReads = 8

// input goes on with a connection that has something to read, for a turn. On the leader.
func (t *thread) input(c *conn) {
	t.turn = crew.Turn{}
	for rc, n := c.rc, 0; ; n++ {
		if n == mostReads { // others first
			t.s.loop.PostConn(rc)
			return
		}
		var ready bool
		switch {
		case rc.Broken():
			rc.Abort()
			return
		case c.phase == phaseClosing:
			return
		case c.phase == phaseSocket:
			t.socketInput(rc, c.rare.socket)
			return
		case c.phase == phaseWriting:
			if rc.Pending() {
				return // one response at a time; Drained goes on
			}
			t.finishWriting(c)
			continue
		case c.phase == phaseBody:
			ready = t.readBody(c)
		default:
			ready = t.readHead(c)
		}
		if !ready {
			return
		}
		rc.Acquire()
		if t.Py == nil {
			t.moveHead(c)
			t.s.crew.Submit(c)
			return
		}
		if t.crowded() {
			t.stage(c)
			return
		}
		if !t.runOwned(c) {
			return
		}
	}
}

// Run implements crew.Task: c is owned, and its request complete.
func (c *conn) Run(ct *crew.Thread) {
	t := c.s.thread(ct)
	t.turn = crew.Turn{}
	if t.runOwned(c) {
		t.input(c)
	}
	t.boundWait()
}

// runOwned runs what is complete on c and lets go of it. True: t leads, and may go on with it.
func (t *thread) runOwned(c *conn) (again bool) { return t.letGo(c, t.run(c)) }

func (t *thread) letGo(c *conn, r ran) (again bool) {
	switch r {
	case runGathered, runSuspended:
		return false
	case runTurn:
		c.rc.Release()
		t.s.loop.PostConn(c.rc)
		return false
	}
	if !t.Leads() {
		t.release(c)
		return false
	}
	return c.rc.ReleaseLocal() || c.phase == phaseWriting && !c.rc.Pending() || c.phase == phaseSocket
}

func (t *thread) release(c *conn) {
	writing, idle := c.phase == phaseWriting || c.phase == phaseSocket, c.phase == phaseIdle
	rc, s := c.rc, t.s
	rc.Release()
	// The queue may have drained while nobody was to be told; a stop passes over connections that are owned.
	if writing || idle && s.stopping.Load() {
		s.loop.PostConn(rc)
	}
}

// written is called when a response that had to wait has been taken by the client. On the leader.
func (t *thread) written(c *conn) {
	t.finishWriting(c)
	t.input(c)
}

func (t *thread) finishWriting(c *conn) {
	t.finishNow(c)
	c.rest()
}

// readHead reads until a complete request is here (true: c.x is set) or nothing more comes now.
func (t *thread) readHead(c *conn) bool {
	if c.r < c.w && !c.begun { // left over from a pipeline
		if done, ready := t.parse(c); done {
			return ready
		}
	}
	for {
		if c.buf == nil {
			t.takeInput(c)
		} else if c.w == len(c.buf) {
			c.room()
		}
		n, err := c.rc.Read(c.buf[c.w:])
		if err != nil {
			if errors.Is(err, reactor.ErrWouldBlock) {
				if c.r == c.w {
					t.dropInput(c)
				}
				return false
			}
			if !errors.Is(err, io.EOF) {
				c.rc.Abort()
				return false
			}
			// The client will send no more; a head that is not complete never will be.
			c.dropInput()
			c.close()
			return false
		}
		c.w += n
		if done, ready := t.parse(c); done {
			return ready
		}
		if !c.rc.Readable() {
			return false
		}
	}
}

// room makes space behind w: input that is consumed goes, or the block grows; the parser's limits bound it.
func (c *conn) room() {
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
		return
	}
	more := reactor.GetBufferSize(2 * len(c.buf))
	copy(more, c.buf[:c.w])
	reactor.PutBuffer(c.buf)
	c.buf = more
}

// parse looks for a head in the input. done false: more bytes are needed. ready: c.x can be run.
func (t *thread) parse(c *conn) (done, ready bool) {
	if c.awaited {
		if done, ok := t.proxyHeader(c); !ok {
			return done, false
		}
		if c.r == c.w {
			return false, false
		}
	}
	x := t.nextExchange()
	if c.begun {
		x.p.SetState(c.partial)
	} else {
		x.p.Reset()
	}
	if !c.begun && t.recent != nil {
		if n, number := t.recent.Find(x.p, c.buf[c.r:c.w]); n > 0 {
			return t.complete(c, x, n, number)
		}
	}
	n, err := x.p.Parse(c.buf[c.r:c.w])
	if err != nil {
		var bad *httpparse.Error
		status, reason := 400, ""
		if errors.As(err, &bad) {
			status, reason = bad.Status(), bad.Reason
		}
		c.begun = true
		t.reject(c, status, reason)
		return true, false
	}
	if len(c.buf) > reactor.BufferSize && !t.s.hold(c) {
		c.begun = true
		t.reject(c, 503, "too many large requests at once")
		return true, false
	}
	if n == 0 {
		c.partial, c.begun = x.p.State(), true
		if c.phase != phaseHead {
			c.enter(phaseHead, t.s.cfg.HeadTimeout)
		}
		return false, false
	}
	if t.s.cfg.Meinheld && !capitals(x.p.Request.Method.In(c.buf[c.r:c.w])) {
		c.begun = true
		t.reject(c, 400, "unknown method")
		return true, false
	}
	if t.recent != nil {
		t.recent.Note(x.p, c.buf[c.r:c.w])
	}
	return t.complete(c, x, n, 0)
}

// complete goes on with x, whose head are the next n bytes of the input.
func (t *thread) complete(c *conn, x *exchange, n int, number uint64) (done, ready bool) {
	c.begun = false
	t.fresh = t.fresh[:len(t.fresh)-1]
	c.x = x
	x.held, c.held = c.held, 0
	x.begin(c, c.buf[c.r:c.r+n])
	x.Req.Number = number
	if t.s.requests.Identifies {
		t.s.identify(x)
	}
	c.r += n
	return true, t.admit(c, x) && t.startBody(c, x)
}
