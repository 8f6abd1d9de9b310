// Package bridge is the Go face of Python: starting it, finding the application, running one request on one thread.
// All C is below, in internal/cpy.
package bridge

import (
	"runtime"
	"strconv"
	"unsafe"

	"github.com/gowsgi/gowsgi/bridge/internal/cpy"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/rules"
)

// Step is what running a request has come to.
type Step int

// Steps. More: pieces are there, and Next may bring more. End: the response is complete with these pieces. File: the body
// is a file. Failed: the app raised, and it is logged. Hijacked: the app took the socket, nothing is to be written. Suspended:
// the job waits (Job.Waits), and is to be put aside.
const (
	More      = Step(cpy.More)
	End       = Step(cpy.End)
	File      = Step(cpy.File)
	Failed    = Step(cpy.Failed)
	Hijacked  = Step(cpy.Hijack)
	Suspended = Step(cpy.Suspended)
)

// Flags of a Response.
const (
	HasHead  = cpy.Started // start_response was called
	HasDate  = cpy.Date
	HasSrv   = cpy.Server
	AskClose = cpy.Close   // the app sent Connection: close
	Written  = cpy.Written // the write callable was used, so Responder.Write has seen the head
	Sized    = cpy.Sized   // at End the pieces are the whole body; at More Response.Total is its size
	Loose    = cpy.Loose   // any thread may Finish
)

// Response and Piece are views of C memory, valid until the thread's next Call, Next or Release.
type (
	Response = cpy.Response
	Piece    = cpy.Piece
)

// Finish stands for an object whose close() is due when its file is sent, on the thread that made it, or on any if the
// response was Loose.
type Finish uintptr

// Thread is one Python thread: a locked OS thread with one thread state, for life. All methods run on it.
type Thread struct {
	Index  int
	c      *cpy.Thread
	job    *Job // that it runs, or ran last
	spare  *Job // for after PutAside; nil: there is no memory for one, and nothing can suspend
	ours   bool // made by NewThread, and not Python's main one
	marked bool // see Mark
}

// NewThread makes the calling goroutine's OS thread a Python thread; it stays locked until Close. saved is the state of
// a thread that Python knows already (its main thread), else 0.
func NewThread(index int, saved State) (*Thread, error) {
	runtime.LockOSThread()
	c, err := cpy.NewThread(index, saved)
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	t := &Thread{Index: index, c: c, ours: saved == 0}
	if t.job, err = newJob(); err != nil {
		c.Detach()
		runtime.UnlockOSThread()
		return nil, err
	}
	t.stock()
	if saved == 0 {
		// Without the name, or its trace function, the thread serves all the same.
		_, _ = cpy.Support("thread_begins", "gowsgi-"+strconv.Itoa(index))
	}
	return t, nil
}

// Close ends the Python thread. The OS thread of a goroutine that returns after it ends too, unless it is the main one.
func (t *Thread) Close() {
	if t.ours {
		_, _ = cpy.Support("thread_ends", "")
	}
	t.c.Detach()
	freeJob(t.job)
	if t.spare != nil {
		freeJob(t.spare)
	}
}

// stock sees to it that the thread has a spare job, if there is memory for one.
func (t *Thread) stock() {
	if t.spare == nil {
		t.spare, _ = newJob()
	}
	t.c.MaySuspend(t.spare != nil)
}

// Mark tells whether the monitor sees the call that follows; for builds that check rules.
func (t *Thread) Mark(on bool) { t.marked = on }

// takes is called before the GIL is taken.
func (t *Thread) takes() {
	if rules.On && !t.c.HasGIL() {
		rules.Takes(t.marked)
	}
}

// Job is the request that the thread runs, or ran last.
func (t *Thread) Job() *Job { return t.job }

// PutAside takes the running request away, between two of its steps, or suspended: the thread is free for others. The pieces
// of the last step must have been released.
func (t *Thread) PutAside() *Job {
	j := t.job
	t.job, t.spare = t.spare, nil
	t.stock()
	return j
}

// TakeUp makes j, which this thread has put aside, its request again.
func (t *Thread) TakeUp(j *Job) {
	t.c.TakeUp(j.c) // before another thread may have the other one
	if t.spare == nil {
		t.spare = t.job
		t.stock()
	} else {
		freeJob(t.job)
	}
	t.job = j
}

