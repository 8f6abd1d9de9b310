//go:build race || asan || gowsgi_rules

package rules

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// On tells whether rules are checked.
const On = true

var (
	hasGIL atomic.Pointer[func() bool]
	// threads has a *held per Python thread. Others migrate between OS threads with a lock.
	threads sync.Map
)

// held is how many locks of ours a thread has.
type held struct{ all, short int }

// SetGIL sets the function that tells whether the calling OS thread has the GIL.
func SetGIL(f func() bool) { hasGIL.Store(&f) }

func gil() bool {
	f := hasGIL.Load()
	return f != nil && (*f)()
}

// Waits is called before anything that may wait, with what for.
func Waits(what string) {
	if gil() {
		panic("rules: about to wait (" + what + ") with the GIL")
	}
	if n, ok := threads.Load(thread()); ok && n.(*held).short != 0 {
		panic("rules: about to wait (" + what + ") with a Short in hand")
	}
}

// Takes is called before the GIL is taken by a thread that may not have it; marked: the monitor sees the call.
func Takes(marked bool) {
	if gil() {
		return // it has it
	}
	if !marked {
		panic("rules: the GIL is taken outside a call that the monitor sees")
	}
	if n, ok := threads.Load(thread()); ok && n.(*held).all != 0 {
		panic(fmt.Sprintf("rules: the GIL is taken with %d locks of ours in hand", n.(*held).all))
	}
}

// Python says that the calling OS thread runs Python, and is its goroutine's until the result is called.
func Python() (end func()) {
	id := thread()
	threads.Store(id, new(held))
	return func() { threads.Delete(id) }
}

// Mutex is a lock of ours whose holder may wait: who has the GIL must find it free, or only try.
type Mutex struct{ m sync.Mutex }

// Lock locks m.
func (m *Mutex) Lock() {
	if !m.m.TryLock() {
		Waits("for a lock")
		m.m.Lock()
	}
	count(1, 0)
}

// TryLock locks m if nobody has it.
func (m *Mutex) TryLock() bool {
	if !m.m.TryLock() {
		return false
	}
	count(1, 0)
	return true
}

// Unlock unlocks m.
func (m *Mutex) Unlock() {
	count(-1, 0)
	m.m.Unlock()
}

// Short is a lock of ours whose holder never waits, and lets go of it after a few instructions.
type Short struct{ m sync.Mutex }

// Lock locks m.
func (m *Short) Lock() {
	m.m.Lock()
	count(1, 1)
}

// Unlock unlocks m.
func (m *Short) Unlock() {
	count(-1, -1)
	m.m.Unlock()
}

func count(all, short int) {
	if n, ok := threads.Load(thread()); ok {
		h := n.(*held)
		h.all += all
		h.short += short
	}
}
