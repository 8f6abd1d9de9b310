package master

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The words of the two, one a line, with a text behind some.
const (
	wordReady  = "ready"  // it serves
	wordBeat   = "beat"   // its threads live
	wordRetire = "retire" // it is to be replaced; why
	wordWatch  = "watch"  // a file that --reload is to watch; a fileSeen
	wordTable  = "table"  // with a file: the requests that it runs
	wordAsks   = "asks"   // it has got SIGTERM, and asks how to end

	wordLeave = "leave" // before stop: numbers of listeners that nobody will accept from, with commas between

	wordStop = "stop" // gracefully; others go on
	wordLast = "last" // gracefully; nobody goes on, so what waits to be accepted is its own
	wordQuit = "quit" // at once

	wordShared = "shared" // another master's workers accept from the same listeners
	wordAlone  = "alone"  // no longer
)

// variable tells a process that it is a worker; see place.
const variable = "GOWSGI_WORKER"

// place is what a worker is told: its age, its descriptors, the link, the listeners and, last of these, what it shares with others
// (see internal/spread), and whether it was forked.
type place struct {
	age       int
	link      int
	listeners []int
	forked    *Forked // nil: it was not
}

// Forked is what a worker is told that was forked with Python in it.
type Forked struct {
	Hooks   bool      // a configuration file has functions for its beginning and end
	Log     string    // a file that gets the server's own records, as JSON, in the place of the error log; "": none
	Streams [3]string // what the standard streams were when its parent was started; see internal/server/daemon.go

	Access bool // requests are told to a logger in Python, and the server writes no access log
}

// parseForked reads it, which is words with a comma between; see python/gowsgi/_forked.py.
func parseForked(text string) *Forked {
	f := new(Forked)
	for _, word := range strings.Split(text, ",") {
		switch name, value, _ := strings.Cut(word, "="); name {
		case "hooks":
			f.Hooks = true
		case "log":
			f.Log = value
		case "streams":
			copy(f.Streams[:], strings.Split(value, ";"))
		case "access":
			f.Access = true
		}
	}
	return f
}

// text is the variable's value for a child of the process parent.
func (p place) text(parent int) string {
	numbers := make([]string, len(p.listeners))
	for i, fd := range p.listeners {
		numbers[i] = strconv.Itoa(fd)
	}
	return fmt.Sprintf("%d:%d:%d:%s:", parent, p.age, p.link, strings.Join(numbers, ","))
}

// parsePlace reads it; ok: this process is a worker of its parent's.
func parsePlace(text string, parent int) (p place, ok bool) {
	parts := strings.Split(text, ":")
	if len(parts) != 5 || parts[0] != strconv.Itoa(parent) {
		return place{}, false
	}
	var err error
	number := func(text string) int {
		n, e := strconv.Atoi(text)
		if e != nil {
			err = e
		}
		return n
	}
	p.age, p.link = number(parts[1]), number(parts[2])
	if rest, forked := strings.CutPrefix(parts[4], "forked"); forked {
		p.forked = parseForked(rest)
	}
	for _, fd := range strings.FieldsFunc(parts[3], func(r rune) bool { return r == ',' }) {
		p.listeners = append(p.listeners, number(fd))
	}
	return p, err == nil
}

// told is what this process was told, as of when somebody asked first: its master may end at any time.
var told = sync.OnceValue(func() (t struct {
	place
	worker, orphan bool
}) {
	text := os.Getenv(variable)
	t.place, t.worker = parsePlace(text, os.Getppid())
	t.orphan = text != "" && !t.worker
	return t
})

// Orphan reports whether this process was started by a master that has ended since: nobody wants it. Before Join.
func Orphan() bool { return told().orphan }

// child is the master's end of a worker.
type child struct {
	age    int
	link   net.Conn
	out    chan string
	done   chan struct{} // closed when it has ended
	known  chan struct{} // closed when its pid is known, or never will be
	heard  chan struct{} // closed when all that it said has been read
	events chan<- event

	mu      sync.Mutex
	pid     int                        // 0: not known yet
	send    func(syscall.Signal) error // to that process, and to none that has its number after it
	over    bool
	waiting []syscall.Signal // for the pid
}

// newChild makes the link; the other end is the worker's, and the caller's to close.
func newChild(age int, events chan<- event) (c *child, its *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	mine, its := os.NewFile(uintptr(fds[0]), "link"), os.NewFile(uintptr(fds[1]), "link of a worker")
	link, err := net.FileConn(mine)
	_ = mine.Close()
	if err != nil {
		_ = its.Close()
		return nil, nil, err
	}
	return &child{age: age, link: link, out: make(chan string, 16), done: make(chan struct{}), known: make(chan struct{}), heard: make(chan struct{}), events: events}, its, nil
}

