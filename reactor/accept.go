package reactor

// Accepting, leader only.

import (
	"syscall"
	"time"
)

// acceptRetry is how long accepting rests after the process ran out of descriptors or memory, unless a connection closes.
const acceptRetry = 100 * time.Millisecond

// boundListener is a Listener as registered with one loop.
type boundListener struct {
	ln     *Listener
	loop   *Loop
	armed  bool // registered with the poller
	queued bool // in the ready queue
	gone   bool // closed by StopAccepting
}

// acceptState says why accepting rests.
type acceptState struct {
	full      bool // MaxConns reached
	exhausted bool // the last accept failed for want of descriptors or memory
	reported  bool // and that was logged; until a batch ends with nobody waiting
	retry     *Timer
}

// AddListener starts accepting from ln. Leader only.
func (l *Loop) AddListener(ln *Listener) error {
	b := &boundListener{ln: ln, loop: l}
	if !l.accepting.full && !l.accepting.exhausted {
		if err := l.poll.addListener(ln.fd); err != nil {
			return err
		}
		b.armed = true
	}
	l.listeners = append(l.listeners, b)
	return nil
}

// StopAccepting takes all listeners from the poller and closes them. Leader only.
func (l *Loop) StopAccepting() {
	for _, b := range l.listeners {
		l.disarm(b)
		b.gone = true
		_ = b.ln.Close()
	}
	l.listeners = nil
	if t := l.accepting.retry; t != nil {
		t.Stop()
	}
	l.accepting = acceptState{}
}

func (l *Loop) disarm(b *boundListener) {
	if b.armed {
		b.armed = false
		if err := l.poll.remove(b.ln.fd, false); err != nil {
			l.opt.Log("reactor: cannot stop polling %s: %v", b.ln.Addr(), err)
		}
	}
}

// rest takes all listeners from the poller. They are level-triggered: left there, they would keep it awake.
func (l *Loop) rest() {
	for _, b := range l.listeners {
		l.disarm(b)
	}
}

// resume is the end of a rest.
func (l *Loop) resume() {
	l.accepting.full, l.accepting.exhausted = false, false
	if t := l.accepting.retry; t != nil {
		t.Stop()
		l.accepting.retry = nil
	}
	for _, b := range l.listeners {
		if b.armed {
			continue
		}
		if err := l.poll.addListener(b.ln.fd); err != nil {
			l.exhaust("epoll_ctl", err)
			return
		}
		b.armed = true
	}
}

// roomAgain is called when a connection has been closed.
func (l *Loop) roomAgain() {
	if l.accepting.exhausted || l.accepting.full && l.Conns() < l.opt.MaxConns {
		l.resume()
	}
}

// exhaust begins a rest for want of descriptors or memory.
func (l *Loop) exhaust(call string, err error) {
	l.rest()
	l.accepting.exhausted = true
	if l.accepting.retry == nil {
		l.accepting.retry = l.After(acceptRetry, func() {
			l.accepting.retry = nil
			if l.accepting.exhausted {
				l.resume()
			}
		})
	}
	if !l.accepting.reported {
		l.accepting.reported = true
		l.opt.Log("reactor: not accepting connections for now: %s: %v", call, err)
	}
}

// acceptBatch takes up to Options.AcceptBatch connections and queues them for Accepted. If more wait, the listener, being
// level-triggered, comes up in the next Poll again.
func (l *Loop) acceptBatch(b *boundListener) {
	if b.gone || !b.armed {
		return
	}
	for range l.opt.AcceptBatch {
		if l.opt.MaxConns > 0 && l.Conns() >= l.opt.MaxConns {
			l.accepting.full = true
			l.rest()
			return
		}
		var peer rawAddr
		fd, errno := acceptConn(b.ln.fd, &peer)
		switch errno {
		case 0:
		case syscall.EAGAIN:
			l.accepting.reported = false // all that waited were served: the shortage is over
			return
		case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
			l.exhaust("accept", errno)
			return
		case syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK, syscall.EFAULT, syscall.EOPNOTSUPP:
			l.exhaust("accept", errno) // not a connection's fault: try again later instead of spinning
			return
		default:
			continue // this one connection failed before we got it (ECONNABORTED, EPERM, network errors)
		}
		l.register(&Conn{bound: b, peer: peer}, fd) // made only now: most batches end with EAGAIN
	}
}

// anyGen is the generation of events from pollers that cannot carry one; a connection never has it, nor 0.
const anyGen = ^uint32(0)

// register makes fd, just accepted, the descriptor of c.
func (l *Loop) register(c *Conn, fd int) {
	if l.gen++; l.gen == anyGen {
		l.gen = 1
	}
	c.fd, c.gen = int32(fd), l.gen
	if fd >= len(l.table) {
		grown := make([]*Conn, max(2*len(l.table), fd+1, 64))
		copy(grown, l.table)
		l.table = grown
	}
	if err := l.poll.addConn(fd, c.gen); err != nil {
		closeFD(fd)
		l.opt.Log("reactor: dropped a new connection: %v", err)
		return
	}
	l.table[fd] = c
	l.conns.Add(1)
	l.ready.push(item{fresh: c})
}
