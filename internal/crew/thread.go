package crew

import (
	"sync/atomic"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/rules"
)

const (
	// A thread with plenty to do lets go of the GIL between requests, but has it back before another thread of Python, which
	// that wakes, can take it; nor does that one get it by its right after 5 ms, since it begins to wait anew each time. So
	// who has computed for a quarter of the last fairAfter or more leaves it alone for pauseFor.
	fairAfter = int64(8 * time.Millisecond)
	pauseFor  = 50 * time.Microsecond
)

// gil is what the crew itself does with a Python thread; a bridge.Thread, but in tests of the crew alone.
type gil interface {
	HasGIL() bool
	Release()
	Tidy()
	Mark(on bool)
	Close()
}

// Thread is a Python thread, or (Py nil) the standby. Its methods are for itself.
type Thread struct {
	Py   *bridge.Thread
	Late Late // set before Start; nil: none

	crew    *Crew
	index   int
	gil     gil            // Py's; nil on the standby
	leading bool           // this goroutine's own view; settled after each call
	ledFrom uint64         // word when it began to lead
	fairAt  int64          // when Fair last looked; ns
	fairCPU int64          // the thread's CPU time then, ns
	word    *atomic.Uint64 // in C memory, watched by the monitor
	lasting atomic.Uint64  // the call that may last
	ended   func()         // see rules.Python
	parker  *parker

	owns atomic.Int32 // own.Len()
	// Under Crew.mu:
	state  state
	gift   Task // asked: what for, nothing or the lead
	toLead bool
	own    Fifo[Task]
}

func newThread(c *Crew, i int) *Thread {
	return &Thread{crew: c, index: i, word: new(atomic.Uint64), parker: newParker()}
}

// Index is the number of a Python thread, 0 for Python's main one, or -1 for the standby.
func (t *Thread) Index() int { return t.index }

// Leads reports whether t leads.
func (t *Thread) Leads() bool { return t.leading }

// SetLeads makes t the leader, or not, for tests of hosts that have no crew at work.
func (t *Thread) SetLeads(on bool) { t.leading = on }

// attach makes the calling OS thread t.
func (t *Thread) attach(saved bridge.State) (err error) {
	if err := t.crew.python(t, saved); err != nil {
		return err
	}
	t.ended = rules.Python()
	t.crew.watch.ThisThread(t.index)
	return nil
}

func (t *Thread) detach() {
	t.gil.Close()
	t.ended()
}

// work is the life of a Python thread: follow, lead, follow … until the server is finished.
func (t *Thread) work() {
	for {
		if t.leading {
			t.lead()
			continue
		}
		task, lead, ok := t.next()
		if !ok {
			return
		}
		if lead {
			t.leading = true
		} else if task != nil {
			t.follow(task)
		}
	}
}

// lead does the host's work until the thread is deposed or everything is finished.
func (t *Thread) lead() {
	c := t.crew
	t.ledFrom = t.word.Load()
	c.host.Begin(t)
	own := true // its own tasks are next; they take turns with the host's work
	loose := 0  // tasks for any thread since the host's last turn
	for t.leading {
		switch {
		case c.host.Finished():
			c.host.End(t)
			c.end()
			t.leading = false
			return
		case loose < turnSteps && c.queued.Load() > 0:
			loose++
			if task := c.Take(); task != nil {
				task.Run(t)
			}
		case own && t.owns.Load() > 0:
			t.doOwn()
			own = false
		case c.host.Turn(t):
			own = true
		case bridge.UnholdWaiting():
			t.tidy()
		default:
			t.gil.Release()
			if t.owns.Load() > 0 || c.queued.Load() > 0 {
				c.host.Wake() // a look will do
			}
			c.host.Wait(t)
			own, loose = true, 0
		}
	}
}

// follow runs a task that somebody else has handed over.
func (t *Thread) follow(task Task) {
	task.Run(t)
	if !t.gil.HasGIL() {
		t.Fair(t.crew.host.Clock())
	}
	t.passed()
}

// passed is called when t has done a task that did not block, while another leads.
func (t *Thread) passed() {
	c := t.crew
	if credit := c.watch.Credit; credit.Load() > 0 && credit.Add(-1) <= 0 {
		// Calls are short again: the standby is to give the lead when it next has an idle thread in hand, this one, perhaps.
		c.mu.Lock()
		if c.pooled && c.wish == nil {
			c.setWish(t)
		}
		c.mu.Unlock()
	}
}

// next waits for something to do. Without the GIL, or with it until it waits.
func (t *Thread) next() (task Task, lead, ok bool) {
	c := t.crew
	owns := 0 // of its own tasks it has done so many in a row
	for first := true; ; {
		c.mu.Lock()
		switch {
		case t.state == idle: // woken for nothing
			c.mu.Unlock()
			t.parker.wait()
			continue
		case t.toLead:
			t.toLead = false
			t.state = leading
			c.mu.Unlock()
			return nil, true, true
		case t.gift != nil:
			task, t.gift = t.gift, nil
			t.state = running
			c.mu.Unlock()
			return task, false, true
		case t.state == asked: // to look round
			first = true
		}
		// Own tasks may follow each other for ever: now and then it is the turn of what waits for any thread.
		turn := owns >= turnSteps && (c.loose.Len() > 0 || c.done)
		if own := t.takeOwn(turn); own != nil {
			owns++
			t.state = chores
			c.mu.Unlock()
			own.Run(t)
			t.passed()
			first = true // it has brought the GIL
			continue
		}
		t.state = running
		if c.done {
			c.mu.Unlock()
			t.gil.Release()
			return nil, false, false
		}
		if c.wish != t || turn { // who wishes may be about to lead, once it is idle
			if task := c.takeLocked(); task != nil {
				c.mu.Unlock()
				return task, false, true
			}
		}
		if first || bridge.UnholdWaiting() {
			first = false
			c.mu.Unlock()
			t.tidy()
			t.gil.Release() // may take time: look again before going idle
			c.host.Idle(t)
			continue
		}
		t.state = idle
		c.idle = append(c.idle, t)
		grant := c.wish != nil
		c.mu.Unlock()
		if grant {
			c.host.Wake() // the standby has an idle thread in hand now
		}
		rules.Waits("for work")
		t.parker.wait()
	}
}

// tidy lets go of the objects that others have handed in, of which there may be many.
func (t *Thread) tidy() {
	if bridge.UnholdWaiting() {
		t.Blocking(t.gil.Tidy)
	}
}

// Fair sees to it that other threads of Python get the GIL, see fairAfter. now is the host's clock. Without the GIL.
func (t *Thread) Fair(now int64) {
	if now-t.fairAt < fairAfter || t.gil == nil {
		return
	}
	cpu := threadCPU()
	if cpu-t.fairCPU > (now-t.fairAt)/4 {
		rules.Waits("for others")
		pause()
	}
	t.fairAt, t.fairCPU = now, cpu
}

func (t *Thread) notify() { t.parker.give() }
