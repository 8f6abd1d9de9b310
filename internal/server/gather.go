package server

// What a leader does while requests are slow, so that it changes between its own work and the app's as rarely as possible:
// each of them finds the caches full of the other.
//
// Staging: all requests that have come are read and parsed before the first of them runs.
//
// Gathering: while requests wait for the leader, answers that are ready wait for each other, a millisecond at most, and
// leave together. A client whose answers come one by one, each after a time in which it has nothing to do, falls asleep
// in between and is woken for each of them, by an interrupt to another core: of a Flask page's 159 µs of CPU that was 17 in
// the kernel, and as much again in user space, whose caches the kernel's work for each answer empties.

import "time"

const (
	slowAbove = 20 * time.Microsecond // of time for each request; below that, clients have no time to fall asleep
	gatherFor = time.Millisecond
)

// gathering is the part of thread that this file is about.
type gathering struct {
	gather bool // the answer being made is to wait for others
	slow   bool // the requests of the last round took longer than slowAbove each
	round  int  // requests run since the last Poll, by the leader

	began   int64 // the round before this one; loop clock
	longest int64 // ns that answers have waited in this round; boundLate lets Go schedule as often

	// late are connections with all of an answer in their queues, which belong to the thread until that is sent. Under
	// outMu, as the monitor sends them when a call blocks.
	late      []*conn
	lateSpare []*conn
	waits     bool  // late may hold something; this thread's own view
	since     int64 // the first of late came; loop clock
}

// busy tells whether there is more to do before the next Poll. Leader only.
func (s *Server) busy() bool { return s.staged.len() > 0 || s.loop.Busy() }

// crowded tells whether slow requests wait for this leader: then one that is complete waits in Server.staged.
func (t *thread) crowded() bool { return t.slow && t.leading && t.s.busy() }

// gathers decides whether the n bytes that end the answer on c are to wait for others, and remembers that for run. A large
// answer is written in a call (see whole), where the thread does not know whether it still leads: the size is asked first.
func (t *thread) gathers(c *conn, n int) bool {
	t.gather = c.x.keep && c.rc.QueuedBytes()+int64(n) < flushAbove && t.crowded()
	return t.gather
}

// endRound finds out whether staging and gathering would pay, and returns what yield wants to know. Leader only, before it
// waits.
func (t *thread) endRound() (now, next int64) {
	loop := t.s.loop
	began := loop.NowNanos()
	if t.round > 1 { // the clock is read at the end of rounds in which there was something to gather
		now = loop.Clock()
		next = now - began // the next round may take as long
		if t.slow = next > int64(t.round)*int64(slowAbove); t.slow && t.longest > 0 {
			next = 2 * t.longest
		}
	} else {
		now, next = began, 2*(began-t.began) // this round, and the next one
	}
	t.round, t.began, t.longest = 0, began, 0
	return now, next
}

// putLate leaves c, whose answer is complete and queued, for sendLate. Not if the thread has lost the lead since gathers
// was asked: the monitor has been here then, and nobody comes again.
func (t *thread) putLate(c *conn) bool {
	if !t.leading || c.rc.Broken() || c.finishing() || c.rc.QueuedBytes() == 0 {
		return false
	}
	if !t.waits {
		t.waits, t.since = true, t.s.loop.Clock()
	}
	t.outMu.Lock()
	t.late = append(t.late, c)
	t.outMu.Unlock()
	return true
}

// boundLate sends what has waited long enough. Leader only, after each piece of work. A round of slow requests may take
// longer than Go lets a goroutine run, so this is also the time to yield.
func (t *thread) boundLate() {
	if !t.waits {
		return
	}
	now := t.s.loop.Clock()
	if waited := now - t.since; waited > int64(gatherFor) {
		t.sendLate()
		t.py.Release()
		t.longest = max(t.longest, waited)
		t.yield(now, waited)
	}
}

// sendLate sends the gathered answers. By the thread itself.
func (t *thread) sendLate() {
	if t.waits {
		t.waits = false
		t.releaseLate()
	}
}

// releaseLate sends the gathered answers and releases their connections. By the thread, or by the monitor while the thread
// is in a call that blocks.
func (t *thread) releaseLate() {
	t.outMu.Lock()
	list := t.late
	t.late, t.lateSpare = t.lateSpare[:0], nil
	t.outMu.Unlock()
	for _, c := range list {
		c.rc.Flush()
	}
	for i, c := range list {
		if c.rc.Pending() {
			c.enter(phaseWriting, t.s.cfg.WriteTimeout)
		} else {
			t.finishWriting(c)
		}
		t.release(c)
		list[i] = nil
	}
	t.outMu.Lock()
	t.lateSpare = list[:0]
	t.outMu.Unlock()
}
