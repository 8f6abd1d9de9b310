package gateway

// The answer: exchange as request.Client.

import (
	"errors"
	"math"

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

func (x *exchange) appendHead(dst []byte, res *bridge.Response, length int64) []byte {
	f := request.Framing{Chunked: x.chunked, Keep: x.keep, Minor: x.p.Minor}
	return f.AppendHead(dst, res, length, x.g.srv.Lines())
}

// Head implements request.Client: it leaves the head in x.out, for what follows.
func (x *exchange) Head(res *bridge.Response, length int64, body bool) {
	x.frame(res, length, body)
	x.out = x.appendHead(x.out, res, length)
}

// send sends x.out.
func (x *exchange) send(more bool) {
	x.l.put(x.out, x.prefix, more, !more && x.gathers())
	x.out = x.out[:x.prefix]
}

// addressed begins a message with room for so many bytes, and returns how long the beginning is. It is for other threads than the
// request's, whose x.out is.
func (x *exchange) addressed(room int) (out []byte, prefix int) {
	out = mongrel2.AppendAnswer(make([]byte, 0, 64+room), x.l.key.of.name, x.l.key.id)
	return out, len(out)
}

// Body implements request.Client.
func (x *exchange) Body(pieces []bridge.Piece, total int64, last bool) bool {
	if t := x.t; total > largeBody {
		t.Py.Pause() // the pieces stay
		t.Blocking(func() { x.pourAll(pieces) })
	} else {
		for i := range pieces {
			x.out = x.appendBody(x.out, pieces[i].Bytes())
		}
	}
	if last && x.chunked {
		x.out = append(x.out, httpparse.LastChunk...)
	}
	if !x.t.Leads() {
		x.t.Py.Release() // before the system call: others wait for the GIL
	}
	x.send(!last)
	if x.l.crams(0) {
		x.t.Py.Pause()
		x.t.Blocking(x.l.spill)
	}
	return !x.l.isGone()
}

const largeBody = 256 << 10 // a body that takes longer to copy than to let go of the GIL and the lead

func (x *exchange) appendBody(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	if !x.chunked {
		return append(dst, data...)
	}
	dst = append(httpparse.AppendChunkHead(dst, len(data)), data...)
	return append(dst, httpparse.ChunkEnd...)
}

// pourAll pours pieces into x.out. Without the GIL another thread may begin a write(), which must not come to be within a chunk.
func (x *exchange) pourAll(pieces []bridge.Piece) {
	x.pouring.Lock()
	defer x.pouring.Unlock()
	for i := range pieces {
		x.out = x.pour(x.out, x.prefix, pieces[i].Bytes())
	}
}

// pour appends data to out, whose first prefix bytes say for whom it is, and sends it whenever it is more than a message: of a large
// block there is one copy, in the link, or none if there is room in files. It waits for the disk, and for Mongrel2 itself. Without the GIL.
func (x *exchange) pour(out []byte, prefix int, data []byte) []byte {
	if len(data) == 0 {
		return out
	}
	if x.chunked {
		out = httpparse.AppendChunkHead(out, len(data))
	}
	if len(data) > plainPiece && x.g.srv.Spool == nil {
		x.l.reserve(len(data))
	}
	for {
		room := prefix + plainPiece - len(out)
		if len(data) < room {
			out = append(out, data...)
			break
		}
		if room > 0 {
			out, data = append(out, data[:room]...), data[room:]
		}
		x.l.put(out, prefix, true, false)
		out = out[:prefix]
		x.l.spill()
		if !x.hasRoom() {
			return out
		}
	}
	if x.chunked {
		out = append(out, httpparse.ChunkEnd...)
	}
	return out
}

// hasRoom waits until Mongrel2 itself has taken enough. False: the client has gone.
func (x *exchange) hasRoom() bool {
	l := x.l
	l.mu.Lock()
	gone, done := l.gone, x.waits()
	l.mu.Unlock()
	return !gone && x.g.room(l.key.of, done)
}

// File implements request.Client.
func (x *exchange) File(fd int, off, n int64, f bridge.Finish, loose bool) {
	x.chunked = false // a length is always known
	t, l := x.t, x.l
	t.Py.Release() // a disk may be slow
	if n <= creditPiece {
		t.Blocking(func() { x.readIn(fd, off, n) })
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

// readIn appends a file to x.out, and closes it. That something is missing shows by the end of the connection.
func (x *exchange) readIn(fd int, off, n int64) {
	before := len(x.out)
	x.out = appendFile(x.out, fd, off, n)
	_ = unix.Close(fd)
	if int64(len(x.out)-before) < n {
		x.keep = false
	}
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
		if !l.await(g.cfg.WriteTimeout, nil, l.empty) || !g.room(l.key.of, nil) {
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

// Full implements request.Client. More in memory than the buffer is what found no room in a file.
func (x *exchange) Full() bool {
	memory, inFile := x.l.queued()
	buffer := int64(x.g.cfg.ResponseBuffer)
	return x.l.key.of.crowded.Load() || memory > buffer || memory+inFile > buffer+x.g.cfg.ResponseSpool
}

// Drain implements request.Client: a quarter has to be gone, to a file if there is room.
func (x *exchange) Drain() bool {
	x.l.spill()
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
	cfg := x.g.cfg
	buffer := int64(cfg.ResponseBuffer)
	low, lowMemory := (buffer+cfg.ResponseSpool)/4*3, int64(math.MaxInt64)
	if memory, _ := l.queued(); memory > buffer {
		lowMemory = buffer / 4 * 3
	}
	return l.await(cfg.WriteTimeout, done, func() bool {
		memory := int64(l.memory())
		return memory <= lowMemory && memory+l.inFile() <= low
	}) && x.g.room(l.key.of, done)
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
func (x *exchange) Write(res *bridge.Response, length int64, body bool, data []byte, wait bool) bridge.WriteResult {
	if !wait && (len(data) > largeBody || x.l.crams(len(data))) {
		return bridge.Again
	}
	if wait {
		x.pouring.Lock()
	} else if !x.pouring.TryLock() {
		return bridge.Again
	}
	defer x.pouring.Unlock()
	out, prefix := x.addressed(512 + min(len(data), plainPiece))
	if res != nil {
		x.frame(res, length, body)
		out = x.appendHead(out, res, length)
	}
	if wait {
		out = x.pour(out, prefix, data)
	} else {
		out = x.appendBody(out, data)
	}
	x.l.put(out, prefix, true, false)
	if wait {
		x.l.spill()
	}
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
	out, prefix := x.addressed(len(lines))
	out = append(append(out, "HTTP/1.1 103 Early Hints\r\n"...), lines...)
	x.l.put(append(out, "\r\n"...), prefix, true, false)
	return bridge.WriteOK
}

// Socket implements request.Client: Mongrel2 has it.
func (x *exchange) Socket(bool) (fd int) { return -int(unix.EOPNOTSUPP) }
