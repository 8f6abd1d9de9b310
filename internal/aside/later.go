package aside

// What the application has spawned or scheduled. A function waits for its turn here, and runs as a job of its own, on the
// thread that has asked for it.

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/resolve"
	"github.com/gowsgi/gowsgi/internal/rules"
)

// scheduler is the process's: functions may be spawned before there is a server, and outlive none.
type scheduler struct {
	mu      rules.Short
	hub     *Hub // of the server that runs; nil: none
	waiting []call
	timers  map[uint64]*timer
	last    uint64

	once sync.Once
	log  *slog.Logger
	none bool // greenlets were asked for, and there are none
}

// call is a function for a thread.
type call struct {
	later  bridge.Later
	thread int
}

// timer is a call that is not due yet.
type timer struct {
	call
	t      *time.Timer
	daemon bool
	due    bool
}

// apart bounds the threads of spawned functions, where there are no greenlets: Go ends a process that has 10,000.
var apart = make(chan struct{}, 1000)

var later = &scheduler{timers: map[uint64]*timer{}}

func init() { bridge.SetScheduler(later) }

// Spawn implements bridge.Scheduler.
func (s *scheduler) Spawn(l bridge.Later, thread int) { s.spawn(call{l, thread}, thread >= 0) }

// spawn has it called. local: the caller is on its thread.
func (s *scheduler) spawn(c call, local bool) {
	s.mu.Lock()
	h := s.hub
	taken := h != nil && h.admit()
	if !taken {
		s.waiting = append(s.waiting, c)
	}
	s.mu.Unlock()
	if taken {
		h.start(c, local)
	}
}

// admit counts one that is to be started; false: h has ended, as far as it is concerned.
func (h *Hub) admit() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.jobs++
	return true
}

// Schedule implements bridge.Scheduler. What is due at once keeps its place among what is spawned.
func (s *scheduler) Schedule(l bridge.Later, after time.Duration, thread int, daemon bool) uint64 {
	c := call{l, thread}
	if after <= 0 {
		s.spawn(c, thread >= 0)
		return 0
	}
	t := &timer{call: c, daemon: daemon}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	number := s.last
	s.timers[number] = t
	t.t = time.AfterFunc(after, func() { s.due(number, t) })
	return number
}

// due has t called, unless it was cancelled.
func (s *scheduler) due(number uint64, t *timer) {
	s.mu.Lock()
	there := s.timers[number] == t && !t.due
	t.due = true
	s.mu.Unlock()
	if !there {
		return
	}
	s.spawn(t.call, false) // first, so that it is counted all the time
	s.mu.Lock()
	delete(s.timers, number)
	h := s.hub
	s.mu.Unlock()
	if h != nil {
		h.loop.Wake() // the call may be over, and was counted twice until now
	}
}

// Cancel implements bridge.Scheduler.
func (s *scheduler) Cancel(number uint64) bool {
	s.mu.Lock()
	t := s.timers[number]
	if t != nil && t.due {
		t = nil // on its way
	}
	if t != nil {
		delete(s.timers, number)
	}
	h := s.hub
	s.mu.Unlock()
	if t == nil {
		return false
	}
	t.t.Stop()
	if h != nil {
		h.loop.Wake() // was it the last that anybody waited for?
	}
	return true
}

// CancelFD implements bridge.Scheduler.
func (s *scheduler) CancelFD(fd int) int {
	s.mu.Lock()
	h := s.hub
	s.mu.Unlock()
	if h == nil {
		return 0
	}
	return h.cancelFD(fd)
}

// Resolve implements bridge.Scheduler.
func (s *scheduler) Resolve(host string, family int, answer func(code int, text string)) {
	go func() {
		addrs, err := resolve.Shared.Lookup(context.Background(), host, family)
		var e *resolve.Error
		switch {
		case err == nil:
			texts := make([]string, len(addrs))
			for i, a := range addrs {
				texts[i] = a.String()
			}
			answer(0, strings.Join(texts, " "))
		case errors.As(err, &e):
			answer(int(e.Code), e.Error())
		default:
			answer(int(resolve.Fail), err.Error())
		}
	}()
}

// NoGreenlets implements bridge.Scheduler.
func (s *scheduler) NoGreenlets() {
	s.mu.Lock()
	s.none = true
	log := s.log
	s.mu.Unlock()
	if log != nil {
		s.sayNone(log)
	}
}

func (s *scheduler) sayNone(log *slog.Logger) {
	s.once.Do(func() {
		log.Warn("the package greenlet cannot be used here, so each request that waits keeps its thread: install greenlet, " +
			"or raise --threads")
	})
}

// Begin lets what is spawned and scheduled run, that of before included. log is for what concerns all of it.
func (h *Hub) Begin(log *slog.Logger) {
	s := later
	s.mu.Lock()
	s.hub, s.log = h, log
	bridge.AllowThreadWaits()
	waiting := s.waiting
	s.waiting = nil
	none := s.none
	s.mu.Unlock()
	for _, c := range waiting {
		h.admit()
		h.start(c, false)
	}
	if none {
		go s.sayNone(log)
	}
}

