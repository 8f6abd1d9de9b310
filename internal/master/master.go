// Package master is the process above the workers of gowsgi --workers N: it holds the listeners, starts the workers and
// replaces those that end, and answers signals. It never loads the application.
//
//	master.go   Master: who is to run, and the loop that sees to it
//	times.go    workers that are late: to serve, to answer, to end
//	worker.go   one worker process, and what it and the master tell each other
//	link.go     the worker's end of that
//	reread.go   the configuration file, at SIGHUP; evaluate.go how it is read
//	listening.go  what is listened on, and other addresses at SIGHUP
//	zygote.go   the process that workers are forked from, where the application is loaded once for all
//	held.go     processes that are another's children
//	orders.go   how it gets its orders
//	announce.go what others hear of it
//	reload.go   HUP by itself when a file changes
//	table.go    the requests that a worker runs, for when it dies; rights.go, how the master gets them
//	rolling.go  one worker after the other
//	oom.go      whether memory has run out
//	heir.go     the master after this one
//
// A worker is the same program run again with the listeners as descriptors, or a fork of one. It has a generation: HUP begins a new one, whose
// workers have to be ready before those of the old one are told to stop. One goroutine owns all of it; the others only send
// it events.
package master

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/watch"
)

const (
	// young is how long a worker has to live for its end to be no reason to wait with the next.
	young = 5 * time.Second

	// The pause before a worker that died young is replaced: it doubles from first to longest.
	firstPause, longestPause = 100 * time.Millisecond, 5 * time.Second

	// pastGrace is how long after the grace a worker that stops has to be gone.
	pastGrace = 5 * time.Second
)

// Master runs workers. All of it belongs to the goroutine that called Run.
type Master struct {
	cfg    *config.Config
	log    *slog.Logger
	start  func(age, generation int) (process, error)    // a worker's process, which sends its events to m.events
	over   func(generation int, last bool)               // no more of them are started; last: of none
	use    func(generation int, z *Zygote, l *Listening) // what one is forked from, and accepts from
	read   func(context.Context) (*Renewal, error)       // the configuration file; nil: there is none
	reopen func()                                        // the log files
	title  func(*config.Config)                          // has ps show which site this is
	begins func()                                        // called before workers open theirs
	up     func()                                        // to be called when the first workers serve
	now    func() time.Time
	// changed tells that a generation is to have another number of workers.
	changed func(generation, workers, before int)

	want       int // workers of a generation
	generation int
	previous   int // generation that serves until this one is ready; -1: none
	age        int // of the last worker
	workers    map[int]*worker
	events     chan event
	looked     time.Time     // when the times of workers were looked at last
	pause      time.Duration // before the next start, as the last worker died young
	notBefore  time.Time     // the next start
	served     bool          // some worker has been ready
	stopping   bool
	status     int
	announcer  announcer
	watcher    *watch.Watcher // nil without --reload
	heirs      heirs
	oomKills   func() int // see oomCounter
	oomSeen    int

	readings  chan hasRead
	reading   *reading       // nil: none is under way
	started   *config.Config // as the user said
	zygote    *Zygote        // what those workers are forked from that are started now
	before    settings       // of the generation that serves until this one is ready
	listening *Listening     // what they accept from; nil: the master has nothing to do with it
	bound     []*Listener    // all that are open
	listen    listenFunc     // for addresses that are new
}

// process is a worker's process, as the master uses it.
type process interface {
	Pid() int
	Signal(sig syscall.Signal)
	// Tell gives it one of the words of link.go.
	Tell(word string)
}

// event is what the loop hears of a worker.
type event struct {
	age  int
	word string              // what it has told, without the end of the line
	file *os.File            // that came with it
	exit *syscall.WaitStatus // it has ended
}

// worker is one that was started and has not ended.
type worker struct {
	process
	cfg        *config.Config // that it was started with
	listening  *Listening     // that it accepts from
	age        int
	generation int
	began      time.Time
	ready      time.Time // zero: not yet
	beat       time.Time // when it last told that it lives
	asks       time.Time // when it got SIGTERM by itself; zero: it has not
	retires    string    // why it asks for its replacement; "": it does not
	stopBy     time.Time // zero: it is not to stop
	stops      string    // the word for that
	aborted    time.Time // when it was told to say where it hangs
	killed     bool
	table      *os.File // the requests that it runs; nil: not known
}

