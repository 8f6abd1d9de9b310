package server

// Worker processes: this process as the master above them, or as one of them.

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/master"
)

// WantsMaster reports whether cfg asks for workers, and this process is none of them.
func WantsMaster(cfg *config.Config) bool { return master.Wanted(cfg) }

// Master is the master's life: Python and the application are its workers' affair. The result is the exit status.
func Master(cfg *config.Config) int {
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
	warn(log, cfg)
	if err := checkPidFile(cfg.PidFile); err != nil {
		return Fail(err, config.ExitBoot)
	}
	listeners, err := listen(cfg)
	defer func() {
		for _, ln := range listeners {
			_ = ln.Close()
		}
	}()
	if err == nil {
		err = writePidFile(cfg.PidFile)
	}
	if err != nil {
		return Fail(err, config.ExitBoot)
	}
	defer removePidFile(cfg.PidFile)
	log.Info(fmt.Sprintf("gowsgi %s %s (%d workers, pid %d)", config.Version, listeningOn(listeners), cfg.WorkerCount(), os.Getpid()))
	status, err := master.Run(cfg, log, dir, listeners, func() {
		if err := reopenLog(log); err != nil {
			log.Error("the error log could not be opened again, so the old one is used on", "error", err)
		}
	})
	if err != nil {
		return Fail(err, status)
	}
	log.Info("stopped")
	return status
}

// JoinMaster makes this process a worker if it is to be one: cfg then says what it has to itself, and what the master sees to
// is not its business. Before anything else opens descriptors.
func JoinMaster(cfg *config.Config) error {
	link, err := master.Join(cfg)
	if err != nil || link == nil {
		return err
	}
	workerOf = link
	cfg.PidFile, cfg.Warnings = "", nil
	return nil
}

// workerOf is the link of a worker to its master; nil: this process is none.
var workerOf *master.Link

// follow lets the master see to this worker, which serves from now on.
func (s *Server) follow(link *master.Link) {
	link.Follow(orders{s})
	link.Ready()
	go s.report(link)
}

// orders are what the master may ask for.
type orders struct{ s *Server }

// Stop implements master.Orders.
func (o orders) Stop(last bool) {
	s := o.s
	if last {
		s.loop.Post(func() {
			for _, ln := range s.listeners {
				ln.Adopt()
			}
		})
	}
	s.Stop(s.cfg.GracefulTimeout)
}

// Quit implements master.Orders.
func (o orders) Quit() { o.s.Stop(0) }

// Orphaned implements master.Orders.
func (o orders) Orphaned() {
	o.s.log.Warn("the master is gone, so this worker stops")
	o.Stop(true)
}

// report tells the master that the threads live, and when it is time for another worker.
func (s *Server) report(link *master.Link) {
	every := 250 * time.Millisecond
	if t := s.cfg.Timeout; t > 0 && t/4 < every {
		every = t / 4
	}
	most := int64(0)
	if s.cfg.MaxRequests > 0 {
		most = int64(s.cfg.MaxRequests) + rand.Int64N(int64(s.cfg.MaxRequestsJitter)+1)
	}
	began := time.Now()
	retires := false
	stuck := crew.NewStuck(s.crew)
	for tick := time.NewTicker(every); ; {
		select {
		case <-s.stopped:
			return
		case <-tick.C:
		}
		s.loop.Post(s.loop.LookForWaiting)
		bridge.TouchGIL() // as long as nobody lets go of it, there are no beats
		// Who waits for another request is not stuck.
		if stuck.For(time.Now()) < s.cfg.Timeout || bridge.ThreadWaits() > 0 || s.cfg.Timeout == 0 {
			link.Beat()
		}
		if why := s.tired(most, began); why != "" && !retires {
			retires = true
			link.Retire(why)
		}
	}
}

// tired is why a worker is to be replaced, "" if it is not.
func (s *Server) tired(most int64, began time.Time) string {
	switch {
	case most > 0 && s.http.Served() >= most:
		return "--max-requests"
	case s.cfg.MaxLifetime > 0 && time.Since(began) >= s.cfg.MaxLifetime:
		return "--max-lifetime"
	case s.cfg.MaxRSS > 0 && residentSize() > s.cfg.MaxRSS:
		return "--max-rss"
	}
	return ""
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
