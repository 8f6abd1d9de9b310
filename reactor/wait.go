package reactor

// Waiting for one connection, by a thread of the request that owns it. It polls the descriptor itself, so that it works
// whether or not somebody leads at the moment.

import (
	"math"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/rules"
)

// Alarm ends the waits of those who wait with it. The zero value is ready; Close it when nobody waits or rings any more.
type Alarm struct {
	rung atomic.Bool
	fds  atomic.Pointer[[2]int] // to read, to write; made for the first who waits
}

// unalarmed is how long a wait lasts that no alarm can end, for want of descriptors, before it looks.
const unalarmed = 20 * time.Millisecond

// Ring makes all waits with a return ErrEnded, now and from now on. Any goroutine.
func (a *Alarm) Ring() {
	a.rung.Store(true)
	if fds := a.fds.Load(); fds != nil {
		_, _ = unix.Write(fds[1], []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// Close gives the descriptors back and makes a ready for other waits.
func (a *Alarm) Close() {
	if a.fds.Load() != nil || a.rung.Load() { // seldom, and changing them costs more than a look
		a.clear()
	}
}

func (a *Alarm) clear() {
	if fds := a.fds.Swap(nil); fds != nil {
		closeFD(fds[0])
		if fds[1] != fds[0] {
			closeFD(fds[1])
		}
	}
	a.rung.Store(false)
}

// fd is what to poll, -1 if there are no descriptors left.
func (a *Alarm) fd() int {
	fds := a.fds.Load()
	if fds == nil {
		made, err := alarmFDs()
		if err != nil {
			return -1
		}
		fds = &made
		if !a.fds.CompareAndSwap(nil, fds) { // somebody else waits as well
			(&Alarm{}).take(fds).Close()
			fds = a.fds.Load()
		}
	}
	return fds[0]
}

func (a *Alarm) take(fds *[2]int) *Alarm {
	a.fds.Store(fds)
	return a
}

// wait polls fd once for events. It returns 0 when the time is up, and also, early, after a signal; ErrEnded when a rings.
func (a *Alarm) wait(fd int, events int16, timeout time.Duration) (int, error) {
	rules.Waits("for a client")
	fds := [2]unix.PollFd{{Fd: int32(fd), Events: events}, {Fd: int32(a.fd()), Events: unix.POLLIN}}
	if a.rung.Load() { // looked at once the descriptor is there: who rings sees one or the other
		return 0, ErrEnded
	}
	if fds[1].Fd < 0 && (timeout < 0 || timeout > unalarmed) {
		timeout = unalarmed
	}
	ms := -1
	if timeout >= 0 {
		ms = int(min((timeout+time.Millisecond-1)/time.Millisecond, math.MaxInt32))
	}
	n, err := unix.Poll(fds[:], ms)
	switch {
	case err == syscall.EINTR:
		return 0, nil
	case err != nil:
		return 0, os.NewSyscallError("poll", err)
	case a.rung.Load():
		return 0, ErrEnded
	}
	return n, nil
}

// WaitQueued waits until no more than mem bytes are queued in memory, and all in memory and in the spool, or until the
// connection breaks, or until no byte moved for stall (ErrStalled; 0 or less: no limit), or until a rings (ErrEnded). Owner.
func (c *Conn) WaitQueued(mem, all int64, stall time.Duration, a *Alarm) error {
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
		if _, err := a.wait(int(c.fd), unix.POLLOUT, left); err != nil {
			return err
		}
	}
}

// WaitReadable waits until there is something to Read, data or its end; ErrTimeout after timeout (negative: no limit);
// ErrEnded when a rings. Owner.
func (c *Conn) WaitReadable(timeout time.Duration, a *Alarm) error {
	end := time.Now().Add(timeout)
	for {
		left := time.Duration(-1)
		if timeout >= 0 {
			left = max(0, time.Until(end))
		}
		n, err := a.wait(int(c.fd), unix.POLLIN, left)
		if n > 0 || err != nil {
			return err
		}
		if timeout >= 0 && left == 0 {
			return ErrTimeout
		}
	}
}
