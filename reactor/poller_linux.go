package reactor

// epoll, leader only except for wake, arm and disarm.

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

type poller struct {
	ep     int
	wakeup int // eventfd
	events []unix.EpollEvent
}

func (p *poller) open(maxEvents int) error {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	p.ep = ep
	p.events = make([]unix.EpollEvent, maxEvents)
	if p.wakeup, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		closeFD(ep)
		return os.NewSyscallError("eventfd", err)
	}
	// Edge-triggered: every write is a new edge, so nobody ever reads the counter.
	if err := p.add(p.wakeup, unix.EPOLLIN|unix.EPOLLET, 0); err != nil {
		closeFD(ep)
		closeFD(p.wakeup)
		return err
	}
	return nil
}

func (p *poller) close() error {
	closeFD(p.wakeup)
	return os.NewSyscallError("close", unix.Close(p.ep))
}

func (p *poller) add(fd int, events uint32, gen uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: int32(gen)}
	if e := p.ctl(unix.EPOLL_CTL_ADD, fd, &ev); e != 0 {
		return sysErr("epoll_ctl", e)
	}
	return nil
}

// ctl never waits.
func (p *poller) ctl(op, fd int, ev *unix.EpollEvent) syscall.Errno {
	_, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.ep), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(ev)), 0, 0)
	return e
}

// addConn registers a connection once and for all.
func (p *poller) addConn(fd int, gen uint32) error {
	return p.add(fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET, gen)
}

// addListener: of the processes that share the socket, one is woken.
func (p *poller) addListener(fd int) error {
	return p.add(fd, unix.EPOLLIN|unix.EPOLLEXCLUSIVE, 0)
}

func (p *poller) addWatch(fd int) error { return p.add(fd, unix.EPOLLIN, 0) }

// arm has fd watched for one event of those in events. known: the number was before. The registration is there still,
// disarmed, unless fd was closed meanwhile: then it gets a fresh one. Any thread.
func (p *poller) arm(fd int, events, _ Events, gen uint32, known bool) (fresh bool, err error) {
	ev := unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: int32(fd), Pad: int32(gen)}
	if events&Readable != 0 {
		ev.Events |= unix.EPOLLIN
	}
	if events&Writable != 0 {
		ev.Events |= unix.EPOLLOUT
	}
	e := syscall.ENOENT
	for range 8 {
		if known {
			e = p.ctl(unix.EPOLL_CTL_MOD, fd, &ev)
		}
		if e == syscall.ENOENT {
			fresh = known
			e = p.ctl(unix.EPOLL_CTL_ADD, fd, &ev)
		}
		if e != syscall.EEXIST || !known {
			break
		} // else the number has, since just now, another meaning that it had before
	}
	switch e {
	case 0:
		return fresh, nil
	case syscall.EPERM:
		return fresh, ErrAlwaysReady
	}
	return fresh, sysErr("epoll_ctl", e)
}

// disarm takes fd from the poller and reports whether it was there. Any thread.
func (p *poller) disarm(fd int) bool {
	var ev unix.EpollEvent
	return p.ctl(unix.EPOLL_CTL_DEL, fd, &ev) == 0
}

func (p *poller) remove(fd int, conn bool) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.ep, unix.EPOLL_CTL_DEL, fd, nil))
}

// wait collects events; timeout < 0 waits without limit.
func (p *poller) wait(timeout time.Duration) (int, error) {
	ms := -1
	if timeout >= 0 {
		ms = int(min((timeout+time.Millisecond-1)/time.Millisecond, 1<<30))
	}
	var n uintptr
	var e syscall.Errno
	if ms == 0 {
		n, _, e = syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.ep), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
	} else {
		n, _, e = syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.ep), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), uintptr(ms), 0, 0)
	}
	switch e {
	case 0:
		return int(n), nil
	case syscall.EINTR:
		return 0, nil
	}
	return 0, sysErr("epoll_wait", e)
}

func (p *poller) event(i int) (fd int, gen, bits uint32) {
	ev := &p.events[i]
	e := ev.Events
	if e&unix.EPOLLIN != 0 {
		bits = evRead
	}
	if e&unix.EPOLLOUT != 0 {
		bits |= evWrite
	}
	// HUP means that both directions are closed, and comes from a unix peer that sent its request and left; what it sent
	// can still be read. A reset has ERR.
	if e&(unix.EPOLLRDHUP|unix.EPOLLHUP) != 0 {
		bits |= evGone
	}
	if e&unix.EPOLLERR != 0 {
		bits |= evErr
	}
	return int(ev.Fd), uint32(ev.Pad), bits
}

// fd is readable when there is something to wait for.
func (p *poller) fd() int { return p.ep }

// wake ends a wait. Any thread.
func (p *poller) wake() {
	one := uint64(1)
	_, _, _ = syscall.RawSyscall(unix.SYS_WRITE, uintptr(p.wakeup), uintptr(unsafe.Pointer(&one)), 8)
}
