package bridge

import (
	"sync"

	"github.com/gowsgi/gowsgi/bridge/internal/cpy"
	"github.com/gowsgi/gowsgi/httpparse"
)

// BodyKind says where the request body is.
type BodyKind uint8

// Kinds of bodies.
const (
	BodyNone   BodyKind = iota
	BodyMemory          // Request.Memory, all of it
	BodyFile            // Request.BodyFD, which the bridge closes, Request.FileLen bytes
	BodyStream          // read through Responder.Read as the app asks
)

// ConnState is what Python knows of one connection; 0 is nothing yet. Give it to DropConn when the connection ends.
type ConnState uintptr

// DropConn ends the Python side of a connection. Any goroutine.
func DropConn(c ConnState) { cpy.DropConn(uintptr(c)) }

// Request is one request on its way into Python. Everything it points to is only read during Thread.Call.
type Request struct {
	Head       *httpparse.Request
	Arena      []byte // what Head's spans point into
	Template   uint32
	HasHost    bool
	FD         int
	Conn       ConnState // of the connection's last request; Call sets it
	RemoteAddr string
	RemotePort int

	// Spans into Arena that replace the template's values; empty ones do not.
	ScriptName, ServerPort httpparse.Span

	Body    BodyKind
	Memory  []byte
	BodyFD  int
	FileLen int64
}

// Responder is what a running request may ask for while the app runs: the calls up from C. They come on the request's
// thread, or on any other Python thread of the app; never after the request has ended.
type Responder interface {
	// Write sends data from the write callable; the first call sends the head of res too. WriteOK, WriteWait (call Drain
	// without the GIL), WriteGone or WriteTooMuch. With the GIL; must not wait.
	Write(res *Response, data []byte) WriteResult
	// Drain waits until the client has taken enough; false if it is gone or stalled. Without the GIL.
	Drain() bool
	// Read reads body bytes; a Read… constant if there are none. It may wait only if wait is true, then without the GIL.
	Read(dst []byte, wait bool) int64
	// EarlyHints sends a 103 with these lines. With the GIL.
	EarlyHints(lines []byte)
	// SocketTaken says that the app has the raw socket: no further request on this connection.
	SocketTaken()
}

// WriteResult is what Responder.Write returns.
type WriteResult int

// Results of Responder.Write.
const (
	WriteOK      WriteResult = 0
	WriteWait    WriteResult = 1
	WriteGone    WriteResult = -1
	WriteTooMuch WriteResult = -2
)

// Results of Responder.Read besides a count of bytes; 0 is the end of the body.
const (
	ReadNothing  = -1 // nothing there now
	ReadGone     = -2 // the client left before the end
	ReadOver     = -3 // the request is over
	ReadStalled  = -4 // it sent nothing for too long
	ReadBadFrame = -5 // bad framing, or over the limit
)

// Job is the running request of a thread. C and the app's objects know it by index and gen; a call that comes late, from
// any thread, finds another gen and gets told so.
type Job struct {
	index uint32

	mu  sync.RWMutex // held for reading while a call is up; end waits for those
	gen uint64
	who Responder
}

func (j *Job) begin(gen uint64, who Responder) {
	j.mu.Lock()
	j.gen, j.who = gen, who
	j.mu.Unlock()
}

func (j *Job) end() {
	j.mu.Lock()
	j.gen, j.who = 0, nil
	j.mu.Unlock()
}

// enter returns who answers for the job, and how to leave; nil when the request is over.
func enter(index uint32, gen uint64) (Responder, *Job) {
	threads.RLock()
	j := &threads.all[index].job
	threads.RUnlock()
	j.mu.RLock()
	if j.gen != gen {
		j.mu.RUnlock()
		return nil, nil
	}
	return j.who, j
}

type upcalls struct{}

func (upcalls) Write(job uint32, gen uint64, res *cpy.Response, data []byte) int {
	who, j := enter(job, gen)
	if j == nil {
		return int(WriteGone)
	}
	defer j.mu.RUnlock()
	return int(who.Write(res, data))
}

func (upcalls) Drain(job uint32, gen uint64) int {
	who, j := enter(job, gen)
	if j == nil {
		return -1
	}
	defer j.mu.RUnlock()
	if !who.Drain() {
		return -1
	}
	return 0
}

func (upcalls) Read(job uint32, gen uint64, dst []byte, wait bool) int64 {
	who, j := enter(job, gen)
	if j == nil {
		return ReadOver
	}
	defer j.mu.RUnlock()
	return who.Read(dst, wait)
}

func (upcalls) EarlyHints(job uint32, gen uint64, lines []byte) int {
	who, j := enter(job, gen)
	if j == nil {
		return -1
	}
	defer j.mu.RUnlock()
	who.EarlyHints(lines)
	return 0
}

func (upcalls) SocketTaken(job uint32, gen uint64) {
	if who, j := enter(job, gen); j != nil {
		who.SocketTaken()
		j.mu.RUnlock()
	}
}

func init() { cpy.Up = upcalls{} }
