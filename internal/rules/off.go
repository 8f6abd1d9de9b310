//go:build !race && !asan && !gowsgi_rules

package rules

import "sync"

// On tells whether rules are checked.
const On = false

// Mutex is a lock of ours whose holder may wait: who has the GIL must find it free, or only try. Short is one whose holder
// never waits, and lets go of it after a few instructions.
type (
	Mutex = sync.Mutex
	Short = sync.Mutex
)

// SetGIL sets the function that tells whether the calling OS thread has the GIL.
func SetGIL(func() bool) {}

// Waits is called before anything that may wait, with what for.
func Waits(string) {}

// Takes is called before the GIL is taken by a thread that may not have it; marked: the monitor sees the call.
func Takes(bool) {}

// Python says that the calling OS thread runs Python, and is its goroutine's until the result is called.
func Python() (end func()) { return func() {} }
