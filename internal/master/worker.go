package master

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The words of the two, one a line, with a text behind some.
const (
	wordReady  = "ready"  // it serves
	wordBeat   = "beat"   // its threads live
	wordRetire = "retire" // it is to be replaced; why

	wordStop = "stop" // gracefully; others go on
	wordLast = "last" // gracefully; nobody goes on, so what waits to be accepted is its own
	wordQuit = "quit" // at once
)

// variable tells a process that it is a worker: the pid of its master and its age.
const variable = "GOWSGI_WORKER"

// The descriptors of a worker: the link, and the listeners behind it.
const (
	linkFD   = 3
	listenFD = 4
)

// hello is the first line that a worker gets.
type hello struct {
	Age       int
	Listeners int
}

// child is a worker's process.
type child struct {
	cmd  *exec.Cmd
	link net.Conn
	out  chan string
	done chan struct{} // closed when it has ended
}

func (c *child) Pid() int                  { return c.cmd.Process.Pid }
func (c *child) Signal(sig syscall.Signal) { _ = c.cmd.Process.Signal(sig) }

func (c *child) Tell(word string) {
	select {
	case c.out <- word:
	default: // it reads nothing, and will be killed
	}
}

// command is how the program is started again, in the directory where it was started first.
type command struct {
	path string
	argv []string
	dir  string
}

// spawn starts a worker and lets its events come.
func spawn(how command, age int, listeners []*os.File, events chan<- event) (process, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	mine, its := os.NewFile(uintptr(fds[0]), "link"), os.NewFile(uintptr(fds[1]), "link of a worker")
	defer its.Close()
	link, err := net.FileConn(mine)
	_ = mine.Close()
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{
		Path: how.path, Args: how.argv, Dir: how.dir, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Env:        append(withoutVariable(os.Environ()), fmt.Sprintf("%s=%d:%d", variable, os.Getpid(), age)),
		ExtraFiles: append([]*os.File{its}, listeners...),
	}
	if err := cmd.Start(); err != nil {
		_ = link.Close()
		return nil, err
	}
	c := &child{cmd: cmd, link: link, out: make(chan string, 16), done: make(chan struct{})}
	go c.write(hello{age, len(listeners)})
	go c.read(age, events)
	go c.wait(age, events)
	return c, nil
}

func withoutVariable(environ []string) []string {
	kept := environ[:0:0]
	for _, kv := range environ {
		if !strings.HasPrefix(kv, variable+"=") {
			kept = append(kept, kv)
		}
	}
	return kept
}

func (c *child) write(h hello) {
	line, err := json.Marshal(h)
	if err != nil {
		return
	}
	for text := string(line); ; {
		if _, err := c.link.Write([]byte(text + "\n")); err != nil {
			return
		}
		select {
		case text = <-c.out:
		case <-c.done:
			return
		}
	}
}

// read passes on what it says.
func (c *child) read(age int, events chan<- event) {
	for lines := bufio.NewScanner(c.link); lines.Scan(); {
		events <- event{age: age, word: lines.Text()}
	}
}

// wait passes on that it has ended. Its children may still have the link.
func (c *child) wait(age int, events chan<- event) {
	_ = c.cmd.Wait()
	status, _ := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	close(c.done)
	_ = c.link.Close()
	events <- event{age: age, exit: &status}
}

func splitWord(line string) (word, rest string) {
	word, rest, _ = strings.Cut(line, " ")
	return word, rest
}

// parseVariable reads GOWSGI_WORKER; ok: this process is a worker of its parent's.
func parseVariable(text string, parent int) (age int, ok bool) {
	pid, number, _ := strings.Cut(text, ":")
	if p, err := strconv.Atoi(pid); err != nil || p != parent {
		return 0, false
	}
	age, err := strconv.Atoi(number)
	return age, err == nil
}
