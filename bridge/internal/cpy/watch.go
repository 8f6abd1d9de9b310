package cpy

/*
#include "shim.h"
#cgo nocallback gw_watch_poke
#cgo nocallback gw_watch_this_thread
*/
import "C"

import (
	"errors"
	"sync/atomic"
	"time"
	"unsafe"
)

// Bits of a watched word; GW_WATCH_* in shim.h.
const (
	WatchInCall  = C.GW_WATCH_IN_CALL
	WatchLeads   = C.GW_WATCH_LEADS
	WatchPending = C.GW_WATCH_PENDING
	WatchStep    = C.GW_WATCH_STEP
)

// Watch is what the monitor shares with Go, in C memory.
type Watch struct {
	Words   []atomic.Uint64
	Credit  *atomic.Int32
	Ticking *atomic.Uint32
}

var blocked func(thread int, word uint64)

// StartWatch starts the monitor. fn is called on it, once for each call that has lasted a tick and leads or has output
// pending.
func StartWatch(n int, tick time.Duration, credit int, fn func(thread int, word uint64)) (*Watch, error) {
	blocked = fn
	w := C.gw_watch_start(C.int(n), C.uint64_t(tick.Nanoseconds()), C.int(credit))
	if w == nil {
		return nil, errors.New("the monitor thread cannot be started")
	}
	return &Watch{
		Words:   unsafe.Slice((*atomic.Uint64)(unsafe.Pointer(w.words)), n),
		Credit:  (*atomic.Int32)(unsafe.Pointer(&w.credit)),
		Ticking: (*atomic.Uint32)(unsafe.Pointer(&w.ticking)),
	}, nil
}

// Poke wakes a sleeping monitor.
func (w *Watch) Poke() { C.gw_watch_poke() }

// ThisThread says that word i is the calling thread's, so that the monitor can tell whether its calls use CPU.
func (w *Watch) ThisThread(i int) { C.gw_watch_this_thread(C.int(i)) }

// Stop ends the monitor.
func (w *Watch) Stop() { C.gw_watch_stop() }
