package master

// Workers that are forked (--preload). The process that they are forked from has Python and no Go; each generation has one of
// its own, so that HUP brings new code. It is their parent, and tells how they end. Its side is python/gowsgi/_zygote.py; the
// two talk by messages of JSON, an order with the descriptors that it is about.

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// zygoteVariable tells a process that it is one, and the numbers of its descriptors.
const zygoteVariable = "GOWSGI_ZYGOTE"

// Zygote is what such a process is told.
type Zygote struct {
	Told  []byte   // a file of it: what it has to know before anything else
	Argv  []string // the program, if it is not this one
	Setup string   // bridge.PythonSetup as text
	Chdir string
	Umask int    // -1: as it is
	App   string // what to load, as on the command line
	Life  *Life  // for hooks; nil: there are none to be called
	File  *File  // to be evaluated first; nil: none

	As *syscall.Credential // who it becomes when the file was evaluated; nil: who it is

	process *zygoteProcess // that has done so, and from which no worker was forked yet
}

// order is what the master wants. The zygote does one after the other.
type order struct {
	Do    string `json:"do"` // read the configuration file; leave the terminal; load, with the listeners; fork, with the worker's link; end, when the last worker has
	Age   int    `json:"age"`
	Setup string `json:"setup"`
	Chdir string `json:"chdir"`
	Umask int    `json:"umask"`
	App   string `json:"app"`
	File  *File  `json:"file,omitempty"`

	Who *identity `json:"who"`

	Streams int `json:"streams"` // for leave: how many, from standard input on

	Life *Life `json:"life,omitempty"`

	Workers int  `json:"workers,omitempty"` // for workers: how many there are to be, and were
	Before  int  `json:"before,omitempty"`
	Last    bool `json:"last,omitempty"` // for end: the server ends

	Level   string `json:"level,omitempty"` // for log: a record of the master's; for end, if the server ends: the last one
	Message string `json:"message,omitempty"`

	Records []record `json:"records,omitempty"` // for load: what the master has said so far
}

// identity is a syscall.Credential.
type identity struct {
	User   uint32   `json:"user"`
	Group  uint32   `json:"group"`
	Groups []uint32 `json:"groups"`
}

// report is what the zygote says.
type report struct {
	Does   string `json:"does"` // read; refused, as the configuration file is no good; loaded; forked, which process a worker is; ended, how it has
	Age    int    `json:"age"`
	Pid    int    `json:"pid"`
	Status int    `json:"status"`

	Settings json.RawMessage `json:"settings"`
	Sentence string          `json:"sentence"`
	Logs     bool            `json:"logs"` // with loaded: it takes the master's records
}

// zygotes has one for each generation.
type zygotes struct {
	told      map[int]*Zygote    // by generation
	listening map[int]*Listening // by generation
	how       command
	log       *slog.Logger
	events    chan<- event
	of        map[int]*zygoteProcess // by generation
	want      func() int             // how many workers there are to be
	relay     relay
	ending    []*zygoteProcess // those that are to end
	before    *int             // how many there were to be when the last one began; nil: there was none
}

// fork lets a worker be forked, which has no pid before that has happened.
func (z *zygotes) fork(age, generation int) (process, error) {
	p := z.of[generation]
	if p == nil || p.isGone() {
		var err error
		if p, err = z.begin(z.told[generation], z.listening[generation], age-1); err != nil {
			return nil, err
		}
		z.of[generation] = p
	}
	c, its, err := newChild(age, z.events)
	if err != nil {
		return nil, err
	}
	defer its.Close()
	w := &forked{child: c, zygote: p}
	if !p.add(w) {
		_ = c.link.Close()
		return nil, errors.New("the process that it was to be forked from has ended")
	}
	c.follow()
	if err := p.send(order{Do: "fork", Age: age}, its); err != nil {
		p.take(age)
		go w.isOver(0)
		return nil, err
	}
	go func() {
		<-w.heard // it is at its end, or has closed the link
		w.awaitWord(pastGrace)
	}()
	return w, nil
}

