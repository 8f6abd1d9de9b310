package server

// A server in a worker process of somebody else's master, gunicorn's: its heartbeat, its signals, its last request.

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
)

// worker is what the master's side says of it.
type worker struct {
	Parent       int     // the master; when another process is the parent, the server is stopped
	Heartbeat    float64 // seconds from one to the next
	MaxRequests  int64   // after so many the server is stopped; 0: never
	Multiprocess bool    // wsgi.multiprocess
}

const (
	// quickly is the grace where the master wants an end at once.
	quickly = 100 * time.Millisecond

	// handlersFirst is what Python's handler of such a signal, which may have a shorter one in mind, gets before.
	handlersFirst = time.Second
)

// beat lets the module's heartbeat be called as long as the worker lives, and stops the server when its master is gone.
func (s *Server) beat() {
	s.pulse(time.Duration(s.worker.Heartbeat*float64(time.Second)), func() {
		if s.worker.Parent != 0 && os.Getppid() != s.worker.Parent && !s.http.Stopping() {
			s.log.Info("the parent process has changed")
			s.Stop(s.cfg.GracefulTimeout)
		}
	}, func() {})
}

// workerSignal: Python has handlers for all of them, but its main thread may be long in coming.
func (s *Server) workerSignal(sig syscall.Signal) {
	switch sig {
	case syscall.SIGTERM:
		s.Stop(s.cfg.GracefulTimeout)
	case syscall.SIGINT, syscall.SIGQUIT:
		s.Stop(handlersFirst)
	}
}

// lastRequest is called by the thread that begins the last of as many requests as the server is to have.
func (s *Server) lastRequest() {
	go s.log.Info("Autorestarting worker after current request.", "requests", s.worker.MaxRequests)
	s.Stop(s.cfg.GracefulTimeout)
}

// overstayed ends the process when a thread of the application keeps the main thread from coming back after the grace.
func (s *Server) overstayed() {
	select {
	case <-s.stopped:
	case <-time.After(2 * cutLimit):
		s.endNow("the grace is over, and the main thread is still in the application", bridge.AtExit)
	}
}

// nobodyElse tells whether a listener's queue is lost when this process closes it: where the master has closed it, its other
// workers are stopped as well. Of a master that cannot be looked at, another user's, it is not known.
func (s *Server) nobodyElse(fd int) bool {
	if s.worker.Parent == 0 {
		return false
	}
	if os.Getppid() != s.worker.Parent {
		return true
	}
	var st unix.Stat_t
	folder := fmt.Sprintf("/proc/%d/fd/", s.worker.Parent)
	open, err := os.ReadDir(folder)
	if err != nil || unix.Fstat(fd, &st) != nil {
		return false
	}
	name := fmt.Sprintf("socket:[%d]", st.Ino)
	for _, entry := range open {
		if link, err := os.Readlink(folder + entry.Name()); err == nil && link == name {
			return false
		}
	}
	return true
}
