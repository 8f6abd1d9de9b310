package bridge

import (
	"sync/atomic"
	"time"

	"github.com/gowsgi/gowsgi/bridge/internal/cpy"
	"github.com/gowsgi/gowsgi/httpparse"
)

// BodyKind says where the request body is.
type BodyKind uint8

// Kinds of bodies.
const (
	BodyNone   BodyKind = iota
	BodyMemory          // Request.Memory, all of it
	BodyFile            // Request.BodyFD, which the bridge closes, Request.BodyLen bytes
	BodyBlock           // Request.Block, whose first Request.BodyLen bytes it is; the bridge's once Thread.Call was called
	BodyStream          // read through Responder.Read as the app asks
)

// Block is memory for a body, see cpy.Block; NewBlock reserves some, BlocksCharged is what all together count.
type Block = cpy.Block

var (
	NewBlock      = cpy.NewBlock
	BlocksCharged = cpy.BlocksCharged
)

// DropConn ends the Python side of the connection of this number, if there is one. Any goroutine.
func DropConn(conn uint32) { cpy.DropConn(conn) }

// Request is one request on its way into Python. Everything it points to is only read during Thread.Call.
type Request struct {
	Head       *httpparse.Request
	Arena      []byte // what Head's spans point into
	Number     uint64 // of the head: requests of one connection with the same number have the same head; 0: not known
	Template   uint32
	HasHost    bool
	FD         int
	Conn       uint32 // number of the connection, which no other one of the process has
	RemoteAddr string
	RemotePort int

	// Spans into Arena that replace the template's values; empty ones do not.
	ScriptName, ServerPort httpparse.Span

	Body    BodyKind
	Memory  []byte
	BodyFD  int
	Block   Block
	BodyLen int64
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
	last  uint64 // gen of the last request

	up  atomic.Int32  // calls that are up, or look whether they may
	gen atomic.Uint64 // 0: no request
	who Responder     // written while gen is 0 and nobody is up
}

// begin gives the next request its number, which no other has, on whatever thread.
func (j *Job) begin(who Responder) (gen uint64) {
	j.last += 1 << 16
	gen = j.last | uint64(j.index)&0xffff
	j.who = who
	j.gen.Store(gen)
	return gen
}

// end waits for the calls that are up: they may use what belongs to the request.
func (j *Job) end() {
	j.gen.Store(0)
	for pause := time.Microsecond; j.up.Load() != 0; pause = min(2*pause, time.Millisecond) {
		time.Sleep(pause) // another thread of the app reads the body, say
	}
	j.who = nil
}

// enter returns who answers for the job, and how to leave; nil when the request is over.
func enter(index uint32, gen uint64) (Responder, *Job) {
	j := &(*threads.Load())[index].job
	j.up.Add(1)
	if j.gen.Load() != gen {
		j.leave()
		return nil, nil
	}
	return j.who, j
}

func (j *Job) leave() { j.up.Add(-1) }

type upcalls struct{}

func (upcalls) Write(job uint32, gen uint64, res *cpy.Response, data []byte) int {
	who, j := enter(job, gen)
	if j == nil {
		return int(WriteGone)
	}
	defer j.leave()
	return int(who.Write(res, data))
}

func (upcalls) Drain(job uint32, gen uint64) int {
	who, j := enter(job, gen)
	if j == nil {
		return -1
	}
	defer j.leave()
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
	defer j.leave()
	return who.Read(dst, wait)
}

func (upcalls) EarlyHints(job uint32, gen uint64, lines []byte) int {
	who, j := enter(job, gen)
	if j == nil {
		return -1
	}
	defer j.leave()
	who.EarlyHints(lines)
	return 0
}

func (upcalls) SocketTaken(job uint32, gen uint64) {
	if who, j := enter(job, gen); j != nil {
		who.SocketTaken()
		j.leave()
	}
}

func init() { cpy.Up = upcalls{} }
