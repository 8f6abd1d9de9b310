package master

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
)

// rig is a master whose workers are numbers, and whose time stands still.
type rig struct {
	*Master
	t    *testing.T
	time time.Time
	told map[int][]string // words and signals that a worker got
}

type fake struct {
	r   *rig
	age int
}

func (f fake) Pid() int { return 1000 + f.age }
func (f fake) Signal(sig syscall.Signal) {
	f.r.told[f.age] = append(f.r.told[f.age], unix.SignalName(sig))
}
func (f fake) Tell(word string) { f.r.told[f.age] = append(f.r.told[f.age], word) }

func newRig(t *testing.T, workers int) *rig {
	cfg := config.Default()
	cfg.Workers = strconv.Itoa(workers)
	r := &rig{t: t, time: time.Unix(1000, 0), told: map[int][]string{}}
	r.Master = newMaster(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)))
	r.now = func() time.Time { return r.time }
	r.looked = r.time
	r.start = func(age, _ int) (process, error) { return fake{r, age}, nil }
	r.reconcile()
	return r
}

func (r *rig) hears(age int, word string) {
	r.hear(event{age: age, word: word})
	r.reconcile()
}

func (r *rig) ends(age int, status syscall.WaitStatus) {
	r.hear(event{age: age, exit: &status})
	r.reconcile()
}

func (r *rig) gets(sig syscall.Signal) {
	r.signal(sig)
	r.reconcile()
}

// passes lets the master run for so long.
func (r *rig) passes(d time.Duration) {
	for ; d > 0; d -= tick {
		r.stands(min(d, tick))
	}
}

// stands is a time in which it does not run.
func (r *rig) stands(d time.Duration) {
	r.time = r.time.Add(d)
	r.lookAtTimes()
	r.reconcile()
}

// has checks which workers there are, and what one was told.
func (r *rig) has(ages ...int) {
	r.t.Helper()
	var got []int
	for age := range r.workers {
		got = append(got, age)
	}
	sort.Ints(got)
	if !reflect.DeepEqual(got, ages) {
		r.t.Fatalf("workers %v, want %v", got, ages)
	}
}

func (r *rig) was(age int, words ...string) {
	r.t.Helper()
	if !reflect.DeepEqual(r.told[age], words) {
		r.t.Fatalf("worker %d was told %v, want %v", age, r.told[age], words)
	}
}

const exited, bootFailed, appFailed = syscall.WaitStatus(0), syscall.WaitStatus(config.ExitBoot << 8), syscall.WaitStatus(config.ExitApp << 8)

func ready(t *testing.T, workers int) *rig {
	r := newRig(t, workers)
	for age := 1; age <= workers; age++ {
		r.hears(age, wordReady)
	}
	return r
}

func TestADeadWorkerIsReplacedAtOnceOrLater(t *testing.T) {
	r := ready(t, 2)
	r.passes(young)
	r.hears(1, wordBeat)
	r.hears(2, wordBeat)
	r.ends(1, syscall.WaitStatus(unix.SIGKILL))
	r.has(2, 3) // at once
	r.hears(3, wordReady)
	r.ends(3, syscall.WaitStatus(unix.SIGSEGV)) // young
	r.has(2)
	r.passes(firstPause)
	r.has(2, 4)
	r.ends(4, syscall.WaitStatus(unix.SIGSEGV))
	r.passes(firstPause)
	r.has(2) // for longer each time
	r.passes(firstPause)
	r.has(2, 5)
	for range 10 {
		r.ends(r.age, appFailed) // others serve
		r.passes(longestPause)
		r.has(2, r.age)
		r.hears(2, wordBeat)
	}
}

