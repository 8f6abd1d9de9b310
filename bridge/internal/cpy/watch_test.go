package cpy

import (
	"runtime"
	"testing"
	"time"
)

// TestWatchAlert: once a call has blocked, a leader that sleeps in its call is told of before a call that has to last a
// whole tick to be taken for blocked; a leader that computes is not.
func TestWatchAlert(t *testing.T) {
	const tick = 400 * time.Millisecond
	told := make(chan int, 16)
	var w *Watch
	w, err := StartWatch(2, tick, 1, func(thread int, word uint64) {
		w.Words[thread].CompareAndSwap(word, word&^WatchLeads) // the lead is taken away
		told <- thread
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	call := func(thread int, step uint64, bits uint64) { w.Words[thread].Store(step*WatchStep | WatchInCall | bits) }

	// Thread 1 is an OS thread of its own, which sleeps or computes as the test wants.
	compute, computing, end := make(chan bool), make(chan bool), make(chan bool)
	ready := make(chan bool)
	go func() {
		runtime.LockOSThread()
		w.ThisThread(1)
		close(ready)
		<-compute
		close(computing)
		for n := 0; ; n++ {
			select {
			case <-end:
				return
			default:
			}
		}
	}()
	defer close(end)
	<-ready

	w.Words[1].Store(WatchLeads)
	call(0, 1, WatchPending)
	w.Poke()
	if got := <-told; got != 0 {
		t.Fatalf("first told of %d", got)
	}
	call(0, 2, WatchPending)
	call(1, 1, WatchLeads)
	if first, second := <-told, <-told; first != 1 || second != 0 {
		t.Errorf("told of %d before %d: the sleeping leader had to wait for the tick", first, second)
	}

	close(compute)
	<-computing
	w.Words[1].Store(2*WatchStep | WatchLeads)
	call(0, 3, WatchPending)
	call(1, 3, WatchLeads)
	if first, second := <-told, <-told; first != 0 || second != 1 {
		t.Errorf("told of %d before %d: the computing leader was taken for a sleeping one", first, second)
	}
}
