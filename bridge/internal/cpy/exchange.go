package cpy

// Requests and answers over ZeroMQ, for programs that are handlers of Mongrel2: the calls up.

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"time"
	"unsafe"
)

// Results of the calls about an exchange; GW_M2_* in shim.h.
const (
	M2OK          = C.GW_M2_OK
	M2Nothing     = C.GW_M2_NOTHING
	M2Over        = C.GW_M2_OVER
	M2Interrupted = C.GW_M2_INTERRUPTED
	M2Outdated    = C.GW_M2_OUTDATED
)

// Results of gwgo_m2_lead that are no descriptor; GW_M2_LEAD_* in shim.h.
const (
	M2LeadWoken   = C.GW_M2_LEAD_WOKEN
	M2LeadFollows = C.GW_M2_LEAD_FOLLOWS
)

// Awaited is what is waited for; GW_M2_AWAIT_* in shim.h.
type Awaited int

// What there is to wait for.
const (
	AwaitRequest Awaited = C.GW_M2_AWAIT_REQUEST
	AwaitRoom    Awaited = C.GW_M2_AWAIT_ROOM
	AwaitLeft    Awaited = C.GW_M2_AWAIT_LEFT
)

// Exchanges is set before anything can call it, by bridge.
var Exchanges interface {
	Open(options string) (uint64, error)
	Epoch(number uint64) uint64
	Take(number uint64) (data []byte, epoch uint64, result int)
	Send(number uint64, data []byte, epoch uint64) int
	Await(number uint64, what Awaited, w WSWaiter, leads bool) uint64
	Lead(number, waiter uint64) int
	Forget(number, waiter uint64) bool
	Pass(number uint64)
	Interrupt(number uint64)
	Shutdown(number uint64, limit time.Duration)
	Close(number uint64, linger time.Duration)
}

//export gwgo_m2_open
func gwgo_m2_open(options *C.char, n C.size_t, err *C.char, errlen C.size_t) C.uint64_t {
	defer guard()
	number, e := Exchanges.Open(C.GoStringN(options, C.int(n)))
	if e != nil {
		out := unsafe.Slice((*byte)(unsafe.Pointer(err)), errlen)
		out[copy(out[:errlen-1], e.Error())] = 0
	}
	return C.uint64_t(number)
}

//export gwgo_m2_epoch
func gwgo_m2_epoch(x C.uint64_t) C.uint64_t {
	defer guard()
	return C.uint64_t(Exchanges.Epoch(uint64(x)))
}

//export gwgo_m2_take
func gwgo_m2_take(x C.uint64_t, buf *C.char, room C.size_t, m *C.gw_ws_message, epoch *C.uint64_t) C.int {
	defer guard()
	data, since, result := Exchanges.Take(uint64(x))
	if result != M2OK {
		return C.int(result)
	}
	*epoch = C.uint64_t(since)
	m.len, m.data = C.size_t(len(data)), buf
	if len(data) > int(room) {
		m.data = (*C.char)(C.malloc(C.size_t(len(data))))
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(m.data)), len(data)), data)
	return M2OK
}

//export gwgo_m2_send
func gwgo_m2_send(x C.uint64_t, data *C.char, n C.size_t, epoch C.uint64_t) C.int {
	defer guard()
	return C.int(Exchanges.Send(uint64(x), unsafe.Slice((*byte)(unsafe.Pointer(data)), n), uint64(epoch)))
}

//export gwgo_m2_await
func gwgo_m2_await(x C.uint64_t, what C.int, w *C.gw_ws_waiter, leads C.int) C.uint64_t {
	defer guard()
	return C.uint64_t(Exchanges.Await(uint64(x), Awaited(what),
		WSWaiter{uint64(w.gen), uint64(w.number), uintptr(w.sem), uint32(w.job), int32(w.thread)}, leads != 0))
}

//export gwgo_m2_lead
func gwgo_m2_lead(x, waiter C.uint64_t) C.int {
	defer guard()
	return C.int(Exchanges.Lead(uint64(x), uint64(waiter)))
}

//export gwgo_m2_forget
func gwgo_m2_forget(x, waiter C.uint64_t) C.int {
	defer guard()
	return cbool(Exchanges.Forget(uint64(x), uint64(waiter)))
}

//export gwgo_m2_pass
func gwgo_m2_pass(x C.uint64_t) {
	defer guard()
	Exchanges.Pass(uint64(x))
}

//export gwgo_m2_interrupt
func gwgo_m2_interrupt(x C.uint64_t) {
	defer guard()
	Exchanges.Interrupt(uint64(x))
}

//export gwgo_m2_shutdown
func gwgo_m2_shutdown(x C.uint64_t, ns C.int64_t) {
	defer guard()
	Exchanges.Shutdown(uint64(x), time.Duration(ns))
}

//export gwgo_m2_close
func gwgo_m2_close(x C.uint64_t, ns C.int64_t) {
	defer guard()
	Exchanges.Close(uint64(x), time.Duration(ns))
}