func (w *worker) name() string { return fmt.Sprintf("worker %d", w.age) }

// run is the loop. It returns the exit status when all workers have ended.
func (m *Master) run(signals <-chan os.Signal) int {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	m.looked = m.now()
	for {
		m.reconcile()
		m.announce()
		if m.stopping && len(m.workers) == 0 {
			if m.heirs.after != nil {
				m.heirs.left()
			}
			return m.status
		}
		select {
		case sig := <-signals:
			m.announcer.asked(sig.(syscall.Signal))
			m.signal(sig.(syscall.Signal))
		case e := <-m.events:
			m.hear(e)
		case r := <-m.readings:
			m.goOnWith(r)
		case <-ticker.C:
			m.lookAtTimes()
		}
	}
}

// ofGeneration are the workers of one that are to stay, the oldest first.
func (m *Master) ofGeneration(g int) (all []*worker) {
	for _, w := range m.workers {
		if w.generation == g && w.stopBy.IsZero() {
			all = append(all, w)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].age < all[j].age })
	return all
}

// reconcile starts and stops workers until those run that are wanted.
func (m *Master) reconcile() {
	if m.stopping || m.heirs.folded {
		return
	}
	all := m.ofGeneration(m.generation)
	ready, starting := 0, 0
	var retires *worker // one at a time
	for _, w := range all {
		switch {
		case !w.ready.IsZero():
			ready++
		default:
			starting++
		}
		if retires == nil && w.retires != "" {
			retires = w
		}
	}
	want := m.want
	if retires != nil {
		want++
	}
	old := m.ofGeneration(m.previous)
	if m.rolls() {
		want = min(want, max(0, m.want-len(old))+1)
	}
	for n := ready + starting; n < want && !m.now().Before(m.notBefore); n++ {
		if !m.startOne() {
			break
		}
	}
	switch {
	case retires != nil && ready > m.want:
		m.log.Info(retires.name()+" is replaced", "why", retires.retires, "pid", retires.Pid())
		m.stop(retires, wordStop)
		m.reconcile() // the next may ask, too
		return
	case retires == nil && ready > m.want: // who begins is waited for: else nobody might serve meanwhile
		m.stop(all[slices.IndexFunc(all, func(w *worker) bool { return !w.ready.IsZero() })], wordStop)
	}
	if m.rolls() && len(old) > 0 && ready+len(old) > m.want {
		m.stop(old[0], wordStop)
		m.reconcile() // the next may start
		return
	}
	if m.previous >= 0 && ready >= m.want {
		for _, w := range old {
			m.stop(w, wordStop)
		}
		m.over(m.previous, false)
		m.previous = -1
		m.log.Info("the new workers serve", "workers", ready)
		m.closeUnused()
	}
}

func (m *Master) startOne() bool {
	m.age++
	m.begins()
	p, err := m.start(m.age, m.generation)
	now := m.now()
	if err != nil {
		m.log.Error("a worker cannot be started", "error", err)
		m.wait(now)
		if !m.served && len(m.workers) == 0 { // nor will it be later, such as where its user may not run the program
			m.status = config.ExitBoot
			m.end(wordQuit)
		}
		return false
	}
	m.workers[m.age] = &worker{process: p, cfg: m.cfg, listening: m.listening, age: m.age, generation: m.generation, began: now, beat: now}
	m.log.Debug("worker starts", "worker", m.age, "pid", p.Pid())
	return true
}

// wait puts the next start off, each time for longer.
func (m *Master) wait(now time.Time) {
	m.pause = min(max(2*m.pause, firstPause), longestPause)
	m.notBefore = now.Add(m.pause)
}

// stop tells a worker to end: wordStop and wordLast gracefully, wordQuit at once.
func (m *Master) stop(w *worker, word string) {
	if !w.stopBy.IsZero() && w.stops == word { // a second signal would end it at once
		return
	}
	by := m.now().Add(w.cfg.GracefulTimeout + pastGrace)
	switch word {
	case wordQuit:
		by = m.now().Add(pastGrace)
	case wordLast:
		by = by.Add(w.cfg.DrainDelay)
	}
	if w.stopBy.IsZero() || by.Before(w.stopBy) {
		w.stopBy = by
	}
	w.stops = word
	if w.ready.IsZero() { // it may be in the application's module, which only a signal ends
		w.Signal(unix.SIGTERM)
		return
	}
	m.tellStop(w)
}

