package cpy

// WebSockets: the calls up, and how an OS thread that waits is woken.

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import "unsafe"

// Results of the calls about a WebSocket; GW_WS_* in shim.h.
const (
	WSOK      = C.GW_WS_OK
	WSNothing = C.GW_WS_NOTHING
	WSAgain   = C.GW_WS_AGAIN
	WSClosed  = C.GW_WS_CLOSED
	WSRefused = C.GW_WS_REFUSED
)

// WSAsk is gw_ws_ask.
type WSAsk struct{ Key, Protocol, Extensions, Lines []byte }

// WSWaiter is gw_ws_waiter: a wait of a suspended job, or, Gen 0, an OS thread.
type WSWaiter struct {
	Gen, Number uint64
	sem         uintptr
	Job         uint32
	Thread      int32
}

// WSState is gw_ws_state.
type WSState struct {
	Closed bool
	Code   int
	Reason string
}

// WebSockets is what the application does with those that are open. See the gwgo_ws_ prototypes in shim.h.
type WebSockets interface {
	Take(ws uint64, wait bool) (data []byte, binary bool, result int)
	Await(ws uint64, room bool, w WSWaiter) (waiter uint64)
	Forget(ws, waiter uint64)
	Send(ws uint64, opcode byte, data []byte, wait bool) int
	Close(ws uint64, code int, reason string)
	State(ws uint64) WSState
	Drop(ws uint64)
}

// Sockets is set before anything can call it, by bridge.
var Sockets WebSockets

//export gwgo_ws_open
func gwgo_ws_open(job C.uint32_t, gen C.uint64_t, ask *C.gw_ws_ask, wait C.int) C.int64_t {
	defer guard()
	var texts [4][]byte
	p := unsafe.Pointer(ask.text)
	for i := range texts {
		texts[i] = unsafe.Slice((*byte)(p), ask.len[i])
		p = unsafe.Add(p, ask.len[i])
	}
	return C.int64_t(Up.Upgrade(uint32(job), uint64(gen), WSAsk{texts[0], texts[1], texts[2], texts[3]}, wait != 0))
}

//export gwgo_ws_take
func gwgo_ws_take(ws C.uint64_t, buf *C.char, room C.size_t, m *C.gw_ws_message, wait C.int) C.int {
	defer guard()
	data, binary, result := Sockets.Take(uint64(ws), wait != 0)
	if result != WSOK {
		return C.int(result)
	}
	m.binary, m.len, m.data = cbool(binary), C.size_t(len(data)), buf
	if len(data) > int(room) {
		m.data = (*C.char)(C.malloc(C.size_t(len(data))))
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(m.data)), len(data)), data)
	return WSOK
}

//export gwgo_ws_await
func gwgo_ws_await(ws C.uint64_t, room C.int, w *C.gw_ws_waiter) C.uint64_t {
	defer guard()
	return C.uint64_t(Sockets.Await(uint64(ws), room != 0,
		WSWaiter{uint64(w.gen), uint64(w.number), uintptr(w.sem), uint32(w.job), int32(w.thread)}))
}

//export gwgo_ws_forget
func gwgo_ws_forget(ws, waiter C.uint64_t) {
	defer guard()
	Sockets.Forget(uint64(ws), uint64(waiter))
}

//export gwgo_ws_send
func gwgo_ws_send(ws C.uint64_t, opcode C.int, data *C.char, n C.size_t, wait C.int) C.int {
	defer guard()
	return C.int(Sockets.Send(uint64(ws), byte(opcode), unsafe.Slice((*byte)(unsafe.Pointer(data)), n), wait != 0))
}

//export gwgo_ws_close
func gwgo_ws_close(ws C.uint64_t, code C.int, reason *C.char, n C.size_t) {
	defer guard()
	Sockets.Close(uint64(ws), int(code), C.GoStringN(reason, C.int(n)))
}

//export gwgo_ws_state
func gwgo_ws_state(ws C.uint64_t, state *C.gw_ws_state) {
	defer guard()
	s := Sockets.State(uint64(ws))
	state.closed, state.code = cbool(s.Closed), C.int32_t(s.Code)
	reason := unsafe.Slice((*byte)(unsafe.Pointer(&state.reason[0])), len(state.reason))
	state.reason_len = C.uint32_t(copy(reason, s.Reason))
}

//export gwgo_ws_drop
func gwgo_ws_drop(ws C.uint64_t) {
	defer guard()
	Sockets.Drop(uint64(ws))
}
