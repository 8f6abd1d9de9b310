// Package cpy is the only place with C and cgo: Go's calls into the shim, and the shim's calls up into Go. shim.h is its
// manual; the Go declarations below mirror the C structs field by field, and layout_test.go compares them.
package cpy

/*
#cgo CFLAGS: -std=gnu11 -O2 -Wall -Wextra -Wno-unused-parameter -Werror=implicit -fvisibility=hidden
#cgo LDFLAGS: -ldl -lpthread
#cgo noescape gw_call
#cgo nocallback unhold
#cgo nocallback drop
#cgo nocallback gw_unhold_waiting
#cgo nocallback gw_conn_drop
#cgo nocallback body_new
#cgo nocallback body_grow
#cgo nocallback gw_body_free
#cgo nocallback gw_body_charge
#include <stdlib.h>
#include "shim.h"
#include "embed.h"
void gw_app_set(PyObject *app);

// Python's pointers are numbers in Go: the garbage collector and vet have no business with them.
static void app_set(uintptr_t app) { gw_app_set((PyObject *)app); }
static gw_thread *thread_attach(int index, uintptr_t saved) { return gw_thread_attach(index, (PyThreadState *)saved); }
static void finish(gw_thread *t, uintptr_t owned) { gw_finish(t, (PyObject *)owned); }
static uintptr_t body_new(size_t n) { return (uintptr_t)gw_body_new(n); }
static uintptr_t body_grow(uintptr_t b, size_t n, size_t want) { return (uintptr_t)gw_body_grow((gw_body *)b, n, want); }
static int next(uintptr_t t) { return gw_next((gw_thread *)t); }
static int spawn(gw_thread *t, gw_job *j, uint64_t gen, uintptr_t call) { return gw_spawn(t, j, gen, (PyObject *)call); }
static void answer(uintptr_t waiter, int code, const char *text) { gw_answer((PyObject *)waiter, code, text); }
static void call_apart(uintptr_t later) { gw_call_apart((PyObject *)later); }
static int timer_run(gw_thread *t, gw_job *j, uint64_t gen, uintptr_t timer) {
	return gw_timer_run(t, j, gen, (PyObject *)timer);
}
static void unhold(uintptr_t owned) { gw_unhold((PyObject *)owned); }
static void drop(uintptr_t owned) { gw_drop((PyObject *)owned); }
*/
import "C"

import (
	_ "embed"
	"errors"
	"sync/atomic"
	"unsafe"
)

//go:embed support.py
var supportSource string

//go:embed support_late.py
var lateSource string

// Span is a run of bytes in the request arena; the layout of httpparse.Span.
type Span struct{ Off, Len uint32 }

// Flags of a Request; GW_REQ_* in shim.h.
const (
	HasHost     = C.GW_REQ_HAS_HOST
	BodyFile    = C.GW_REQ_BODY_FILE
	BodyStream  = C.GW_REQ_BODY_STREAM
	BodyMemory  = C.GW_REQ_BODY_MEMORY
	LengthKnown = C.GW_REQ_LENGTH_KNOWN
	BodyBlock   = C.GW_REQ_BODY_BLOCK
)

// Request is gw_request. It holds no Go pointer.
type Request struct {
	Gen                                uint64
	Head                               uint64
	Conn                               uint32
	Tmpl                               uint32
	Method, Target, Path, Query, Host  Span
	ScriptName, ServerName, ServerPort Span
	ContentLength                      int64
	Block                              Block
	BodyFD                             int32
	FD                                 int32
	NHeaders                           uint32
	RemotePort                         uint16
	Minor                              uint8
	Flags                              uint8
	RemoteLen                          uint32
	Remote                             [64]byte
	ProxyLen                           uint32
	Proxy                              [64]byte
}

// Piece is gw_piece: Ptr and Len are the bytes, Owned the object they belong to.
type Piece struct {
	Ptr   unsafe.Pointer
	Len   uintptr
	Owned uintptr
}

