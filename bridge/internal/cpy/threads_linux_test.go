package cpy

import (
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// onCPU runs f in an OS thread of its own, on one CPU only; idle: where anybody else wants that, it gets next to nothing.
func onCPU(t *testing.T, cpu int, idle bool, f func()) {
	t.Helper()
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: it ends with the goroutine
		var set unix.CPUSet
		set.Set(cpu)
		err := unix.SchedSetaffinity(0, &set)
		if err == nil && idle {
			err = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
		}
		failed <- err
		if err == nil {
			f()
		}
	}()
	if err := <-failed; err != nil {
		t.Skip("the scheduler cannot be told:", err)
	}
}

// TestWatchWithoutCPU: a leader whose CPU somebody else has does not sleep, and keeps the lead until it has used a tick.
func TestWatchWithoutCPU(t *testing.T) {
	const tick = 100 * time.Millisecond // so that a slice of the scheduler is next to nothing of it
	told := make(chan int, 16)
	var w *Watch
	w, err := StartWatch(2, tick, 1, func(thread int, word uint64) {
		w.Words[thread].CompareAndSwap(word, word&^WatchLeads)
		told <- thread
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8)) // else a goroutine may be waiting for another's end, asleep
	var first unix.CPUSet
	if err := unix.SchedGetaffinity(0, &first); err != nil {
		t.Fatal(err)
	}
	cpu := 0
	for !first.IsSet(cpu) {
		cpu++
	}
	var crowded atomic.Bool
	crowded.Store(true)
	defer crowded.Store(false)
	var over atomic.Bool
	defer over.Store(true)
	// All compute in the kernel: a goroutine of a thread's own that runs for long is preempted, and the thread asleep for a moment.
	zeros, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer zeros.Close()
	block := make([]byte, 1<<21)
	blocks := make([][]byte, 1000)
	for i := range blocks {
		blocks[i] = block
	}
	onCPU(t, cpu, false, func() {
		for crowded.Load() {
			_, _ = unix.Readv(int(zeros.Fd()), blocks[:100])
		}
	})
	ready := make(chan int)
	onCPU(t, cpu, true, func() {
		w.ThisThread(1)
		ready <- unix.Gettid()
		for !over.Load() {
			_, _ = unix.Readv(int(zeros.Fd()), blocks)
		}
	})
	tid := <-ready
	w.Words[1].Store(WatchStep | WatchInCall | WatchLeads)
	w.Poke()
	for step := uint64(1); step <= 5; step++ {
		w.Words[0].Store(step*WatchStep | WatchInCall | WatchPending)
		if got := <-told; got != 0 {
			t.Fatalf("at the tick %d the leader was taken for a sleeping one", step)
		}
	}
	crowded.Store(false)
	_ = unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}, 0) // sooner, on a busy machine
	if got := <-told; got != 1 {
		t.Fatal("told of", got)
	}
}