// TestAWorkerThatHangsWhileItStarts: it has 30 s, or its timeout if that is more, and then the old ones go on.
func TestAWorkerThatHangsWhileItStarts(t *testing.T) {
	for timeout, limit := range map[time.Duration]time.Duration{time.Second: leastToStart, time.Minute: time.Minute} {
		r := newRig(t, 1)
		r.cfg.Timeout = timeout
		r.passes(limit)
		r.was(1)
		r.passes(2 * tick)
		r.was(1, "SIGABRT")
		r.passes(abortFor + 2*tick)
		r.was(1, "SIGABRT", "SIGKILL")
		r.ends(1, syscall.WaitStatus(unix.SIGKILL))
		r.passes(firstPause)
		r.has(2)
		r.hears(2, wordReady)
		r.gets(unix.SIGHUP)
		for left := limit + abortFor + 4*tick; left > 0; left -= tick {
			r.hears(2, wordBeat)
			r.passes(tick)
		}
		r.was(3, "SIGABRT", "SIGKILL")
		r.ends(3, syscall.WaitStatus(unix.SIGKILL))
		r.has(2)
		r.was(2)
	}
	r := newRig(t, 1)
	r.cfg.Timeout = 0
	r.passes(time.Hour)
	r.was(1)
}

func TestReplacementsAreReadyFirstAndOneAtATime(t *testing.T) {
	r := ready(t, 2)
	r.hears(1, wordRetire+" of age")
	r.hears(2, wordRetire+" of age")
	r.has(1, 2, 3)
	r.was(1)
	r.hears(3, wordReady)
	r.was(1, wordStop)
	r.was(2)
	r.has(1, 2, 3, 4)
	r.hears(4, wordReady)
	r.was(2, wordStop)
	r.ends(1, exited)
	r.ends(2, exited)
	r.has(3, 4)
}

func TestANewGenerationTakesOverWhenAllOfItIsReady(t *testing.T) {
	r := ready(t, 2)
	r.gets(unix.SIGHUP)
	r.has(1, 2, 3, 4)
	r.hears(3, wordReady)
	r.was(1)
	r.hears(4, wordReady)
	r.was(1, wordStop)
	r.was(2, wordStop)
	r.ends(1, exited)
	r.ends(2, exited)
	r.has(3, 4)
	// One that cannot load leaves the old one, whose workers are replaced as before.
	r.gets(unix.SIGHUP)
	r.has(3, 4, 5, 6)
	r.ends(5, appFailed)
	r.was(6, "SIGTERM")
	r.ends(6, appFailed)
	r.has(3, 4)
	r.passes(young)
	r.hears(3, wordBeat)
	r.hears(4, wordBeat)
	r.ends(4, syscall.WaitStatus(unix.SIGKILL))
	r.has(3, 7)
	// A second HUP before the first is through: only the last generation counts.
	r.hears(7, wordReady)
	r.gets(unix.SIGHUP)
	r.has(3, 7, 8, 9)
	r.hears(8, wordReady)
	r.gets(unix.SIGHUP)
	r.has(3, 7, 8, 9, 10, 11)
	r.was(8, wordStop) // it has served
	r.was(9, "SIGTERM")
	r.hears(10, wordReady)
	r.was(3)
	r.hears(11, wordReady)
	r.was(3, wordStop)
}

func TestWhoFailsAtFirstEndsTheMaster(t *testing.T) {
	for _, status := range []syscall.WaitStatus{bootFailed, appFailed} {
		r := newRig(t, 2)
		r.ends(1, status)
		r.has(2)
		r.was(2, "SIGTERM") // it may be in the application's module
		r.ends(2, status)
		if !r.stopping || len(r.workers) > 0 || r.status != status.ExitStatus() {
			t.Fatalf("%+v", r.Master)
		}
	}
	r := newRig(t, 1)
	r.ends(1, syscall.WaitStatus(unix.SIGKILL)) // no mistake of the application's
	r.passes(firstPause)
	r.has(2)
}

func TestAStuckWorkerIsToldAndKilled(t *testing.T) {
	r := ready(t, 1)
	r.passes(r.cfg.Timeout)
	r.was(1)
	r.passes(tick)
	r.was(1, "SIGABRT")
	r.passes(abortFor)
	r.passes(tick)
	r.was(1, "SIGABRT", "SIGKILL")
	r.ends(1, syscall.WaitStatus(unix.SIGKILL))
	r.passes(longestPause)
	r.hears(2, wordReady)
	r.passes(r.cfg.Timeout)
	r.hears(2, wordBeat)
	r.passes(r.cfg.Timeout)
	r.was(2)
}

