package cpy

// The calls up from C: a few lines each, to whoever set Up. Each runs on the Python thread that calls it, with the GIL
// held or not as shim.h says; a panic must not unwind through C, so it ends the process with its trace.

/*
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"
	"unsafe"
)

// Upcalls is what the shim needs from Go. See the gwgo_ prototypes in shim.h for the results.
type Upcalls interface {
	Write(job uint32, gen uint64, res *Response, data []byte, wait bool) int
	Read(job uint32, gen uint64, dst []byte, wait bool) int64
	EarlyHints(job uint32, gen uint64, lines []byte, wait bool) int
	SocketTaken(job uint32, gen uint64, wait bool) int
	Ready(job uint32, gen uint64, local bool)
	Upgrade(job uint32, gen uint64, ask WSAsk, wait bool) int64
}

// Later is what spawn, schedule and cancel_fd need from Go.
type Later interface {
	Spawn(call uintptr, thread int)
	Timer(timer uintptr, after time.Duration, thread int, daemon bool) uint64
	CancelTimer(number uint64) bool
	CancelFD(fd int) int
	NoGreenlets()
	Resolve(host string, family int, waiter uintptr)
}

// Entry is what the native module's functions need from Go.
type Entry interface {
	Main(argv []string, saved State) int
	Run(app uintptr, options string, saved State) (int, error)
	Stop(timeout float64)
	// ReopenLogs goes on in files of the logs' names; returns at once.
	ReopenLogs()
	Signal(signum int) (interrupt bool)
}

// Up, Aside and Module are set before anything can call them, by bridge, internal/aside and internal/server.
var (
	Up     Upcalls
	Aside  Later
	Module Entry
)

func guard() {
	if r := recover(); r != nil {
		fmt.Fprintf(os.Stderr, "gowsgi: internal error: %v\n%s", r, debug.Stack())
		os.Exit(70)
	}
}

//export gwgo_write
func gwgo_write(job C.uint32_t, gen C.uint64_t, res *C.gw_response, ptr *C.char, n C.size_t, wait C.int) C.int {
	defer guard()
	data := unsafe.Slice((*byte)(unsafe.Pointer(ptr)), n)
	return C.int(Up.Write(uint32(job), uint64(gen), (*Response)(unsafe.Pointer(res)), data, wait != 0))
}

//export gwgo_read
func gwgo_read(job C.uint32_t, gen C.uint64_t, dst *C.char, n C.size_t, wait C.int) C.int64_t {
	defer guard()
	return C.int64_t(Up.Read(uint32(job), uint64(gen), unsafe.Slice((*byte)(unsafe.Pointer(dst)), n), wait != 0))
}

//export gwgo_early_hints
func gwgo_early_hints(job C.uint32_t, gen C.uint64_t, lines *C.char, n C.size_t, wait C.int) C.int {
	defer guard()
	return C.int(Up.EarlyHints(uint32(job), uint64(gen), unsafe.Slice((*byte)(unsafe.Pointer(lines)), n), wait != 0))
}

//export gwgo_socket_taken
func gwgo_socket_taken(job C.uint32_t, gen C.uint64_t, wait C.int) C.int {
	defer guard()
	return C.int(Up.SocketTaken(uint32(job), uint64(gen), wait != 0))
}

//export gwgo_ready
func gwgo_ready(job C.uint32_t, gen C.uint64_t, local C.int) {
	defer guard()
	Up.Ready(uint32(job), uint64(gen), local != 0)
}

//export gwgo_spawn
func gwgo_spawn(call *C.PyObject, thread C.int) {
	defer guard()
	Aside.Spawn(uintptr(unsafe.Pointer(call)), int(thread))
}

//export gwgo_timer
func gwgo_timer(timer *C.PyObject, ns C.int64_t, thread, daemon C.int) C.uint64_t {
	defer guard()
	return C.uint64_t(Aside.Timer(uintptr(unsafe.Pointer(timer)), time.Duration(ns), int(thread), daemon != 0))
}

//export gwgo_timer_cancel
func gwgo_timer_cancel(number C.uint64_t) C.int {
	defer guard()
	return cbool(Aside.CancelTimer(uint64(number)))
}

//export gwgo_cancel_fd
func gwgo_cancel_fd(fd C.int) C.int {
	defer guard()
	return C.int(Aside.CancelFD(int(fd)))
}

//export gwgo_resolve
func gwgo_resolve(host *C.char, n C.size_t, family C.int, waiter *C.PyObject) {
	defer guard()
	Aside.Resolve(C.GoStringN(host, C.int(n)), int(family), uintptr(unsafe.Pointer(waiter)))
}

//export gwgo_no_greenlets
func gwgo_no_greenlets() {
	defer guard()
	Aside.NoGreenlets()
}

//export gwgo_call_blocked
func gwgo_call_blocked(thread C.int, word C.uint64_t) {
	defer guard()
	blocked(int(thread), uint64(word))
}

//export gwgo_main
func gwgo_main(argv *C.char, n C.size_t, saved *C.PyThreadState) C.int {
	defer guard()
	var args []string
	if n > 0 {
		args = strings.Split(strings.TrimSuffix(C.GoStringN(argv, C.int(n)), "\x00"), "\x00")
	}
	return C.int(Module.Main(args, State(unsafe.Pointer(saved))))
}

//export gwgo_run
func gwgo_run(app *C.PyObject, options *C.char, n C.size_t, saved *C.PyThreadState, err *C.char, errlen C.size_t) C.int {
	defer guard()
	code, e := Module.Run(uintptr(unsafe.Pointer(app)), C.GoStringN(options, C.int(n)), State(unsafe.Pointer(saved)))
	if e != nil {
		out := unsafe.Slice((*byte)(unsafe.Pointer(err)), errlen)
		out[copy(out[:errlen-1], e.Error())] = 0
	}
	return C.int(code)
}

//export gwgo_stop
func gwgo_stop(timeout C.double) {
	defer guard()
	Module.Stop(float64(timeout))
}

//export gwgo_reopen_logs
func gwgo_reopen_logs() {
	defer guard()
	Module.ReopenLogs()
}

//export gwgo_signal
func gwgo_signal(signum C.int) C.int {
	defer guard()
	return cbool(Module.Signal(int(signum)))
}
