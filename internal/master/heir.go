package master

// USR2: a new master takes the listeners over, the program as it is on disk now, with the arguments and the environment of this
// one. Both serve until this one is told to end; the new one finds out that it has when its parent is another process.
// The variables are gunicorn's.

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
)

const (
	parentVariable    = "GUNICORN_PID" // the master that a new one takes over from
	listenersVariable = "GUNICORN_FD"  // its listeners
	ownedVariable     = "GOWSGI_OWNED" // those of them that it has bound: the others are systemd's, for instance
)

// heirs is what a master knows of the one after it, and of the one before it.
type heirs struct {
	allowed  func(generation int) bool // false: an event with wordBegins or wordRefuses will tell, as a hook is called first
	begin    func() (process, error)
	parentIs func() int // the parent's process id
	promoted func()     // to be called when the one before has ended
	left     func()     // to be called at the end, if the one after has what this one had

	after  process    // nil: there is none
	before int        // process id; 0: there is none
	have   *Listening // what the one after has got, or the one before has
	folded bool       // the workers are stopped, for the one after serves
}

// afterAge is the age of the master after this one in its events, which no worker has.
const afterAge = -1

// IsHeir reports whether this process is a master that takes over from its parent, before Inherit.
func IsHeir() bool { return os.Getenv(parentVariable) == strconv.Itoa(os.Getppid()) }

// WasHeir reports whether a process that was started with this environment was one, as /proc has it.
func WasHeir(environ []byte) bool {
	return bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+parentVariable+"="))
}

// Inherit makes cfg listen on what the master before this process hands over, whose process id it returns; 0: there is none.
// Once.
func Inherit(cfg *config.Config) (before int, err error) {
	heir, text, owned := IsHeir(), os.Getenv(listenersVariable), os.Getenv(ownedVariable)
	for _, name := range []string{parentVariable, listenersVariable, ownedVariable} {
		_ = os.Unsetenv(name)
	}
	if !heir {
		return 0, nil
	}
	cfg.Bind, cfg.SocketActivated, cfg.Owned = nil, false, strings.Split(owned, ",")
	for _, number := range strings.Split(text, ",") {
		fd, err := strconv.Atoi(number)
		if err != nil || fd < firstFD {
			return 0, errors.New(listenersVariable + " does not name the listeners of the master before this one: start the server anew")
		}
		cfg.Bind = append(cfg.Bind, config.Inherited(fd))
	}
	return os.Getppid(), nil
}

// KeepFromChildren has processes that are started before Inherit not have the listeners.
func KeepFromChildren() {
	if !IsHeir() {
		return
	}
	for _, number := range strings.Split(os.Getenv(listenersVariable), ",") {
		if fd, err := strconv.Atoi(number); err == nil {
			unix.CloseOnExec(fd)
		}
	}
}

// Environ is the environment without what one process of this package tells another.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains([]string{parentVariable, listenersVariable, ownedVariable, variable, zygoteVariable}, name)
	})
}

// owned tells a new master which listeners are to end with it, and their unix paths.
func (l *Listening) owned() string {
	var numbers []string
	for i, ln := range l.All {
		if ln.Own() {
			numbers = append(numbers, strconv.Itoa(firstFD+i))
		}
	}
	return ownedVariable + "=" + strings.Join(numbers, ",")
}

// startHeir runs the program again with the listeners, and more for its environment.
func startHeir(how command, more []string, listeners []*os.File, events chan<- event) (process, error) {
	numbers := make([]string, len(listeners))
	for i := range listeners {
		numbers[i] = strconv.Itoa(firstFD + i)
	}
	cmd := &exec.Cmd{
		Path: how.path, Args: how.argv, Dir: how.dir, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, ExtraFiles: listeners,
		Env: append(append(slices.Clone(how.environ), more...), fmt.Sprintf("%s=%d", parentVariable, os.Getpid()),
			listenersVariable+"="+strings.Join(numbers, ",")),
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait()
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		events <- event{age: afterAge, exit: &status}
	}()
	return other{cmd.Process}, nil
}