// A machine that was suspended, or has no time for the master: what workers have told meanwhile is still to be heard.
func TestAMasterThatDidNotRunBlamesNobody(t *testing.T) {
	r := ready(t, 1)
	r.passes(r.cfg.Timeout - tick)
	r.stands(2 * r.cfg.Timeout)
	r.was(1)
	r.passes(2 * tick)
	r.was(1, "SIGABRT")
}

func TestAStopHasAnEnd(t *testing.T) {
	r := ready(t, 2)
	r.gets(unix.SIGTERM)
	r.was(1, wordLast)
	r.passes(r.cfg.GracefulTimeout + pastGrace)
	r.was(1, wordLast)
	r.passes(tick)
	r.was(1, wordLast, "SIGKILL")
	r.gets(unix.SIGHUP) // too late
	r.has(1, 2)
	r = ready(t, 2)
	r.gets(unix.SIGTERM)
	r.gets(unix.SIGQUIT)
	r.was(2, wordLast, wordQuit)
	r.passes(pastGrace + tick)
	r.was(2, wordLast, wordQuit, "SIGKILL")
}

func TestTheNumberOfWorkersMayChange(t *testing.T) {
	r := ready(t, 2)
	r.gets(unix.SIGTTIN)
	r.has(1, 2, 3)
	r.hears(3, wordReady)
	for range 5 {
		r.gets(unix.SIGTTOU)
		r.reconcile()
	}
	r.was(1, wordStop) // the oldest first
	r.was(2, wordStop)
	r.was(3)
}

// Of too many none is told to stop until all serve. Who begins has no handler for USR1 yet.
func TestWhoBegins(t *testing.T) {
	r := ready(t, 2)
	r.gets(unix.SIGTTIN)
	r.has(1, 2, 3)
	r.gets(unix.SIGUSR1)
	r.was(1, "SIGUSR1")
	r.was(2, "SIGUSR1")
	r.was(3)
	r.gets(unix.SIGTTOU)
	r.reconcile()
	r.was(1, "SIGUSR1")
	r.hears(3, wordReady)
	r.reconcile()
	r.was(1, "SIGUSR1", wordStop)
	r.was(2, "SIGUSR1")
	r.was(3)
}

// A configuration that was read again is none of the workers from before.
func TestAWorkerIsJudgedByItsOwnConfiguration(t *testing.T) {
	r := ready(t, 1)
	own := *r.cfg
	own.GracefulTimeout, own.Timeout = time.Second, time.Second
	grace := r.cfg.GracefulTimeout
	r.cfg = &own
	r.gets(unix.SIGHUP)
	r.hears(2, wordReady)
	r.passes(grace)
	r.was(1, wordStop)
	r.passes(pastGrace + tick)
	r.was(1, wordStop, "SIGKILL")
}

