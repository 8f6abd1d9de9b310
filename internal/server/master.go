package server

// Worker processes: this process as the master above them, or as one of them.

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/inflight"
	"github.com/gowsgi/gowsgi/internal/master"
)

// Orphaned is an error if a master started this process and has ended since: it is not to become one itself.
func Orphaned() error {
	if master.Orphan() {
		return errors.New("the master of this process has ended, so it ends as well")
	}
	return nil
}

// WantsMaster reports whether cfg asks for workers, and this process is none of them.
func WantsMaster(cfg *config.Config) bool { return master.Wanted(cfg) }

// Program is what runs Python for workers that are forked.
type Program struct {
	Interpreter *bridge.Interpreter // in the gowsgi binary; nil: the program is Python's own
	Files       *embed.FS           // the package gowsgi, for the binary
	Argv        []string            // the program, if it is not this one
}

// Master is the master's life: Python and the application are its workers' affair. files has read the configuration file, and
// knows what runs workers that are forked. The result is the exit status.
func Master(cfg *config.Config, files *Files) int {
	master.Signals()
	dir, err := os.Getwd()
	if err != nil {
		return Fail(fmt.Errorf("the current directory is not there: %w", err), config.ExitBoot)
	}
	if err := Prepare(cfg); err != nil {
		return Fail(err, config.ExitUsage)
	}
	log, err := OpenLog(cfg)
	if err != nil {
		return Fail(err, config.ExitUsage)
	}
	up := takeDetached()
	setTitle("master", cfg)
	warn(log, cfg)
	config.StartedIn(files.dir)
	reads := files.HasRead()
	zygote, err := zygote(cfg, files)
	if err != nil {
		return Fail(err, config.ExitBoot)
	}
	who, err := identityOf(cfg)
	if err != nil {
		return Fail(err, status(err))
	}
	given := *cfg
	before, err := master.Inherit(cfg)
	if err != nil {
		return Fail(err, config.ExitBoot)
	}
	pidFile := pidFileAfter(cfg.PidFile, before)
	if err := checkPidFile(pidFile); err != nil {
		return Fail(err, config.ExitBoot)
	}
	listeners, err := listen(cfg)
	defer func() {
		for _, ln := range listeners {
			_ = ln.Close()
		}
	}()
	if err == nil {
		err = give(who, cfg, listeners)
	}
	if err == nil {
		err = writePidFile(pidFile)
	}
	if err != nil {
		return Fail(err, status(err))
	}
	defer func() { removePidFile(pidFile) }()
	var read func(context.Context) (*master.Renewal, error)
	if reads {
		read = files.again
	}
	listening, err := master.NewListening(given.Bind, listeners)
	if err != nil {
		return Fail(err, config.ExitBoot)
	}
	for i, ln := range listening.All {
		ln.Owned = slices.Contains(cfg.Owned, cfg.Bind[i].Address)
	}
	status, err := master.Run(cfg, log, master.Surroundings{
		First: fmt.Sprintf("gowsgi %s %s (%d workers, pid %d)", config.Version, serving(cfg, listeningOn(listeners), len(listeners) > 0), cfg.WorkerCount(), os.Getpid()),
		Dir:   dir, Environ: files.children, Given: &given, As: who, Zygote: zygote, Read: read, Listen: listenLater, Before: before, Up: func() {
			leaveTerminal(cfg, log)
			up()
		}, Promoted: func() {
			pidFile = promotePidFile(pidFile, cfg.PidFile, log)
		}, Title: func(cfg *config.Config) { setTitle("master", cfg) }, Begins: func(cfg *config.Config, as *syscall.Credential) {
			if err := giveLogs(as, cfg); err != nil {
				log.Warn("the workers may be unable to open their logs", "error", err)
			}
		}, Reopen: func() {
			if err := reopenLog(log); err != nil {
				log.Error("the error log could not be opened again, so the old one is used on", "error", err)
			}
		}}, listening)
	if err != nil {
		return Fail(err, status)
	}
	return status
}

// zygote is what the process is told that loads the application for all workers; nil: each loads it itself.
func zygote(cfg *config.Config, files *Files) (*master.Zygote, error) {
	if !files.HasRead() {
		if !cfg.Preload && !forHooks(cfg) {
			return nil, nil
		}
		p, err := files.program(cfg)
		if err != nil {
			return nil, err
		}
		if files.zygote, err = newZygote(p); err != nil {
			return nil, err
		}
	}
	return files.take(cfg)
}

// forHooks reports whether there may be something for Python to do beside the application: hooks, or logging.
func forHooks(cfg *config.Config) bool { return cfg.File != nil || cfg.LogsByPython() }

