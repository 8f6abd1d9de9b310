package crew

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/rules"
)

// Task is something a Python thread can be asked to do.
type Task interface {
	// Run does it, on a thread that does not wait and may lead.
	Run(t *Thread)
}

// Dropper is a Task that has to know of it when the crew ends before its turn has come.
type Dropper interface {
	Task
	// Drop is called in place of Run. Without the GIL.
	Drop()
}

// Func is a function as a Task.
type Func func(t *Thread)

// Run implements Task.
func (f Func) Run(t *Thread) { f(t) }

// Host is whom the crew works for: it has what the leader waits for, and makes the tasks.
type Host interface {
	// Begin tells that t leads from now on. On t, as its first act.
	Begin(t *Thread)
	// Turn does one piece of the leader's work; false: there is none, so it may wait. It may end with the lead lost. Leader.
	Turn(t *Thread) bool
	// Wait waits for something to do, without the GIL. Leader.
	Wait(t *Thread)
	// Wake ends a Wait, this one or the next. Any goroutine.
	Wake()
	// Idle is called on a Python thread before it waits for work; without the GIL.
	Idle(t *Thread)
	// Finished tells that everything is done and the leader is to end. Leader.
	Finished() bool
	// End is what the leader does last, once Finished. Leader.
	End(t *Thread)
	// Clock is a monotonic clock in ns. Any goroutine.
	Clock() int64
}

// Late is output of a thread that waits for more of it: the monitor sends it when the thread's call blocks.
type Late interface {
	// Waits tells whether there is any; on the thread, between its calls.
	Waits() bool
	// SendLate sends it. lost: the thread has lost the lead, so that nobody else would send what waits for the end of its
	// round. On the monitor, while the thread is in a call.
	SendLate(lost bool)
}

type state uint8

const (
	running state = iota // anything; nobody may count on it
	idle                 // on the idle list, waiting
	asked                // taken off that list, with what it is to do; on its way
	leading              // or just deposed, which it will notice
	chores               // does what was for it alone
)

// Crew is the Python threads of a server, and the standby.
type Crew struct {
	host    Host
	threads []*Thread
	standby *Thread
	python  func(t *Thread, saved bridge.State) error // makes the calling OS thread a Python thread
	watch   *bridge.Watch                             // the monitor; its Credit is > 0 while calls have blocked lately
	joined  sync.WaitGroup

	mu     rules.Short
	loose  Fifo[Task] // tasks for any thread
	idle   []*Thread  // last in first out
	wish   *Thread    // calls are short again: it wants the standby to give the lead to a thread
	pooled bool       // the standby leads, or is about to
	done   bool       // threads are to end

	queued atomic.Int32 // len(loose)
	wished atomic.Bool  // wish != nil

	standbyTakes atomic.Bool // the standby is woken to lead, else to end
	standbyDone  chan struct{}
}

// New makes a crew of n Python threads and the standby, none of which runs yet.
func New(n int, host Host) *Crew {
	c := &Crew{host: host, python: newPython, standbyDone: make(chan struct{})}
	for i := range n {
		c.threads = append(c.threads, newThread(c, i))
	}
	c.standby = newThread(c, -1)
	return c
}

func newPython(t *Thread, saved bridge.State) (err error) {
	t.Py, err = bridge.NewThread(t.index, saved)
	t.gil = t.Py
	return err
}

// Threads are the Python threads; the first is the one that calls Start. The rest of the program must not change them.
func (c *Crew) Threads() []*Thread { return c.threads }

// Standby is the thread that leads while calls block.
func (c *Crew) Standby() *Thread { return c.standby }

// Start starts the monitor with this tick, makes the calling thread, which Python knows with the state saved, the first
// Python thread, and starts the others.
func (c *Crew) Start(tick time.Duration, saved bridge.State) error {
	var err error
	if c.watch, err = bridge.StartWatch(len(c.threads), tick, pooledFor, c.callBlocked); err != nil {
		return err
	}
	for i, t := range c.threads {
		t.word = &c.watch.Words[i]
	}
	main := c.threads[0]
	if err := main.attach(saved); err != nil {
		return err
	}
	return c.startOthers()
}

// startOthers starts the other Python threads and waits until they are there.
func (c *Crew) startOthers() error {
	up := make(chan error)
	for _, t := range c.threads[1:] {
		c.joined.Add(1)
		go func() {
			defer c.joined.Done()
			err := t.attach(0) // locked from here on: the OS thread ends with the goroutine
			up <- err
			if err == nil {
				Punctual() // for life
				t.work()
				t.detach()
			}
		}()
	}
	var failed error
	for range c.threads[1:] {
		if err := <-up; err != nil {
			failed = err
		}
	}
	return failed
}

// Lead makes the calling thread, which called Start, the leader, and returns when everything is done.
func (c *Crew) Lead() {
	go c.standbyLoop()
	main := c.threads[0]
	c.mu.Lock() // others may have work for it already
	main.state = leading
	c.mu.Unlock()
	main.leading = true
	main.work()
}

// Finish ends what Start began, after Lead. wait returns when all threads have joined, or need not: those that are still in
// the application will find the server gone.
func (c *Crew) Finish(wait func(joined <-chan struct{})) {
	joined := make(chan struct{})
	go func() {
		c.joined.Wait()
		close(joined)
	}()
	c.watch.Stop()
	c.standby.notify()
	<-c.standbyDone
	wait(joined)
	c.drop()
	c.threads[0].detach()
}

// drop gives up what was left for certain threads: those that have ended have had too much of it.
func (c *Crew) drop() {
	for _, t := range c.threads {
		for {
			c.mu.Lock()
			task := t.takeOwn(false)
			c.mu.Unlock()
			if task == nil {
				break
			}
			if d, is := task.(Dropper); is {
				d.Drop()
			}
		}
	}
}

// InCalls is how many threads are in a call. Any goroutine.
func (c *Crew) InCalls() int {
	n := 0
	for _, t := range c.threads {
		if t.word.Load()&wordInCall != 0 {
			n++
		}
	}
	return n
}

// Queued is how many tasks wait for a thread. Any goroutine.
func (c *Crew) Queued() int { return int(c.queued.Load()) }

// end lets every Python thread come out of work. Leader only, as its last act.
func (c *Crew) end() {
	c.mu.Lock()
	c.done = true
	var told []*Thread
	for t := c.ask(); t != nil; t = c.ask() {
		told = append(told, t)
	}
	c.mu.Unlock()
	for _, t := range told {
		t.notify()
	}
}