// Call runs the app for a request up to its first block that must go out. The GIL is kept: see Release.
func (t *Thread) Call(r *Request, who Responder) (Step, *Response) {
	t.takes()
	if t.spare == nil {
		t.stock()
	}
	j := t.job
	j.rq.Gen = j.begin(who)
	j.fill(r)
	var body []byte
	if r.Body == BodyMemory {
		body = r.Memory
	}
	kind := t.c.Call(j.c, &j.rq, r.Arena, unsafe.Pointer(unsafe.SliceData(r.Head.Headers)), body)
	return t.ended(kind), j.c.Response
}

// Next goes on after More; the pieces before it must have been written or copied.
func (t *Thread) Next() Step {
	t.takes()
	return t.ended(t.c.Next())
}

// ended makes what other threads ask for from now on come too late; what they are asking for is Job.Settle's.
func (t *Thread) ended(kind int) Step {
	if kind != cpy.More && kind != cpy.Suspended {
		t.job.gen.Store(0)
	}
	return Step(kind)
}

// Abandon closes the response after More, when nobody wants the rest. End, or Suspended.
func (t *Thread) Abandon() Step {
	t.takes()
	return t.ended(t.c.Abandon())
}

// Resume goes on with the job, which was taken up again after Suspended.
func (t *Thread) Resume() Step {
	t.takes()
	return t.ended(t.c.Resume())
}

// CallLater calls something as a job of its own, that may suspend: End, Failed (it is logged) or Suspended. Once, and then it owns
// nothing any more.
func (t *Thread) CallLater(l Later, who Responder) Step {
	t.takes()
	if t.spare == nil {
		t.stock()
	}
	j := t.job
	gen := j.begin(who)
	if l.timer {
		return t.ended(t.c.TimerRun(j.c, gen, l.object))
	}
	return t.ended(t.c.Spawn(j.c, gen, l.object))
}

// Finish calls the close() that File left for later.
func (t *Thread) Finish(f Finish) {
	t.takes()
	t.c.Finish(uintptr(f))
}

// HasGIL tells whether the thread has kept the GIL since its last call.
func (t *Thread) HasGIL() bool { return t.c.HasGIL() }

// Release lets go of the last response's pieces and of the GIL.
func (t *Thread) Release() { t.c.Release() }

// Pause lets go of the GIL, if t has it, and keeps the pieces.
func (t *Thread) Pause() {
	if t.c.HasGIL() {
		t.c.Pause()
	}
}

// Tidy lets go of objects that were given back without the GIL.
func (t *Thread) Tidy() {
	t.takes()
	t.c.Tidy()
}

// CheckSignals runs pending Python signal handlers; only on Python's main thread.
func (t *Thread) CheckSignals() {
	t.takes()
	t.c.CheckSignals()
}

func (j *Job) fill(r *Request) {
	h, q := r.Head, &j.rq
	q.Head = r.Number
	q.Conn = r.Conn
	q.Tmpl = r.Template
	q.Method, q.Target, q.Path = span(h.Method), span(h.Target), span(h.Path)
	q.Query, q.Host = span(h.Query), span(h.Host)
	q.ScriptName, q.ServerName, q.ServerPort = span(r.ScriptName), span(r.ServerName), span(r.ServerPort)
	q.FD = int32(r.FD)
	q.Block, q.BodyFD = 0, -1
	q.NHeaders = uint32(len(h.Headers))
	q.Minor = h.Minor
	q.Flags = 0
	q.RemotePort = uint16(r.RemotePort)
	q.RemoteLen = uint32(copy(q.Remote[:], r.RemoteAddr))
	q.ProxyLen = uint32(copy(q.Proxy[:], r.Proxy))
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
		q.ContentLength = r.BodyLen
		q.BodyFD = int32(r.BodyFD)
	case BodyBlock:
		q.Flags |= cpy.BodyBlock | cpy.LengthKnown
		q.ContentLength = r.BodyLen
		q.Block, r.Block = r.Block, 0
	case BodyStream:
		q.Flags |= cpy.BodyStream
	}
}

func span(s httpparse.Span) cpy.Span { return cpy.Span(s) }

// Unhold gives back the object behind a Piece that was taken over.
func Unhold(token uintptr) { cpy.Unhold(token) }

// UnholdWaiting tells whether some thread should call Tidy soon.
func UnholdWaiting() bool { return cpy.UnholdWaiting() }

// Take makes the caller the owner of the object behind p, whose bytes then stay until Unhold.
func Take(p *Piece) uintptr {
	h := p.Owned
	p.Owned = 0
	return h
}