// JoinMaster makes this process a worker if it is to be one: cfg then says what it has to itself, and what the master sees to
// is not its business. Before anything else opens descriptors.
func JoinMaster(cfg *config.Config) error {
	link, err := master.Join(cfg)
	if err != nil || link == nil {
		return err
	}
	workerOf = link
	setTitle("worker", cfg)
	cfg.PidFile, cfg.Warnings = "", nil
	if f := forked(); f != nil && f.Access {
		cfg.AccessLog = ""
	}
	return nil
}

// workerOf is the link of a worker to its master; nil: this process is none.
var workerOf *master.Link

// follow lets the master see to this worker, which serves from now on.
func (s *Server) follow(link *master.Link) {
	link.Follow(orders{s})
	leaveTerminal(s.cfg, s.log, s.http.FollowStream)
	link.Ready()
	go s.report(link)
	if s.cfg.Reload {
		go s.tellFiles(link)
	}
}

// showRequests has the master see which requests run.
func (s *Server) showRequests(link *master.Link) {
	t, err := inflight.New(s.cfg.Threads, time.Now().Add(-time.Duration(s.loop.Clock())))
	if err != nil {
		s.log.Warn("the master will not know which requests run when this worker dies", "error", err)
		return
	}
	s.http.Note(t)
	link.Table(t)
}

// shareConnections has the workers leave connections to each other.
func (s *Server) shareConnections(link *master.Link) {
	if p := link.Place; p != nil {
		s.loop.SetPeers(p)
		go p.Listen(s.loop.Called)
	}
}

// orders are what the master may ask for.
type orders struct{ s *Server }

// Leave implements master.Orders.
func (o orders) Leave(numbers []int) {
	o.s.loop.Post(func() {
		for _, n := range numbers {
			if n < len(o.s.listeners) {
				o.s.listeners[n].Leave()
			}
		}
	})
}

// Stop implements master.Orders.
func (o orders) Stop(last bool) {
	switch delay := o.s.cfg.DrainDelay; {
	case !last:
		o.s.stop(o.s.cfg.GracefulTimeout, onceMore)
	case delay > 0:
		o.s.drain(delay, o.last)
	default:
		o.last()
	}
}

// last ends the worker, after which nobody accepts from the listeners.
func (o orders) last() {
	o.s.loop.Post(func() {
		for _, ln := range o.s.listeners {
			ln.Adopt()
		}
	})
	o.s.Stop(o.s.cfg.GracefulTimeout)
}

// Shared implements master.Orders.
func (o orders) Shared(on bool) { o.s.shared.Store(on) }

// Quit implements master.Orders.
func (o orders) Quit() { o.s.interrupt() }

// Orphaned implements master.Orders.
func (o orders) Orphaned() {
	o.s.log.Warn("the master is gone, so this worker stops")
	if o.s.shared.Load() {
		o.Stop(false)
	} else {
		o.last()
	}
}

// answerTime is how long the master may take to say how this worker is to stop.
const answerTime = 2 * time.Second

// askMaster is for a SIGTERM that came to this process: if the master has got one, too, as systemd, shells and timeout(1) send it to
// whole groups, this is the end of the server, with its delay and its queues, and else that of one worker.
func (s *Server) askMaster(link *master.Link) {
	link.Asks()
	select {
	case <-s.stopped:
	case <-time.After(answerTime):
		if !s.http.Stopping() && !s.draining.Load() {
			s.Stop(s.cfg.GracefulTimeout)
		}
	}
}

// lookEvery is how often a worker looks whether it is time for another one, and tells that it lives.
const lookEvery = 250 * time.Millisecond

// report tells the master that the worker lives, and when it is time for another one.
func (s *Server) report(link *master.Link) {
	every := lookEvery
	if t := s.cfg.Timeout; t > 0 {
		every = min(every, t/4)
	}
	began := time.Now()
	s.pulse(every, func() {
		s.loop.Post(s.loop.LookForWaiting)
		switch {
		case s.cfg.MaxLifetime > 0 && time.Since(began) >= s.cfg.MaxLifetime:
			link.Retire("--max-lifetime")
		case s.cfg.MaxRSS > 0 && residentSize() > s.cfg.MaxRSS:
			link.Retire("--max-rss")
		}
	}, link.Beat)
}

// most is after how many requests a worker is to be replaced; 0: never.
func (s *Server) most() int64 {
	if s.cfg.MaxRequests == 0 {
		return 0
	}
	return int64(s.cfg.MaxRequests) + rand.Int64N(int64(s.cfg.MaxRequestsJitter)+1)
}

// residentSize is the memory that the process takes, in bytes; 0: not known.
func residentSize() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