// follow lets the two talk.
func (c *child) follow() {
	go c.write()
	go c.read()
}

func (c *child) Pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pid
}

// began says which process it is, and how a signal is sent to it.
func (c *child) began(pid int, send func(syscall.Signal) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pid, c.send = pid, send
	close(c.known)
	for _, sig := range c.waiting {
		_ = send(sig)
	}
	c.waiting = nil
}

// Signal is sent when there is a process.
func (c *child) Signal(sig syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.over:
	case c.pid > 0:
		_ = c.send(sig)
	default:
		c.waiting = append(c.waiting, sig)
	}
}

func (c *child) Tell(word string) {
	select {
	case c.out <- word:
	default: // it reads nothing, and will be killed
	}
}

func (c *child) write() {
	for {
		select {
		case text := <-c.out:
			if _, err := c.link.Write([]byte(text + "\n")); err != nil {
				return
			}
		case <-c.done:
			return
		}
	}
}

// read passes on what it says.
func (c *child) read() {
	defer close(c.heard)
	<-c.known // it may be faster than its parent, which tells that it has been forked
	in := &receiver{link: c.link.(*net.UnixConn)}
	defer func() { _ = in.take().Close() }()
	for lines := bufio.NewReaderSize(in, mostLine); ; {
		line, err := nextLine(lines)
		if err != nil {
			return
		}
		e := event{age: c.age, word: line}
		if e.word == wordTable {
			e.file = in.take()
		}
		c.events <- e
	}
}

// mostLine is more than any word and its text are.
const mostLine = 1 << 16

// nextLine returns the next line without its end, and leaves out those that fill in's buffer: what comes behind them is worth
// hearing still.
func nextLine(in *bufio.Reader) (string, error) {
	for whole := true; ; {
		part, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			whole = false
		case err != nil:
			return "", err
		case whole:
			return string(part[:len(part)-1]), nil
		default:
			whole = true
		}
	}
}

// lastWords is how long a worker's last words may take to be read. Its children may still have the link, and it no end.
const lastWords = 100 * time.Millisecond

// ended passes on that it has.
func (c *child) ended(status syscall.WaitStatus) {
	c.mu.Lock()
	c.over = true
	if c.pid == 0 {
		close(c.known)
	}
	c.mu.Unlock()
	close(c.done)
	_ = c.link.SetReadDeadline(time.Now().Add(lastWords))
	<-c.heard
	_ = c.link.Close()
	c.events <- event{age: c.age, exit: &status}
}

// command is how the program is started again, in the directory where it was started first.
type command struct {
	path string
	argv []string
	dir  string              // "": where the master is
	as   *syscall.Credential // nil: who the master is

	environ []string // nil: as it is
}

// start runs it with an addition to the environment, and with files from descriptor 3 on.
func (how command) start(name, value string, files ...*os.File) (*exec.Cmd, error) {
	environ := how.environ
	if environ == nil {
		environ = os.Environ()
	}
	cmd := &exec.Cmd{
		Path: how.path, Args: how.argv, Dir: how.dir, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Env:        append(without(environ, variable, zygoteVariable), name+"="+value),
		ExtraFiles: files,
	}
	if how.as != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: how.as}
	}
	return cmd, cmd.Start()
}

func without(environ []string, names ...string) []string {
	kept := environ[:0:0]
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if name != names[0] && name != names[1] {
			kept = append(kept, kv)
		}
	}
	return kept
}

// firstFD is the number of the first of ExtraFiles in a process that is started.
const firstFD = 3

// spawn starts a worker and lets its events come.
func spawn(how command, age int, listeners []*os.File, events chan<- event) (process, error) {
	c, its, err := newChild(age, events)
	if err != nil {
		return nil, err
	}
	defer its.Close()
	p := place{age: age, link: firstFD}
	for i := range listeners {
		p.listeners = append(p.listeners, firstFD+1+i)
	}
	cmd, err := how.start(variable, p.text(os.Getpid()), append([]*os.File{its}, listeners...)...)
	if err != nil {
		_ = c.link.Close()
		return nil, err
	}
	c.began(cmd.Process.Pid, func(sig syscall.Signal) error { return cmd.Process.Signal(sig) })
	c.follow()
	go func() {
		_ = cmd.Wait()
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		c.ended(status)
	}()
	return c, nil
}

func splitWord(line string) (word, rest string) {
	word, rest, _ = strings.Cut(line, " ")
	return word, rest
}
