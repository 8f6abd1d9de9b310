package server

// Leader and followers: which thread drives the reactor, and how that changes. See ARCHITECTURE.md, "Threads".
//
// A thread's word says, in one atomic value, whether it is in an app call, whether it leads, and which call it is: so a
// takeover (clear the lead of exactly this call) and a return from the call (was I deposed?) cannot both succeed.

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/accesslog"
	"github.com/gowsgi/gowsgi/reactor"
)

const (
	wordInCall  = bridge.WatchInCall
	wordLeads   = bridge.WatchLeads
	wordPending = bridge.WatchPending
	wordStep    = bridge.WatchStep

	// A leader that blocks is replaced, and everybody has waited a tick or two. If it had led for more than rareAfter calls,
	// blocking is rare, and a thread that is idle leads next: at 1 % of calls that block 100 ms, the median of the others
	// stays near that of a server where nothing blocks (pooled it was three times as much, for the hand-over of every
	// request). Else the standby leads, and keeps the lead until pooledFor calls in a row have not blocked; where nobody is
	// idle, until one has not.
	rareAfter = 16
	pooledFor = 64

	// A thread with plenty to do lets go of the GIL between requests, but has it back before another thread of Python, which
	// that wakes, can take it; nor does that one get it by its right after 5 ms, since it begins to wait anew each time. So
	// who has computed for a quarter of the last fairAfter or more leaves it alone for pauseFor.
	fairAfter = int64(8 * time.Millisecond)
	pauseFor  = 50 * time.Microsecond
)

// thread is a Python thread, or (py nil) the standby.
type thread struct {
	s       *Server
	py      *bridge.Thread
	isMain  bool
	leading bool           // this goroutine's own view; settled after each call
	ledFrom uint64         // word when it began to lead
	fairAt  int64          // when fair last looked; loop clock
	fairCPU int64          // the thread's CPU time then, ns
	word    *atomic.Uint64 // in C memory, watched by the monitor

	// flush is the connection with output that waits for more of it while the app runs; the monitor flushes it.
	flush atomic.Pointer[reactor.Conn]

	gathering // see gather.go

	box     outbox
	out     []byte            // heads, and small blocks, of what does not go through the box
	recent  *httpparse.Recent // nil: heads are not remembered
	fresh   []*exchange       // spare, so that a request takes none from the pool
	unread  *unread           // spare, with its block, so that reading takes none from the pools
	pieces  []reactor.Piece   // what goes out with it
	scratch []byte            // for body bytes on their way to a file

	line   []byte
	record accesslog.Record

	parker *parker
	// Under Server.mu:
	mail    []func(t *thread) // work that this thread had better do itself
	slot    *conn             // handed to it while it waited
	toLead  bool
	idle    bool
	engaged bool // runs a request that next gave it, or as a leader that was replaced
}

// newThread makes thread i; -1 is the standby, which nobody watches.
func (s *Server) newThread(i int) *thread {
	word := new(atomic.Uint64)
	if i >= 0 {
		word = &s.watch.Words[i]
	}
	t := &thread{s: s, word: word, parker: newParker()}
	if os.Getenv("GOWSGI_COLD") == "" { // see gw_cold in shim_int.h
		t.recent = new(httpparse.Recent)
	}
	return t
}

// beginCall and endCall stand around every call into Python that may block.
func (t *thread) beginCall() {
	w := t.word.Load()&^(wordLeads|wordInCall|wordPending) + wordStep
	if t.leading {
		w |= wordLeads
	}
	if t.flush.Load() != nil {
		w |= wordPending
	}
	t.publishes()
	t.word.Store(w | wordInCall)
	if w := t.s.watch; w.Ticking.Load() == 0 {
		w.Poke()
	}
}

// endCall finds out whether the thread was deposed meanwhile.
func (t *thread) endCall() {
	if t.leading {
		w := t.word.Load()
		if w&wordLeads != 0 && t.word.CompareAndSwap(w, w&^wordInCall) {
			return
		}
		t.leading = false        // another has the reactor
		t.waiting, t.size = 0, 0 // the monitor sends what waited
		t.s.mu.Lock()
		t.engaged = true
		t.s.mu.Unlock()
	}
	t.word.Store(t.word.Load() &^ (wordInCall | wordLeads))
}

