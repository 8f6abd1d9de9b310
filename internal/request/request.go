package request

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/accesslog"
	"github.com/gowsgi/gowsgi/internal/aside"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/inflight"
	"github.com/gowsgi/gowsgi/internal/rules"
)

// Service is what the requests of a server have in common.
type Service struct {
	Log       *slog.Logger
	Access    *accesslog.Writer // nil: no access log
	Format    *accesslog.Format // nil: JSON
	Templates []bridge.Template // by number
	Clock     func() int64      // monotonic, ns
	Aside     *aside.Hub        // where suspended requests are

	Running *inflight.Table // what a master reads when the process has died; nil: there is none
	Now     func() int64    // Clock as of the last look at it

	Identifies bool // each request has an X-Request-Id

	Most  int64  // requests that the application is to have; 0: there is no such number
	Last  func() // called by the thread that begins the last one
	begun atomic.Int64
}

// Local is what a thread keeps from one request to the next.
type Local struct {
	line   []byte
	record accesslog.Record
}

// Request is one request in flight. It may be used again for another after Reset.
type Request struct {
	Req     bridge.Request // for the application
	Client  Client
	Service *Service
	At      time.Time // of the complete head; only with an access log

	since int64 // when it was begun; only with Service.Running

	parked aside.Parked
	long   bool // the response goes on after its first blocks
	ending ending

	// The response, under mu while the application runs.
	mu     rules.Mutex
	status int
	head   bool  // Client has got the head
	noBody bool  // HEAD, 204, 304: whatever the application gives
	left   int64 // of the declared Content-Length; -1: none
	sent   int64 // body bytes
	excess bool

	hijacked atomic.Bool // the application has the socket
	upgraded atomic.Bool // it is a WebSocket
	received int64       // bytes that came on that, or on the socket; -1: not counted
}

// ending is why the application's iterable is closed before its end.
type ending uint8

const (
	notEnding ending = iota
	enough           // nobody wants more
	cutOff           // the client is gone
)

// Reset makes r ready for the next request.
func (r *Request) Reset() {
	r.long, r.ending = false, notEnding
	r.status, r.sent, r.left, r.received = 0, 0, -1, -1
	r.head, r.noBody, r.excess = false, false, false
	if r.hijacked.Load() {
		r.hijacked.Store(false)
	}
	if r.Upgraded() {
		r.upgraded.Store(false)
	}
}

// Status is that of the response, 0 as long as there is none.
func (r *Request) Status() int { return r.status }

// Sent is how many body bytes the client has been given. On the request's thread.
func (r *Request) Sent() int64 { return r.sent }

// HeadSent reports whether the client has got the head of the response.
func (r *Request) HeadSent() bool { return r.head }

// Exact reports that nothing is missing of the length that was promised. On the request's thread.
func (r *Request) Exact() bool { return r.left <= 0 }

// Hijacked reports whether the application has the socket.
func (r *Request) Hijacked() bool { return r.hijacked.Load() }

// Upgraded reports whether the request has become a WebSocket.
func (r *Request) Upgraded() bool { return r.upgraded.Load() }

// Run calls the application and gives its response to the client. On return nobody else has r; or, not done, it is suspended:
// it goes on by Client.Resume, later on the same thread.
func (r *Request) Run(t *crew.Thread, local *Local) (done bool) {
	var step bridge.Step
	var res *bridge.Response
	if s := r.Service; s.Most > 0 && s.begun.Add(1) == s.Most {
		s.Last()
	}
	if r.Service.Running != nil {
		r.since = r.Service.Now()
		r.enters(t)
	}
	r.parked.On(r.Service.Aside, t, r.Client)
	t.Blocking(func() { step, res = t.Py.Call(&r.Req, r) })
	done = r.proceed(t, local, step, res)
	if r.Service.Running != nil {
		r.leaves(t, done)
	}
	return done
}

// GoOn goes on with it when its wait is over. As Run.
func (r *Request) GoOn(t *crew.Thread, local *Local) (done bool) {
	var step bridge.Step
	table := r.Service.Running
	if table != nil {
		table.Suspended(-1)
		r.enters(t)
	}
	res := t.Py.Job().Response()
	t.Blocking(func() { step = t.Py.Resume() })
	done = r.proceed(t, local, step, res)
	if table != nil {
		r.leaves(t, done)
	}
	return done
}

// ClientGone ends the wait of a suspended request that wants to know of it. Any goroutine, while the client knows r suspended.
func (r *Request) ClientGone() { r.parked.Gone() }

