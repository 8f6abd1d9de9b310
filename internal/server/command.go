package server

// What a user starts: the command line with a Python that is up, and the functions of the module _gowsgi.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/master"
	"github.com/gowsgi/gowsgi/internal/systemd"
)

// running is the server that stop and the signal handler mean; one at a time in a process. starting is one that Command
// has not served yet.
var running, starting atomic.Pointer[Server]

// embedding is set while Run is under way: the application it was given is the process's only one.
var embedding atomic.Bool

// stopAsked is the timeout of a stop that was asked for and is not begun: the server may not be there yet.
var stopAsked atomic.Pointer[float64]

var errRunning = errors.New("a gowsgi server is running in this process already")

var errLoading = errors.New("the gowsgi command is loading this module, and serves its application itself: put the call of " +
	"gowsgi.server.run under if __name__ == \"__main__\"")

// Fail prints a user's mistake and returns the exit status.
func Fail(err error, status int) int {
	if errors.Is(err, syscall.EMFILE) {
		err = fmt.Errorf("%w; %w", err, noDescriptors())
	}
	fmt.Fprintln(os.Stderr, "gowsgi: "+err.Error())
	return status
}

// Prepare applies what concerns the process before Python loads anything: directory, environment, umask.
// A worker that was forked has it from its zygote.
func Prepare(cfg *config.Config) error {
	if forked() != nil {
		return nil
	}
	for _, kv := range cfg.Env {
		k, v, _ := strings.Cut(kv, "=")
		if err := os.Setenv(k, v); err != nil {
			return err
		}
	}
	if cfg.Umask >= 0 {
		unix.Umask(cfg.Umask)
	}
	if cfg.Chdir != "" {
		if err := os.Chdir(cfg.Chdir); err != nil {
			return &config.UsageError{Message: fmt.Sprintf("cannot change to the directory %s: %v", cfg.Chdir, errors.Unwrap(err))}
		}
	}
	return nil
}

// Command serves, or checks, the application that cfg names. Prepare was called, Python is up, and saved is the state of
// the calling thread, Python's main one. The result is the exit status.
func Command(cfg *config.Config, action config.Action, saved bridge.State, began time.Time) int {
	log, err := openRecords(cfg) // before Python does, whose words about it are an exception's
	if err != nil {
		return Fail(err, config.ExitUsage)
	}
	err = bridge.Setup(pythonSetup(cfg))
	if err != nil {
		return Fail(err, config.ExitBoot)
	}
	if action == config.ActionServe {
		warn(log, cfg)
	}
	s, err := New(cfg, log)
	if err != nil {
		return Fail(err, status(err))
	}
	starting.Store(s)
	defer starting.Store(nil)
	var code int
	if action == config.ActionCheckConfig {
		code = s.check()
	} else {
		if workerOf == nil {
			s.manager = systemd.Take()
			s.up = takeDetached()
			if cfg.ProcName != "" {
				setTitle("", cfg)
			}
		}
		code = s.command(saved, began)
		endForked(log)
	}
	s.stopBy.CompareAndSwap(0, time.Now().UnixNano()) // not served: nothing to be waited for
	s.status.Store(int32(code))
	s.returned.Store(true)
	s.guardEnd()
	return code
}

func pythonSetup(cfg *config.Config) bridge.PythonSetup {
	return bridge.PythonSetup{
		Env: cfg.Env, PythonPath: cfg.PythonPath, ErrorLog: cfg.ErrorLog, ErrorJSON: cfg.ErrorLogJSON, Argv: []string{"gowsgi", cfg.App},
		Unset: slices.Concat([]string{detachedVariable}, master.PrivateVariables(), systemd.Variables),
	}
}

// check loads the application, to see whether it can be loaded.
func (s *Server) check() int {
	if err := s.takeSignals(); err != nil {
		return Fail(err, config.ExitBoot)
	}
	defer s.guardLoading()()
	if err := bridge.LoadApp(s.cfg.App); err != nil {
		return Fail(err, config.ExitApp)
	}
	tellValid(s.cfg)
	return 0
}

func (s *Server) command(saved bridge.State, began time.Time) int {
	if err := s.takeSignals(); err != nil {
		return Fail(err, config.ExitBoot)
	}
	defer removePidFile(s.cfg.PidFile)
	code, err := s.load()
	if workerOf != nil && s.cfg.Reload { // also if that failed: what is at fault is changed next
		s.tellNewFiles(workerOf)
	}
	if err != nil {
		s.closeListeners()
		if s.http.Stopping() {
			s.log.Info("stopped while the application was being loaded")
			return 0
		}
		return Fail(err, code)
	}
	if err := s.serve(saved, began); err != nil {
		s.closeListeners()
		return Fail(err, config.ExitBoot)
	}
	if s.unfit.Load() {
		return config.ExitBoot
	}
	s.log.Info("stopped")
	return 0
}

