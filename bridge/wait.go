package bridge

import (
	"runtime"
	"time"

	"github.com/gowsgi/gowsgi/bridge/internal/cpy"
)

// Wait is what a suspended job waits for.
type Wait struct {
	Number  uint64
	Timeout time.Duration // negative: none
	FD      int           // -1: none
	Events  int           // 1 readable, 2 writable
	Client  bool          // it ends if the client goes
}

// How a wait ends, other than by the application.
const (
	WaitTimeout  = cpy.WaitTimeout
	WaitGone     = cpy.WaitGone
	WaitStopping = cpy.WaitStopping
	WaitFD       = cpy.WaitFD
)

// Waits is what the job waits for, after Suspended. On its thread.
func (j *Job) Waits() Wait {
	w := j.c.Wait
	return Wait{w.Number(), time.Duration(w.Timeout), int(w.FD), int(w.Events), w.Client != 0}
}

// EndWait ends its wait of this number; false: it is over. Who has ended it resumes the job, on its thread. got: with WaitFD,
// the events, or a negative errno. Any goroutine.
func (j *Job) EndWait(number uint64, how, got int) bool { return j.c.Wait.End(number, how, int32(got)) }

// Later is something that the application has spawned or scheduled, an object of Python's.
type Later struct {
	object uintptr
	timer  bool
}

// Drop lets go of it without calling it. Any goroutine.
func (l Later) Drop() { cpy.Drop(l.object) }

// Apart calls it on the goroutine that calls Apart, as a thread of its own. There are no greenlets, and what may wait for it
// has its own thread to itself.
func (l Later) Apart() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpy.CallApart(l.object)
}

// EndThreadWaits ends what OS threads of the server's wait for in Waits of the application's, where there are no greenlets;
// now, and until AllowThreadWaits. It returns how many waited. Any goroutine.
func EndThreadWaits() int { return cpy.ParkedOver(true) }

// AllowThreadWaits lets such threads wait again. Any goroutine.
func AllowThreadWaits() { cpy.ParkedOver(false) }

// ThreadWaits is how many of them wait. Any goroutine.
func ThreadWaits() int { return cpy.Parked() }

// Greenlets reports whether jobs run in greenlets, and can suspend.
func Greenlets() bool { return cpy.Greenlets() }

// Scheduler is who sees to what is spawned and scheduled. Its methods come with the GIL and must not wait.
type Scheduler interface {
	// Spawn calls it soon, on that Python thread, negative: the first.
	Spawn(l Later, thread int)
	// Schedule does later; daemon: nobody goes on for its sake. The result is for Cancel.
	Schedule(l Later, after time.Duration, thread int, daemon bool) uint64
	// Cancel reports whether it will not be called; then it is the caller's again.
	Cancel(number uint64) bool
	// CancelFD ends the waits for a descriptor, and says how many there were.
	CancelFD(fd int) int
	// NoGreenlets is called when some are asked for and there are none.
	NoGreenlets()
	// Resolve looks a host name up, and then calls answer, once, on a goroutine that is no Python thread: 0 and the addresses,
	// or a getaddrinfo error and its text.
	Resolve(host string, family int, answer func(code int, text string))
}

// SetScheduler tells who that is. Once.
func SetScheduler(s Scheduler) { cpy.Aside = later{s} }

type later struct{ Scheduler }

func (l later) Spawn(call uintptr, thread int) { l.Scheduler.Spawn(Later{object: call}, thread) }

func (l later) Timer(timer uintptr, after time.Duration, thread int, daemon bool) uint64 {
	return l.Schedule(Later{timer, true}, after, thread, daemon)
}

func (l later) Resolve(host string, family int, waiter uintptr) {
	l.Scheduler.Resolve(host, family, func(code int, text string) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cpy.Answer(waiter, code, text)
	})
}

func (l later) CancelTimer(number uint64) bool { return l.Cancel(number) }
