//go:build race

package crew

import (
	"runtime"
	"unsafe"
)

// The race detector takes no notice of atomics in C memory, where the threads' words are. What a thread has done before it
// published a call comes before what is done by whoever sees that: told here. (Entering C tells it, too, but the monitor
// may see a call that has begun and is not in C yet.)

func (t *Thread) publishes() { runtime.RaceReleaseMerge(unsafe.Pointer(t)) }

func (t *Thread) seen() { runtime.RaceAcquire(unsafe.Pointer(t)) }
