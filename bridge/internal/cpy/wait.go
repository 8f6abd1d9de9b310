package cpy

/*
#include <semaphore.h>
#include "shim.h"
#cgo nocallback sem_wake

static void sem_wake(uintptr_t sem) { sem_post((sem_t *)sem); }
*/
import "C"

import (
	"sync/atomic"
	"unsafe"
)

// How a wait has ended; GW_WAIT_* in shim.h.
const (
	WaitWoken    = C.GW_WAIT_WOKEN
	WaitTimeout  = C.GW_WAIT_TIMEOUT
	WaitGone     = C.GW_WAIT_GONE
	WaitStopping = C.GW_WAIT_STOPPING
	WaitFD       = C.GW_WAIT_FD

	waits    = C.GW_WAITS
	waitBits = C.GW_WAIT_BITS
)

// Wait is gw_wait, in C memory: what a suspended job waits for.
type Wait struct {
	word       atomic.Uint64
	Timeout    int64 // ns; negative: none
	FD, Events int32 // FD -1: none
	Client     int32 // not 0: it ends if the client goes
	got        int32
}

// Number is that of the wait that is on, or was the last.
func (w *Wait) Number() uint64 { return w.word.Load() >> waitBits }

// End ends the wait of this number; false: it is over. got: with WaitFD, events or a negative errno. Any goroutine.
func (w *Wait) End(number uint64, how int, got int32) bool {
	if !w.word.CompareAndSwap(number<<waitBits|waits, number<<waitBits|uint64(how)) {
		return false
	}
	w.got = got // before the job is resumed, which the caller sees to
	return true
}

// Post wakes the OS thread. Any goroutine, while it waits.
func (w *WSWaiter) Post() { C.sem_wake(C.uintptr_t(w.sem)) }

// cWait is the size of gw_wait and the places of its fields, in Go and in C, for the test.
func cWait() map[string][2]uintptr {
	var w Wait
	var c C.gw_wait
	return map[string][2]uintptr{
		"wait":        {unsafe.Sizeof(w), unsafe.Sizeof(c)},
		"wait.events": {unsafe.Offsetof(w.Events), unsafe.Offsetof(c.events)},
		"wait.client": {unsafe.Offsetof(w.Client), unsafe.Offsetof(c.client)},
		"wait.got":    {unsafe.Offsetof(w.got), unsafe.Offsetof(c.got)},
	}
}
