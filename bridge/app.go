package bridge

import (
	"embed"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/gowsgi/gowsgi/bridge/internal/cpy"
)

// State is the saved state of a thread that Python knows already; 0 is none.
type State = cpy.State

// Interpreter is a Python found by Locate; see there.
type Interpreter = cpy.Interpreter

// AppError is why the application could not be loaded: one plain sentence. Its traceback, if any, is in the error log.
type AppError struct{ Text string }

func (e *AppError) Error() string { return e.Text }

// PythonSetup is what Python's side must know before the application is loaded.
type PythonSetup struct {
	Env        []string // NAME=VALUE
	Unset      []string // names of variables that the application is not to have
	PythonPath []string // goes to the front of sys.path
	ErrorLog   string   // a path, or "-"
	ErrorJSON  bool     // errors of the application are JSON objects there
	Argv       []string // sys.argv, when it is ours to set
}

// Setup prepares the interpreter that Start or Attach has made ours. It may be called again.
func Setup(s PythonSetup) error {
	if err := cpy.Setup(); err != nil {
		return err
	}
	_, err := cpy.Support("setup", s.Text())
	return err
}

// Text is option=value, option=value, with NUL between, which no option accepts. No JSON: to import Python's module for
// it takes 4 ms.
func (s PythonSetup) Text() string {
	items := []string{"errorlog=" + s.ErrorLog}
	add := func(option string, values []string) {
		for _, value := range values {
			items = append(items, option+"="+value)
		}
	}
	if s.ErrorJSON {
		items = append(items, "errorjson=1")
	}
	add("unset", s.Unset)
	add("env", s.Env)
	add("pythonpath", s.PythonPath)
	add("argv", s.Argv)
	if carries != "" {
		items = append(items, "carries="+carries)
	}
	return strings.Join(items, "\x00")
}

var carries string

// Carry gives Python the files of the package gowsgi, which is not installed then, or in another version. Before Start.
func Carry(files embed.FS, version string) {
	cpy.Carry(files)
	carries = version
}

// LoadApp finds the application that spec names. The error is an *AppError.
func LoadApp(spec string) error { return application("load_app", spec) }

// CheckApp looks at the application that SetApp was given. The error is an *AppError.
func CheckApp() error { return application("check_app", "") }

func application(function, arg string) error {
	_, err := cpy.Support(function, arg)
	if err != nil {
		var told *cpy.ToldError
		if errors.As(err, &told) {
			return &AppError{told.Text}
		}
		return &AppError{"The application could not be loaded: " + err.Error()}
	}
	return nil
}

// SetApp makes a Python callable the application, or lets go of it with 0.
func SetApp(object uintptr) { cpy.SetApp(object) }

// SetSendfile says whether a FileWrapper over a regular file ends in the step File. Before the first request.
func SetSendfile(on bool) { cpy.SetSendfile(on) }

// SetRequestIDs says whether errors of the application name the request's X-Request-Id. Before the first request.
func SetRequestIDs(on bool) { cpy.SetRequestIDs(on) }

// What Tally counts; the module's stats() has it under these names.
const (
	TallyRefused            = cpy.TallyRefused            // requests_refused
	TallyResponsesUnspooled = cpy.TallyResponsesUnspooled // responses_unspooled
	TallyBodiesUnspooled    = cpy.TallyBodiesUnspooled    // bodies_unspooled

	TallyWebSockets  = cpy.TallyWebSockets  // websockets, which goes down as well
	TallyMessagesIn  = cpy.TallyMessagesIn  // websocket_messages_in
	TallyMessagesOut = cpy.TallyMessagesOut // websocket_messages_out
	TallyBytesIn     = cpy.TallyBytesIn     // websocket_bytes_in
	TallyBytesOut    = cpy.TallyBytesOut    // websocket_bytes_out
)

// Heartbeat takes the GIL, however long that takes, and calls what the module has under the name heartbeat, if anything. Any
// goroutine that is no Python thread.
func Heartbeat() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpy.Heartbeat()
}

// SetStopping has the module's stats() say that the server is stopping, or will soon. Any goroutine.
func SetStopping(on bool) { cpy.SetStopping(on) }

// Tally adds one. Any goroutine.
func Tally(which int) { cpy.Tally(which) }

// TallyAdd adds n. Any goroutine.
func TallyAdd(which int, n int64) { cpy.TallyAdd(which, n) }

// UTCOffset is how many seconds local time, as Python's module time has it, is ahead of UTC at that time. Any goroutine.
func UTCOffset(unix int64) int { return cpy.UTCOffset(unix) }

// PythonInfo describes the running interpreter.
type PythonInfo struct {
	Implementation, Version, Prefix string
}

// Describe asks the running interpreter what it is.
func Describe() (PythonInfo, error) {
	text, err := cpy.Support("describe", "")
	if err != nil {
		return PythonInfo{}, err
	}
	lines := strings.SplitN(text, "\n", 3)
	if len(lines) != 3 {
		return PythonInfo{}, fmt.Errorf("the description of Python is %q", text)
	}
	return PythonInfo{Implementation: lines[0], Version: lines[1], Prefix: lines[2]}, nil
}

// Template is what all environ dicts of one listener have in common.
type Template struct {
	ServerName, ServerPort, Software, Scheme string
	Multithread, Multiprocess                bool
}

