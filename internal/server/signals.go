package server

// Signals: how they arrive, and what they mean. They come through a pipe, which the reactor watches while the server serves
// and a goroutine (guard) before and after that.

import (
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/accesslog"
	"github.com/gowsgi/gowsgi/internal/crew"
)

const (
	// sameSignal is how long a signal that comes again is the one that came before: timeout(1) sends it to the process and
	// to its group, and so do shells and systemd.
	sameSignal = time.Second

	// leastEnd is what Python gets for its end at least, if the grace is used up.
	leastEnd = time.Second

	// cutLimit is how long threads may take to come back from what was cut.
	cutLimit = time.Second

	// pokeEvery is how often the main thread, which loads the application, is reminded that it has a signal to see to.
	pokeEvery = 100 * time.Millisecond

	// goesOnFor is when to look again whether a program ends that called us and goes on.
	goesOnFor = 5 * time.Second

	// atExitLimit is how long Python's atexit functions may take when the grace is over.
	atExitLimit = 2 * time.Second
)

// signalPipe is what the handler, and Python by signal.set_wakeup_fd, write the numbers of signals to.
type signalPipe struct{ r, w int }

// goOn is what is in the pipe when it is no signal: for guard to end, or what BeforeEnd announces.
const goOn = 0

func newSignalPipe() (*signalPipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("pipe", err)
	}
	return &signalPipe{fds[0], fds[1]}, nil
}

// next takes one byte; false when none came until the end (zero: no limit).
func (p *signalPipe) next(end time.Time) (byte, bool) {
	for {
		ms := -1
		if !end.IsZero() {
			if ms = int(time.Until(end)/time.Millisecond) + 1; ms <= 0 {
				return 0, false
			}
		}
		var b [1]byte
		if n, _ := unix.Read(p.r, b[:]); n == 1 {
			return b[0], true
		}
		fds := [1]unix.PollFd{{Fd: int32(p.r), Events: unix.POLLIN}}
		_, _ = unix.Poll(fds[:], ms)
	}
}

func (p *signalPipe) goOn() { _, _ = unix.Write(p.w, []byte{goOn}) }

func (p *signalPipe) close() {
	closeFD(p.r)
	closeFD(p.w)
}

// signalState is the part of Server that this file is about.
type signalState struct {
	signals *signalPipe // nil: signals are the embedding program's business

	counted   atomic.Int64 // the last signal that counted to stop: its number, and in the bits above 8 when it came, in ms
	loading   atomic.Bool  // the main thread loads the application
	brokenOff atomic.Bool  // and was told to break it off
	signalled atomic.Bool  // Python has a signal handler to run, and its main thread will
	poked     atomic.Bool  // what comes through the pipe now is the echo of a poke

	guarded  atomic.Bool  // guard sees to the end of the process
	returned atomic.Bool  // Command has, or is about to
	status   atomic.Int32 // of the process, if guard ends it
}

// takeSignals makes signals the server's, if the calling thread is Python's main one. Again: takes back those that the
// application has set handlers for since.
func (s *Server) takeSignals() error {
	p := s.signals
	if p == nil {
		var err error
		if p, err = newSignalPipe(); err != nil {
			return err
		}
	}
	install := bridge.InstallSignals
	if s.worker != nil {
		install = bridge.WatchSignals
	}
	ok, err := install(p.w)
	if err != nil || !ok {
		p.close()
		s.signals = nil
		return err
	}
	s.signals = p
	return nil
}

func (s *Server) releaseSignals() {
	p := s.signals
	if p == nil {
		return
	}
	restore := bridge.RestoreSignals
	if s.worker != nil {
		restore = bridge.UnwatchSignals
	}
	if err := restore(); err != nil {
		s.log.Warn("signal handlers could not be restored", "error", err)
	}
	s.signals = nil
	p.close()
}

// watchSignals lets the reactor see to the pipe. Leader only.
func (s *Server) watchSignals() error {
	if s.signals == nil {
		return nil
	}
	return s.loop.WatchFD(s.signals.r, s.readSignals)
}