// proceed does what has to be done with a step.
func (r *Request) proceed(t *crew.Thread, local *Local, step bridge.Step, res *bridge.Response) (done bool) {
	if step != bridge.More && step != bridge.Suspended {
		r.settle(t)
	}
	if r.Upgraded() {
		if step = r.leave(t, step, res); step == bridge.Suspended {
			r.Client.Suspended(r.parked.Park().Client)
			return false
		}
	} else if step == bridge.End && r.ending == notEnding && res.Flags&(bridge.Sized|bridge.Written) == bridge.Sized {
		r.whole(t, res)
	} else if step = r.steps(t, step, res); step == bridge.Suspended {
		r.Client.Suspended(r.parked.Park().Client)
		return false
	}
	if r.Service.Access != nil {
		r.logAccess(t, local, res)
	}
	return true
}

// settle is called when the application has answered: what it does on other threads is called off.
func (r *Request) settle(t *crew.Thread) {
	if job := t.Py.Job(); job.Busy() {
		t.Py.Pause()
		t.Blocking(job.Settle)
	}
}

// begin settles what the response is. total is its body's size, -1 if nobody knows. It may be done again until head is set.
func (r *Request) begin(res *bridge.Response, total int64) (length int64, body bool) {
	r.status = int(res.Status)
	r.noBody = r.Req.Head.HeadMethod || r.status == 204 || r.status == 304 || r.status < 200
	r.left = res.ContentLength
	switch {
	case r.status == 101:
		r.left, r.noBody = -1, false // what follows is another protocol
	case r.noBody, r.left >= 0:
	case total >= 0:
		r.left = total
	}
	return r.left, !r.noBody
}

// start gives the client the head.
func (r *Request) start(res *bridge.Response, total int64) {
	length, body := r.begin(res, total)
	r.head = true
	r.Client.Head(res, length, body)
}

// whole gives the client a response all of whose blocks are here: nearly all of them.
func (r *Request) whole(t *crew.Thread, res *bridge.Response) {
	pieces := res.Pieces()
	r.start(res, size(pieces))
	pieces, total := r.within(pieces)
	r.Client.Body(pieces, total, true)
	if r.Client.Full() && !r.drain(t) { // there is no room for it in a file
		r.Client.Cut()
		return
	}
	r.end()
}

// drain waits until the client has taken enough.
func (r *Request) drain(t *crew.Thread) (ok bool) {
	t.Py.Release()
	t.Blocking(func() { ok = r.Client.Drain() })
	return ok
}

func size(pieces []bridge.Piece) (total int64) {
	for i := range pieces {
		total += int64(pieces[i].Len)
	}
	return total
}

// within is what of these blocks belongs to the body, and counts it.
func (r *Request) within(pieces []bridge.Piece) ([]bridge.Piece, int64) {
	total := size(pieces)
	switch {
	case r.noBody:
		return nil, 0
	case r.left >= 0 && total > r.left:
		r.excess = true
		total = r.left
		rest := r.left
		for i := range pieces {
			if int64(pieces[i].Len) >= rest {
				pieces[i].Len = uintptr(rest)
				pieces = pieces[:i+1]
				break
			}
			rest -= int64(pieces[i].Len)
		}
	}
	r.sent += total
	if r.left >= 0 {
		r.left -= total
	}
	return pieces, total
}

// steps gives the client a response that comes block by block. Suspended, or whatever it ended with.
func (r *Request) steps(t *crew.Thread, step bridge.Step, res *bridge.Response) bridge.Step {
	var turn crew.Turn
	for first := !r.long; step == bridge.More && !r.Upgraded(); first = false {
		if !first && !r.long {
			r.long = true
			r.Client.Long()
		}
		sent, full, ok := r.blocks(t, res)
		if ok && r.Client.Full() {
			ok = r.drain(t)
		}
		if !ok || full {
			r.ending = enough
			if !ok {
				r.ending = cutOff
			}
			t.Blocking(func() { step = t.Py.Abandon() })
			break
		}
		if turn.Lasts(sent, r.Service.Clock) {
			r.Client.Turn()
		}
		t.Blocking(func() { step = t.Py.Next() })
	}
	if step == bridge.Suspended {
		return step
	}
	if step != bridge.More {
		r.settle(t)
	}
	if r.Upgraded() { // between two of its blocks
		return r.leave(t, step, res)
	}
	if r.ending == cutOff {
		r.Client.Cut()
		return step
	}
	switch step {
	case bridge.End:
		if !r.head {
			r.start(res, 0)
		}
		pieces, total := r.within(res.Pieces())
		if r.Client.Body(pieces, total, true) {
			r.end()
		} else {
			r.Client.Cut()
		}
	case bridge.File:
		r.file(res)
	case bridge.Failed:
		if r.head {
			r.Client.Cut()
		} else {
			r.status, r.head = 500, true
			r.sent = r.Client.Error(500)
		}
	case bridge.Hijacked:
		if !r.head {
			r.status = 101 // for the log: what it has answered only the application knows
		}
		r.received, r.sent = r.Client.Close()
	}
	return step
}

