package reactor

// kqueue, leader only except for wake, arm and disarm. Closing a descriptor takes its registrations and pending events with it, so events
// need no generation.

import (
	"errors"
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

// arm has fd watched for one event of those in events; others are those it may be armed for already. Filters of theirs
// that are gone tell that fd was closed meanwhile. Each direction has an event of its own, and the end of the input is an
// end of both to those who await. Any thread.
func (p *poller) arm(fd int, events, others Events, _ uint32, _ bool) (fresh bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, os.NewSyscallError("fstat", err)
	}
	if t := st.Mode & unix.S_IFMT; t == unix.S_IFREG || t == unix.S_IFDIR { // kqueue has other events for these
		return others != 0, ErrAlwaysReady
	}
	for _, f := range [...]struct {
		event  Events
		filter int
	}{{Readable, unix.EVFILT_READ}, {Writable, unix.EVFILT_WRITE}} {
		if events&f.event == 0 {
			continue
		}
		if others&f.event != 0 {
			err := p.change(fd, f.filter, unix.EV_ENABLE, 0)
			if err == nil {
				continue
			}
			if !errors.Is(err, syscall.ENOENT) {
				return false, err
			}
			fresh = true
		}
		if err := p.change(fd, f.filter, unix.EV_ADD|unix.EV_ENABLE|unix.EV_DISPATCH, 0); err != nil {
			return fresh, err
		}
	}
	return fresh, nil
}

// disarm takes fd from the poller and reports that it is not there. Any thread.
func (p *poller) disarm(fd int) bool {
	_ = p.change(fd, unix.EVFILT_READ, unix.EV_DELETE, 0)
	_ = p.change(fd, unix.EVFILT_WRITE, unix.EV_DELETE, 0)
	return true
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

// fd is readable when there is something to wait for.
func (p *poller) fd() int { return p.kq }

// wake ends a wait. Any thread.
func (p *poller) wake() { _ = p.change(0, unix.EVFILT_USER, 0, unix.NOTE_TRIGGER) }
