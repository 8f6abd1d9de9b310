package reactor

// kqueue, leader only except for wake. Closing a descriptor takes its registrations and pending events with it, so events
// need no generation.

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type poller struct {
	kq     int
	events []unix.Kevent_t
	others map[int]bool // descriptors that are no connections
}

func (p *poller) open(maxEvents int) error {
	kq, err := unix.Kqueue()
	if err != nil {
		return os.NewSyscallError("kqueue", err)
	}
	unix.CloseOnExec(kq)
	p.kq = kq
	p.events = make([]unix.Kevent_t, maxEvents)
	p.others = map[int]bool{}
	if err := p.change(0, unix.EVFILT_USER, unix.EV_ADD|unix.EV_CLEAR, 0); err != nil {
		closeFD(kq)
		return err
	}
	return nil
}

func (p *poller) close() error { return os.NewSyscallError("close", unix.Close(p.kq)) }

func (p *poller) change(fd, filter, flags int, fflags uint32) error {
	var ev [1]unix.Kevent_t
	unix.SetKevent(&ev[0], fd, filter, flags)
	ev[0].Fflags = fflags
	_, err := unix.Kevent(p.kq, ev[:], nil, nil)
	return os.NewSyscallError("kevent", err)
}

func (p *poller) addConn(fd int, gen uint32) error {
	if err := p.change(fd, unix.EVFILT_READ, unix.EV_ADD|unix.EV_CLEAR, 0); err != nil {
		return err
	}
	return p.change(fd, unix.EVFILT_WRITE, unix.EV_ADD|unix.EV_CLEAR, 0)
}

func (p *poller) addListener(fd int) error { return p.addWatch(fd) }

func (p *poller) addWatch(fd int) error {
	if err := p.change(fd, unix.EVFILT_READ, unix.EV_ADD, 0); err != nil {
		return err
	}
	p.others[fd] = true
	return nil
}

func (p *poller) remove(fd int, conn bool) error {
	if conn {
		_ = p.change(fd, unix.EVFILT_WRITE, unix.EV_DELETE, 0)
	} else {
		delete(p.others, fd)
	}
	return p.change(fd, unix.EVFILT_READ, unix.EV_DELETE, 0)
}

func (p *poller) wait(timeout time.Duration) (int, error) {
	var ts *unix.Timespec
	if timeout >= 0 {
		t := unix.NsecToTimespec(int64(timeout))
		ts = &t
	}
	n, err := unix.Kevent(p.kq, nil, p.events, ts)
	if err == syscall.EINTR {
		return 0, nil
	}
	return max(n, 0), os.NewSyscallError("kevent", err)
}

func (p *poller) event(i int) (fd int, gen, bits uint32) {
	ev := &p.events[i]
	fd = int(ev.Ident)
	switch ev.Filter {
	case unix.EVFILT_USER:
		return -1, 0, 0
	case unix.EVFILT_READ:
		bits = evRead
		if ev.Flags&unix.EV_EOF != 0 {
			bits |= evGone
		}
	case unix.EVFILT_WRITE:
		bits = evWrite
		if ev.Flags&unix.EV_EOF != 0 {
			bits |= evGone // the peer takes nothing any more
		}
	}
	if ev.Flags&unix.EV_EOF != 0 && ev.Fflags != 0 {
		bits |= evErr
	}
	if p.others[fd] {
		return fd, 0, bits
	}
	return fd, anyGen, bits
}

// wake ends a wait. Any thread.
func (p *poller) wake() { _ = p.change(0, unix.EVFILT_USER, 0, unix.NOTE_TRIGGER) }