// leave goes on with the application of a WebSocket to its end: what it returns goes nowhere. Suspended, or whatever it ended with.
func (r *Request) leave(t *crew.Thread, step bridge.Step, res *bridge.Response) bridge.Step {
	for step == bridge.More {
		t.Blocking(func() { step = t.Py.Next() })
		if step != bridge.More && step != bridge.Suspended {
			r.settle(t)
		}
	}
	switch step {
	case bridge.Suspended:
		return step
	case bridge.File:
		r.Client.File(int(res.FileFD), res.FileOff, 0, bridge.Finish(res.Finish), res.Flags&bridge.Loose != 0)
	}
	t.Py.Release()
	r.received, r.sent = r.Client.Leave(step == bridge.Failed)
	return step
}

// nobodyWantsMore tells that the response is complete, whatever the application may still have (PEP 3333, "Handling the
// Content-Length Header": stop iterating), or that there is no body to be had. With r.mu.
func (r *Request) nobodyWantsMore() bool { return r.head && (r.noBody || r.left == 0) }

// bodiless tells of a response that has not begun that there will be no body, whatever its blocks.
func (r *Request) bodiless(res *bridge.Response) bool {
	return res.Flags&bridge.HasHead != 0 &&
		(r.Req.Head.HeadMethod || res.Status == 204 || res.Status == 304 || res.ContentLength == 0)
}

// blocks gives the client the blocks of one step; there may be none. sent: how many bytes; enough: nobody wants more. Not ok:
// the client is gone.
func (r *Request) blocks(t *crew.Thread, res *bridge.Response) (sent int64, enough, ok bool) {
	pieces := res.Pieces()
	if len(pieces) == 0 && r.Client.Gone() { // else Body tells
		return 0, false, false
	}
	// With the GIL, which the step has left us, nobody begins a write(): the lock, a thirtieth of a generator's small block, is
	// wanted only if one is under way without. (The race detector knows no GIL.)
	if rules.On || t.Py.Job().Busy() {
		if !r.mu.TryLock() {
			if len(pieces) == 0 {
				return 0, false, true
			}
			t.Py.Pause()
			t.Blocking(r.mu.Lock)
		}
		defer r.mu.Unlock()
	}
	if r.Upgraded() { // just now, by another thread
		return 0, false, true
	}
	if len(pieces) == 0 { // an empty block is no reason to begin
		return 0, r.nobodyWantsMore() || !r.head && r.bodiless(res), true
	}
	if !r.head {
		r.start(res, res.Total)
	}
	pieces, sent = r.within(pieces)
	enough = r.nobodyWantsMore()
	ok = r.Client.Body(pieces, sent, false)
	return sent, enough, ok
}

// file gives the client a body that is a file.
func (r *Request) file(res *bridge.Response) {
	n := res.FileLen
	if r.Req.Head.HeadMethod && res.ContentLength < 0 {
		res.ContentLength = n
	}
	r.start(res, n)
	if r.left >= 0 && n > r.left {
		n = r.left
	}
	if r.noBody {
		n = 0
	} else {
		r.sent += n
		r.left -= n
	}
	r.Client.File(int(res.FileFD), res.FileOff, n, bridge.Finish(res.Finish), res.Flags&bridge.Loose != 0)
	r.end()
}

// end checks a response that the application has completed.
func (r *Request) end() {
	switch {
	case r.excess:
		r.Service.Log.Error("the application sent more than its Content-Length; the rest was cut off", r.About()...)
	case r.left > 0 && !r.noBody:
		r.Service.Log.Error("the application sent less than its Content-Length; the connection is closed",
			append(r.About(), "missing", r.left)...)
		r.Client.Close()
	}
}

// Line is "METHOD target" for the error log.
func (r *Request) Line() string {
	h, a := r.Req.Head, r.Req.Arena
	return string(h.Method.In(a)) + " " + string(h.Target.In(a))
}

// IDField is the field that names a request, where each has a name.
const IDField = "X-Request-Id"

// ID is the request's name; nil if requests have none.
func (r *Request) ID() []byte {
	if !r.Service.Identifies || r.Req.Arena == nil {
		return nil
	}
	id, _ := requestFields{r}.Lookup(IDField)
	return id
}

// About is what records of the error log say of the request, as support_late.py does it.
func (r *Request) About() []any {
	a := []any{"request", r.Line()}
	if r.Req.RemoteAddr != "" {
		a = append(a, "client", r.Req.RemoteAddr)
	}
	if id := r.ID(); len(id) > 0 {
		a = append(a, "id", string(id))
	}
	return a
}
