// Package server is the life of a server: configuration, listeners, start, stop, signals, logs, pid file. It knows all
// rooms and holds no state of a request; who runs what is internal/crew's, and HTTP internal/h1's.
//
//	server.go    Server, its listeners, start and end
//	signals.go   how signals come, and what they mean
//	stop.go      graceful stop, forced end
//	descriptors.go  what a process may be short of
//	pidfile.go   the pid file
//	master.go    this process as the master of workers, or as one of them
//	worker.go    as one of gunicorn's
//	drain.go     a stop that is announced
//	init.go      this process as process 1
//	warmup.go    the first request of a process, its own
//	pulse.go     whether a worker lives
//	manager.go   what systemd hears
//	daemon.go    in the background
//	identity.go  as another user
//	title_linux.go  what ps shows
//	command.go   the command line and the module functions on top of it
package server

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/h1"
	"github.com/gowsgi/gowsgi/internal/systemd"
	"github.com/gowsgi/gowsgi/reactor"
)

// Software is SERVER_SOFTWARE.
const Software = "gowsgi/" + config.Version

// Server serves one application. It runs once.
type Server struct {
	stopState
	signalState

	cfg       *config.Config
	log       *slog.Logger
	http      *h1.Server
	loop      *reactor.Loop // its
	crew      *crew.Crew    // its
	listeners []*reactor.Listener
	templates []uint8 // the environ template of each, and behind it the secure one
	spare     reserve
	accepts   atomic.Bool
	unfit     atomic.Bool      // it has not passed its warm-up
	worker    *worker          // nil: the process is nobody's worker
	manager   *systemd.Manager // nil: nobody is to hear of it
	up        func()           // to be called when it is; or nil
	mongrel2  behind           // nil: requests come by HTTP only
}

// New makes a server that logs to log. Listen and Serve follow.
func New(cfg *config.Config, log *slog.Logger) (*Server, error) {
	http, err := h1.New(cfg, log)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: log, http: http, loop: http.Loop(), crew: http.Crew()}
	s.stopped = make(chan struct{})
	s.forced = make(chan struct{})
	if !s.spare.take(spareDescriptors) {
		http.Close()
		return nil, noDescriptors()
	}
	return s, nil
}

// Listen binds every address of the configuration.
func (s *Server) Listen() (err error) {
	if s.listeners, err = listen(s.cfg); err == nil && s.cfg.BehindMongrel2() {
		s.mongrel2, err = newBehind(s.cfg, s.log)
	}
	for i, ln := range s.listeners {
		switch {
		case workerOf != nil: // who was woken for a connection is the only one who was
			ln.Last = func(int) bool { return true }
		case s.worker != nil && s.cfg.Bind[i].Network == "fd":
			ln.Last = s.nobodyElse
		}
	}
	return err
}

// listen binds the addresses of cfg: all or none.
func listen(cfg *config.Config) (all []*reactor.Listener, err error) {
	for _, b := range cfg.Bind {
		ln, err := listenOn(b, cfg)
		if err != nil {
			for _, ln := range all {
				_ = ln.Close()
			}
			return nil, err
		}
		all = append(all, ln)
	}
	return all, nil
}

func listenOn(b config.Bind, cfg *config.Config) (ln *reactor.Listener, err error) {
	if b.Network == "fd" {
		ln, err = reactor.ListenFD(b.FD)
	} else {
		o := reactor.ListenOptions{Backlog: cfg.Backlog, ReusePort: cfg.ReusePort, Defer: true, Forked: bridge.Forked}
		ln, err = reactor.Listen(b.Network, b.Address, o)
	}
	if err != nil {
		return nil, bindError(b, err)
	}
	return ln, nil
}

func (s *Server) closeListeners() {
	for _, ln := range s.listeners {
		ln.Close()
	}
}

// Addresses are the bound addresses as URLs.
func (s *Server) Addresses() []string { return addresses(s.listeners) }

func addresses(listeners []*reactor.Listener) (urls []string) {
	for _, ln := range listeners {
		urls = append(urls, ln.URL())
	}
	return urls
}

// listeningOn is them in words.
func listeningOn(listeners []*reactor.Listener) string {
	if len(listeners) == 0 {
		return "running, and listening nowhere"
	}
	return "listening on " + strings.Join(addresses(listeners), ", ")
}

// listeningOn is where requests come from, in words.
func (s *Server) listeningOn() string {
	return serving(s.cfg, listeningOn(s.listeners), len(s.listeners) > 0)
}