// AddTemplate returns the number to put into Request.Template.
func AddTemplate(t Template) (uint32, error) {
	return cpy.AddTemplate(t.ServerName, t.ServerPort, t.Software, t.Scheme, t.Multithread, t.Multiprocess)
}

// DropTemplate gives the number back, when no request uses it any more.
func DropTemplate(n uint32) { cpy.DropTemplate(n) }

// SignalOurs marks, in what arrives at InstallSignals' descriptor, numbers of signals that are the server's; others have a
// handler of the application's.
const SignalOurs = cpy.SignalOurs

// SignalPoked and SignalPokeOver arrive there around the number that is only the echo of PokeMain.
const (
	SignalPoked    = cpy.SignalPoked
	SignalPokeOver = cpy.SignalPokeOver
)

// Forked reports whether the process has forked, without exec: the child, as long as it lives, has duplicates of all
// descriptors that were open then. Any goroutine.
func Forked() bool { return cpy.Forked() }

// InstallSignals lets SIGINT and SIGTERM end in wakeFD (a byte, the number) and in Module.Signal, and those in wakeFD that
// only servers with worker processes know. It reports false when the calling thread is not Python's main thread: then
// signals stay the embedding program's business. Called again it takes SIGINT and SIGTERM back from the application.
func InstallSignals(wakeFD int) (bool, error) {
	s, err := cpy.Support("install_signals", strconv.Itoa(wakeFD))
	if s == "no" || err != nil {
		return false, err
	}
	cpy.TakeSignals(wakeFD, s == "first")
	return true, nil
}

// WatchSignals has the numbers of signals for which the program has handlers of its own end in wakeFD, and leaves the handlers
// what they are. It reports false when the calling thread is not Python's main thread.
func WatchSignals(wakeFD int) (bool, error) {
	s, err := cpy.Support("watch_signals", strconv.Itoa(wakeFD))
	return s != "no", err
}

// UnwatchSignals ends that.
func UnwatchSignals() error {
	_, err := cpy.Support("unwatch_signals", "")
	return err
}

// PokeMain ends a wait of Python's main thread, so that it runs the signal handlers that are due; while signals are ours.
var PokeMain = cpy.PokeMain

// RestoreSignals puts back what InstallSignals replaced.
func RestoreSignals() error {
	cpy.GiveSignals()
	_, err := cpy.Support("restore_signals", "")
	return err
}

// ReopenErrorLog lets Python's side of the error log follow a file that was moved away.
func ReopenErrorLog(path string) error {
	_, err := cpy.Support("reopen_error_log", path)
	return err
}

// ModuleFiles returns the files of modules that the application has loaded, or tried to, since it was called last. Any goroutine.
func ModuleFiles() (files []string, err error) {
	for {
		text, err := cpy.Support("module_files", "")
		if text == "" || err != nil {
			return files, err
		}
		files = append(files, strings.Split(strings.TrimSuffix(text, "\n"), "\n")...)
	}
}

// WorkerEnds runs what a configuration file has for the end of a worker that was forked. In Python's main thread.
func WorkerEnds() error {
	_, err := cpy.Support("worker_ends", "")
	return err
}

// BeforeEnd is called in Python's main thread before Python ends, or perhaps does not: a 0 arrives at fd when its atexit
// functions begin.
func BeforeEnd(fd int) error {
	_, err := cpy.Support("before_end", strconv.Itoa(fd))
	return err
}

// AtExitKind says what RunAtExit is for.
type AtExitKind string

// Kinds of it.
const (
	AtExit         AtExitKind = ""        // run atexit functions
	AtExitIfEnding AtExitKind = "perhaps" // if Python is on its way out
)

// RunAtExit runs Python's atexit functions now, for an end without finalisation, and flushes its streams. It reports which
// threads of the application keep the process, and whether Python ends.
func RunAtExit(kind AtExitKind) (threads string, ending bool, err error) {
	s, err := cpy.Support("run_atexit", string(kind))
	ending, threads = true, s
	if s == "goes on" {
		ending, threads = false, ""
	}
	return threads, ending, err
}

// HoldsGIL tells whether the calling OS thread has the GIL, whoever it is, while there is an application.
func HoldsGIL() bool { return cpy.HoldsGIL() }

// Locate, Start, Attach and Finalize are the interpreter's life; see internal/cpy.
var (
	Locate    = cpy.Locate
	Start     = cpy.Start
	Attach    = cpy.Attach
	Finalize  = cpy.Finish
	MainState = cpy.MainState
)

// Entry is what the native module's main, run, stop and signal call.
type Entry = cpy.Entry

// SetEntry says who that is. Before Python runs any of our code.
func SetEntry(e Entry) { cpy.Module = e }

// Counters are the live native objects by name, for leak tests.
func Counters() map[string]int64 {
	names := [...]string{"inputs", "start_responses", "file_wrappers", "clients", "held_blocks", "descriptors", "bodies",
		"greenlets", "waiters", "timers", "websockets"}
	m := make(map[string]int64, len(names))
	for i, n := range cpy.Counters() {
		m[names[i]] = n
	}
	return m
}

// String is for the start line: "CPython 3.11.7 in /usr".
func (p PythonInfo) String() string {
	return fmt.Sprintf("%s %s in %s", p.Implementation, p.Version, p.Prefix)
}