// End drops what is scheduled. Afterwards nothing of the hub's is used.
func (h *Hub) End() {
	s := later
	var dropped []*timer
	s.mu.Lock()
	h.mu.Lock()
	if s.hub == h {
		s.hub, s.log = nil, nil
	}
	if !h.closed {
		h.closed = true
		dropped = s.takeTimers()
	}
	h.mu.Unlock()
	s.mu.Unlock()
	drop(dropped)
}

// takeTimers takes out what is not due. With s.mu.
func (s *scheduler) takeTimers() (all []*timer) {
	for number, t := range s.timers {
		if !t.due {
			all = append(all, t)
			delete(s.timers, number)
		}
	}
	return all
}

// drop lets go of timers that were taken out. Without the GIL.
func drop(timers []*timer) {
	for _, t := range timers {
		t.t.Stop()
		t.later.Drop()
	}
}

// Done reports whether nothing is spawned and not done, or scheduled and no daemon. True is the last word: what is spawned or
// scheduled after it, by any thread, is for the next server. Leader.
func (h *Hub) Done() bool {
	s := later
	var dropped []*timer
	s.mu.Lock()
	h.mu.Lock()
	if !h.closed && h.pending() == 0 {
		h.closed = true
		dropped = s.takeTimers()
	}
	done := h.closed
	h.mu.Unlock()
	s.mu.Unlock()
	drop(dropped)
	return done
}

// pending is how many are spawned and not done, or scheduled and no daemons. With both locks.
func (h *Hub) pending() int {
	n := h.jobs
	for _, t := range later.timers {
		if !t.daemon {
			n++
		}
	}
	return n
}

// Idle is Done while the server stops and no connection is left: what is scheduled is dropped, and what is spawned gets no
// more time. Leader.
func (h *Hub) Idle() bool {
	s := later
	var dropped []*timer
	s.mu.Lock()
	h.mu.Lock()
	if !h.closed {
		dropped = s.takeTimers()
	}
	h.mu.Unlock()
	s.mu.Unlock()
	drop(dropped)
	if h.Done() {
		return true
	}
	if !h.Patient {
		h.Over()
	}
	return false
}

// start gives c, which was admitted, to its thread.
func (h *Hub) start(c call, local bool) {
	all := h.crew.Threads()
	if c.thread < 0 || c.thread >= len(all) {
		c.thread, local = 0, false
	}
	sp := &spawned{later: c.later}
	sp.On(h, all[c.thread], sp)
	if !bridge.Greenlets() {
		go func() {
			apart <- struct{}{}
			c.later.Apart()
			<-apart
			sp.done()
		}()
		return
	}
	if local {
		sp.t.Later(first{sp})
	} else {
		h.crew.PostTo(sp.t, first{sp})
	}
}

// spawned is a function that runs, or is about to. It is no request: what only those have is refused.
type spawned struct {
	Parked
	later bridge.Later
}

// first is a spawned function as a task that calls it.
type first struct{ s *spawned }

// Run implements crew.Task.
func (f first) Run(t *crew.Thread) {
	var step bridge.Step
	t.Blocking(func() { step = t.Py.CallLater(f.s.later, f.s) })
	f.s.after(t, step)
}

// Drop implements crew.Dropper: a stop's grace has ended before it could begin.
func (f first) Drop() {
	f.s.later.Drop()
	f.s.done()
}

// Resume implements Resumer.
func (sp *spawned) Resume(t *crew.Thread) {
	var step bridge.Step
	t.Blocking(func() { step = t.Py.Resume() })
	sp.after(t, step)
}

func (sp *spawned) after(t *crew.Thread, step bridge.Step) {
	if step == bridge.Suspended {
		sp.Park()
		return
	}
	if job := t.Py.Job(); job.Busy() {
		t.Py.Pause()
		t.Blocking(job.Settle)
	}
	sp.done()
}

func (sp *spawned) done() {
	h := sp.hub
	h.mu.Lock()
	h.jobs--
	last := h.jobs == 0
	h.mu.Unlock()
	if last {
		h.loop.Wake() // was it the last that anybody waited for?
	}
}

// Write, Read, EarlyHints, SocketTaken, Upgrade and Over implement bridge.Responder.
func (*spawned) Write(*bridge.Response, []byte, bool) bridge.WriteResult { return bridge.WriteGone }
func (*spawned) Read([]byte, bool) int64                                 { return bridge.ReadOver }
func (*spawned) EarlyHints([]byte, bool) bridge.WriteResult              { return bridge.WriteGone }
func (*spawned) SocketTaken(bool) int                                    { return bridge.SocketOver }
func (*spawned) Upgrade(bridge.UpgradeRequest, bool) int64               { return bridge.WSRefused }
func (*spawned) Over()                                                   {}