// Bytes returns the block, in Python's memory.
func (p *Piece) Bytes() []byte { return unsafe.Slice((*byte)(p.Ptr), p.Len) }

// Flags of a Response; GW_RES_* in shim.h.
const (
	Started = C.GW_RES_STARTED
	Date    = C.GW_RES_DATE
	Server  = C.GW_RES_SERVER
	Close   = C.GW_RES_CLOSE
	Written = C.GW_RES_WRITTEN
	Sized   = C.GW_RES_SIZED
	Loose   = C.GW_RES_LOOSE
)

// Response is gw_response, in C memory.
type Response struct {
	Status        int32
	Flags         uint32
	ContentLength int64
	Total         int64
	statusLine    unsafe.Pointer
	statusLineLen uint32
	headLen       uint32
	head          unsafe.Pointer
	pieces        unsafe.Pointer
	npieces       uint32
	FileFD        int32
	FileOff       int64
	FileLen       int64
	Finish        uintptr
}

// StatusLine is the first line of the response, in C memory.
func (r *Response) StatusLine() []byte { return unsafe.Slice((*byte)(r.statusLine), r.statusLineLen) }

// Head is the block of checked header lines, in C memory.
func (r *Response) Head() []byte { return unsafe.Slice((*byte)(r.head), r.headLen) }

// Pieces are the blocks of this step, in C memory.
func (r *Response) Pieces() []Piece { return unsafe.Slice((*Piece)(r.pieces), r.npieces) }

// Sizes of the mirrored structs as C sees them, for the test.
func cSizes() (request, piece, response uintptr) {
	return C.sizeof_gw_request, C.sizeof_gw_piece, C.sizeof_gw_response
}

// cOffsets are places of fields, in Go and in C, where an error of order or padding would show.
func cOffsets() map[string][2]uintptr {
	var rq Request
	var rs Response
	var crq C.gw_request
	var crs C.gw_response
	return map[string][2]uintptr{
		"head":           {unsafe.Offsetof(rq.Head), unsafe.Offsetof(crq.head)},
		"method":         {unsafe.Offsetof(rq.Method), unsafe.Offsetof(crq.method)},
		"host":           {unsafe.Offsetof(rq.Host), unsafe.Offsetof(crq.host)},
		"server_name":    {unsafe.Offsetof(rq.ServerName), unsafe.Offsetof(crq.server_name)},
		"server_port":    {unsafe.Offsetof(rq.ServerPort), unsafe.Offsetof(crq.server_port)},
		"content_length": {unsafe.Offsetof(rq.ContentLength), unsafe.Offsetof(crq.content_length)},
		"body_block":     {unsafe.Offsetof(rq.Block), unsafe.Offsetof(crq.body_block)},
		"body_fd":        {unsafe.Offsetof(rq.BodyFD), unsafe.Offsetof(crq.body_fd)},
		"fd":             {unsafe.Offsetof(rq.FD), unsafe.Offsetof(crq.fd)},
		"nheaders":       {unsafe.Offsetof(rq.NHeaders), unsafe.Offsetof(crq.nheaders)},
		"remote_port":    {unsafe.Offsetof(rq.RemotePort), unsafe.Offsetof(crq.remote_port)},
		"flags":          {unsafe.Offsetof(rq.Flags), unsafe.Offsetof(crq.flags)},
		"remote":         {unsafe.Offsetof(rq.Remote), unsafe.Offsetof(crq.remote)},
		"proxy":          {unsafe.Offsetof(rq.Proxy), unsafe.Offsetof(crq.proxy)},
		"res.length":     {unsafe.Offsetof(rs.ContentLength), unsafe.Offsetof(crs.content_length)},
		"res.total":      {unsafe.Offsetof(rs.Total), unsafe.Offsetof(crs.total)},
		"res.head":       {unsafe.Offsetof(rs.head), unsafe.Offsetof(crs.head)},
		"res.npieces":    {unsafe.Offsetof(rs.npieces), unsafe.Offsetof(crs.npieces)},
		"res.file_off":   {unsafe.Offsetof(rs.FileOff), unsafe.Offsetof(crs.file_off)},
		"res.finish":     {unsafe.Offsetof(rs.Finish), unsafe.Offsetof(crs.finish)},
	}
}