// other is a master as a process.
type other struct{ *os.Process }

func (o other) Pid() int                  { return o.Process.Pid }
func (o other) Signal(sig syscall.Signal) { _ = o.Process.Signal(sig) }
func (o other) Tell(string)               {}

// shared reports whether another master has the listeners, too.
func (m *Master) shared() bool { return m.heirs.after != nil || m.heirs.before != 0 }

// tellAll tells workers who serve whether others have their listeners.
func (m *Master) tellAll() {
	for _, w := range m.workers {
		if !w.ready.IsZero() {
			m.tellShared(w)
		}
	}
}

func (m *Master) tellShared(w *worker) {
	if m.shared() {
		w.Tell(wordShared)
	} else {
		w.Tell(wordAlone)
	}
}

// What is heard of the hook.
const wordBegins, wordRefuses = "begins", "refuses"

// beginHeir answers USR2.
func (m *Master) beginHeir() {
	h := &m.heirs
	switch {
	case m.stopping:
		return
	case h.after != nil:
		m.log.Warn("a new master is there already, so USR2 does nothing", "pid", h.after.Pid())
		return
	case h.before != 0:
		m.log.Warn("the master before this one is still there, so USR2 does nothing", "pid", h.before)
		return
	}
	if h.allowed(m.generation) {
		m.goOnWithHeir()
	}
}

// hearOfHeir acts on an event of the master after this one.
func (m *Master) hearOfHeir(e event) {
	switch {
	case e.exit != nil:
		m.heirEnded(*e.exit)
	case e.word == wordRefuses:
		m.log.Error("a new master is not started, as the hook pre_exec has failed; this one serves on")
	case m.heirs.after == nil && !m.stopping:
		m.goOnWithHeir()
	}
}

func (m *Master) goOnWithHeir() {
	h := &m.heirs
	p, err := h.begin()
	if err != nil {
		m.log.Error("a new master cannot be started, so this one serves on", "error", err)
		return
	}
	h.after, h.have = p, m.listening
	m.tellAll()
	m.log.Info("a new master is started beside this one; WINCH stops the workers of this one, HUP starts them again, TERM ends it",
		"pid", p.Pid())
}

// fold answers WINCH, which a terminal sends as well when its window has another size.
func (m *Master) fold() {
	if m.heirs.after == nil {
		m.log.Debug("WINCH is for a master that has got USR2: nothing was done")
		return
	}
	if m.reading != nil {
		m.reading.folded = true
	}
	if m.heirs.folded {
		return
	}
	m.heirs.folded = true
	m.log.Info("the workers of this master are stopped, as those of the new one serve")
	for _, w := range m.workers {
		m.stop(w, wordStop)
	}
	if m.previous >= 0 {
		m.over(m.previous, false)
		m.previous = -1
		m.closeUnused()
	}
}

// unfold has workers started again, with the code as it is now.
func (m *Master) unfold() {
	m.heirs.folded = false
	m.log.Info("workers are started again", "workers", m.want)
	m.over(m.generation, false)
	m.begin()
}

func (m *Master) heirEnded(status syscall.WaitStatus) {
	h := &m.heirs
	pid := h.after.Pid()
	h.after = nil
	m.tellAll()
	switch {
	case m.stopping:
	case h.folded:
		m.unfold()
		m.log.Error("the new master "+describe(status)+", so this one starts its workers again", "pid", pid)
	default:
		m.log.Error("the new master "+describe(status)+", so this one serves on", "pid", pid)
	}
}

// lookForParent finds out whether the master before this one has ended.
func (m *Master) lookForParent() {
	h := &m.heirs
	if h.before == 0 || h.parentIs() == h.before {
		return
	}
	m.log.Info("the master before this one has ended, and this one takes its place", "pid", h.before)
	h.before = 0
	h.promoted()
	m.tellAll()
}

// stopWord is the word with which workers end when the master has got sig.
func (m *Master) stopWord(sig syscall.Signal) string {
	switch {
	case sig != unix.SIGTERM:
		return wordQuit
	case m.shared():
		return wordStop
	}
	return wordLast
}
