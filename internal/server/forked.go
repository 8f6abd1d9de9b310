package server

// A worker that was forked with Python in it, whose configuration file has hooks or loggers: python/gowsgi/_forked.py.

import (
	"log/slog"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/master"
)

// forked is what this process was told if it is such a worker, else nil.
func forked() *master.Forked {
	if workerOf == nil {
		return nil
	}
	return workerOf.Forked
}

// hooked reports whether the worker has hooks.
func hooked() bool {
	f := forked()
	return f != nil && f.Hooks
}

// openRecords opens the log of the server's own records, which may go to a logger in Python.
func openRecords(cfg *config.Config) (*slog.Logger, error) {
	if f := forked(); f != nil && f.Log != "" {
		records := *cfg
		records.ErrorLog, records.ErrorLogJSON = f.Log, true
		cfg = &records
	}
	return OpenLog(cfg)
}

// endForked lets Python do what there is to do in its main thread before the process ends.
func endForked(log *slog.Logger) {
	if !hooked() {
		return
	}
	if forked().Log != "" {
		closeLog(log) // and the thread that passes records on is at its end
	}
	if err := bridge.WorkerEnds(); err != nil {
		log.Error("the end of the worker was not told", "error", err)
	}
}

// hookFirst is how long it may take until the main thread has called the hook. The master kills two seconds later.
const hookFirst = 3 * time.Second

// interrupt ends the server at once. A hook for that gets a moment: it runs as gunicorn would run it, as the handler of SIGQUIT
// in Python's main thread, and stops the server itself.
func (s *Server) interrupt() {
	if !hooked() {
		s.Stop(0)
		return
	}
	runtime.LockOSThread()
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGQUIT)
	runtime.UnlockOSThread()
	s.Stop(hookFirst)
}