// What Call and Next return.
const (
	More      = C.GW_MORE
	End       = C.GW_END
	File      = C.GW_FILE
	Failed    = C.GW_FAILED
	Hijack    = C.GW_HIJACK
	Suspended = C.GW_SUSPENDED
)

// Thread is a Python thread: one OS thread with one thread state.
type Thread struct{ p *C.gw_thread }

// Job is gw_job: a request while it runs.
type Job struct {
	p        *C.gw_job
	Response *Response // in C memory
	Wait     *Wait     // the same
}

// NewJob makes a job for ever.
func NewJob(index uint32) (*Job, error) {
	p := C.gw_job_new(C.uint32_t(index))
	if p == nil {
		return nil, errors.New("no memory for a request")
	}
	return &Job{p, (*Response)(unsafe.Pointer(C.gw_job_response(p))), (*Wait)(unsafe.Pointer(C.gw_job_wait(p)))}, nil
}

// MaySuspend says whether what runs on the thread may suspend: Go has a job for what comes next.
func (t *Thread) MaySuspend(on bool) {
	may := C.int(0)
	if on {
		may = 1
	}
	C.gw_thread_may_suspend(t.p, may)
}

// State is a saved PyThreadState, 0 for none.
type State = uintptr

// MainState is the state of Python's main thread, as Start left it.
func MainState() State { return State(unsafe.Pointer(C.gw_embed_main_state())) }

// Setup runs the support module. Once; more calls do nothing.
func Setup() error {
	var msg [2048]byte
	s, late := C.CString(supportSource), C.CString(lateSource)
	defer C.free(unsafe.Pointer(s))
	defer C.free(unsafe.Pointer(late))
	if C.gw_interp_setup(s, late, (*C.char)(unsafe.Pointer(&msg[0])), C.size_t(len(msg))) != 0 {
		return errors.New(text(msg[:]))
	}
	return nil
}

// ToldError is a mistake of the user that the support module put into one sentence.
type ToldError struct{ Text string }

func (e *ToldError) Error() string { return e.Text }

// Support calls a function of the support module.
func Support(function, arg string) (string, error) {
	var out [8192]byte
	f, a := C.CString(function), C.CString(arg)
	defer C.free(unsafe.Pointer(f))
	defer C.free(unsafe.Pointer(a))
	rc := C.gw_support_call(f, a, C.size_t(len(arg)), (*C.char)(unsafe.Pointer(&out[0])), C.size_t(len(out)))
	s := text(out[:])
	switch rc {
	case 0:
		return s, nil
	case 1:
		return "", &ToldError{s}
	}
	return "", errors.New(s)
}

func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// AddTemplate adds an environ template and returns its index.
func AddTemplate(name, port, software, scheme string, multithread, multiprocess bool) (uint32, error) {
	var msg [256]byte
	cs := [...]*C.char{C.CString(name), C.CString(port), C.CString(software), C.CString(scheme)}
	for _, s := range cs {
		defer C.free(unsafe.Pointer(s))
	}
	n := C.gw_template_add(cs[0], cs[1], cs[2], cbool(multithread), cbool(multiprocess), cs[3],
		(*C.char)(unsafe.Pointer(&msg[0])), C.size_t(len(msg)))
	if n < 0 {
		return 0, errors.New(text(msg[:]))
	}
	return uint32(n), nil
}

// DropTemplate gives a template back.
func DropTemplate(index uint32) { C.gw_template_drop(C.int(index)) }

