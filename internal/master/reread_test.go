package master

import (
	"context"
	"errors"
	"reflect"
	"sort"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
)

// rereads is a rig with a configuration file; what it says comes from says, when the loop takes it.
type rereads struct {
	*rig
	says chan hasRead
	used map[int]*Zygote
}

func newRereads(t *testing.T) *rereads {
	r := &rereads{newRig(t, 1), make(chan hasRead, 4), map[int]*Zygote{}}
	r.readWith()
	r.hears(1, wordReady)
	return r
}

func (r *rereads) readWith() {
	r.read = func(ctx context.Context) (*Renewal, error) {
		select {
		case s := <-r.says:
			return s.Renewal, s.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	r.use = func(generation int, z *Zygote, _ *Listening) { r.used[generation] = z }
}

func (r *rereads) hup(workers int, err error) {
	r.gets(unix.SIGHUP)
	r.said(workers, err)
}

// said is the end of a reading that is under way.
func (r *rereads) said(workers int, err error) {
	cfg := config.Default()
	cfg.Workers = strconv.Itoa(workers)
	s := hasRead{Renewal: &Renewal{Config: cfg, Zygote: &Zygote{App: cfg.Workers}}, err: err}
	if err != nil {
		s.Renewal = nil
	}
	r.says <- s
	r.goOnWith(<-r.readings)
	r.reconcile()
}

func (r *rereads) running(t *testing.T, ages ...int) {
	t.Helper()
	var all []int
	for age, w := range r.workers {
		if w.stopBy.IsZero() {
			all = append(all, age)
		}
	}
	sort.Ints(all)
	if len(all)+len(ages) > 0 && !reflect.DeepEqual(all, ages) {
		t.Errorf("%v run, not %v", all, ages)
	}
}

func TestHUPReadsTheFileFirst(t *testing.T) {
	r := newRereads(t)
	r.gets(unix.SIGHUP)
	if !r.renewing() {
		t.Error("nobody is told that something goes on")
	}
	r.running(t, 1)
	r.said(2, nil)
	r.running(t, 1, 2, 3)
	if z := r.used[r.generation]; z == nil || z.App != "2" {
		t.Errorf("the new workers are forked from %+v", z)
	}
	r.hears(2, wordReady)
	r.hears(3, wordReady)
	r.running(t, 2, 3)
}

func TestAFileThatIsNoGoodChangesNothing(t *testing.T) {
	r := newRereads(t)
	r.hup(0, errors.New("conf.py, line 3"))
	r.running(t, 1)
	if r.want != 1 || r.renewing() {
		t.Errorf("%d workers are wanted", r.want)
	}
}

func TestSettingsGoWithWorkersThatCannotStart(t *testing.T) {
	r := newRereads(t)
	before := r.cfg
	r.hup(2, nil)
	r.ends(2, syscall.WaitStatus(config.ExitApp<<8))
	if r.cfg != before || r.want != 1 {
		t.Errorf("%d workers are wanted by %p", r.want, r.cfg)
	}
	r.hup(3, nil)
	r.hup(4, nil) // before those have come to serve
	r.ends(r.age, syscall.WaitStatus(config.ExitApp<<8))
	if r.cfg != before || r.want != 1 {
		t.Errorf("after two renewals %d workers are wanted", r.want)
	}
}

func TestAFileThatChangesWhileItIsReadIsReadAgain(t *testing.T) {
	r := newRereads(t)
	r.gets(unix.SIGHUP)
	r.gets(unix.SIGHUP)
	r.said(2, nil)
	r.running(t, 1)
	r.said(3, nil)
	r.running(t, 1, 2, 3, 4)
}

// A file that waits for something, a lock for instance, keeps nobody from trying again.
func TestAFileThatHangsIsBegunAnew(t *testing.T) {
	r := newRereads(t)
	r.gets(unix.SIGHUP)
	r.passes(readingTime)
	r.hears(1, wordBeat)
	if !r.reading.late {
		t.Error("nobody is told")
	}
	r.gets(unix.SIGHUP)
	r.goOnWith(<-r.readings) // it was broken off
	r.said(2, nil)
	r.running(t, 1, 2, 3)
}

func TestAFileThatHangsDoesNotOutliveTheServer(t *testing.T) {
	r := newRereads(t)
	over := make(chan struct{})
	r.read = func(ctx context.Context) (*Renewal, error) {
		<-ctx.Done()
		close(over)
		return nil, ctx.Err()
	}
	r.gets(unix.SIGHUP)
	r.gets(unix.SIGTERM)
	r.ends(1, exited)
	r.endReading()
	<-over
}

// TestWorkersThatComeBack are forked from who has read the file last.
func TestWorkersThatComeBack(t *testing.T) {
	r := newRereads(t)
	withHeirs(r.rig)
	r.hup(1, nil)
	r.hears(2, wordReady)
	r.gets(unix.SIGUSR2)
	r.gets(unix.SIGWINCH)
	r.ends(1, exited)
	r.ends(2, exited)
	read := r.zygote
	r.hear(event{age: afterAge, exit: new(syscall.WaitStatus)})
	r.reconcile()
	r.running(t, 3)
	if read == nil || r.used[r.generation] != read {
		t.Errorf("they come from %+v", r.used[r.generation])
	}
}

func TestAStopWhileTheFileIsRead(t *testing.T) {
	r := newRereads(t)
	r.gets(unix.SIGHUP)
	r.gets(unix.SIGTERM)
	r.said(2, nil)
	r.running(t)
}

// TestSignalsWhileTheFileIsRead hold after it, in the order in which they came.
func TestSignalsWhileTheFileIsRead(t *testing.T) {
	r := newRereads(t)
	r.gets(unix.SIGHUP)
	r.gets(unix.SIGTTIN) // of now, and of what comes
	r.running(t, 1, 2)
	r.said(3, nil)
	r.running(t, 1, 2, 3, 4, 5, 6)

	r = newRereads(t)
	r.gets(unix.SIGHUP)
	r.gets(unix.SIGTTIN)
	r.gets(unix.SIGHUP) // sets the number again
	r.gets(unix.SIGTTOU)
	r.said(7, nil) // which the second one makes old
	r.said(3, nil)
	if r.want != 2 {
		t.Errorf("%d workers are wanted", r.want)
	}

	r = newRereads(t)
	r.gets(unix.SIGHUP)
	r.gets(unix.SIGTTIN)
	r.said(0, errors.New("conf.py, line 3"))
	if r.want != 2 {
		t.Errorf("%d workers are wanted", r.want)
	}
}

func TestTheNumberIsChangedForWorkersThatGoOn(t *testing.T) {
	r := newRereads(t)
	var heard [][3]int
	r.changed = func(generation, workers, before int) { heard = append(heard, [3]int{generation, workers, before}) }
	r.hup(3, nil)
	r.gets(unix.SIGTTIN)
	r.gets(unix.SIGTTIN)
	r.ends(2, syscall.WaitStatus(config.ExitApp<<8))
	r.ends(1, syscall.WaitStatus(unix.SIGKILL))
	if want := [][3]int{{2, 4, 3}, {2, 5, 4}, {0, 3, 5}}; r.want != 3 || !reflect.DeepEqual(heard, want) {
		t.Errorf("%d workers are wanted, and hooks hear %v, not %v", r.want, heard, want)
	}
}

// WINCH stops the workers of a master that has one after it, also those that a HUP from before would start.
func TestWorkersThatAreStoppedWhileTheFileIsRead(t *testing.T) {
	r := newRereads(t)
	withHeirs(r.rig)
	r.gets(unix.SIGUSR2)
	r.gets(unix.SIGHUP)
	r.gets(unix.SIGWINCH)
	r.said(2, nil)
	r.ends(1, exited)
	r.running(t)
	if r.want != 2 || r.zygote == nil {
		t.Error("the file does not hold")
	}
	r.gets(unix.SIGHUP) // both again, while they are stopped
	r.gets(unix.SIGWINCH)
	r.said(3, nil)
	r.running(t)
	r.gets(unix.SIGHUP)
	r.gets(unix.SIGWINCH)
	r.gets(unix.SIGHUP)
	r.said(3, nil)
	r.said(1, nil)
	r.running(t, 2)

	r = newRereads(t) // and the one after ends meanwhile
	withHeirs(r.rig)
	r.gets(unix.SIGUSR2)
	r.gets(unix.SIGHUP)
	r.gets(unix.SIGWINCH)
	r.ends(1, exited)
	r.hear(event{age: afterAge, exit: new(syscall.WaitStatus)})
	r.said(2, nil)
	if z := r.used[r.generation]; z == nil || z.App != "2" {
		t.Errorf("the new workers are forked from %+v", z)
	}
}
