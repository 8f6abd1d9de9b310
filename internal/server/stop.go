package server

// The end: signals, a graceful stop that lets requests in flight finish, and the forced end after it.

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/crew"
)

type stopState struct {
	stopped  chan struct{} // closed at the end
	forced   chan struct{} // closed when the grace is used up
	embedded bool          // run by a Python program: its process is not ours to end

	signalled atomic.Bool // Python has a signal handler to run, and its main thread will

	// Signals reach us by the wake-up descriptor, and by Python's handler if the app took that descriptor away. The
	// larger count is right.
	seen, handled atomic.Int32
}

// signalPipe is what signal.set_wakeup_fd writes to.
type signalPipe struct{ r, w int }

// takeSignals makes SIGINT and SIGTERM stop the server; nil if the calling thread is not Python's main thread.
func (s *Server) takeSignals() (*signalPipe, error) {
	s.forced = make(chan struct{})
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		return nil, os.NewSyscallError("pipe", err)
	}
	p := &signalPipe{fds[0], fds[1]}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, err
		}
	}
	ok, err := bridge.InstallSignals(p.w)
	if err != nil || !ok {
		closeFD(p.r)
		closeFD(p.w)
		return nil, err
	}
	return p, s.loop.WatchFD(p.r, func() { s.readSignals(p) })
}

func (s *Server) releaseSignals(p *signalPipe) {
	if p == nil {
		return
	}
	if err := bridge.RestoreSignals(); err != nil {
		s.log.Warn("signal handlers could not be restored", "error", err)
	}
	closeFD(p.r)
	closeFD(p.w)
}

// readSignals runs on the leader.
func (s *Server) readSignals(p *signalPipe) {
	var buf [64]byte
	for {
		n, err := unix.Read(p.r, buf[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n <= 0 {
			break
		}
		for _, b := range buf[:n] {
			if sig := syscall.Signal(b); sig == syscall.SIGINT || sig == syscall.SIGTERM {
				s.stopSignal(sig, s.seen.Add(1), s.handled.Load())
			}
		}
	}
	// Python's own handlers run in the main thread: wherever that is, it has to come round.
	if !s.signalled.Swap(true) {
		s.crew.PostTo(s.crew.Threads()[0], crew.Func(func(t *crew.Thread) {
			s.signalled.Store(false)
			t.Blocking(t.Py.CheckSignals)
		}))
	}
}

// handledSignal is called by Python's handler, in the main thread with the GIL.
func (s *Server) handledSignal(sig syscall.Signal) {
	s.stopSignal(sig, s.handled.Add(1), s.seen.Load())
}

// stopSignal: the first signal stops gracefully, the second ends at once. mine is the count of the way it came by.
func (s *Server) stopSignal(sig syscall.Signal, mine, other int32) {
	if mine <= other {
		return // the other way was first
	}
	if mine == 1 {
		s.Stop(s.cfg.GracefulTimeout)
		return
	}
	s.log.Warn("second " + signalName(sig) + ": ending at once")
	s.flushLogs()
	os.Exit(128 + int(sig))
}

func signalName(sig syscall.Signal) string {
	if sig == syscall.SIGINT {
		return "SIGINT"
	}
	return "SIGTERM"
}

// Stop ends the server gracefully: no new connections, requests in flight get grace to finish. Any goroutine; again does
// nothing.
func (s *Server) Stop(grace time.Duration) {
	if !s.http.Stop() {
		return
	}
	s.loop.Post(func() { s.beginStop(grace) })
}

// beginStop runs on the leader.
func (s *Server) beginStop(grace time.Duration) {
	s.log.Info("stopping", "connections", s.loop.Conns(), "grace", grace)
	s.http.BeginStop()
	if grace <= 0 {
		grace = time.Nanosecond
	}
	go func() {
		select {
		case <-s.stopped:
		case <-time.After(grace):
			s.graceOver()
		}
	}()
}

// graceOver cuts what is still there.
func (s *Server) graceOver() {
	close(s.forced)
	s.http.Over()
	busy := s.crew.InCalls()
	if busy == 0 {
		return // only clients were slow: the loop ends by itself now
	}
	s.log.Warn("the grace is over: requests still running are cut", "threads", busy)
	if s.embedded {
		return
	}
	// Python cannot be finalised while threads are in it. Run atexit as it would, if the GIL can be had, and go.
	done := make(chan struct{})
	go func() {
		if err := bridge.RunAtExit(); err != nil {
			s.log.Warn("atexit functions failed", "error", err)
		}
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Second):
		s.log.Warn("atexit functions could not be run: the application holds the interpreter")
	}
	s.flushLogs()
	s.unlink()
	os.Exit(0)
}

func (s *Server) flushLogs() { s.http.FlushLog() }

// unlink removes what would be left behind by an end without finish.
func (s *Server) unlink() {
	s.closeListeners()
	removePidFile(s.cfg.PidFile)
}

func closeFD(fd int) { _ = unix.Close(fd) }