func cbool(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// SignalOurs marks the numbers that TakeSignals' handler writes.
const SignalOurs = C.GW_SIGNAL_OURS

// SignalPoked and SignalPokeOver enclose the echo of PokeMain.
const (
	SignalPoked    = C.GW_SIGNAL_POKED
	SignalPokeOver = C.GW_SIGNAL_POKE_OVER
)

// TakeSignals puts the server's handler in front of Python's, and GiveSignals puts that one back; see embed.h.
func TakeSignals(fd int, everything bool) { C.gw_signals_take(C.int(fd), cbool(everything)) }

// PokeMain ends a wait of the main thread.
func PokeMain() { C.gw_signals_poke() }

// GiveSignals undoes TakeSignals.
func GiveSignals() { C.gw_signals_give() }

// Forked reports whether a child may have duplicates of the process's descriptors.
func Forked() bool { return atomic.LoadInt32((*int32)(&C.gw_forked)) != 0 }

// SetSendfile says whether files behind wsgi.file_wrapper are left to the reactor. Before the first request.
func SetSendfile(on bool) { C.gw_sendfile = cbool(on) }

// SetApp sets the application to a Python object, or lets go of it with 0.
func SetApp(app uintptr) { C.app_set(C.uintptr_t(app)) }

// NewThread makes the calling, locked OS thread a Python thread. saved: the state it has already, else 0.
func NewThread(index int, saved State) (*Thread, error) {
	p := C.thread_attach(C.int(index), C.uintptr_t(saved))
	if p == nil {
		return nil, errors.New("no memory for a Python thread")
	}
	return &Thread{p}, nil
}

// Detach ends it.
func (t *Thread) Detach() { C.gw_thread_detach(t.p) }

// Call runs the app for one request as j. headers points to rq.NHeaders httpparse.Header values.
func (t *Thread) Call(j *Job, rq *Request, arena []byte, headers unsafe.Pointer, body []byte) int {
	return int(C.gw_call(t.p, j.p, (*C.gw_request)(unsafe.Pointer(rq)), (*C.char)(unsafe.Pointer(unsafe.SliceData(arena))),
		(*C.gw_header)(headers), (*C.char)(unsafe.Pointer(unsafe.SliceData(body)))))
}

// Next goes on with the iterable of the thread's job after More. A number, not a pointer: that cgo looks at those is a
// hundredth of a generator's small block.
func (t *Thread) Next() int { return int(C.next(C.uintptr_t(uintptr(unsafe.Pointer(t.p))))) }

// Abandon closes the iterable after More.
func (t *Thread) Abandon() int { return int(C.gw_abandon(t.p)) }

// Resume goes on with the thread's job after Suspended.
func (t *Thread) Resume() int { return int(C.gw_resume(t.p)) }

// Spawn calls what the tuple call, which is owned by the callee, says, as the job j. TimerRun: what a Timer does.
func (t *Thread) Spawn(j *Job, gen uint64, call uintptr) int {
	return int(C.spawn(t.p, j.p, C.uint64_t(gen), C.uintptr_t(call)))
}

// CallApart calls it on this OS thread, where there are no greenlets.
func CallApart(later uintptr) { C.call_apart(C.uintptr_t(later)) }

// Answer wakes a Waiter, which is the callee's, with (code, text).
func Answer(waiter uintptr, code int, text string) {
	s := C.CString(text)
	defer C.free(unsafe.Pointer(s))
	C.answer(C.uintptr_t(waiter), C.int(code), s)
}

// ParkedOver ends the waits of the server's OS threads from now on, or allows them. It returns how many waited.
func ParkedOver(on bool) int {
	is := C.int(0)
	if on {
		is = 1
	}
	return int(C.gw_parked_over(is))
}

// Heartbeat calls the module's heartbeat, if it has one, with the GIL. On an OS thread that does not have it.
func Heartbeat() { C.gw_heartbeat() }

// Parked is how many of the server's OS threads wait in a Waiter of the application's.
func Parked() int { return int(C.gw_parked_count()) }

// Greenlets reports whether there are any.
func Greenlets() bool { return C.gw_green_there() != 0 }

// TimerRun is Spawn of what a Timer calls.
func (t *Thread) TimerRun(j *Job, gen uint64, timer uintptr) int {
	return int(C.timer_run(t.p, j.p, C.uint64_t(gen), C.uintptr_t(timer)))
}

// TakeUp makes j the thread's job again.
func (t *Thread) TakeUp(j *Job) { C.gw_take_up(t.p, j.p) }

// Finish closes what File left.
func (t *Thread) Finish(owned uintptr) { C.finish(t.p, C.uintptr_t(owned)) }

// Release lets go of the last pieces, and of the GIL, if t has it.
func (t *Thread) Release() { C.gw_release(t.p) }

// Pause lets go of the GIL, which t has.
func (t *Thread) Pause() { C.gw_pause(t.p) }

// Tidy lets go of objects that were handed in.
func (t *Thread) Tidy() { C.gw_tidy(t.p) }

// HasGIL tells whether t has the GIL.
func (t *Thread) HasGIL() bool { return C.gw_thread_has_gil(t.p) != 0 }

// CheckSignals runs pending Python signal handlers; main thread only.
func (t *Thread) CheckSignals() { C.gw_check_signals(t.p) }

// Unhold gives back a piece's object.
func Unhold(owned uintptr) { C.unhold(C.uintptr_t(owned)) }

// Drop gives back an object that is no piece's.
func Drop(owned uintptr) { C.drop(C.uintptr_t(owned)) }

// DropConn ends the Python side of a connection.
func DropConn(conn uint32) { C.gw_conn_drop(C.uint32_t(conn)) }

// HoldsGIL tells whether the calling OS thread has the GIL, whoever it is.
func HoldsGIL() bool { return C.gw_holds_gil() != 0 }

// Block is memory of C's for the body of a request, see gw_body in shim.h; 0 is none. Any goroutine.
type Block uintptr

// NewBlock reserves one for n bytes; none if memory is short.
func NewBlock(n int) Block { return Block(C.body_new(C.size_t(n))) }

func (b Block) head() *C.gw_body { return (*C.gw_body)(unsafe.Pointer(b)) }

// Bytes is all of it. What nobody has written yet may be anything.
func (b Block) Bytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(b+C.GW_BODY_HEAD)), b.head().cap)
}