// over lets the zygote of a generation end when its workers have.
func (z *zygotes) over(generation int, last bool) {
	if p := z.of[generation]; p != nil {
		delete(z.of, generation)
		p.finish(last)
		z.ending = append(slices.DeleteFunc(z.ending, (*zygoteProcess).isGone), p)
	}
	if told := z.told[generation]; told != nil {
		go told.Close()
		delete(z.told, generation)
		delete(z.listening, generation)
	}
}

// changed tells the hooks of a generation how many workers there are to be.
func (z *zygotes) changed(generation, workers, before int) {
	if p := z.of[generation]; p != nil {
		z.before = &workers
		_ = p.send(order{Do: "workers", Workers: workers, Before: before})
	}
}

// allowed reports whether a new master may be begun at once; else the hook is called, and an event tells.
func (z *zygotes) allowed(generation int) bool {
	p := z.of[generation]
	if p == nil || p.isGone() || z.told[generation] == nil || z.told[generation].Life == nil {
		return true
	}
	_ = p.send(order{Do: "exec"})
	return false
}

// reopen has their log files opened again.
func (z *zygotes) reopen() {
	for _, p := range z.of {
		_ = p.send(order{Do: "reopen"})
	}
}

// end waits until they have ended, as hooks for the end of the server may be called, and kills those that have not by then.
func (z *zygotes) end(limit time.Duration) {
	over := time.After(limit)
	for _, p := range z.ending {
		select {
		case <-p.ended:
		case <-over:
			for _, each := range z.ending {
				each.kill(unix.SIGKILL)
			}
			return
		}
	}
}

// said reports whether one of them has told Python's logger of the end.
func (z *zygotes) said() bool {
	return slices.ContainsFunc(z.ending, func(p *zygoteProcess) bool { return p.said.Load() })
}

// leave has them leave the terminal, as a daemon does: they write to so many streams no more.
func (z *zygotes) leave(streams int) {
	for _, p := range z.of {
		_ = p.send(order{Do: "leave", Streams: streams})
	}
}

func (z *zygotes) use(generation int, told *Zygote, l *Listening) {
	z.told[generation], z.listening[generation] = told, l
}

// begin starts one, or takes the one that has evaluated the configuration file, and has the application loaded. age
// is that of the last worker.
func (z *zygotes) begin(told *Zygote, l *Listening, age int) (*zygoteProcess, error) {
	p := told.process
	told.process = nil
	if p == nil {
		var err error
		if p, err = launch(told, z.how); err != nil {
			return nil, err
		}
	}
	p.log, p.relay, p.events = z.log, z.relay, z.events
	o := told.load()
	if o.Life != nil {
		o.Records = z.relay.kept()
		p.records = len(o.Records)
	}
	if o.Life != nil {
		life := *o.Life
		life.Addresses, life.Age = l.URLs(), age
		life.Workers, life.Before, life.Reload = z.want(), z.before, z.before != nil
		z.before = &life.Workers
		o.Life = &life
	}
	err := p.send(o, l.forWorkers()...)
	if err != nil {
		p.kill(unix.SIGKILL)
	}
	go p.follow()
	return p, err
}

func (z *Zygote) load() order {
	o := order{Do: "load", Setup: z.Setup, Chdir: z.Chdir, Umask: z.Umask, App: z.App, Life: z.Life}
	if z.As != nil {
		o.Who = &identity{z.As.Uid, z.As.Gid, z.As.Groups}
	}
	return o
}

// launch starts a process that is one.
func launch(z *Zygote, how command) (*zygoteProcess, error) {
	told, err := memoryFile(z.Told)
	if err != nil {
		return nil, err
	}
	defer told.Close()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	mine, its := os.NewFile(uintptr(fds[0]), "link"), os.NewFile(uintptr(fds[1]), "link of a zygote")
	defer its.Close()
	conn, err := net.FileConn(mine)
	_ = mine.Close()
	if err != nil {
		return nil, err
	}
	if z.Argv != nil {
		how.path, how.argv = z.Argv[0], z.Argv
	}
	if z.File != nil { // the file is root's, if root starts the server; the application is not
		how.environ, how.dir, how.as = z.File.Environ, z.File.Dir, nil
	}
	cmd, err := how.start(zygoteVariable, fmt.Sprintf("%d:%d:%d", os.Getpid(), firstFD, firstFD+1), its, told)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	p := &zygoteProcess{cmd: cmd, link: conn.(*net.UnixConn), workers: map[int]*forked{}, ended: make(chan struct{})}
	if z.File != nil {
		if err := p.send(order{Do: "read", File: z.File}); err != nil {
			p.kill(unix.SIGKILL)
			go func() { _ = cmd.Wait() }()
			_ = conn.Close()
			return nil, err
		}
	}
	return p, nil
}

