package crew

import (
	"flag"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
)

var seed = flag.Uint64("seed", 0, "of TestSchedule; 0: another one each time")

// world is a host whose work is a script of random tasks: they compute, block, last, hand on to others.
type world struct {
	t    *testing.T
	c    *Crew
	rand func(n int) int

	mu       sync.Mutex
	cond     *sync.Cond
	arrivals []Task
	woken    bool
	stop     bool

	leading int // changed by the leader only, without a lock: the race detector finds two
	inside  atomic.Int32
	begun   atomic.Int64
	ran     atomic.Int64
	made    atomic.Int64
	ends    atomic.Int64
}

func (w *world) only(what string, f func()) {
	if !w.inside.CompareAndSwap(0, 1) {
		w.t.Error("two lead: ", what)
	}
	w.leading++
	f()
	w.inside.Store(0)
}

func (w *world) Begin(t *Thread) {
	w.begun.Add(1)
	w.only("Begin", func() {})
}

func (w *world) Turn(t *Thread) bool {
	var task Task
	w.only("Turn", func() {
		w.mu.Lock()
		if n := len(w.arrivals); n > 0 {
			task = w.arrivals[0]
			w.arrivals = w.arrivals[1:]
		}
		w.mu.Unlock()
	})
	switch {
	case task == nil:
		return false
	case t.Index() < 0:
		w.c.Submit(task)
	default:
		task.Run(t)
	}
	return true
}

func (w *world) Wait(*Thread) {
	w.only("Wait", func() {
		w.mu.Lock()
		for !w.woken && len(w.arrivals) == 0 {
			w.cond.Wait()
		}
		w.woken = false
		w.mu.Unlock()
	})
}

func (w *world) Idle(*Thread) {}

func (w *world) Wake() {
	w.mu.Lock()
	w.woken = true
	w.cond.Broadcast()
	w.mu.Unlock()
}

func (w *world) Finished() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stop && len(w.arrivals) == 0 && w.ran.Load() == w.made.Load()
}

func (w *world) End(*Thread) { w.ends.Add(1) }

func (w *world) Clock() int64 { return time.Now().UnixNano() }

// task makes a random one, which is to be run once, and on the thread on if there is one.
func (w *world) task(depth int, on *Thread) Task {
	w.made.Add(1)
	kind, for_ := w.rand(10), time.Duration(w.rand(3000))*time.Microsecond
	var done atomic.Bool
	return Func(func(t *Thread) {
		if done.Swap(true) {
			w.t.Error("a task was run twice")
		}
		if t.Index() < 0 {
			w.t.Error("the standby runs a task")
		}
		if on != nil && on != t {
			w.t.Error("a pinned task was run on thread ", t.Index())
		}
		switch kind {
		case 0, 1: // blocks
			t.Blocking(func() { time.Sleep(for_) })
		case 2: // computes in one call
			t.Blocking(func() {
				for end := time.Now().Add(for_); time.Now().Before(end); {
				}
			})
		case 3: // lasts, in quick steps
			var turn Turn
			for end := time.Now().Add(for_); time.Now().Before(end); {
				t.Blocking(func() {})
				if turn.Lasts(lookAfter, w.Clock) && t.Leads() {
					t.GiveUpLead()
				}
			}
		case 4:
			if depth < 3 {
				w.c.Post(w.task(depth+1, nil))
			}
		case 5:
			if depth < 3 {
				to := w.c.threads[w.rand(len(w.c.threads))]
				w.c.PostTo(to, w.task(depth+1, to))
			}
		case 6:
			w.c.LookRound()
		default:
			t.Blocking(func() {})
		}
		if w.ran.Add(1) == w.made.Load() {
			w.Wake() // it may have been the last
		}
	})
}

func (w *world) arrive(task Task) {
	w.mu.Lock()
	w.arrivals = append(w.arrivals, task)
	w.cond.Broadcast()
	w.mu.Unlock()
}

// TestSchedule: whatever the tasks do, each is run once, on the right thread; one leads; and everything ends.
func TestSchedule(t *testing.T) {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d", s)
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(s, 0))
	for round := range 12 {
		w := &world{t: t, rand: func(n int) int {
			mu.Lock()
			defer mu.Unlock()
			return random.IntN(n)
		}}
		w.cond = sync.NewCond(&w.mu)
		threads := 1 + w.rand(6)
		c := New(threads, w)
		w.c = c
		c.python = func(t *Thread, _ bridge.State) error {
			runtime.LockOSThread() // as a real one does; it ends with the goroutine
			t.gil = &noPython{}
			return nil
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if err := c.Start(time.Millisecond, 0); err != nil {
				t.Error(err)
				return
			}
			c.Lead()
			c.Finish(func(joined <-chan struct{}) { <-joined })
		}()
		for range 300 {
			w.arrive(w.task(0, nil))
			switch w.rand(20) {
			case 0:
				time.Sleep(time.Duration(w.rand(2000)) * time.Microsecond) // between two bursts
			case 1:
				to := c.threads[w.rand(threads)]
				c.PostTo(to, w.task(0, to))
			case 2:
				c.Post(w.task(0, nil))
			}
		}
		w.mu.Lock()
		w.stop = true
		w.mu.Unlock()
		w.Wake()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Fatalf("round %d, %d threads: %d of %d tasks after a minute, seed %d", round, threads, w.ran.Load(), w.made.Load(), s)
		}
		if w.ran.Load() != w.made.Load() || w.ends.Load() != 1 {
			t.Fatalf("round %d: %d of %d tasks, %d ends", round, w.ran.Load(), w.made.Load(), w.ends.Load())
		}
	}
}
