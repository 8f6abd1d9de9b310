// Package aside is what has given its thread back: requests that are suspended, functions that were spawned or scheduled. It
// knows no HTTP.
//
//	aside.go    Hub and Parked: what waits, and who ends its wait
//	later.go    spawned and scheduled functions, before a server runs, too
//
// A job that waits is put aside (Hub.Park) by the thread that has run it, and belongs to nobody. Its wait ends once, whoever
// comes first (bridge.Job.EndWait): the application wakes it, its deadline passes, its descriptor is ready, its client goes,
// or the server stops. Who has ended it posts the job to its thread, whose greenlet it is, and there it goes on.
//
// A parked job costs no goroutine: its deadline is a timer of Go's, its descriptor an entry of the reactor's.
package aside

import (
	"errors"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/rules"
	"github.com/gowsgi/gowsgi/reactor"
)

// Hub is what the parked jobs of a server have in common.
type Hub struct {
	// Patient leaves all of a stop's grace to what was spawned, also when no connection is left.
	Patient bool

	crew *crew.Crew
	loop *reactor.Loop

	mu     rules.Short
	parked map[*Parked]struct{}
	going  int  // those that go on, their wait over, to their end or the next wait
	jobs   int  // spawned ones that are not done
	over   bool // nothing is waited for any more
	closed bool // nothing is begun any more: it is for the next server
}

// NewHub makes the hub of a crew and a loop.
func NewHub(c *crew.Crew, l *reactor.Loop) *Hub {
	return &Hub{crew: c, loop: l, parked: map[*Parked]struct{}{}}
}

// Resumer is whose job was parked.
type Resumer interface {
	// Resume goes on with the job, which t has taken up.
	Resume(t *crew.Thread)
}

// Parked is a place for one job, again and again.
type Parked struct {
	hub *Hub
	t   *crew.Thread
	who Resumer

	job      *bridge.Job // under Hub.mu, as wait: the next one may be another's when a time-out comes late
	wait     bridge.Wait
	deadline *time.Timer
	awaiter  *reactor.Awaiter // nil: none, or the last one is about to be called yet
	awaits   bool
}

// On says where a job runs that may be parked. Before it runs.
func (p *Parked) On(h *Hub, t *crew.Thread, who Resumer) { p.hub, p.t, p.who = h, t, who }

// Ready is called when its wait has ended. local: by code that runs on its thread. Any goroutine.
func (p *Parked) Ready(local bool) {
	if local {
		p.t.Later(p)
	} else {
		p.hub.crew.PostTo(p.t, p)
	}
}

// Park puts the job aside that its thread, the caller, has run and that is suspended.
func (p *Parked) Park() (w bridge.Wait) {
	h := p.hub
	w = p.t.Py.Job().Waits()
	job := p.t.Py.PutAside()
	h.mu.Lock()
	p.job, p.wait = job, w
	h.parked[p] = struct{}{}
	over := h.over
	h.mu.Unlock()
	if over {
		p.end(job, w.Number, bridge.WaitStopping, 0)
		return w
	}
	if w.FD >= 0 {
		p.await(w)
	}
	if w.Timeout >= 0 {
		p.deadline = time.AfterFunc(w.Timeout, func() { p.end(job, w.Number, bridge.WaitTimeout, 0) })
	}
	return w
}

// await lets the reactor watch the descriptor.
func (p *Parked) await(w bridge.Wait) {
	p.awaits = true
	if p.awaiter == nil {
		p.awaiter = new(reactor.Awaiter)
	}
	job := p.job // as long as this wait lasts
	p.awaiter.Fn = func(got reactor.Events) {
		ready := int(got)
		if got == 0 { // it is closed
			ready = -int(syscall.EBADF)
		}
		p.end(job, w.Number, bridge.WaitFD, ready)
	}
	err := p.hub.loop.Await(w.FD, reactor.Events(w.Events), p.awaiter)
	if err == nil {
		return
	}
	p.awaits = false
	got := w.Events // a file is always ready
	var errno syscall.Errno
	if !errors.Is(err, reactor.ErrAlwaysReady) {
		got = -int(syscall.EBADF)
		if errors.As(err, &errno) {
			got = -int(errno)
		}
	}
	p.end(job, w.Number, bridge.WaitFD, got)
}

// end ends the wait of this number of job's, unless it is over.
func (p *Parked) end(job *bridge.Job, number uint64, how, got int) {
	if job.EndWait(number, how, got) {
		p.Ready(false)
	}
}

// Gone ends the wait, if it is one that the client's leaving ends. Any goroutine that knows the job to be parked.
func (p *Parked) Gone() {
	p.hub.mu.Lock()
	w, job := p.wait, p.job
	p.hub.mu.Unlock()
	if w.Client {
		p.end(job, w.Number, bridge.WaitGone, 0)
	}
}

// Run implements crew.Task: the wait has ended.
func (p *Parked) Run(t *crew.Thread) {
	h := p.hub
	h.mu.Lock()
	_, there := h.parked[p]
	delete(h.parked, p)
	if there {
		h.going++
	}
	h.mu.Unlock()
	if !there {
		return // the application went on with its greenlet by itself, and it has been seen to
	}
	defer func() {
		h.mu.Lock()
		h.going--
		h.mu.Unlock()
	}()
	if p.deadline != nil {
		p.deadline.Stop()
		p.deadline = nil
	}
	if p.awaits {
		p.awaits = false
		if !h.loop.Forget(p.wait.FD, p.awaiter) {
			p.awaiter = nil // it is being called, or will be
		}
	}
	t.Py.TakeUp(p.job)
	p.who.Resume(t)
}

// Waiting is how many jobs are parked, or go on after that.
func (h *Hub) Waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.parked) + h.going
}

// Over ends all waits, now and from now on, as the server stops. It returns how many jobs were parked, and how many threads
// waited. Any goroutine.
func (h *Hub) Over() (parked, threads int) {
	type wait struct {
		p      *Parked
		number uint64
		job    *bridge.Job
	}
	h.mu.Lock()
	h.over = true
	all := make([]wait, 0, len(h.parked))
	for p := range h.parked {
		all = append(all, wait{p, p.wait.Number, p.job})
	}
	h.mu.Unlock()
	for _, w := range all {
		if w.job.EndWait(w.number, bridge.WaitStopping, 0) {
			w.p.Ready(false)
		}
	}
	return len(all), bridge.EndThreadWaits()
}

// cancelFD ends all waits for a descriptor that is about to be closed.
func (h *Hub) cancelFD(fd int) int {
	all := h.loop.CancelFD(fd)
	for _, a := range all {
		a.Fn(0)
	}
	return len(all)
}
