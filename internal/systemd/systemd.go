// Package systemd tells the service manager how the server is, and that it lives: the protocol of sd_notify(3), which is
// one datagram for each change. Sockets that come from it are internal/config's.
package systemd

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Variables are those that systemd sets for the process that it starts, and for no other.
var Variables = []string{
	"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
}

// mostWaiting is how many messages wait for a systemd that takes none. Of more the oldest goes that is of no use any more.
const mostWaiting = 64

// Manager is the service manager of this process. A nil one is none, and everything may be told to it. Any goroutine.
type Manager struct {
	socket   string
	fd       int
	watchdog time.Duration

	mu      sync.Mutex
	status  string
	waiting []string // that found no room, the oldest first; somebody sends them as long as there are any
}

// Take returns the service manager that the environment names, nil if there is none, and removes its variables, so that
// neither workers nor what the application starts take themselves for the service.
func Take() *Manager {
	m := &Manager{socket: os.Getenv("NOTIFY_SOCKET")}
	usec, _ := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if pid := os.Getenv("WATCHDOG_PID"); usec > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		m.watchdog = time.Duration(usec) * time.Microsecond
	}
	for _, name := range Variables {
		_ = os.Unsetenv(name)
	}
	if m.socket == "" || m.socket[0] != '/' && m.socket[0] != '@' {
		return nil
	}
	// Opened once: there may be no descriptor left when it is time to say that the server lives.
	var err error
	if m.fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0); err != nil {
		return nil
	}
	unix.CloseOnExec(m.fd)
	return m
}

// Environ is what a successor of this process needs to find the service manager, as NAME=VALUE.
func (m *Manager) Environ() []string {
	if m == nil {
		return nil
	}
	all := []string{"NOTIFY_SOCKET=" + m.socket}
	if m.watchdog > 0 {
		all = append(all, fmt.Sprintf("WATCHDOG_USEC=%d", m.watchdog.Microseconds()))
	}
	return all
}

// Watchdog is how long the service may be silent before it is taken for dead; 0: for ever.
func (m *Manager) Watchdog() time.Duration {
	if m == nil {
		return 0
	}
	return m.watchdog
}

// Ready tells that the service serves, in this process: after its start, and after Reloading.
func (m *Manager) Ready(status string) {
	m.tell("READY=1", fmt.Sprintf("MAINPID=%d", os.Getpid()), m.words(status))
}

// Reloading tells that it takes up a new configuration, until Ready.
func (m *Manager) Reloading(status string) {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	m.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000), m.words(status))
}

// Stopping tells that it ends.
func (m *Manager) Stopping(status string) { m.tell("STOPPING=1", m.words(status)) }

// Status is one line for systemctl status. It is sent if it is another one than the last.
func (m *Manager) Status(status string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	same := m.status == status
	m.mu.Unlock()
	if !same {
		m.tell(m.words(status))
	}
}

// Alive feeds the watchdog.
func (m *Manager) Alive() { m.tell("WATCHDOG=1") }

func (m *Manager) words(status string) string {
	if m == nil {
		return ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status = status
	return "STATUS=" + status
}

// tell sends one datagram, and does not wait for room. That systemd is not there, or does not listen to this process, is no
// reason to do anything.
func (m *Manager) tell(lines ...string) {
	if m == nil {
		return
	}
	text := strings.Join(lines, "\n") + "\n"
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.waiting)
	switch {
	case n == 0 && m.send(text, unix.MSG_DONTWAIT) == unix.EAGAIN:
		m.waiting = append(m.waiting, text)
		go m.sendWaiting()
	case n == 0 || m.waiting[n-1] == text:
	case n == mostWaiting:
		oldest := max(0, slices.IndexFunc(m.waiting, passes))
		m.waiting = append(slices.Delete(m.waiting, oldest, oldest+1), text)
	default:
		m.waiting = append(m.waiting, text)
	}
}

// passes reports whether a message is of no use when another one has come.
func passes(text string) bool {
	return strings.HasPrefix(text, "STATUS=") || strings.HasPrefix(text, "WATCHDOG=")
}

func (m *Manager) send(text string, flags int) error {
	for {
		if err := unix.Sendto(m.fd, []byte(text), flags, &unix.SockaddrUnix{Name: m.socket}); err != unix.EINTR {
			return err
		}
	}
}

// sendWaiting waits for room, beside everybody else.
func (m *Manager) sendWaiting() {
	m.mu.Lock()
	for len(m.waiting) > 0 {
		text := m.waiting[0]
		m.mu.Unlock()
		_ = m.send(text, 0)
		m.mu.Lock()
		if len(m.waiting) > 0 && m.waiting[0] == text {
			m.waiting = m.waiting[1:]
		}
	}
	m.mu.Unlock()
}

// Successor tells that another process is the service now, while this one ends.
func (m *Manager) Successor(pid int) { m.tell(fmt.Sprintf("MAINPID=%d", pid)) }