// load does what comes before serving; code is for an error.
func (s *Server) load() (code int, err error) {
	defer s.guardLoading()()
	// First the pid file and the address: whoever starts a second server by mistake learns it before the application does
	// anything.
	if err := checkPidFile(s.cfg.PidFile); err != nil {
		return config.ExitBoot, err
	}
	who, err := s.identity()
	if err != nil {
		return status(err), err
	}
	if err := s.Listen(); err != nil {
		return config.ExitBoot, err
	}
	if err := s.become(who); err != nil {
		return status(err), err
	}
	held := holdsNow(s.listeners)
	err = bridge.LoadApp(s.cfg.App)
	held.check()
	if err != nil {
		return config.ExitApp, err
	}
	if s.http.Stopping() {
		return 0, errStopped
	}
	if who != nil { // it is written
		return 0, nil
	}
	return config.ExitBoot, writePidFile(s.cfg.PidFile)
}

var errStopped = errors.New("stopped")

func warn(log *slog.Logger, cfg *config.Config) {
	for _, warning := range cfg.Warnings {
		log.Warn(warning)
	}
}

func (s *Server) serve(saved bridge.State, began time.Time) error {
	info, err := bridge.Describe()
	if err != nil {
		return err
	}
	if !running.CompareAndSwap(nil, s) {
		s.closeListeners()
		return errRunning
	}
	defer func() {
		running.Store(nil)
		bridge.SetStopping(false)
	}()
	s.stopIfAsked()
	// Each Python thread may be between Python and a system call: a processor for each, so that none waits for one.
	runtime.GOMAXPROCS(max(runtime.NumCPU(), s.cfg.Threads+3))
	if workerOf != nil {
		s.http.OnLast(s.most(), func() { go workerOf.Retire("--max-requests") })
		s.showRequests(workerOf)
		s.shareConnections(workerOf)
	}
	return s.Serve(saved, func() {
		level := slog.LevelInfo
		if workerOf != nil {
			level = slog.LevelDebug // the master tells
		}
		s.log.Log(context.Background(), level, s.startLine(info, time.Since(began)))
		s.http.AdviseOnProxies()
		s.http.AdviseOnTempDir()
		if workerOf != nil {
			s.follow(workerOf)
		}
		if s.up != nil {
			leaveTerminal(s.cfg, s.log, s.http.FollowStream)
			s.up()
		}
		s.tellManager()
	})
}

func status(err error) int {
	var u *config.UsageError
	if errors.As(err, &u) {
		return config.ExitUsage
	}
	return config.ExitBoot
}

// module is what the native module calls: bridge.Entry.
type module struct{}

func init() { bridge.SetEntry(module{}) }

// Main implements bridge.Entry: the command line in a process that is Python's.
func (module) Main(argv []string, saved bridge.State) int {
	began := time.Now()
	if err := bridge.TakeEnviron(); err != nil {
		return Fail(err, config.ExitBoot)
	}
	if err := Orphaned(); err != nil {
		return Fail(err, config.ExitBoot)
	}
	files := NewFiles(argv, func(*config.Config) (*Program, error) { return &Program{}, nil })
	defer files.Close()
	cfg, action, err := config.Parse(files.Args(), files.Getenv, files.Reader(), os.Stdout)
	if err != nil {
		return Fail(err, config.ExitUsage)
	}
	switch action {
	case config.ActionDone:
		return 0
	case config.ActionPrintConfig:
		if err := cfg.Print(os.Stdout); err != nil {
			return Fail(err, 1)
		}
		return 0
	}
	if action == config.ActionServe && WantsInit() {
		return Init()
	}
	if action == config.ActionServe && WantsDaemon(cfg) {
		files.Close() // the process in the background reads it
		return Daemon(cfg)
	}
	if action == config.ActionCheckConfig && files.HasRead() {
		return files.Check(cfg)
	}
	if action == config.ActionServe && WantsMaster(cfg) {
		return Master(cfg, files)
	}
	if err := JoinMaster(cfg); err != nil {
		return Fail(err, config.ExitBoot)
	}
	if cfg.Python != "" && !cfg.PythonOfFile() {
		return Fail(errors.New("--python is for the gowsgi binary: this gowsgi runs in the Python it is installed in"), config.ExitUsage)
	}
	if err := InitPoller(); err != nil {
		return Fail(err, config.ExitBoot)
	}
	if err := bridge.Attach(); err != nil {
		return Fail(err, config.ExitBoot)
	}
	if err := Prepare(cfg); err != nil {
		return Fail(err, config.ExitUsage)
	}
	return Command(cfg, action, saved, began)
}

