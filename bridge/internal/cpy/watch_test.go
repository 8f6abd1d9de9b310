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
	// A leader that gets no CPU, because the machine is busy, looks as if it slept; so it has many attempts.
	for step, attempts := uint64(3), 60; ; step++ {
		w.Words[1].Store((step-1)*WatchStep | WatchLeads)
		call(0, step, WatchPending)
		call(1, step, WatchLeads)
		first, second := <-told, <-told
		if first == 0 && second == 1 {
			break
		}
		if attempts--; attempts == 0 {
			t.Fatalf("told of %d before %d: the computing leader was taken for a sleeping one", first, second)
		}
	}
}

// TestWatchStartsCalm: before any call has blocked, a leader that sleeps in its call has to do so for a whole tick like
// every other thread: looking more often costs a new server a tenth of its CPU.
func TestWatchStartsCalm(t *testing.T) {
	const tick = 400 * time.Millisecond
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
	ready, end := make(chan bool), make(chan bool)
	go func() { // thread 1, which sleeps
		runtime.LockOSThread()
		w.ThisThread(1)
		close(ready)
		<-end
	}()
	defer close(end)
	<-ready
	w.Words[0].Store(WatchStep | WatchInCall | WatchPending)
	w.Words[1].Store(WatchStep | WatchInCall | WatchLeads)
	w.Poke()
	if first, second := <-told, <-told; first != 0 || second != 1 {
		t.Errorf("told of %d before %d: the monitor was on the alert", first, second)
	}
}

// TestWatchCalm: when no call has blocked for long, the monitor passes over a leader that computes in short calls, but not
// over the one of them that lasts, nor over one that sleeps.
func TestWatchCalm(t *testing.T) {
	const tick = time.Millisecond
	told := make(chan uint64, 16)
	var w *Watch
	w, err := StartWatch(1, tick, 1, func(thread int, word uint64) {
		w.Words[thread].CompareAndSwap(word, word&^WatchLeads)
		told <- word / WatchStep
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w.ThisThread(0)
	w.Poke()

	var step uint64
	begin := func() {
		step++
		w.Words[0].Store(step*WatchStep | WatchInCall | WatchLeads)
	}
	// compute makes calls of a tenth of a tick for 300 ticks, more than the monitor needs to become calm.
	compute := func() {
		for end := time.Now().Add(300 * tick); time.Now().Before(end); {
			begin()
			for next := time.Now().Add(tick / 10); time.Now().Before(next); {
			}
		}
	}
	// On a busy machine a short call may last a tick, too, and is told of before.
	compute()
	begin()
	for end := time.Now().Add(10 * time.Second); len(told) == 0 || <-told != step; { // the call goes on, computing
		if time.Now().After(end) {
			t.Fatal("a call that computes for long was passed over")
		}
	}
	compute()
	begin()
	end := time.After(10 * time.Second)
	for got := uint64(0); got != step; { // the call sleeps
		select {
		case got = <-told:
		case <-end:
			t.Fatal("a call that sleeps was passed over")
		}
	}
}
