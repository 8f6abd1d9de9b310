package server

// As process 1, of a container nearly always. The kernel makes it the parent of every process whose parent has ended, and spares
// it signals that it has no handler for; and who it has not started it must not confuse with Python's own children. So it
// is a process of its own: it starts the server, hands signals on to it, buries whoever ends, and ends with the server's status.

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/master"
)

// WantsInit reports whether this process is to be that.
func WantsInit() bool { return os.Getpid() == 1 }

// Init is its life. The result is the exit status.
func Init() int {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	signal.Ignore(unix.SIGURG, unix.SIGPIPE) // Go's own, and for nobody
	dir, err := os.Getwd()
	if err != nil {
		return Fail(fmt.Errorf("the current directory is not there: %w", err), config.ExitBoot)
	}
	cmd, err := master.Again(dir)
	if err != nil {
		return Fail(err, config.ExitBoot)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = environOfChild(os.Environ(), os.Getpid())
	if err := cmd.Start(); err != nil {
		return Fail(fmt.Errorf("the server cannot be started: %w", err), config.ExitBoot)
	}
	servers, status := []int{cmd.Process.Pid}, 0
	var last syscall.Signal // that is to end everything; 0: none has come
	_ = cmd.Process.Release()
	for sig := range signals {
		if sig != unix.SIGCHLD {
			if sig == unix.SIGTERM || sig == unix.SIGINT || sig == unix.SIGQUIT {
				last = sig.(syscall.Signal)
			}
			for _, pid := range servers {
				_ = unix.Kill(pid, sig.(syscall.Signal))
			}
			continue
		}
		for _, e := range bury() {
			var was bool
			if servers, was = remove(servers, e.pid); was && status == 0 {
				status = e.status
			}
		}
		if len(servers) == 0 {
			if servers = successors(); len(servers) == 0 {
				return status
			}
			if last != 0 { // it is the container's end, not only that of the master before
				for _, pid := range servers {
					_ = unix.Kill(pid, last)
				}
			}
		}
	}
	return status
}

// environOfChild: systemd's watchdog is for whoever it has started, and that is the server.
func environOfChild(environ []string, pid int) []string {
	kept := environ[:0:0]
	for _, kv := range environ {
		if kv != "WATCHDOG_PID="+strconv.Itoa(pid) {
			kept = append(kept, kv)
		}
	}
	return kept
}

// end is how a process has ended, as a shell tells it.
type end struct{ pid, status int }

// bury takes the status of every child that has ended.
func bury() (ends []end) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case err == unix.EINTR:
		case err != nil || pid <= 0:
			return ends
		case status.Signaled():
			ends = append(ends, end{pid, 128 + int(status.Signal())})
		default:
			ends = append(ends, end{pid, status.ExitStatus()})
		}
	}
}

func remove(pids []int, pid int) (left []int, was bool) {
	for _, p := range pids {
		if p != pid {
			left = append(left, p)
		}
	}
	return left, len(left) < len(pids)
}

// successors are the masters that have taken over from one that was this process's child. They were told so by their
// environment, as it was at their start.
func successors() (pids []int) {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, entry := range all {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || parentOf(pid) != os.Getpid() {
			continue
		}
		// Where /proc is that of another pid namespace, what it shows are others' children.
		if ended, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err != nil || ended != 0 {
			continue
		}
		if environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); err == nil && master.WasHeir(environ) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// parentOf is 0 if the process is not there.
func parentOf(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The second field is the program's name, in which anything may stand.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}
