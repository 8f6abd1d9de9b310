package h1

// The response on its connection: framing what the application gives, putting it together and sending it. exchange as
// request.Client, for the thread that runs the request; other threads come by stream.go.

import (
	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/request"
	"github.com/gowsgi/gowsgi/reactor"
)

const (
	copyBelow  = 16 << 10  // blocks up to this size are copied behind the head, larger ones are written where they are
	keepBelow  = 64 << 10  // a body up to this size is written with the GIL kept, by a leader
	largeBody  = 256 << 10 // a body that takes longer to write than to let go of the GIL and the lead
	flushAbove = 64 << 10  // coalesced output that does not wait for more
)

// frame settles the framing of a response: whether its end shows, and what becomes of the connection.
func (x *exchange) frame(res *bridge.Response, length int64, body bool) {
	h, s := &x.p.Request, x.c.s
	status := int(res.Status)
	x.keep = h.KeepAlive && s.cfg.KeepAlive > 0 && res.Flags&bridge.AskClose == 0 && !x.last() && !x.Hijacked() && status != 101
	if h.Expect100 && !x.continued && x.Req.Body == bridge.BodyStream && !x.body.Done() {
		x.keep = false // whether the client sends the body after all is its choice
	}
	x.chunked = false
	switch {
	case !body, length >= 0, status == 101:
	case h.Minor == 1:
		x.chunked = true
	default:
		x.keep = false // HTTP/1.0: the end of the body is the end of the connection
	}
}

// appendHead appends the response head.
func (x *exchange) appendHead(dst []byte, res *bridge.Response, length int64) []byte {
	s := x.c.s
	f := request.Framing{Chunked: x.chunked, Keep: x.keep, Minor: x.p.Minor, Meinheld: s.cfg.Meinheld}
	return f.AppendHead(dst, res, length, s.ownLines())
}

// Head implements request.Client: it leaves the head in thread.out, for what follows.
func (x *exchange) Head(res *bridge.Response, length int64, body bool) {
	t := x.t
	x.frame(res, length, body)
	t.out = x.appendHead(t.out[:0], res, length)
}

// Body implements request.Client.
func (x *exchange) Body(pieces []bridge.Piece, total int64, last bool) bool {
	t, c := x.t, x.c
	if total <= t.copies() {
		for i := range pieces {
			if x.chunked {
				t.out = appendChunk(t.out, pieces[i].Bytes())
			} else {
				t.out = append(t.out, pieces[i].Bytes()...)
			}
		}
		if last && x.chunked {
			t.out = append(t.out, httpparse.LastChunk...)
		}
		t.small(c, last)
	} else {
		t.large(c, x, pieces, total, last)
	}
	t.dropOut()
	return !c.rc.Broken() && !c.rc.Closing()
}

// dropOut empties t.out.
func (t *thread) dropOut() {
	if cap(t.out) > keepOut {
		t.out = nil
	}
	t.out = t.out[:0]
}

// small sends t.out, if nothing is to come behind it. Else it is held, so that answers of a pipeline, and blocks of a
// generator, leave together: a memory copy each, and one system call for all (queueing each in the connection took 130 ns,
// for a block 900 instructions). Or it is gathered with the answers of other connections.
func (t *thread) small(c *conn, last bool) {
	more, pending := !last || c.r < c.w, c.rc.Pending()
	switch {
	case more && !pending && t.box.hold(t.Thread, c.rc, t.out, flushAbove):
		return
	case last && t.gathers(c, len(t.out)+t.box.heldSize(t.Thread)):
		t.gathered(c)
		return
	case more && pending: // behind what waits there
		t.box.sendHeld(t.Thread)
		t.pieces = append(t.pieces[:0], reactor.Piece{Bytes: t.out})
		t.put(c, false)
		return
	}
	if !t.Leads() {
		t.Py.Release() // before the system call: others wait for the GIL
	}
	t.box.send(t.Thread, c.rc, t.out)
}

// large sends blocks that are not copied, behind t.out.
func (t *thread) large(c *conn, x *exchange, pieces []bridge.Piece, total int64, last bool) {
	t.box.sendHeld(t.Thread)
	// With the GIL kept the blocks stay where they are; what the socket does not take of them is little enough to copy.
	stay := t.Leads() && last && total <= keepBelow
	t.compose(x, pieces, !stay)
	if last && x.chunked {
		n := len(t.out)
		t.out = append(t.out, httpparse.LastChunk...)
		t.pieces = append(t.pieces, reactor.Piece{Bytes: t.out[n:]})
	}
	if !stay && (!t.Leads() || total > largeBody) {
		t.Py.Release() // compose has copied or taken every block
	}
	t.put(c, last)
}

// put queues t.pieces, and sends what is queued if flush is set or there is enough.
func (t *thread) put(c *conn, flush bool) {
	if !c.rc.TryPut(t.pieces, flush) {
		// Another thread of the application sends, or there is so much that it may go to the disk: nobody shall wait for that.
		t.Py.Pause()
		t.Blocking(func() { c.rc.Put(t.pieces, flush) })
	}
	clear(t.pieces)
	if !flush && c.rc.Pending() {
		t.box.note(t.Thread, c.rc)
	}
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
		if len(b) == 0 {
			continue
		}
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

// File implements request.Client.
func (x *exchange) File(fd int, off, n int64, f bridge.Finish, loose bool) {
	t, c := x.t, x.c
	t.box.sendHeld(t.Thread)
	x.chunked = false // a length is always known
	t.pieces = append(t.pieces[:0], reactor.Piece{Bytes: t.out})
	if n > 0 {
		t.pieces = append(t.pieces, reactor.Piece{File: fd, Off: off, Len: n})
	} else {
		closeFD(fd)
	}
	t.Py.Release() // a disk may be slow
	t.Blocking(func() { c.rc.Put(t.pieces, true) })
	clear(t.pieces)
	t.dropOut()
	if c.rc.Pending() {
		r := c.withRare()
		r.finish, r.on = f, t.Thread
		if loose {
			r.on = nil
		}
		return
	}
	t.Blocking(func() { t.Py.Finish(f) })
}

// Error implements request.Client.
func (x *exchange) Error(status int) (size int64) {
	t, c := x.t, x.c
	t.box.sendHeld(t.Thread)
	x.keep = false
	t.out = httpparse.AppendErrorResponse(t.out[:0], status, "", t.s.date(), x.p.HeadMethod, t.s.cfg.ServerHeader)
	size = request.BodySize(t.out)
	sendBytes(t.Thread, c.rc, t.out)
	t.dropOut()
	return size
}

// Close implements request.Client. The peer may not have read the end of the application's answer when what it still sends is
// thrown away.
func (x *exchange) Close() (in, out int64) {
	x.keep = false
	x.c.rc.Linger()
	return x.c.carried()
}

// Cut implements request.Client.
func (x *exchange) Cut() {
	t, c := x.t, x.c
	x.keep = false
	t.box.sendHeld(t.Thread)
	t.box.forget(t.Thread)
	if x.chunked || !x.Exact() {
		return // the framing shows that something is missing
	}
	t.Py.Pause()
	t.Blocking(func() {
		_, _ = c.rc.Flush()
		c.phase = phaseClosing
		c.rc.Abort()
	})
}

// Long implements request.Client.
func (x *exchange) Long() { x.t.sendGathered() }

// Turn implements request.Client.
func (x *exchange) Turn() {
	t := x.t
	t.Py.Release()
	t.flushAll(x.c) // no block waits longer for more, which may be empty ones
	if t.Leads() {
		t.sendGathered()
		t.GiveUpLead()
	}
	t.Fair(t.s.loop.Clock())
}
