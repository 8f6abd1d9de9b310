package gateway

// The answer: exchange as request.Client.

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/mongrel2"
	"github.com/gowsgi/gowsgi/internal/request"
)

// frame settles the framing of a response, and what becomes of the connection. That the server stops is no reason to end it:
// the next request goes to another handler.
func (x *exchange) frame(res *bridge.Response, length int64, body bool) {
	h := &x.p.Request
	x.keep = h.KeepAlive && res.Flags&bridge.AskClose == 0
	x.chunked = false
	switch {
	case !body, length >= 0:
	case h.Minor == 1:
		x.chunked = true
	default:
		x.keep = false // HTTP/1.0: the end of the body is the end of the connection
	}
}

func (x *exchange) appendHead(res *bridge.Response, length int64) {
	f := request.Framing{Chunked: x.chunked, Keep: x.keep, Minor: x.p.Minor}
	x.out = f.AppendHead(x.out, res, length, x.g.srv.Lines())
}

// Head implements request.Client: it leaves the head in x.out, for what follows.
func (x *exchange) Head(res *bridge.Response, length int64, body bool) {
	x.frame(res, length, body)
	x.appendHead(res, length)
}

func (x *exchange) appendBody(data []byte) {
	if len(data) == 0 {
		return
	}
	if x.chunked {
		x.out = httpparse.AppendChunkHead(x.out, len(data))
	}
	if len(data) > plainPiece { // of a large one there is one copy, in the link
		x.l.reserve(len(data))
		for len(data) > plainPiece {
			x.out = append(x.out, data[:plainPiece]...)
			data = data[plainPiece:]
			x.send(true)
		}
	}
	x.out = append(x.out, data...)
	if x.chunked {
		x.out = append(x.out, httpparse.ChunkEnd...)
	}
}

// send sends x.out.
func (x *exchange) send(more bool) {
	x.l.put(x.out, x.prefix, more, !more && x.gathers())
	x.out = x.out[:x.prefix]
}

// Body implements request.Client.
func (x *exchange) Body(pieces []bridge.Piece, _ int64, last bool) bool {
	for i := range pieces {
		x.appendBody(pieces[i].Bytes())
		if len(x.out) > plainPiece {
			x.send(true)
		}
	}
	if last && x.chunked {
		x.out = append(x.out, httpparse.LastChunk...)
	}
	if !x.t.Leads() {
		x.t.Py.Release() // before the system call: others wait for the GIL
	}
	x.send(!last)
	return !x.l.isGone()
}

// File implements request.Client.
func (x *exchange) File(fd int, off, n int64, f bridge.Finish, loose bool) {
	x.chunked = false // a length is always known
	t, l := x.t, x.l
	t.Py.Release() // a disk may be slow
	if n <= creditPiece {
		t.Blocking(func() {
			x.out = appendFile(x.out, fd, off, n)
			_ = unix.Close(fd)
		})
		if int64(len(x.out)) < n {
			x.keep = false
		}
		x.send(false)
		t.Blocking(func() { t.Py.Finish(f) })
		return
	}
	x.send(true)
	l.mu.Lock()
	l.pumped = true
	x.setApart(true)
	l.mu.Unlock()
	on := t
	if loose {
		on = nil
	}
	go x.pump(fd, off, n, f, on)
}

// appendFile appends n bytes of a file, or fewer if it ends before.
func appendFile(dst []byte, fd int, off, n int64) []byte {
	for n > 0 {
		at := len(dst)
		dst = append(dst, make([]byte, min(n, plainPiece))...)
		got, err := unix.Pread(fd, dst[at:], off)
		if errors.Is(err, unix.EINTR) {
			got = 0
		} else if err != nil || got <= 0 {
			return dst[:at]
		}
		dst = dst[:at+got]
		off += int64(got)
		n -= int64(got)
	}
	return dst
}

// pump sends a file, on a goroutine of its own, as the client takes it. finish is due afterwards, on this thread; nil: on any.
func (x *exchange) pump(fd int, off, n int64, f bridge.Finish, on *crew.Thread) {
	l, g := x.l, x.g
	name, id := l.key.of.name, l.key.id
	piece := int64(plainPiece)
	l.mu.Lock()
	if l.tracked {
		piece = 2 * creditPiece
	}
	l.mu.Unlock()
	message := mongrel2.AppendAnswer(nil, name, id)
	prefix := len(message)
	short := false
	for n > 0 {
		if !l.await(g.cfg.WriteTimeout, nil, func() bool { return l.at == len(l.out) }) || !g.room(l.key.of, nil) {
			break
		}
		message = appendFile(message[:prefix], fd, off, min(n, piece))
		got := int64(len(message) - prefix)
		if got == 0 {
			short = true
			break
		}
		off += got
		n -= got
		l.put(message, prefix, n > 0, false)
	}
	_ = unix.Close(fd)
	if on != nil {
		g.srv.Crew.PostTo(on, finish(f))
	} else {
		g.srv.Crew.Post(finish(f))
	}
	l.mu.Lock()
	l.pumped = false
	l.hangUp = l.hangUp || short
	l.rest()
}

