// Package bridge is the Go face of Python: starting it, finding the application, running one request on one thread.
// All C is below, in internal/cpy.
package bridge

import (
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/gowsgi/gowsgi/bridge/internal/cpy"
	"github.com/gowsgi/gowsgi/httpparse"
)

// Step is what running a request has come to.
type Step int

// Steps. More: pieces are there, and Next may bring more. End: the response is complete with these pieces. File: the body
// is a file. Failed: the app raised, and it is logged. Hijacked: the app took the socket, nothing is to be written.
const (
	More     = Step(cpy.More)
	End      = Step(cpy.End)
	File     = Step(cpy.File)
	Failed   = Step(cpy.Failed)
	Hijacked = Step(cpy.Hijack)
)

// Flags of a Response.
const (
	HasHead  = cpy.Started // start_response was called
	HasDate  = cpy.Date
	HasSrv   = cpy.Server
	AskClose = cpy.Close   // the app sent Connection: close
	Written  = cpy.Written // the write callable was used, so Responder.Write has seen the head
	Sized    = cpy.Sized   // the pieces are the whole body
)

// Response and Piece are views of C memory, valid until the thread's next Call, Next or Release.
type (
	Response = cpy.Response
	Piece    = cpy.Piece
)

// Finish stands for an object whose close() is due on the thread that made it, when its file is sent.
type Finish uintptr

// Thread is one Python thread: a locked OS thread with one thread state, for life. All methods run on it.
type Thread struct {
	Index int
	c     *cpy.Thread
	job   Job
	ours  bool        // made by NewThread, and not Python's main one
	rq    cpy.Request // reused; a field, so that no request allocates one
}

// threads maps the job index that C carries to its thread. An entry stays for ever: late calls look at the job's gen.
var (
	threads   atomic.Pointer[[]*Thread] // copied to add one
	threadsMu sync.Mutex
)

// NewThread makes the calling goroutine's OS thread a Python thread; it stays locked until Close. saved is the state of
// a thread that Python knows already (its main thread), else 0.
func NewThread(index int, saved State) (*Thread, error) {
	runtime.LockOSThread()
	c, err := cpy.NewThread(index, saved)
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	if saved == 0 {
		// Without the name, or its trace function, the thread serves all the same.
		_, _ = cpy.Support("thread_begins", "gowsgi-"+strconv.Itoa(index))
	}
	t := &Thread{Index: index, c: c, ours: saved == 0}
	threadsMu.Lock()
	defer threadsMu.Unlock()
	var all []*Thread
	if old := threads.Load(); old != nil {
		all = *old
	}
	t.job.index = uint32(len(all))
	all = append(all[:len(all):len(all)], t)
	threads.Store(&all)
	return t, nil
}

// Close ends the Python thread. The OS thread of a goroutine that returns after it ends too, unless it is the main one.
func (t *Thread) Close() {
	if t.ours {
		_, _ = cpy.Support("thread_ends", "")
	}
	t.c.Detach()
}

// Call runs the app for a request up to its first block that must go out. The GIL is kept: see Release.
func (t *Thread) Call(r *Request, who Responder) (Step, *Response) {
	t.rq.Gen = t.job.begin(who)
	t.fill(r)
	var body []byte
	if r.Body == BodyMemory {
		body = r.Memory
	}
	kind, res := t.c.Call(&t.rq, r.Arena, unsafe.Pointer(unsafe.SliceData(r.Head.Headers)), body)
	return t.ended(kind), res
}

// Next goes on after More; the pieces before it must have been written or copied.
func (t *Thread) Next() Step { return t.ended(t.c.Next()) }

func (t *Thread) ended(kind int) Step {
	if kind != cpy.More {
		t.job.end()
	}
	return Step(kind)
}

// Abandon closes the response after More, when nobody wants the rest.
func (t *Thread) Abandon() {
	t.c.Abandon()
	t.job.end()
}

// Finish calls the close() that File left for later.
func (t *Thread) Finish(f Finish) { t.c.Finish(uintptr(f)) }

// HasGIL tells whether the thread has kept the GIL since its last call.
func (t *Thread) HasGIL() bool { return t.c.HasGIL() }

// Release lets go of the last response's pieces and of the GIL.
func (t *Thread) Release() { t.c.Release() }

// CheckSignals runs pending Python signal handlers; only on Python's main thread.
func (t *Thread) CheckSignals() { t.c.CheckSignals() }

func (t *Thread) fill(r *Request) {
	h, q := r.Head, &t.rq
	q.Head = r.Number
	q.Conn = r.Conn
	q.Job = t.job.index
	q.Tmpl = r.Template
	q.Method, q.Target, q.Path = span(h.Method), span(h.Target), span(h.Path)
	q.Query, q.Host = span(h.Query), span(h.Host)
	q.ScriptName, q.ServerPort = span(r.ScriptName), span(r.ServerPort)
	q.FD = int32(r.FD)
	q.BodyFD = -1
	q.NHeaders = uint32(len(h.Headers))
	q.Minor = h.Minor
	q.Flags = 0
	q.RemotePort = uint16(r.RemotePort)
	q.RemoteLen = uint32(copy(q.Remote[:], r.RemoteAddr))
	q.ContentLength = h.ContentLength
	if r.HasHost {
		q.Flags |= cpy.HasHost
	}
	switch r.Body {
	case BodyMemory:
		q.Flags |= cpy.BodyMemory | cpy.LengthKnown
		q.ContentLength = int64(len(r.Memory))
	case BodyFile:
		q.Flags |= cpy.BodyFile | cpy.LengthKnown
		q.ContentLength = r.FileLen
		q.BodyFD = int32(r.BodyFD)
	case BodyStream:
		q.Flags |= cpy.BodyStream
	}
}

func span(s httpparse.Span) cpy.Span { return cpy.Span(s) }

// Unhold gives back the object behind a Piece that was taken over.
func Unhold(token uintptr) { cpy.Unhold(token) }

// UnholdWaiting tells whether some thread with the GIL should call Release soon.
func UnholdWaiting() bool { return cpy.UnholdWaiting() }

// Take makes the caller the owner of the object behind p, whose bytes then stay until Unhold.
func Take(p *Piece) uintptr {
	h := p.Owned
	p.Owned = 0
	return h
}