func (m *Master) tellStop(w *worker) {
	if numbers := m.leaves(w); w.stops == wordStop && len(numbers) > 0 {
		w.Tell(wordLeave + " " + strings.Join(numbers, ","))
	}
	w.Tell(w.stops)
}

// hear acts on an event.
func (m *Master) hear(e event) {
	if e.age == afterAge {
		m.hearOfHeir(e)
		return
	}
	w := m.workers[e.age]
	if w == nil {
		_ = e.file.Close()
		return
	}
	if e.exit != nil {
		m.ended(w, *e.exit)
		return
	}
	word, rest := splitWord(e.word)
	switch word {
	case wordReady:
		w.ready = m.now()
		w.beat = w.ready
		m.served = true
		if !w.stopBy.IsZero() { // it has got a signal, but may have served already
			m.tellStop(w)
			return
		}
		if m.shared() {
			m.tellShared(w)
		}
		m.log.Info(w.name()+" serves", "pid", w.Pid(), "started in", fmt.Sprintf("%.2f s", w.ready.Sub(w.began).Seconds()))
	case wordBeat:
		w.beat = m.now()
		w.aborted = time.Time{}
	case wordTable:
		_ = w.table.Close() // nil, but for one that shows two
		w.table = e.file
	case wordAsks:
		if w.asks.IsZero() {
			w.asks = m.now()
		}
	case wordRetire:
		if w.retires == "" {
			w.retires = rest
		}
	case wordWatch:
		m.watch(rest)
	}
}

// ended is called when a worker's process is no more.
func (m *Master) ended(w *worker, status syscall.WaitStatus) {
	delete(m.workers, w.age)
	now := m.now()
	told := !w.stopBy.IsZero()
	how := describe(status)
	switch {
	case !status.Signaled() || status.Signal() != unix.SIGKILL:
	case w.killed:
		how = "was killed by the master"
	case m.ranOut():
		how = memoryIsOut
	}
	about := m.atWork(w)
	if pid := w.Pid(); pid != 0 { // it has not been forked, as the application could not be loaded
		about = append([]any{"pid", pid}, about...)
	}
	_ = w.table.Close()
	lost := !told && !m.stopping && w.ready.IsZero() && m.givesUp(w, status)
	switch {
	case told && (status == 0 || status == notKnown) || m.stopping && !w.killed,
		told && w.ready.IsZero() && status.Signaled() && status.Signal() == unix.SIGTERM: // see stop
		m.log.Debug("worker ended", append(about, "worker", w.age, "how", how)...)
	case lost:
		m.log.Error(w.name()+" "+how+" before it served", about...)
	case told:
		m.log.Warn(w.name()+" was stopped, and "+how, about...)
	default:
		m.log.Error(w.name()+" "+how+"; it is replaced", about...)
	}
	if m.stopping || told {
		return
	}
	if lost {
		m.giveUp(w, status)
		return
	}
	if w.ready.IsZero() && m.rolls() && m.anyReady() {
		m.log.Error("a new worker could not start; it is tried again, and the old ones that are left go on until then")
	}
	if w.ready.IsZero() || now.Sub(w.ready) < young {
		m.wait(now)
	} else {
		m.pause, m.notBefore = 0, time.Time{}
	}
}

// givesUp decides what a worker means that has ended before it was ready: true, it is not tried again.
func (m *Master) givesUp(w *worker, status syscall.WaitStatus) bool {
	switch code := status.ExitStatus(); {
	case w.generation != m.generation:
		return true
	case m.rolls() && m.anyReady():
		return false
	case m.previous >= 0:
		return true
	default:
		return !m.served && (code == config.ExitBoot || code == config.ExitApp || code == config.ExitUsage)
	}
}

// giveUp goes back to the old workers, or ends, for a worker that is not tried again.
func (m *Master) giveUp(w *worker, status syscall.WaitStatus) {
	switch {
	case w.generation != m.generation:
	case m.previous >= 0:
		m.log.Error("the new workers could not start, so the old ones go on")
		failed, before := m.generation, m.want
		m.generation, m.previous = m.previous, -1
		if m.restore(); m.want != before {
			m.changed(m.generation, m.want, before)
		}
		for _, other := range m.ofGeneration(failed) {
			m.stop(other, wordStop) // it may have come to serve
		}
		m.over(failed, false)
		m.closeUnused()
	default:
		m.status = status.ExitStatus()
		m.end(wordQuit)
	}
}