// zygoteProcess is one of them.
type zygoteProcess struct {
	cmd  *exec.Cmd
	link *net.UnixConn
	log  *slog.Logger

	relay   relay
	earlier *zygoteProcess // that got the records before it; nil: none that is there

	records int         // how many of the master's first ones it was told
	said    atomic.Bool // it has told Python's logger the last one

	events chan<- event
	ended  chan struct{} // closed when it has

	writing     sync.Mutex // an order at a time, with its deadline
	keepsSilent sync.Once  // it is killed for that

	mu      sync.Mutex
	workers map[int]*forked // by age, until they have ended
	loaded  bool            // it takes orders
	told    bool            // to end
	gone    bool
}

// forked is one of its workers.
type forked struct {
	*child
	zygote  *zygoteProcess
	process *held // see held
	dropped bool  // it is to end, and has not begun
}

// Signal: as long as the application is being loaded the zygote stands for its workers, when all of them are to end.
func (w *forked) Signal(sig syscall.Signal) {
	if w.Pid() == 0 && sig == unix.SIGKILL { // a hook hangs before the fork, or behind it
		w.zygote.kill(sig)
		return
	}
	if w.Pid() == 0 && w.zygote.isDropped(w) {
		w.zygote.breakOff(sig, false)
		return
	}
	w.child.Signal(sig)
	if sig == unix.SIGKILL {
		go w.awaitWord(pastGrace)
	}
}

// awaitWord gives the zygote some time to tell how the worker has ended, if it has. Who is stopped, or in a hook that does not return,
// would keep the worker's place for ever.
func (w *forked) awaitWord(limit time.Duration) {
	select {
	case <-w.done:
	case <-time.After(limit):
		if p := w.held(); p != nil && p.hasEnded() {
			w.zygote.keepsSilent.Do(func() {
				w.zygote.log.Error("the process that workers are forked from does not tell that one has ended, and is killed",
					"pid", w.zygote.cmd.Process.Pid, "worker", w.age)
				w.zygote.kill(unix.SIGKILL)
			})
		}
	}
}

// isDropped notes that w is to end, and reports whether that is true of all whom the zygote, which is loading, has to fork.
func (p *zygoteProcess) isDropped(w *forked) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.dropped = true
	for _, each := range p.workers {
		if !each.dropped {
			return false
		}
	}
	return !p.loaded && !p.gone
}

func (p *zygoteProcess) isGone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

func (p *zygoteProcess) kill(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) }

func (p *zygoteProcess) add(w *forked) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		p.workers[w.age] = w
	}
	return !p.gone
}

// take returns the worker, which is told of for the last time.
func (p *zygoteProcess) take(age int) *forked {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.workers[age]
	delete(p.workers, age)
	return w
}

// sendTime is how long an order may wait for room: a zygote that reads nothing hangs in a hook.
const sendTime = 2 * time.Second

// send gives an order. A zygote that takes none any more is killed: the master has other things to do than to wait for it.
func (p *zygoteProcess) send(o order, files ...*os.File) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if err = p.write(data, rights, sendTime); errors.Is(err, os.ErrDeadlineExceeded) {
		p.kill(unix.SIGKILL)
	}
	if err != nil {
		return fmt.Errorf("the process that workers are forked from does not take the order %s: %w", o.Do, err)
	}
	return nil
}

func (p *zygoteProcess) write(data, rights []byte, limit time.Duration) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	_ = p.link.SetWriteDeadline(time.Now().Add(limit))
	_, _, err := p.link.WriteMsgUnix(data, rights, nil)
	return err
}

