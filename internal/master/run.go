package master

// From a command line to a master that runs.

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/systemd"
)

// Wanted reports whether the process is to be a master: workers are asked for, and it is none.
func Wanted(cfg *config.Config) bool {
	return !IsWorker() && cfg.WorkerCount() > 0
}

// IsWorker reports whether this process is one, before Join.
func IsWorker() bool { return told().worker }

// PrivateVariables are those by which one process of a server tells another what it is.
func PrivateVariables() []string { return []string{variable, zygoteVariable} }

// Again is a command that starts this program in dir as it was started there before.
func Again(dir string) (*exec.Cmd, error) {
	how, err := thisProgram(dir)
	return &exec.Cmd{Path: how.path, Args: how.argv, Dir: how.dir}, err
}

// Surroundings are what a master needs of whoever runs it.
type Surroundings struct {
	Dir     string                                  // where the program was started
	Environ []string                                // and the environment of what it starts, without what raw_env has added: that is no default of options
	Given   *config.Config                          // what the user said, where something else than that holds
	As      *syscall.Credential                     // who workers are; nil: who it is
	Zygote  *Zygote                                 // what the process is told that loads the application and is forked; nil: each worker loads it
	Read    func(context.Context) (*Renewal, error) // reads the configuration file again, until that is over; nil without one; called aside
	Listen  listenFunc                              // binds an address that the file did not name before; called aside
	Reopen  func()                                  // opens the log files again
	Up      func()                                  // called when the first workers serve

	Before   int    // the master that this one takes over from, see Inherit; 0: none
	Promoted func() // called when that one has ended

	First string // the first record of the log

	// Title has ps show which site this is.
	Title func(*config.Config)

	// Begins is called before workers of that configuration and user open their log files.
	Begins func(*config.Config, *syscall.Credential)
}

// Run is a master's life, at the end of which nothing is listened on. The result is the exit status.
func Run(cfg *config.Config, log *slog.Logger, around Surroundings, listening *Listening) (int, error) {
	how, err := thisProgram(around.Dir)
	if err != nil {
		return config.ExitBoot, err
	}
	how.environ = around.Environ
	again := how
	if how.as = around.As; how.as != nil && (cfg.Chdir == "" || filepath.IsAbs(cfg.Chdir)) {
		how.dir = "" // where the master is: the user may not be allowed to go where root started it
	}
	log, relay := newRelay(log)
	m := newMaster(cfg, log)
	m.started = around.Given
	m.reopen, m.title = around.Reopen, around.Title
	m.up = around.Up
	m.announcer.manager = systemd.Take()
	m.watchFiles()
	m.watchMemory()
	m.begins = func() { around.Begins(m.cfg, m.as(around.As)) }
	m.listen = around.Listen
	m.listenOn(listening)
	defer func() {
		for _, ln := range m.bound {
			ln.Shutdown()
			ln.close()
		}
	}()
	m.start = func(age, _ int) (process, error) { return spawn(how, age, m.listening.forWorkers(), m.events) }
	manager := m.announcer.manager
	m.heirs.begin = func() (process, error) {
		return startHeir(again, append(manager.Environ(), m.listening.owned()), m.listening.files(), m.events)
	}
	m.heirs.before = around.Before
	m.heirs.left = func() {
		for _, ln := range m.bound {
			if m.heirs.have.has(ln) {
				ln.Give()
			}
		}
	}
	m.heirs.promoted = func() {
		m.announcer.manager = manager
		around.Promoted()
		for _, ln := range m.bound {
			if m.heirs.have.has(ln) && ln.Owned {
				ln.Take()
			}
		}
	}
	if around.Before != 0 {
		m.heirs.have = listening
		m.announcer.manager = nil // it has the ear of the one before
	}
	end := func() (said bool) { return false }
	if around.Zygote != nil {
		all := &zygotes{
			told: map[int]*Zygote{}, listening: map[int]*Listening{}, how: how, log: log, events: m.events, of: map[int]*zygoteProcess{},
			want: func() int { return m.want }, relay: relay,
		}
		m.start, m.over, m.use, m.changed = all.fork, all.over, all.use, all.changed
		m.zygote = around.Zygote
		m.use(m.generation, m.zygote, m.listening)
		m.read, m.heirs.allowed = around.Read, all.allowed
		m.reopen = func() {
			around.Reopen()
			all.reopen()
		}
		m.up = func() {
			around.Up()
			switch {
			case cfg.Daemon && (cfg.KeepStdio || cfg.Captures()):
				all.leave(1)
			case cfg.Daemon:
				all.leave(3)
			}
		}
		if cfg.LogsByPython() {
			relay.hold()
			defer relay.release(0)
		}
		end = func() bool {
			m.endReading()
			all.end(pastGrace)
			return all.said()
		}
	}
	log.Info(around.First)
	status := m.run(Signals())
	if !end() {
		log.Info(lastRecord)
	}
	return status, nil
}

func newMaster(cfg *config.Config, log *slog.Logger) *Master {
	return &Master{
		cfg: cfg, started: cfg, log: log, now: time.Now, reopen: func() {}, begins: func() {}, title: func(*config.Config) {}, up: func() {}, over: func(int, bool) {}, use: func(int, *Zygote, *Listening) {},
		changed: func(int, int, int) {}, readings: make(chan hasRead),
		want: cfg.WorkerCount(), previous: -1, workers: map[int]*worker{}, events: make(chan event, 64),
		oomKills: func() int { return -1 }, oomSeen: -1,
		heirs: heirs{allowed: func(int) bool { return true }, parentIs: os.Getppid, promoted: func() {}, left: func() {}},
	}
}

var errNoProgram = errors.New("how this program was started cannot be found out, so it cannot start workers")