// callBlocked is called on the monitor: the call w of thread i has lasted a full tick, and the thread leads, or has output
// that waits for more.
func (s *Server) callBlocked(i int, w uint64) {
	t := s.threads[i]
	t.seen()
	if w&wordLeads != 0 {
		if !t.word.CompareAndSwap(w, w&^wordLeads) {
			return // the call has ended
		}
		s.replace((w-t.ledFrom)/wordStep > rareAfter)
		if s.mailed.Load() > 0 { // it may have come just before the call
			s.wakeIdle()
		}
	}
	if c := t.flush.Load(); c != nil {
		t.box.sendHeld()
		c.Flush()
	}
	if w&wordLeads != 0 {
		t.box.sendWhole(t.answered)
	}
}

// replace finds a new leader for one whose call has blocked: a thread that is idle, if blocking is rare, or the standby.
// Nobody leads until then.
func (s *Server) replace(rare bool) {
	if rare {
		s.mu.Lock()
		t := s.popIdle()
		s.mu.Unlock()
		if t != nil {
			s.handLead(t)
			return
		}
	}
	credit := int32(pooledFor)
	if rare {
		credit = 1
	}
	s.watch.Credit.Store(credit)
	s.standbyTakes.Store(true)
	s.standby.notify()
}

// ------------------------------------------------------------------------------------------------ standby

// standby leads while calls block: it polls, reads and writes, and hands requests to Python threads.
func (s *Server) standbyLoop() {
	runtime.LockOSThread()
	punctual()
	defer close(s.standbyDone)
	t := s.standby
	for {
		t.parker.wait()
		if !s.standbyTakes.Swap(false) {
			return // the server has stopped
		}
		s.cur = t
		t.leading = true
		for c := s.staged.pop(); c != nil; c = s.staged.pop() {
			s.submit(c)
		}
		for t.leading {
			if s.finished() {
				s.endThreads()
				t.leading = false
				break
			}
			if heir := s.heir.Load(); heir != nil {
				s.heir.Store(nil)
				t.leading = false
				s.handLead(heir)
				break
			}
			if s.loop.Dispatch() {
				continue
			}
			t.poll()
		}
	}
}

// handLead makes t the leader; t is waiting, or will soon. By the leader as its last act, or while nobody leads.
func (s *Server) handLead(t *thread) {
	s.mu.Lock()
	if c := t.slot; c != nil {
		// It was given a request between asking for the lead and getting it; it looks at the queue first.
		t.slot = nil
		s.putJob(c)
	}
	t.toLead = true
	s.unidle(t)
	s.mu.Unlock()
	t.notify()
}

// ------------------------------------------------------------------------------------------------ Python threads

// work is the life of a Python thread: follow, lead, follow … until the server is finished.
func (t *thread) work() {
	for {
		if t.leading {
			t.lead()
			continue
		}
		c, lead, ok := t.next()
		if !ok {
			return
		}
		if lead {
			t.s.cur = t
			t.leading = true
			t.ledFrom = t.word.Load()
			continue
		}
		if c != nil {
			t.runPooled(c)
		}
	}
}

// lead drives the reactor until the thread is deposed or the server finished.
func (t *thread) lead() {
	s := t.s
	for t.leading {
		if s.finished() {
			t.sendGathered()
			s.endThreads()
			t.leading = false
			return
		}
		if s.queued.Load() > 0 {
			if c := s.popJob(); c != nil {
				t.runInline(c)
				t.boundWait()
				continue
			}
		}
		if s.mailed.Load() > 0 && t.doMail() {
			continue
		}
		if s.loop.Dispatch() {
			t.boundWait()
			continue
		}
		if c := s.staged.pop(); c != nil {
			t.runInline(c)
			t.boundWait()
			continue
		}
		if t.isMain && s.signalled.Load() {
			t.checkSignals()
			continue
		}
		t.py.Release()
		t.poll()
	}
}

