// Package crew is who runs what: the Python threads of the server, the standby, which of them leads, what waits for whom,
// and the monitor's word on it. It knows no HTTP and no bytes: its host (internal/h1) has the reactor and the requests.
//
// A task is anything a Python thread can be asked to do: a new request, the rest of a suspended one, a close(), a signal
// handler. Post gives it to any thread, PostTo to a certain one.
//
// One state per thread, changed only under Crew.mu:
//
//	idle -> asked -> running -> idle        it was given a task
//	idle -> asked -> leading -> running …   it was given the lead; it runs tasks without the queue, until it is deposed
//	idle -> asked -> running                it was told to look round: for pinned tasks, or objects to be let go of
//
// A thread that is asked was taken off the idle list in the same critical section, and with it what it was asked for: work
// and the lead are given to nobody else, so neither can wait for a thread that is busy. Everything a thread does is
// running: its state says only whether others may count on it.
//
// Exactly one thread leads at any time, or nobody for as long as it takes to find the next: only the leader may call the
// host's Turn and Wait. A call that has lasted a tick takes the lead from its thread (deposed, by the monitor: monitor.go);
// a task that has lasted gives it up itself (GiveUpLead). The next leader is an idle thread where blocking is rare, else
// the standby, which never runs Python: it keeps the lead until calls are short again (standby.go).
//
// Blocking is the only way to do what may wait, Python above all: it marks the call for the monitor. In builds for tests
// the rules are checked (internal/rules).
package crew