// Results of Run, as shim_module.c maps them to exceptions.
const (
	runValueError   = 1
	runOSError      = 2
	runRuntimeError = 3
	runTypeError    = 4
	runSignal       = 0x100 // and the number of the signal that stopped it; GW_RUN_SIGNAL in shim.h
)

// Run implements bridge.Entry: gowsgi.server.run(app, **options).
func (module) Run(app uintptr, options string, saved bridge.State) (int, error) {
	began := time.Now()
	if running.Load() == nil && starting.Load() != nil {
		return runRuntimeError, errLoading
	}
	if running.Load() != nil || !embedding.CompareAndSwap(false, true) {
		return runRuntimeError, errRunning
	}
	defer func() {
		stopAsked.Store(nil)
		embedding.Store(false)
	}()
	options, t, err := takeTold(options)
	if err != nil {
		return runValueError, err
	}
	cfg, err := config.FromJSON([]byte(options))
	if err != nil {
		return runValueError, err
	}
	if !t.Listen {
		cfg.Bind = nil
	}
	cfg.Meinheld = t.Like == "meinheld"
	if err := InitPoller(); err != nil {
		return runOSError, err
	}
	if cfg.App != "" {
		return runValueError, errors.New("wsgi_app is for the command line: the application is the first argument already")
	}
	if err := bridge.Attach(); err != nil {
		return runRuntimeError, err
	}
	if err := Prepare(cfg); err != nil {
		return runValueError, err
	}
	records := *cfg
	if t.Log != "" {
		records.ErrorLog, records.ErrorLogJSON = t.Log, true
	}
	log, err := OpenLog(&records)
	if err != nil {
		return runValueError, err
	}
	defer closeLog(log)
	setup := bridge.PythonSetup{Env: cfg.Env, PythonPath: cfg.PythonPath, ErrorLog: cfg.ErrorLog, ErrorJSON: cfg.ErrorLogJSON}
	if err := bridge.Setup(setup); err != nil {
		return runRuntimeError, err
	}
	bridge.SetApp(app)
	defer bridge.SetApp(0)
	if err := bridge.CheckApp(); err != nil {
		return runTypeError, err
	}
	warn(log, cfg)
	s, err := New(cfg, log)
	if err != nil {
		return runRuntimeError, err
	}
	s.embedded, s.worker = true, t.Worker
	if !t.Listen {
		s.http.WithoutListener(func() { s.Stop(0) })
	}
	if err := s.Listen(); err != nil {
		s.discard()
		return runOSError, err
	}
	if err := writePidFile(cfg.PidFile); err != nil {
		s.discard()
		return runOSError, err
	}
	defer removePidFile(cfg.PidFile)
	if err := s.serve(saved, began); err != nil {
		return runRuntimeError, err
	}
	if number := s.counted.Load() & 0xff; number != 0 {
		return runSignal | int(number), nil
	}
	return 0, nil
}

// Stop implements bridge.Entry.
func (module) Stop(timeout float64) {
	if !embedding.Load() && running.Load() == nil {
		return
	}
	// First the wish, then the look, and serve the other way round: one of the two finds both.
	stopAsked.Store(&timeout)
	if s := running.Load(); s != nil {
		s.stopIfAsked()
	}
}

// ReopenLogs implements bridge.Entry.
func (module) ReopenLogs() {
	if s := running.Load(); s != nil {
		go s.reopenLogs()
	}
}

func (s *Server) stopIfAsked() {
	timeout := stopAsked.Swap(nil)
	if timeout == nil {
		return
	}
	grace := s.cfg.GracefulTimeout
	if *timeout > 0 {
		grace = time.Duration(min(*timeout, 1e9) * float64(time.Second))
	}
	s.Stop(grace)
}

// Signal implements bridge.Entry.
func (module) Signal(signum int) (interrupt bool) {
	s := running.Load()
	if s == nil {
		s = starting.Load()
	}
	return s != nil && s.handledSignal(syscall.Signal(signum))
}
