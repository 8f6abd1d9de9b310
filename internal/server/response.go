package server

// The response of an exchange: framing what the app gives, putting it together and sending it. On the Python thread that
// runs the request.

import (
	"math"
	"strconv"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/reactor"
)

const (
	copyBelow  = 16 << 10 // blocks up to this size are copied behind the head, larger ones are written where they are
	largeBody  = 1 << 20  // a body that may take long to write, or to spool
	flushAbove = 64 << 10 // coalesced output that does not wait for more
)

// decide settles the framing of the response from what the app said and how much is known. sized: total is the whole body.
func (x *exchange) decide(res *bridge.Response, sized bool, total int64) {
	h := &x.p.Request
	x.status = int(res.Status)
	x.headOut = true
	x.noBody = h.HeadMethod || x.status == 204 || x.status == 304 || x.status < 200
	x.keep = h.KeepAlive && x.c.s.cfg.KeepAlive > 0 && res.Flags&bridge.AskClose == 0 && !x.c.s.stopping.Load() && !x.hijacked && x.status != 101
	if h.Expect100 && !x.continued && x.req.Body == bridge.BodyStream && !x.body.Done() {
		x.keep = false // whether the client sends the body after all is its choice
	}
	x.left = res.ContentLength
	switch {
	case x.status == 101:
		x.left, x.noBody = -1, false // what follows is another protocol
	case x.noBody, x.left >= 0:
	case sized:
		x.left = total
	case h.Minor == 1:
		x.chunked = true
	default:
		x.keep = false // HTTP/1.0: the end of the body is the end of the connection
	}
}