func TestOnlyItsChildIsAWorker(t *testing.T) {
	p := place{age: 7, link: 3, listeners: []int{4, 5}}
	for text, want := range map[string]bool{p.text(12): true, p.text(13): false, "": false, "12": false, "12:1:3:4": false, "12:x:3:4:": false} {
		if got, ok := parsePlace(text, 12); ok != want || ok && !reflect.DeepEqual(got, p) {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
}

func TestHowThisProgramWasStarted(t *testing.T) {
	how, err := thisProgram("/somewhere")
	if err != nil || len(how.argv) != len(os.Args) || how.dir != "/somewhere" {
		t.Fatal(how, err)
	}
}

func TestWorkersThatCannotBeStartedAtAll(t *testing.T) {
	r := newRig(t, 0)
	start := r.start
	r.want = 2
	r.start = func(int, int) (process, error) { return nil, os.ErrPermission }
	r.reconcile()
	if !r.stopping || r.status != config.ExitBoot {
		t.Fatalf("stopping %v with status %d", r.stopping, r.status)
	}

	r = ready(t, 1) // and later they are waited for
	r.start = func(int, int) (process, error) { return nil, os.ErrPermission }
	r.passes(time.Hour)
	r.ends(1, exited)
	r.start = start
	r.passes(time.Second)
	if r.stopping {
		t.Fatal("it stops")
	}
}

// A SIGTERM that comes to a worker may be one that the master will get, too.
func TestASIGTERMThatComesToAWorker(t *testing.T) {
	r := ready(t, 2)
	r.hears(1, wordAsks)
	r.was(1)
	r.gets(unix.SIGTERM)
	r.gets(unix.SIGTERM) // which the process forwards that it was forked from
	r.passes(askTime)
	r.was(1, wordLast)
	r = ready(t, 2)
	r.hears(1, wordAsks)
	r.passes(askTime)
	r.was(1, wordStop)
	r.was(2)
	r.has(1, 2, 3)
}

// A second signal would end it at once.
func TestOneWhoIsNotReadyGetsOneSignal(t *testing.T) {
	r := newRig(t, 1)
	r.gets(unix.SIGTERM)
	r.gets(unix.SIGTERM)
	r.was(1, "SIGTERM")
}

// TestWhatIsSaidOfAWorkerThatNeverServed: nobody is told that it is replaced who looks for a replacement in vain then.
func TestWhatIsSaidOfAWorkerThatNeverServed(t *testing.T) {
	for _, c := range []struct {
		served bool
		said   string
	}{
		{false, "worker 1 ended with status 4 before it served"}, {true, "worker 2 ended with status 4; it is replaced"},
	} {
		r := newRig(t, 1)
		var log bytes.Buffer
		r.log = slog.New(slog.NewTextHandler(&log, nil))
		age := 1
		if c.served {
			r.hears(1, wordReady)
			r.ends(1, syscall.WaitStatus(unix.SIGKILL))
			r.passes(longestPause)
			age = 2
		}
		r.ends(age, appFailed)
		if !strings.Contains(log.String(), c.said) {
			t.Errorf("%q is not said:\n%s", c.said, log.String())
		}
	}
}

// Who reads that the system kills when memory is short looks for a leak that is not there.
func TestWhoHasKilledAWorkerIsSaid(t *testing.T) {
	for _, test := range []struct {
		status syscall.WaitStatus
		killed bool
		says   string
	}{
		{syscall.WaitStatus(unix.SIGKILL), true, "worker 1 was killed by the master; it is replaced"},
		{syscall.WaitStatus(unix.SIGKILL), false, "worker 1 was killed (SIGKILL); the system does that when memory is short; it is replaced"},
		{notKnown, false, "worker 1 has ended, how is not known; it is replaced"},
	} {
		r := newRig(t, 1)
		var said strings.Builder
		r.log = slog.New(slog.NewTextHandler(&said, nil))
		r.hears(1, wordReady)
		r.workers[1].killed = test.killed
		r.ends(1, test.status)
		if !strings.Contains(said.String(), test.says) {
			t.Errorf("%q is not in %s", test.says, said.String())
		}
	}
}

// A master that is held up for a moment in a storm of others ends all the same.
func TestASignalThatEndsIsNotLostBehindOthers(t *testing.T) {
	c := Signals()
	for len(c) < cap(c) {
		if err := unix.Kill(unix.Getpid(), unix.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Kill(unix.Getpid(), unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for sig := range c {
		if sig == unix.SIGTERM {
			return
		}
	}
}

// TestAWorkerThatIsNotWantedAnyMoreIsNotWorthAWord: a second HUP ends those that the first has just started.
func TestAWorkerThatIsNotWantedAnyMoreIsNotWorthAWord(t *testing.T) {
	r := ready(t, 1)
	var log bytes.Buffer
	r.log = slog.New(slog.NewTextHandler(&log, nil))
	r.gets(unix.SIGHUP)
	r.gets(unix.SIGHUP)
	r.was(2, "SIGTERM")
	r.ends(2, syscall.WaitStatus(unix.SIGTERM))
	if strings.Contains(log.String(), "worker 2") {
		t.Error(log.String())
	}
}
