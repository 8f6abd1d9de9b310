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
	if h == nil {
		s.waiting = append(s.waiting, c)
	}
	s.mu.Unlock()
	if h != nil {
		h.start(c, local)
	}
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
	s.spawn(t.call, false) // first, so that Pending counts it all the time
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
		h.start(c, false)
	}
	if none {
		go s.sayNone(log)
	}
}

// End drops what is scheduled. Afterwards nothing of the hub's is used.
func (h *Hub) End() {
	s := later
	s.mu.Lock()
	if s.hub == h {
		s.hub, s.log = nil, nil
	}
	s.mu.Unlock()
	h.dropTimers()
}

// dropTimers lets go of what has not been called. Without the GIL.
func (h *Hub) dropTimers() {
	s := later
	s.mu.Lock()
	var dropped []*timer
	for number, t := range s.timers {
		if !t.due {
			dropped = append(dropped, t)
			delete(s.timers, number)
		}
	}
	s.mu.Unlock()
	for _, t := range dropped {
		t.t.Stop()
		t.later.Drop()
	}
}

// Pending is how many functions are spawned and not done, or scheduled and no daemons.
func (h *Hub) Pending() int {
	n := 0
	later.mu.Lock()
	for _, t := range later.timers {
		if !t.daemon {
			n++
		}
	}
	later.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	return n + h.jobs
}

// Idle reports whether nothing is spawned or scheduled, while the server stops and no connection is left: what is gets no
// more time. Leader.
func (h *Hub) Idle() bool {
	h.dropTimers()
	if h.Pending() == 0 {
		return true
	}
	if !h.Patient {
		h.Over()
	}
	return false
}

// start gives c to its thread.
func (h *Hub) start(c call, local bool) {
	all := h.crew.Threads()
	if c.thread < 0 || c.thread >= len(all) {
		c.thread, local = 0, false
	}
	sp := &spawned{later: c.later}
	sp.On(h, all[c.thread], sp)
	h.mu.Lock()
	h.jobs++
	h.mu.Unlock()
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

// Write, Read, EarlyHints, SocketTaken and Over implement bridge.Responder.
func (*spawned) Write(*bridge.Response, []byte, bool) bridge.WriteResult { return bridge.WriteGone }
func (*spawned) Read([]byte, bool) int64                                 { return bridge.ReadOver }
func (*spawned) EarlyHints([]byte, bool) bridge.WriteResult              { return bridge.WriteGone }
func (*spawned) SocketTaken(bool) int                                    { return bridge.SocketOver }
func (*spawned) Over()                                                   {}
