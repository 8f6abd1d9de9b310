package cpy

/*
#include "shim.h"
#cgo nocallback gw_utc_offset
*/
import "C"

import "sync/atomic"

// What Go counts for the module's stats(); GW_TALLY_* in shim.h.
const (
	TallyRefused            = C.GW_TALLY_REFUSED   // requests that the server has refused
	TallyResponsesUnspooled = C.GW_TALLY_RESPONSES // responses that found no room in temporary files
	TallyBodiesUnspooled    = C.GW_TALLY_BODIES    // request bodies of which that is true

	TallyWebSockets  = C.GW_TALLY_WS_OPEN // those that are open
	TallyMessagesIn  = C.GW_TALLY_WS_MESSAGES_IN
	TallyMessagesOut = C.GW_TALLY_WS_MESSAGES_OUT
	TallyBytesIn     = C.GW_TALLY_WS_BYTES_IN
	TallyBytesOut    = C.GW_TALLY_WS_BYTES_OUT

	tallyStopping = C.GW_TALLY_STOPPING
)

// Tally adds one to a counter. Any goroutine.
func Tally(which int) { atomic.AddUint64((*uint64)(&C.gw_tally[which]), 1) }

// TallyAdd adds n, which may be negative. Any goroutine.
func TallyAdd(which int, n int64) { atomic.AddUint64((*uint64)(&C.gw_tally[which]), uint64(n)) }

// SetStopping says whether the server is stopping, or will soon. Any goroutine.
func SetStopping(on bool) {
	value := uint64(0)
	if on {
		value = 1
	}
	atomic.StoreUint64((*uint64)(&C.gw_tally[tallyStopping]), value)
}

// SetRequestIDs says whether requests have an X-Request-Id, which is for the error log. Before the first request.
func SetRequestIDs(on bool) { C.gw_request_ids = cbool(on) }

// UTCOffset is libc's, which is Python's: seconds east of UTC.
func UTCOffset(unix int64) int { return int(C.gw_utc_offset(C.int64_t(unix))) }