func (p *zygoteProcess) finish(last bool) {
	p.mu.Lock()
	p.told = true
	loading := !p.loaded && !p.gone
	p.mu.Unlock()
	if loading {
		p.breakOff(unix.SIGTERM, last)
		return
	}
	_ = p.send(endOrder(last))
	p.endSoon()
}

const lastRecord = "stopped"

func endOrder(last bool) order {
	if !last {
		return order{Do: "end"}
	}
	return order{Do: "end", Last: true, Level: slog.LevelInfo.String(), Message: lastRecord}
}

// breakOff ends one that is in the application's code, which only a signal does. If it is just through with that, it finds the order
// before the signal; else it would take that for one that a worker has sent to its parent, and hand it on to the master.
func (p *zygoteProcess) breakOff(sig syscall.Signal, last bool) {
	_ = p.send(endOrder(last))
	p.kill(sig)
	p.endSoon()
}

// endSoon gives one that is to end, and has no workers, as long as it may take.
func (p *zygoteProcess) endSoon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.told && len(p.workers) == 0 && !p.gone {
		time.AfterFunc(pastGrace, func() { p.kill(unix.SIGKILL) })
	}
}

// follow hears what the zygote says until it has ended.
func (p *zygoteProcess) follow() {
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		_ = p.cmd.Wait()
		_ = p.link.SetReadDeadline(time.Now().Add(lastWords)) // what it has started may have the link, and there is no end of it
	}()
	buf := make([]byte, mostSettings)
	for {
		n, err := p.link.Read(buf)
		if n == 0 || err != nil {
			break
		}
		var r report
		if json.Unmarshal(buf[:n], &r) == nil {
			p.hear(r)
		}
	}
	<-waited
	_ = p.link.Close()
	close(p.ended)
	status, _ := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	p.orphans(status)
}

func (p *zygoteProcess) hear(r report) {
	switch r.Does {
	case "loaded":
		p.mu.Lock()
		p.loaded = true
		p.mu.Unlock()
		if r.Logs {
			p.relay.take(p)
		}
	case "logs": // before the application is loaded
		if r.Logs {
			p.relay.release(p.records)
		} else {
			p.relay.release(0)
		}
	case "said":
		p.said.Store(true)
	case wordBegins, wordRefuses:
		p.events <- event{age: afterAge, word: r.Does}
	case "refused": // when it was started anew, and the file is another one by now
		p.log.Error(r.Sentence)
	case "forked":
		p.mu.Lock()
		w := p.workers[r.Age]
		p.mu.Unlock()
		if w != nil {
			w.isIn(hold(r.Pid))
		}
	case "ended":
		if w := p.take(r.Age); w != nil {
			go w.isOver(syscall.WaitStatus(r.Status))
		}
		p.endSoon()
	}
}

// orphans sees to the workers that the zygote has left: those that it has not forked end as it did, the others serve on.
func (p *zygoteProcess) orphans(status syscall.WaitStatus) {
	p.mu.Lock()
	p.gone = true
	left, told := p.workers, p.told
	p.workers = nil
	p.mu.Unlock()
	p.relay.release(0)
	if !told && len(left) > 0 && p.loaded {
		p.log.Error("the process that workers are forked from "+describe(status)+"; another one takes its place", "pid", p.cmd.Process.Pid)
	}
	for _, w := range left {
		if process := w.held(); process != nil {
			go func() {
				process.awaitEnd()
				w.isOver(notKnown)
			}()
		} else {
			_, _ = w.link.Write([]byte(wordQuit + "\n")) // if it was forked all the same: others go on
			go w.isOver(status)
		}
	}
}

// isIn says in which process the worker is. The zygote is the application's, and might name any.
func (w *forked) isIn(p *held) {
	if w.held() != nil || !p.isChildOf(w.zygote.cmd.Process.Pid) {
		p.close()
		return
	}
	w.mu.Lock()
	w.process = p
	w.mu.Unlock()
	w.began(p.pid, p.signal)
}

// held is its process; nil: not known yet.
func (w *forked) held() *held {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.process
}

// isOver: it has ended.
func (w *forked) isOver(status syscall.WaitStatus) {
	w.ended(status)
	if p := w.held(); p != nil {
		p.close()
	}
}