// Grow makes it larger, for want bytes, and keeps the first n; the old one is gone. None if memory is short, and then the
// old one stays.
func (b Block) Grow(n, want int) Block {
	return Block(C.body_grow(C.uintptr_t(b), C.size_t(n), C.size_t(want)))
}

// Free gives it back; at most n bytes were written.
func (b Block) Free(n int) { C.gw_body_free(b.head(), C.size_t(n)) }

// Charge counts it with n bytes; false if that is more than before, and all blocks together would come to more than limit.
func (b Block) Charge(n int, limit int64) bool {
	return C.gw_body_charge(b.head(), C.size_t(n), C.int64_t(limit)) == 0
}

// Charged is what it counts.
func (b Block) Charged() int { return int(b.head().charged) }

// Committed is how much of it has memory behind it from earlier use.
func (b Block) Committed() int { return int(b.head().committed) }

// BlocksCharged is what all blocks count.
func BlocksCharged() int64 { return int64(C.gw_body_used()) }

// UnholdWaiting tells whether objects wait for a thread with the GIL.
func UnholdWaiting() bool { return C.gw_unhold_waiting() != 0 }

// headerKey is the environ key of a field name, as the cache of shim_fields.c gives it; for tests.
func headerKey(name []byte) (string, bool) {
	out := make([]byte, len(name)+16)
	n := C.gw_header_key_text((*C.char)(unsafe.Pointer(unsafe.SliceData(name))), C.size_t(len(name)),
		(*C.char)(unsafe.Pointer(&out[0])), C.size_t(len(out)))
	if n < 0 {
		return "", false
	}
	return string(out[:n]), true
}

// headerKeysMade is how many keys of field names were not in the cache; for tests.
func headerKeysMade() int64 { return int64(C.gw_header_keys_made()) }

// Counters are the live native objects, in the order of GW_CNT_*.
func Counters() (c [C.GW_CNT_N]int64) {
	C.gw_counters((*C.int64_t)(unsafe.Pointer(&c[0])))
	return c
}
