// Package systemd tells the service manager how the server is, and that it lives: the protocol of sd_notify(3), which is
// one datagram for each change. Sockets that come from it are internal/config's.
package systemd

import (
	"fmt"
	"os"
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

// sendLimit is how long systemd may be in taking a message.
const sendLimit = 5 * time.Second

// Manager is the service manager of this process. A nil one is none, and everything may be told to it. Any goroutine.
type Manager struct {
	socket   string
	fd       int
	watchdog time.Duration

	mu     sync.Mutex
	status string
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
	limit := unix.NsecToTimeval(sendLimit.Nanoseconds())
	_ = unix.SetsockoptTimeval(m.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit)
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

// tell sends one datagram. That systemd is not there, or does not listen to this process, is no reason to do anything.
func (m *Manager) tell(lines ...string) {
	if m == nil {
		return
	}
	text := strings.Join(lines, "\n") + "\n"
	_ = unix.Sendto(m.fd, []byte(text), 0, &unix.SockaddrUnix{Name: m.socket})
}

// Successor tells that another process is the service now, while this one ends.
func (m *Manager) Successor(pid int) { m.tell(fmt.Sprintf("MAINPID=%d", pid)) }