// finish is a close() that is due, as a task.
type finish bridge.Finish

// Run implements crew.Task.
func (f finish) Run(t *crew.Thread) { t.Blocking(func() { t.Py.Finish(bridge.Finish(f)) }) }

// Error implements request.Client.
func (x *exchange) Error(status int) (size int64) {
	x.keep = false
	x.out = httpparse.AppendErrorResponse(x.out[:x.prefix], status, "", x.g.srv.Lines().Text, x.p.HeadMethod, x.g.cfg.ServerHeader)
	size = request.BodySize(x.out[x.prefix:])
	x.send(false)
	return size
}

// Close implements request.Client.
func (x *exchange) Close() (in, out int64) {
	x.keep = false
	return -1, 0
}

// Cut implements request.Client. Where neither length nor chunks tell the end nobody can see that something is missing.
func (x *exchange) Cut() { x.keep = false }

// Long implements request.Client.
func (x *exchange) Long() {}

// Turn implements request.Client.
func (x *exchange) Turn() {
	t := x.t
	t.Py.Release()
	x.l.flush()
	t.GiveUpLead()
	t.Fair(x.Service.Clock())
}

// Suspended implements request.Client.
func (x *exchange) Suspended(gone bool) {
	l := x.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.gone {
		l.push(true)
	}
	x.setApart(true)
	if x.watched = gone; gone && l.gone { // before that
		x.ClientGone()
	}
}

// Resume implements request.Client.
func (x *exchange) Resume(t *crew.Thread) {
	x.l.mu.Lock()
	x.watched = false
	x.setApart(false)
	x.l.mu.Unlock()
	if x.GoOn(t, &x.g.locals[t.Index()]) {
		x.answered()
	}
	x.g.ran(t)
}

// Full implements request.Client.
func (x *exchange) Full() bool {
	return x.l.key.of.crowded.Load() || x.l.pending() > x.g.cfg.ResponseBuffer
}

// Drain implements request.Client: a quarter has to be gone.
func (x *exchange) Drain() bool {
	l := x.l
	l.mu.Lock()
	done := x.waits()
	if x.over {
		l.mu.Unlock()
		return false
	}
	if !l.gone {
		l.push(true)
	}
	l.mu.Unlock()
	low := x.g.cfg.ResponseBuffer / 4 * 3
	return l.await(x.g.cfg.WriteTimeout, done, func() bool { return len(l.out)-l.at <= low }) && x.g.room(l.key.of, done)
}

// room waits until a server has taken enough.
func (g *Gateway) room(of *sender, done <-chan struct{}) bool {
	if !of.crowded.Load() {
		return true
	}
	if !g.out.RoomFor(of.name, done) {
		return false
	}
	of.crowded.Store(false)
	return true
}

// Gone implements request.Client.
func (x *exchange) Gone() bool { return x.l.isGone() }

// Over implements request.Client.
func (x *exchange) Over() {
	x.l.mu.Lock()
	x.over = true
	x.stopWaiting()
	x.l.mu.Unlock()
}

// Write implements request.Client. What is written leaves within gatherFor.
func (x *exchange) Write(res *bridge.Response, length int64, body bool, data []byte, _ bool) bridge.WriteResult {
	if res != nil {
		x.Head(res, length, body)
	}
	x.appendBody(data)
	x.send(true)
	if x.Gone() {
		return bridge.WriteGone
	}
	return bridge.WriteOK
}

// Hints implements request.Client.
func (x *exchange) Hints(lines []byte, _ bool) bridge.WriteResult {
	if x.p.Minor == 0 {
		return bridge.WriteOK // the client would not understand it
	}
	x.out = append(x.out, "HTTP/1.1 103 Early Hints\r\n"...)
	x.out = append(x.out, lines...)
	x.out = append(x.out, "\r\n"...)
	x.send(true)
	return bridge.WriteOK
}

// Socket implements request.Client: Mongrel2 has it.
func (x *exchange) Socket(bool) (fd int) { return -int(unix.EOPNOTSUPP) }
