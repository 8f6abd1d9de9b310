package bridge

import "github.com/gowsgi/gowsgi/bridge/internal/cpy"

// Watch is the monitor: it looks once a tick at a word per Python thread for calls that last longer. See shim_watch.c.
type Watch = cpy.Watch

// Bits of a watched word: the thread is in a call into Python; it leads; it has output that waits for more. The rest
// counts calls, by WatchStep.
const (
	WatchInCall  uint64 = cpy.WatchInCall
	WatchLeads   uint64 = cpy.WatchLeads
	WatchPending uint64 = cpy.WatchPending
	WatchStep    uint64 = cpy.WatchStep
)

// StartWatch starts the monitor; one at a time in a process.
var StartWatch = cpy.StartWatch
