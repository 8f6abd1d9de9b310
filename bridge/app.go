package bridge

import (
	"errors"
	"fmt"
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
	PythonPath []string // goes to the front of sys.path
	ErrorLog   string   // a path, or "-"
	Argv       []string // sys.argv, when it is ours to set
}

// Setup prepares the interpreter that Start or Attach has made ours. It may be called again.
func Setup(s PythonSetup) error {
	if err := cpy.Setup(); err != nil {
		return err
	}
	_, err := cpy.Support("setup", s.text())
	return err
}

// text is option=value, option=value, with NUL between, which no option accepts. No JSON: to import Python's module for
// it takes 4 ms.
func (s PythonSetup) text() string {
	items := []string{"errorlog=" + s.ErrorLog}
	add := func(option string, values []string) {
		for _, value := range values {
			items = append(items, option+"="+value)
		}
	}
	add("env", s.Env)
	add("pythonpath", s.PythonPath)
	add("argv", s.Argv)
	return strings.Join(items, "\x00")
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

// InstallSignals lets SIGINT and SIGTERM end in wakeFD (one byte, the number) and in Module.Signal. It reports false when
// the calling thread is not Python's main thread: then signals stay the embedding program's business.
func InstallSignals(wakeFD int) (bool, error) {
	s, err := cpy.Support("install_signals", strconv.Itoa(wakeFD))
	cpy.SetSignalsTaken(s == "yes")
	return s == "yes", err
}

// RestoreSignals puts back what InstallSignals replaced.
func RestoreSignals() error {
	cpy.SetSignalsTaken(false)
	_, err := cpy.Support("restore_signals", "")
	return err
}

// RunAtExit runs Python's atexit functions now, for an end without finalisation.
func RunAtExit() error {
	_, err := cpy.Support("run_atexit", "")
	return err
}

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
	names := [...]string{"inputs", "start_responses", "file_wrappers", "clients", "held_blocks", "descriptors"}
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