// fair sees to it that other threads of Python get the GIL, see fairAfter. Without the GIL.
func (t *thread) fair() {
	now := t.s.loop.NowNanos()
	if now-t.fairAt < fairAfter || t.py == nil {
		return
	}
	cpu := threadCPU()
	if cpu-t.fairCPU > (now-t.fairAt)/4 {
		pause()
	}
	t.fairAt, t.fairCPU = now, cpu
}

// poll waits for events. Without the GIL.
func (t *thread) poll() {
	s := t.s
	t.sendGathered()
	last := t.round
	t.endRound()
	s.idleWork()
	t.fair()
	if err := s.loop.Poll(-1); err != nil {
		s.fatal(err)
	}
	t.many = last >= crowd || s.loop.Waiting() >= crowd // a listener is one, however many it brings
}

// runPooled runs a request that the standby has handed over.
func (t *thread) runPooled(c *conn) {
	t.run(c) // true: only a leader gathers answers
	t.release(c)
	if !t.py.HasGIL() {
		t.fair()
	}
	s := t.s
	if credit := s.watch.Credit; credit.Load() > 0 && credit.Add(-1) <= 0 {
		// Calls are short again: ask for the lead. The standby gives it as soon as it comes back from what it is doing.
		if s.heir.CompareAndSwap(nil, t) {
			s.loop.Wake()
		}
	}
}

func (t *thread) release(c *conn) {
	writing, idle := c.phase == phaseWriting, c.phase == phaseIdle
	rc, s := c.rc, t.s
	rc.Release()
	// The queue may have drained while nobody was to be told; a stop passes over connections that are owned.
	if writing || idle && s.stopping.Load() {
		s.loop.PostConn(rc)
	}
}

// next waits for something to do. Without the GIL.
func (t *thread) next() (c *conn, lead, ok bool) {
	s := t.s
	first := true
	for {
		s.mu.Lock()
		t.engaged = false
		if t.toLead {
			t.toLead = false
			s.mu.Unlock()
			return nil, true, true
		}
		// Nobody counts on a thread that runs Python: it is not on the idle list while it does.
		if mail := t.takeMail(); len(mail) > 0 {
			s.unidle(t)
			s.mu.Unlock()
			t.do(mail)
			continue
		}
		switch {
		case t.slot != nil:
			c, t.slot = t.slot, nil
			t.engaged = true
			s.mu.Unlock()
			return c, false, true
		case s.done:
			s.unidle(t)
			s.mu.Unlock()
			t.py.Release()
			return nil, false, false
		case s.heir.Load() == t:
			// It is about to lead.
		case s.jobs.len() > 0:
			c = s.takeJob()
			t.engaged = true
			s.mu.Unlock()
			return c, false, true
		}
		if t.isMain && s.signalled.Load() {
			s.unidle(t)
			s.mu.Unlock()
			t.checkSignals()
			first = true
			continue
		}
		if first || bridge.UnholdWaiting() { // of what came meanwhile wakeIdle may have told nobody
			first = false
			s.unidle(t)
			s.mu.Unlock()
			t.py.Release() // may take time: look again before going idle
			s.flushLogs()  // the leader, who does it as well, may wait for long by now
			continue
		}
		if !t.idle {
			t.idle = true
			s.idle = append(s.idle, t)
		}
		s.mu.Unlock()
		t.parker.wait()
		first = true
	}
}

func (t *thread) checkSignals() {
	t.s.signalled.Store(false)
	t.beginCall()
	t.py.CheckSignals()
	t.endCall()
}

func (t *thread) notify() { t.parker.give() }

// leadState is the part of Server that this file is about.
type leadState struct {
	cur *thread // who leads; leader only

	// staged wait for the leader itself, see gather.go; leader only, and empty before it polls.
	staged fifo

	mu   sync.Mutex
	jobs fifo      // wait for any thread
	idle []*thread // waiting in next, last in first out
	done bool      // threads are to end

	watch  *bridge.Watch // the monitor; its Credit is > 0 while calls have blocked lately
	queued atomic.Int32  // waiting jobs
	mailed atomic.Int32  // undone mail of all threads
	heir   atomic.Pointer[thread]

	signalled    atomic.Bool // Python has a signal handler to run
	standbyTakes atomic.Bool // the standby is woken to lead, else to end
	standbyDone  chan struct{}
	stopped      chan struct{} // closed at the end
}