// notKnown is the status of one whose end somebody else has been told of, or nobody: no process has it.
const notKnown syscall.WaitStatus = 0xffff

// describe tells how a process ended, to follow its name.
func describe(status syscall.WaitStatus) string {
	switch {
	case status == notKnown:
		return "has ended, how is not known"
	case status.Signaled() && status.Signal() == unix.SIGKILL:
		return "was killed (SIGKILL); the system does that when memory is short"
	case status.Signaled():
		return "was ended by " + unix.SignalName(status.Signal())
	}
	return fmt.Sprintf("ended with status %d", status.ExitStatus())
}

// end begins the end of everything.
func (m *Master) end(word string) {
	first := !m.stopping
	m.stopping = true
	if first {
		m.log.Info("stopping", "workers", len(m.workers))
	}
	for _, w := range m.workers {
		m.stop(w, word)
	}
	m.over(m.generation, true)
	if m.previous >= 0 {
		m.over(m.previous, false)
	}
}

// signal answers a signal.
func (m *Master) signal(sig syscall.Signal) {
	switch sig {
	case unix.SIGTERM, unix.SIGINT, unix.SIGQUIT:
		m.lookForParent() // it may have ended just now, and nobody else has the listeners
		m.end(m.stopWord(sig))
	case unix.SIGUSR2:
		m.beginHeir()
	case unix.SIGWINCH:
		m.fold()
	case unix.SIGHUP:
		m.hangUp()
	case unix.SIGTTIN, unix.SIGTTOU:
		m.changeWanted(sig)
	case unix.SIGUSR1:
		m.begins()
		m.reopen()
		for _, w := range m.workers {
			if !w.ready.IsZero() { // who begins has no handler yet, and opens the new ones
				w.Signal(unix.SIGUSR1)
			}
		}
	}
}

// changeWanted answers TTIN and TTOU. What it is about counts for the generation before as well, which may have to go on, and
// for the one that is to come of a file that is being read.
func (m *Master) changeWanted(sig syscall.Signal) {
	before := m.want
	by := steps{1}
	if sig == unix.SIGTTOU {
		by = steps{-1}
	}
	if m.want = by.from(m.want); m.want != before {
		m.changed(m.generation, m.want, before)
	}
	m.before.want = by.from(m.before.want)
	if m.reading != nil {
		m.reading.steps = append(m.reading.steps, by...)
	}
	m.log.Info("the number of workers is changed", "workers", m.want)
}

// steps are changes of the number of workers in their order, of which there is one at least.
type steps []int

func (s steps) from(workers int) int {
	for _, by := range s {
		workers = max(1, workers+by)
	}
	return workers
}

// begin has what is started from now on be of a new generation.
func (m *Master) begin() {
	m.generation = m.age + 1
	m.use(m.generation, m.zygote, m.listening)
	m.pause, m.notBefore = 0, time.Time{}
}

// renew begins a new generation.
func (m *Master) renew() {
	if m.stopping {
		return
	}
	if m.heirs.folded {
		m.unfold()
		return
	}
	m.log.Info("new workers are started, and take over when they are ready", "workers", m.want)
	if m.previous >= 0 { // the last ones have not all come to serve
		for _, w := range m.ofGeneration(m.generation) {
			if m.rolls() && !w.ready.IsZero() {
				w.generation = m.previous // and an old one is gone for it
			} else {
				m.stop(w, wordStop)
			}
		}
		m.over(m.generation, false)
	} else {
		m.previous = m.generation
	}
	m.begin()
}

// Signals lets the signals of a master come, from the first call on: before anybody is told that there is one.
var Signals = sync.OnceValue(func() chan os.Signal {
	c := make(chan os.Signal, 256)
	signal.Notify(c, unix.SIGHUP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH)
	// A channel that is full loses signals, but never one of these.
	ends := make(chan os.Signal, 3)
	signal.Notify(ends, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT)
	go func() {
		for sig := range ends {
			c <- sig
		}
	}()
	return c
})