// head appends the response head.
func (x *exchange) head(dst []byte, res *bridge.Response) []byte {
	s := x.c.s
	dst = append(dst, res.StatusLine()...)
	lines := s.ownLines()
	if res.Flags&bridge.HasSrv == 0 {
		dst = append(dst, lines.server...)
	}
	if res.Flags&bridge.HasDate == 0 {
		dst = append(dst, lines.date...)
	}
	dst = append(dst, res.Head()...)
	switch {
	case x.status == 101:
		return append(dst, "Connection: Upgrade\r\n\r\n"...)
	case x.left >= 0 && x.status != 204 && x.status >= 200:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, x.left, 10)
		dst = append(dst, "\r\n"...)
	case x.chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case !x.keep:
		dst = append(dst, "Connection: close\r\n"...)
	case x.p.Minor == 0:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// whole writes a response all of whose blocks are here: nearly all of them.
func (t *thread) whole(c *conn, x *exchange, res *bridge.Response) {
	pieces := res.Pieces()
	var total int64
	for i := range pieces {
		total += int64(pieces[i].Len)
	}
	x.decide(res, !x.p.HeadMethod, total)
	if x.noBody {
		total = 0
	} else if x.left >= 0 && total > x.left {
		x.excess = true
		total = x.left
	}
	if total <= t.copies() && !x.excess {
		t.small(c, x, res, pieces, total)
	} else {
		t.box.sendHeld()
		t.out = x.head(t.out[:0], res)
		// With the GIL kept the blocks stay where they are; what the socket does not take of them is little enough to copy.
		stay := t.leading && total <= flushAbove
		t.compose(x, pieces, !stay)
		if !t.leading || total > largeBody {
			t.py.Release() // compose has copied or taken every block
		}
		if total > largeBody {
			// What the client does not take may have to be written to the spool: nobody shall wait for that.
			t.beginCall()
			t.sendPieces(c, true)
			t.endCall()
		} else {
			t.sendPieces(c, true)
		}
		if t.s.overfull(c) { // there is no room for it in a file
			t.py.Release()
			t.beginCall()
			ok := t.s.waitForClient(c)
			t.endCall()
			if !ok {
				t.cut(c, x)
				return
			}
		}
	}
	t.end(c, x)
}

func (x *exchange) took(n int64) {
	x.sent += n
	if x.left >= 0 {
		x.left -= n
	}
}

// small writes a response that fits behind the answers held back for the requests before it in the pipeline. With more of
// that pipeline to come it is held back too, so that answers leave together: a memory copy each, and one system call for
// all (queueing each in the connection took 130 ns).
func (t *thread) small(c *conn, x *exchange, res *bridge.Response, pieces []bridge.Piece, total int64) {
	o := &t.box
	o.open()
	o.bytes = x.head(o.bytes, res)
	if x.noBody {
		x.left = -1
	}
	if total > 0 {
		for i := range pieces {
			o.bytes = append(o.bytes, pieces[i].Bytes()...)
		}
		x.took(total)
	}
	t.holdOrSend(c, c.r < c.w, true)
}

// holdOrSend ends the writing of what was begun by open. It is held back if more is to come behind it, else sent, or gathered
// with others if it is the last of an answer.
func (t *thread) holdOrSend(c *conn, more, last bool) {
	o := &t.box
	size := o.size()
	switch {
	case more && size < flushAbove:
		if t.flush.Load() != c.rc {
			t.flush.Store(c.rc)
		}
		o.hold(c.rc)
		return
	case last && t.gathers(c, size):
		o.keep(c)
		t.gathered(size)
		return
	}
	b := o.take()
	if !t.leading {
		t.py.Release() // before the system call: others wait for the GIL
	}
	c.rc.SendBytes(b)
}

// compose appends blocks, framed, to t.out (which may hold the head) and lists everything in t.pieces. hold: large blocks
// are taken over, so that they can stay in the queue; else they must be sent before the thread's next Call or Release.
func (t *thread) compose(x *exchange, pieces []bridge.Piece, hold bool) {
	t.pieces = t.pieces[:0]
	from := 0
	cut := func() {
		if from < len(t.out) {
			t.pieces = append(t.pieces, reactor.Piece{Bytes: t.out[from:len(t.out):len(t.out)]})
			from = len(t.out)
		}
	}
	for i := range pieces {
		b := pieces[i].Bytes()
		if x.noBody {
			continue
		}
		if x.left >= 0 && int64(len(b)) > x.left {
			b = b[:x.left]
			x.excess = true
		}
		if len(b) == 0 {
			continue
		}
		x.took(int64(len(b)))
		if x.chunked {
			t.out = httpparse.AppendChunkHead(t.out, len(b))
		}
		if len(b) <= copyBelow {
			t.out = append(t.out, b...)
		} else {
			cut()
			p := reactor.Piece{Bytes: b}
			if hold {
				p.Hold = bridge.Take(&pieces[i])
			}
			t.pieces = append(t.pieces, p)
		}
		if x.chunked {
			t.out = append(t.out, httpparse.ChunkEnd...)
		}
	}
	cut()
}

// sendPieces queues t.pieces and flushes if now, or if enough is there.
func (t *thread) sendPieces(c *conn, now bool) {
	if now && !c.rc.Pending() && c.rc.QueuedBytes() == 0 {
		c.rc.Send(t.pieces...)
	} else {
		c.rc.Append(t.pieces)
		c.rc.Settle()
		if now || c.rc.QueuedBytes() >= flushAbove {
			c.rc.Flush()
		}
	}
	clear(t.pieces)
}

// blocks writes the blocks of one step. Small ones wait for more as long as the app goes on without a wait: the monitor
// flushes them when it does not. False: the client is gone.
func (t *thread) blocks(c *conn, x *exchange, res *bridge.Response, last bool) bool {
	if res.Flags&bridge.HasHead == 0 {
		return true
	}
	first := !x.headOut
	if first {
		x.decide(res, last && !x.p.HeadMethod, 0) // the last step brings no block
	}
	if t.hold(c, x, res, first, last) {
		return !c.rc.Broken() && !c.rc.Closing()
	}
	t.box.sendHeld()
	t.out = t.out[:0]
	if first {
		t.out = x.head(t.out, res)
	}
	t.compose(x, res.Pieces(), true)
	if last && x.chunked && !x.noBody {
		t.out = append(t.out, httpparse.LastChunk...)
		n := len(httpparse.LastChunk)
		t.pieces = append(t.pieces, reactor.Piece{Bytes: t.out[len(t.out)-n:]})
	}
	if !t.leading {
		t.py.Release() // compose has copied or taken every block
	}
	t.sendPieces(c, last)
	if c.rc.Broken() || c.rc.Closing() {
		return false
	}
	if last {
		t.flush.Store(nil)
		return true
	}
	t.flush.Store(c.rc)
	if t.s.overfull(c) {
		t.py.Release()
		t.beginCall() // whoever leads must not wait here
		ok := t.s.waitForClient(c)
		t.endCall()
		return ok
	}
	return true
}

// hold keeps the small blocks of a step, framed, in memory like the answers of a pipeline (see small): a copy each, where
// the queue of the connection takes 900 instructions. The last step sends them. False: they have to go through the queue.
func (t *thread) hold(c *conn, x *exchange, res *bridge.Response, first, last bool) bool {
	pieces := res.Pieces()
	var total int64
	for i := range pieces {
		total += int64(pieces[i].Len)
	}
	if total > t.copies() || x.noBody || x.left >= 0 && total > x.left {
		return false
	}
	o := &t.box
	o.open()
	if o.held == nil && (last || c.rc.Pending() || c.rc.QueuedBytes() > 0) {
		o.mu.Unlock()
		return false
	}
	if first {
		o.bytes = x.head(o.bytes, res)
	}
	for i := range pieces {
		if x.chunked {
			o.bytes = appendChunk(o.bytes, pieces[i].Bytes())
		} else {
			o.bytes = append(o.bytes, pieces[i].Bytes()...)
		}
	}
	x.took(total)
	if last && x.chunked {
		o.bytes = append(o.bytes, httpparse.LastChunk...)
	}
	if last {
		t.flush.Store(nil)
	}
	t.holdOrSend(c, !last, last)
	return true
}

// overfull tells whether the client has so much to take that the producer must wait. More in memory than the buffer is what
// found no room in a file.
func (s *Server) overfull(c *conn) bool {
	mem := c.rc.QueuedBytes()
	return mem > int64(s.cfg.ResponseBuffer) || mem+c.rc.SpooledBytes() > int64(s.cfg.ResponseBuffer)+s.cfg.ResponseSpool
}

// waitForClient waits until a quarter of that is gone. Without the GIL.
func (s *Server) waitForClient(c *conn) bool {
	buffer := int64(s.cfg.ResponseBuffer)
	low, lowMem := (buffer+s.cfg.ResponseSpool)/4*3, int64(math.MaxInt64)
	if c.rc.QueuedBytes() > buffer {
		lowMem = buffer / 4 * 3
	}
	if err := c.rc.WaitQueued(lowMem, low, s.cfg.WriteTimeout); err != nil {
		s.log.Info("a client takes no data: its connection is cut", "client", c.peer(), "error", err)
		return false
	}
	return true
}

// file writes a response whose body is a file.
func (t *thread) file(c *conn, x *exchange, res *bridge.Response) {
	size := res.FileLen
	x.decide(res, !x.p.HeadMethod, size)
	if x.p.HeadMethod && x.left < 0 {
		x.left = size
	}
	t.out = x.head(t.out[:0], res) // nothing is held: serve has sent it
	t.pieces = append(t.pieces[:0], reactor.Piece{Bytes: t.out})
	n := size
	if x.left >= 0 && n > x.left {
		n = x.left
	}
	if x.noBody || n == 0 {
		closeFD(int(res.FileFD))
		x.left = 0
	} else {
		if x.chunked { // a length is always known, so this is HTTP/1.1 without one only by mistake
			x.chunked = false
		}
		x.took(n)
		t.pieces = append(t.pieces, reactor.Piece{File: int(res.FileFD), Off: res.FileOff, Len: n})
	}
	finish := bridge.Finish(res.Finish)
	if !t.leading {
		t.py.Release()
	}
	c.rc.Send(t.pieces...)
	clear(t.pieces)
	if c.rc.Pending() {
		r := c.withRare()
		r.finish, r.onFinish = finish, t
	} else {
		t.beginCall()
		t.py.Finish(finish)
		t.endCall()
	}
	t.end(c, x)
}

// end checks a response that the app has completed.
func (t *thread) end(c *conn, x *exchange) {
	switch {
	case x.excess:
		t.s.log.Error("the application sent more than its Content-Length; the rest was cut off", x.about()...)
	case x.left > 0 && !x.noBody:
		t.s.log.Error("the application sent less than its Content-Length; the connection is closed",
			append(x.about(), "missing", x.left)...)
		x.keep = false
	}
}

// cut ends a response that cannot be completed, so that the client can tell.
func (t *thread) cut(c *conn, x *exchange) {
	x.keep = false
	t.box.sendHeld()
	t.flush.Store(nil)
	if x.chunked || x.left > 0 {
		return // the framing shows that something is missing
	}
	c.rc.Flush()
	c.phase = phaseClosing
	c.rc.Abort()
}