// readSignals runs on the leader.
func (s *Server) readSignals() {
	var buf [64]byte
	for {
		n, err := unix.Read(s.signals.r, buf[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n <= 0 {
			break
		}
		for _, b := range buf[:n] {
			s.signal(b)
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

// signal acts on what came through the pipe. Any goroutine.
func (s *Server) signal(b byte) {
	sig, ours := syscall.Signal(b&^bridge.SignalOurs), b&bridge.SignalOurs != 0
	switch {
	case b == goOn:
	case s.worker != nil:
		s.workerSignal(sig)
	case b == bridge.SignalPoked || b == bridge.SignalPokeOver:
		// The main thread may get the poke when the application is loaded, and the server serves.
		s.poked.Store(b == bridge.SignalPoked)
	case !ours && s.poked.Load():
	case !ours && s.loading.Load() && s.counted.Load() != 0: // the echo of one that counted
	case sig == syscall.SIGINT || sig == syscall.SIGTERM:
		s.stopSignal(sig)
	case !ours: // the application has a handler for it
	case sig == syscall.SIGUSR1:
		go s.reopenLogs()
	case sig == syscall.SIGWINCH && isTerminal(2): // its window has another size
	case workerOf != nil: // of somebody who signals all processes by their name
		s.log.Info(unix.SignalName(sig) + " is for the master, and this is a worker: nothing was done")
	default:
		s.log.Warn(unix.SignalName(sig) + " is for servers with worker processes (--workers), and this is not one: nothing was done")
	}
}

// handledSignal is called by Python's handler, in the main thread with the GIL, long after the signal perhaps. It reports
// whether what that thread does is to be broken off.
func (s *Server) handledSignal(sig syscall.Signal) (interrupt bool) {
	if s.counted.Load() == 0 { // an interrupt without a signal, and the application has the wake-up descriptor
		s.stopSignal(sig)
	}
	return s.loading.Load() && !s.brokenOff.Swap(true)
}

// stopSignal: the first signal stops gracefully, a second one ends at once. Each may come by several ways.
func (s *Server) stopSignal(sig syscall.Signal) {
	now := s.loop.Clock() / int64(time.Millisecond)
	for {
		last := s.counted.Load()
		if last != 0 && syscall.Signal(last&0xff) == sig && now-last>>8 < sameSignal.Milliseconds() {
			return
		}
		if !s.counted.CompareAndSwap(last, now<<8|int64(sig)) {
			continue
		}
		if last == 0 {
			switch delay := s.cfg.DrainDelay; {
			case sig == syscall.SIGINT && hooked():
				s.interrupt()
			case sig == syscall.SIGTERM && workerOf != nil && s.accepts.Load():
				go s.askMaster(workerOf)
			case delay > 0 && sig == syscall.SIGTERM && s.accepts.Load():
				s.drain(delay, func() { s.Stop(s.cfg.GracefulTimeout) })
			default:
				s.Stop(s.cfg.GracefulTimeout)
			}
			return
		}
		break
	}
	s.log.Warn("second " + unix.SignalName(sig) + ": ending at once")
	s.flushLogs()
	s.unlink()
	os.Exit(128 + int(sig))
}

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	return err == nil
}

// reopenLogs goes on in files of the logs' names, which logrotate has moved away.
func (s *Server) reopenLogs() {
	s.spare.give()
	defer s.spare.take(spareDescriptors)
	failed := []error{reopenLog(s.log), s.http.ReopenLog()}
	if s.cfg.ErrorLog != "-" && s.cfg.ErrorLog != "" || hooked() {
		failed = append(failed, bridge.ReopenErrorLog(s.cfg.ErrorLog))
	}
	if err := errors.Join(failed...); err != nil {
		s.log.Error("a log file could not be opened again, so the old one is used on", "error", err)
		return
	}
	s.log.Info("the log files were opened again")
}

func reopenLog(log *slog.Logger) error {
	h, ok := log.Handler().(*handler)
	if !ok {
		return nil
	}
	result := make(chan error, 1)
	if !accesslog.Within(logTime, func() { result <- h.w.Reopen() }) {
		return errors.New("it takes nothing, as a pipe that nobody reads")
	}
	return <-result
}

// ------------------------------------------------------------------------------------------------ without a reactor

// guardLoading sees to signals while the application is loaded. The function it returns ends that.
func (s *Server) guardLoading() (end func()) {
	if s.signals == nil {
		return func() {}
	}
	s.loading.Store(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.guard(true)
	}()
	return func() {
		s.loading.Store(false)
		s.signals.goOn()
		<-done
	}
}

// guardEnd sees to it that the process ends: when the server has been stopped and its grace is over, whatever keeps it, and
// at a second signal. In the main thread, when nobody polls the reactor any more.
func (s *Server) guardEnd() {
	if s.signals == nil || s.embedded || s.guarded.Swap(true) {
		return
	}
	go s.guard(false)
	if err := bridge.BeforeEnd(s.signals.w); err != nil {
		s.log.Warn("the end of Python is not watched over", "error", err)
	}
}

// guard reads signals until it is told to go on, and ends the process when the time for stopping is up.
func (s *Server) guard(loading bool) {
	atExit := false // Python's atexit functions have begun
	least := time.Now().Add(leastEnd)
	var poke time.Time // when the next is due
	for {
		var end time.Time
		if by := s.stopBy.Load(); by != 0 {
			end = time.Unix(0, by)
			if end.Before(least) {
				end = least
			}
		}
		until := end
		if loading && !end.IsZero() {
			if now := time.Now(); !now.Before(poke) {
				bridge.PokeMain()
				poke = now.Add(pokeEvery)
			}
			if until.After(poke) {
				until = poke
			}
		}
		b, ok := s.signals.next(until)
		if ok && b != goOn {
			s.signal(b)
			if end.IsZero() || time.Now().Before(end) {
				continue
			}
			ok, until = false, end // a poke is echoed: what comes must not put off the end
		}
		switch {
		case !ok && until.Before(end):
		case ok && loading:
			return
		case ok:
			atExit = true
			least = time.Now().Add(atExitLimit)
		case loading:
			s.endNow("the grace is over, and the application is still being loaded", bridge.AtExit)
		case atExit:
			s.log.Warn("the grace is over, and an atexit function has not returned: the process ends")
			s.exit()
		case !s.returned.Load():
			s.endNow("the grace is over, and a thread of the server has not returned", bridge.AtExit)
		default:
			why := "the grace is over, and threads of the application still run"
			if s.counted.Load() == 0 {
				why = "threads that the application's modules have started still run"
			}
			s.endNow(why, bridge.AtExitIfEnding)
			least = time.Now().Add(goesOnFor) // whoever called us goes on
		}
	}
}

// endNow ends the process without Python's finalisation, for which threads of it would have to end first. What it would do
// at exit is done, if the GIL can be had. It returns only from bridge.AtExitIfEnding, if Python does not end.
func (s *Server) endNow(why string, what bridge.AtExitKind, args ...any) {
	type result struct {
		threads string
		ending  bool
	}
	done := make(chan result, 1)
	go func() {
		names, ending, err := bridge.RunAtExit(what)
		if err != nil {
			s.log.Warn("atexit functions failed", "error", err)
		}
		done <- result{names, ending}
	}()
	select {
	case r := <-done:
		if !r.ending {
			return
		}
		if r.threads != "" {
			args = append(args, "threads", r.threads)
		}
		s.log.Warn(why+": the process ends", args...)
	case <-time.After(atExitLimit):
		s.log.Warn(why+": the process ends, and not all atexit functions have run, as Python was not free for it", args...)
	}
	s.exit()
}

func (s *Server) exit() {
	s.flushLogs()
	s.unlink()
	os.Exit(int(s.status.Load()))
}