// addTemplates makes the environ template of each listener and, behind it, the one for requests that a trusted proxy got by
// TLS.
func (s *Server) addTemplates() error {
	var all []bridge.Template
	add := func(name, port, scheme string) (index uint32, err error) {
		t := bridge.Template{
			ServerName: name, ServerPort: port, Software: Software, Scheme: scheme,
			Multithread:  s.cfg.Threads > 1,
			Multiprocess: s.cfg.WorkerCount() > 1 || s.worker != nil && s.worker.Multiprocess,
		}
		if index, err = bridge.AddTemplate(t); err == nil {
			all = append(all, make([]bridge.Template, max(0, int(index)+1-len(all)))...) // a server before this one has the first
			all[index] = t
			if scheme == "http" {
				s.templates = append(s.templates, uint8(index))
			}
		}
		return index, err
	}
	for _, ln := range s.listeners {
		name, port, securePort := ln.Host(), strconv.Itoa(ln.Port()), strconv.Itoa(ln.Port())
		if ln.Network() == "unix" { // PEP 3333: neither is ever empty
			name, port, securePort = "localhost", "80", "443"
		}
		if _, err := add(name, port, "http"); err != nil {
			return err
		}
		if _, err := add(name, securePort, "https"); err != nil {
			return err
		}
	}
	if s.mongrel2 != nil {
		plain, err := add("localhost", "80", "http")
		if err != nil {
			return err
		}
		if _, err = add("localhost", "443", "https"); err != nil {
			return err
		}
		s.mongrel2.begin(s, uint8(plain))
	}
	s.http.SetTemplates(all)
	return nil
}

// dropTemplates gives them back: a process may run one server after the other.
func (s *Server) dropTemplates() {
	for _, plain := range s.templates {
		bridge.DropTemplate(uint32(plain) + 1)
		bridge.DropTemplate(uint32(plain))
	}
	s.templates = nil
}

// Serve runs the server on the calling thread, which Python knows with the state saved, and on the others that it starts,
// until it is stopped. started is called when everything is up. Python and the application are there.
func (s *Server) Serve(saved bridge.State, started func()) error {
	if err := checkSpace(s.cfg.Threads); err != nil {
		return err
	}
	defer s.dropTemplates()
	if err := s.addTemplates(); err != nil {
		return err
	}
	defer crew.Punctual()() // and the monitor, which this thread starts
	bridge.SetSendfile(s.cfg.Sendfile)
	bridge.SetRequestIDs(s.cfg.RequestID == "take" || s.cfg.RequestID == "make")
	tick := s.cfg.HandoverAfter
	if tick <= 0 {
		tick = time.Millisecond
	}
	if err := s.crew.Start(tick, saved); err != nil {
		return err
	}
	for i, ln := range s.listeners {
		s.http.SetTemplate(ln, s.templates[i])
	}
	if s.cfg.Warmup == "" {
		if err := s.accept(); err != nil {
			return err
		}
	}
	if err := s.takeSignals(); err != nil {
		return err
	}
	if err := s.watchSignals(); err != nil {
		return err
	}
	s.http.Aside().Begin(s.log)
	if s.worker != nil {
		s.http.OnLast(s.worker.MaxRequests, s.lastRequest)
		if s.worker.Heartbeat > 0 {
			go s.beat()
		}
	}
	switch {
	case s.cfg.Warmup != "":
		if err := s.warmUp(started); err != nil {
			return err
		}
	case started != nil:
		s.serves(started)
	}
	s.crew.Lead()
	s.http.Aside().End()
	s.finish()
	return nil
}

// accept lets connections come. Leader, or before anybody leads.
func (s *Server) accept() error {
	for i, ln := range s.listeners {
		if err := s.http.AddListener(ln, s.templates[i]); err != nil {
			return err
		}
	}
	s.accepts.Store(true)
	if s.mongrel2 != nil {
		return s.mongrel2.connect()
	}
	return nil
}

// finish ends what Serve began. The calling thread is out of work.
func (s *Server) finish() {
	s.guardEnd()
	close(s.stopped)
	s.crew.Finish(func(joined <-chan struct{}) {
		select {
		case <-joined:
			return
		case <-s.forced:
		}
		if s.cut.Load() && !s.embedded {
			select {} // graceOver ends the process
		}
		limit := cutLimit
		if s.quick.Load() {
			limit = quickly
		}
		select {
		case <-joined:
		case <-time.After(limit): // threads are still in the application, and will find the server gone
		}
	})
	if s.embedded {
		s.releaseSignals()
	}
	if s.mongrel2 != nil {
		s.mongrel2.close()
	}
	s.http.Close()
	s.closeListeners()
}

// discard gives back what a server has that did not come to serve.
func (s *Server) discard() {
	s.closeListeners()
	s.http.Close()
	s.spare.give()
}

// startLine is the one line that tells that the server is up.
func (s *Server) startLine(p bridge.PythonInfo, took time.Duration) string {
	threads := "1 thread"
	if s.cfg.Threads > 1 {
		threads = strconv.Itoa(s.cfg.Threads) + " threads"
	}
	return fmt.Sprintf("gowsgi %s %s (%s, %s, pid %d, started in %.2f s)", config.Version, s.listeningOn(), p, threads, os.Getpid(),
		took.Seconds())
}
