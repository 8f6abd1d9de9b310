package bridge

import (
	"sync/atomic"

	"github.com/gowsgi/gowsgi/bridge/internal/cpy"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/rules"
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
	Proxy      string // of a PROXY header: "TCP4 192.0.2.1 443", its protocol and the proxy's address and port if known

	// Spans into Arena that replace the template's values; empty ones do not.
	ScriptName, ServerName, ServerPort httpparse.Span

	Body    BodyKind
	Memory  []byte
	BodyFD  int
	Block   Block
	BodyLen int64
}

// Responder is what a running request may ask for while the app runs: the calls up from C. They come on the request's
// thread, or on any other Python thread of the app; never after the request has ended.
//
// With the GIL, which is when wait is false, none of them may wait, for a lock, a disk or the client: then they do nothing
// and say Again, and are called once more without the GIL.
type Responder interface {
	// Write sends data from the write callable; the first call sends the head of res too. It waits until the client has taken
	// enough of it. WriteOK, Again, WriteGone or WriteTooMuch.
	Write(res *Response, data []byte, wait bool) WriteResult
	// Read reads body bytes; a Read… constant if there are none.
	Read(dst []byte, wait bool) int64
	// EarlyHints sends a 103 with these lines. WriteOK, Again or WriteGone.
	EarlyHints(lines []byte, wait bool) WriteResult
	// SocketTaken gives the app the raw socket, and with it input behind the request: no further request on this connection.
	// A descriptor of the caller's, SocketOver, SocketAgain, or an errno less than 0.
	SocketTaken(wait bool) (fd int)
	// Upgrade makes a WebSocket of the request: its number, see AddWebSocket, or WSAgain or WSRefused.
	Upgrade(ask UpgradeRequest, wait bool) int64
	// Ready says that the job, suspended, is to be resumed, as its wait has ended. local: on its thread. With the GIL; must not
	// wait.
	Ready(local bool)
	// Over ends the waits of the others: the request has ended while one of these calls is under way. Any goroutine; must
	// not wait.
	Over()
}

// WriteResult is what Responder.Write returns.
type WriteResult int

// Results of Responder.Write.
const (
	WriteOK      WriteResult = 0
	Again        WriteResult = 2
	WriteGone    WriteResult = -1
	WriteTooMuch WriteResult = -2
)

// Results of Responder.SocketTaken besides a descriptor.
const (
	SocketOver  = -1 // the request is over
	SocketAgain = -2
)

// Results of Responder.Read besides a count of bytes; 0 is the end of the body.
const (
	ReadNothing  = -1 // nothing there now
	ReadGone     = -2 // the client left before the end
	ReadOver     = -3 // the request is over
	ReadStalled  = -4 // it sent nothing for too long
	ReadBadFrame = -5 // bad framing, or over the limit
)

// Job is a request while it runs. C and the app's objects know it by index and gen; a call that comes late, from any thread,
// finds another gen and gets told so.
type Job struct {
	index uint32
	c     *cpy.Job
	rq    cpy.Request // reused; a field, so that no request allocates one
	last  uint64      // gen of the last request

	up   atomic.Int32  // calls that are up, or look whether they may
	gen  atomic.Uint64 // 0: no request
	who  Responder     // written while gen is 0 and nobody is up
	left chan struct{} // somebody was the last to leave; may say so for nothing
}

// jobs are all that were ever made, by index; those that no thread has are in free.
var (
	jobs   atomic.Pointer[[]*Job]
	jobsMu rules.Short
	free   []*Job
)

var newC = cpy.NewJob // replaced by tests

// newJob takes a free job, or makes one if there is memory.
func newJob() (*Job, error) {
	jobsMu.Lock()
	defer jobsMu.Unlock()
	if n := len(free); n > 0 {
		j := free[n-1]
		free = free[:n-1]
		return j, nil
	}
	var all []*Job
	if old := jobs.Load(); old != nil {
		all = *old
	}
	c, err := newC(uint32(len(all)))
	if err != nil {
		return nil, err
	}
	j := &Job{index: uint32(len(all)), c: c, left: make(chan struct{}, 1)}
	all = append(all, j) // in place if there is room: who has the old, shorter list does not look there
	jobs.Store(&all)
	return j, nil
}

func freeJob(j *Job) {
	jobsMu.Lock()
	free = append(free, j)
	jobsMu.Unlock()
}

// begin gives the next request its number on this job.
func (j *Job) begin(who Responder) (gen uint64) {
	j.last++
	j.who = who
	j.gen.Store(j.last)
	return j.last
}

// Response is that of the request it is, valid until the next.
func (j *Job) Response() *Response { return j.c.Response }

// Busy reports that the request is over and calls of other threads are up: Settle has to follow before anything of it is used
// again.
func (j *Job) Busy() bool { return j != nil && j.up.Load() != 0 }

// Settle ends the waits of those calls and lets the threads leave. Without the GIL, which they may want, and marked as a
// call that blocks.
func (j *Job) Settle() {
	if j.who != nil { // else it was settled before, and who came since is only being refused
		j.who.Over()
	}
	for j.up.Load() != 0 {
		rules.Waits("for another thread of the application to leave its request")
		<-j.left
	}
	j.who = nil
}

// enter returns who answers for the job, and how to leave; nil when the request is over.
func enter(index uint32, gen uint64) (Responder, *Job) {
	j := (*jobs.Load())[index]
	j.up.Add(1)
	if j.gen.Load() != gen {
		j.leave()
		return nil, nil
	}
	return j.who, j
}

func (j *Job) leave() {
	if j.up.Add(-1) == 0 && j.gen.Load() == 0 {
		select {
		case j.left <- struct{}{}:
		default:
		}
	}
}

type upcalls struct{}

func (upcalls) Write(job uint32, gen uint64, res *cpy.Response, data []byte, wait bool) int {
	who, j := enter(job, gen)
	if j == nil {
		return int(WriteGone)
	}
	defer j.leave()
	return int(who.Write(res, data, wait))
}

func (upcalls) Read(job uint32, gen uint64, dst []byte, wait bool) int64 {
	who, j := enter(job, gen)
	if j == nil {
		return ReadOver
	}
	defer j.leave()
	return who.Read(dst, wait)
}

func (upcalls) EarlyHints(job uint32, gen uint64, lines []byte, wait bool) int {
	who, j := enter(job, gen)
	if j == nil {
		return int(WriteGone)
	}
	defer j.leave()
	return int(who.EarlyHints(lines, wait))
}

func (upcalls) SocketTaken(job uint32, gen uint64, wait bool) int {
	who, j := enter(job, gen)
	if j == nil {
		return SocketOver
	}
	defer j.leave()
	return who.SocketTaken(wait)
}

func (upcalls) Ready(job uint32, gen uint64, local bool) {
	if who, j := enter(job, gen); j != nil {
		defer j.leave()
		who.Ready(local)
	}
}

func init() {
	cpy.Up = upcalls{}
	rules.SetGIL(cpy.HoldsGIL)
}
