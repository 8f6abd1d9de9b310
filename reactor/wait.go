package reactor

// Waiting for one connection, by the thread that owns it. It polls the descriptor itself, so that it works whether or not
// somebody leads at the moment.

import (
	"math"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// WaitQueued waits until no more than mem bytes are queued in memory, and all in memory and in the spool, or until the
// connection breaks, or until no byte moved for stall (ErrStalled; 0 or less: no limit). Owner.
func (c *Conn) WaitQueued(mem, all int64, stall time.Duration) error {
	moved := c.SentBytes()
	since := time.Now()
	for {
		if _, err := c.Flush(); err != nil {
			return err
		}
		if m, spooled := c.queued(); m <= mem && m+spooled <= all {
			return nil
		}
		left := time.Duration(-1)
		if now := c.SentBytes(); now != moved {
			moved, since = now, time.Now()
		}
		if stall > 0 {
			if left = stall - time.Since(since); left <= 0 {
				return ErrStalled
			}
		}
		if _, err := pollFD(int(c.fd), unix.POLLOUT, left); err != nil {
			return err
		}
	}
}

// WaitReadable waits until there is something to Read, data or its end; ErrTimeout after timeout (negative: no limit).
// Owner.
func (c *Conn) WaitReadable(timeout time.Duration) error {
	end := time.Now().Add(timeout)
	for {
		n, err := pollFD(int(c.fd), unix.POLLIN, timeout)
		if n > 0 || err != nil {
			return err
		}
		if timeout >= 0 {
			if timeout = time.Until(end); timeout <= 0 {
				return ErrTimeout
			}
		}
	}
}

// pollFD waits once. It returns 0 when the time is up, and also, early, after a signal.
func pollFD(fd int, events int16, timeout time.Duration) (int, error) {
	ms := -1
	if timeout >= 0 {
		ms = int(min((timeout+time.Millisecond-1)/time.Millisecond, math.MaxInt32))
	}
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	n, err := unix.Poll(fds[:], ms)
	if err == syscall.EINTR {
		return 0, nil
	}
	return n, os.NewSyscallError("poll", err)
}
