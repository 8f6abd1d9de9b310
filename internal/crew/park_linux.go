package crew

import (
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// parker lets one thread wait for a token, which any thread gives. The thread waits in the kernel, by futex: through a
// channel Go's scheduler needs a second thread to find out that the first, which is locked to its goroutine, must go on
// (two more context switches for each request that a pool runs).
type parker struct{ state atomic.Uint32 }

const (
	parkerEmpty = iota
	parkerToken
	parkerWaiting

	futexWaitPrivate = 0 | 128 // linux/futex.h
	futexWakePrivate = 1 | 128
)

func newParker() *parker { return &parker{} }

// wait takes the token.
func (p *parker) wait() {
	for {
		if p.state.CompareAndSwap(parkerToken, parkerEmpty) {
			return
		}
		if p.state.CompareAndSwap(parkerEmpty, parkerWaiting) || p.state.Load() == parkerWaiting {
			// A signal, or a token meanwhile, ends it at once.
			_, _, _ = syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&p.state)), futexWaitPrivate,
				parkerWaiting, 0, 0, 0)
		}
	}
}

// give gives the token, if there is none.
func (p *parker) give() {
	if p.state.Swap(parkerToken) == parkerWaiting {
		_, _, _ = syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&p.state)), futexWakePrivate, 1, 0, 0, 0)
	}
}

// pause waits for pauseFor and what the kernel needs to switch to another thread and back.
func pause() {
	t := unix.Timespec{Nsec: int64(pauseFor)}
	_ = unix.Nanosleep(&t, nil)
}

// threadCPU is the CPU time of the calling thread in ns.
func threadCPU() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return t.Nano()
}
