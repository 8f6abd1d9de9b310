package master

// A process that is nobody's child here, so that it may end and be buried, and another one get its number, unseen.

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// held is one by a descriptor, which is of no other one ever. Where the kernel has none (before 5.3, or a sandbox) it is the number
// alone.
type held struct {
	pid int

	mu   sync.Mutex
	fd   int  // -1: none
	gone bool // it is no more
}

func hold(pid int) *held {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return &held{pid: pid, fd: -1, gone: errors.Is(err, unix.ESRCH)}
	}
	return &held{pid: pid, fd: fd}
}

func (h *held) signal(sig syscall.Signal) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.gone:
		return os.ErrProcessDone
	case h.fd >= 0:
		return unix.PidfdSendSignal(h.fd, sig, nil, 0)
	}
	return unix.Kill(h.pid, sig)
}

// hasEnded reports whether the process is no more, or waits for its parent to be told so.
func (h *held) hasEnded() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone || h.fd >= 0 {
		return h.gone || readable(h.fd, 0)
	}
	fields, err := h.stat()
	if err != nil {
		return errors.Is(unix.Kill(h.pid, 0), unix.ESRCH)
	}
	return fields[0] == "Z"
}

// lookForEnd is how often it is looked whether the process is there, without a descriptor.
const lookForEnd = 200 * time.Millisecond

// awaitEnd returns when the process has ended. Nobody closes it meanwhile.
func (h *held) awaitEnd() {
	for !h.hasEnded() {
		if h.fd < 0 {
			time.Sleep(lookForEnd)
		} else {
			readable(h.fd, -1)
		}
	}
}

// readable waits until fd is, for so many milliseconds, or -1: for ever. A descriptor of a process is when that has ended.
func readable(fd, ms int) bool {
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, ms)
	return n > 0
}

func (h *held) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fd >= 0 {
		_ = unix.Close(h.fd)
	}
	h.fd, h.gone = -1, true
}

// isChildOf reports whether the process is one of parent's. One that cannot be looked at is believed to be.
func (h *held) isChildOf(parent int) bool {
	fields, err := h.stat()
	return err != nil || fields[1] == strconv.Itoa(parent)
}

// stat is what the kernel says of it, from its state on.
func (h *held) stat() ([]string, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(h.pid) + "/stat")
	text := string(data)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if err == nil && len(fields) < 2 {
		err = errors.ErrUnsupported
	}
	return fields, err
}
