package reactor

// Accepting, leader only.

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// acceptRetry is how long accepting rests after the process ran out of descriptors or memory, or of connections that could
// give way, unless a connection closes.
const acceptRetry = 100 * time.Millisecond

// maxBacklog is more than the kernel lets wait (net.core.somaxconn, 4096 by default).
const maxBacklog = 1 << 16

// A client sends its request right behind the last packet of the handshake. When accepting ends, a connection of which
// that packet or less is here has deferLinger for the rest, if others have come within deferLately.
const (
	deferLinger = 20 * time.Millisecond
	deferLately = time.Second

	// leaveLinger is deferLinger where there is no hurry: as long as a client may take that has no CPU.
	leaveLinger = time.Second
)

// boundListener is a Listener as registered with one loop.
type boundListener struct {
	ln     *Listener
	loop   *Loop
	armed  bool  // registered with the poller
	queued bool  // in the ready queue
	gone   bool  // closed by StopAccepting
	taken  int   // since it was last noted
	last   int64 // when one was; NowNanos
}

// acceptState says why accepting rests.
type acceptState struct {
	others    bool  // see LetOthers
	ending    bool  // StopAccepting was called
	full      bool  // MaxConns reached
	exhausted bool  // the last accept failed for want of descriptors or memory
	reported  bool  // and that was logged; until a batch ends with nobody waiting
	refused   bool  // since somebody was last let in; see shortage.go
	since     int64 // when it began; NowNanos
	retry     *Timer
}

// AddListener starts accepting from ln. Leader only.
func (l *Loop) AddListener(ln *Listener) error {
	b := &boundListener{ln: ln, loop: l}
	if !l.accepting.full && !l.accepting.exhausted && !l.accepting.others && !l.peers.enough {
		if err := l.addListener(ln.fd); err != nil {
			return err
		}
		b.armed = true
	}
	l.listeners = append(l.listeners, b)
	return nil
}

// StopAccepting ends accepting and closes all listeners, without losing a connection that a client has got. Leader only.
//
// Closing a listener resets what waits in its queue, and under TCP what has not come that far. So one that Listen made
// first admits nobody new; then all that wait are accepted; then it is closed. If connections came lately, another may be
// on its way: listeners stay open for it a moment longer, see Accepting. Who inherited a listener leaves its queue to the
// other holders, unless Listener.Last has it take what waits.
func (l *Loop) StopAccepting() {
	l.LetOthers(false)
	l.accepting.ending = true
	if l.peers.enough {
		l.backFromRest()
	}
	lately, linger := false, deferLinger
	for _, b := range l.listeners {
		if b.ln.own {
			b.ln.admitNobody()
			if b.ln.left && b.ln.deferred {
				linger = leaveLinger
			}
			lately = lately || b.ln.adopted || b.ln.deferred && l.nowNanos.Load()-b.last < int64(deferLately)
		}
	}
	if lately {
		// Not by the timer wheel, whose ticks are longer.
		time.AfterFunc(linger, func() { l.Post(l.stopListening) })
	} else {
		l.stopListening()
	}
}

// Accepting reports whether there are listeners. Leader only.
func (l *Loop) Accepting() bool { return len(l.listeners) > 0 }

func (l *Loop) stopListening() {
	for _, b := range l.listeners {
		if b.ln.own || b.ln.Last != nil && b.ln.Last(b.ln.fd) {
			l.acceptRest(b)
		}
	}
	l.closeListeners()
}

func (l *Loop) closeListeners() {
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
	if l.accepting.others || l.peers.enough {
		return
	}
	for _, b := range l.listeners {
		if b.armed {
			continue
		}
		if err := l.addListener(b.ln.fd); err != nil {
			l.exhaust("epoll_ctl", err)
			return
		}
		b.armed = true
	}
}

// LetOthers lets accepting rest, or go on: whoever else has the same listeners serves sooner. What waits at the end is not
// left to them. Leader only.
func (l *Loop) LetOthers(on bool) {
	if l.accepting.others == on || l.accepting.ending {
		return
	}
	l.accepting.others = on
	if on {
		l.rest()
	} else if !l.accepting.full && !l.accepting.exhausted {
		l.resume()
	}
}

// LookForWaiting accepts what waits, if accepting does not rest: who was woken for it may have died. Leader only.
func (l *Loop) LookForWaiting() {
	for _, b := range l.listeners {
		if b.armed && !b.queued && somebodyWaits(b.ln.fd) {
			b.queued = true
			l.ready.push(item{accept: b})
		}
	}
}

// hasAccepted puts b behind the others who wait for the same listener: the kernel wakes whoever has waited there for longest,
// and would wake the same one always.
func (l *Loop) hasAccepted(b *boundListener) {
	if !l.opt.Shared || !b.armed {
		return
	}
	l.disarm(b)
	if err := l.addListener(b.ln.fd); err != nil {
		l.exhaust("epoll_ctl", err)
		return
	}
	b.armed = true
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
	l.retryAccepting()
	if !l.accepting.reported {
		l.accepting.reported = true
		l.opt.Log("reactor: not accepting connections for now: %s: %v", call, err)
	}
}

func (l *Loop) retryAccepting() {
	if l.accepting.retry == nil {
		l.accepting.retry = l.After(acceptRetry, func() {
			l.accepting.retry = nil
			if l.accepting.exhausted || l.accepting.full {
				l.resume()
			}
		})
	}
}

func (l *Loop) full() bool { return l.opt.MaxConns > 0 && l.Conns() >= l.opt.MaxConns }

// somebodyWaits tells whether accept would bring one.
func somebodyWaits(fd int) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds[:], 0)
	return n > 0 && err == nil
}

// accept takes one connection, nil if it can't, and leaves b in the ready queue behind all that wait there, until nobody
// wants to connect or Options.AcceptBatch were taken; if more wait then, the listener, being level-triggered, comes up in
// the next Poll again. One at a time, a connection that brings its request and closes after the answer is done with before
// the next one is touched.
func (l *Loop) accept(b *boundListener) *Conn {
	if b.armed && l.full() && somebodyWaits(b.ln.fd) && l.opt.GiveWay() {
		l.ready.push(item{accept: b}) // behind the one that ends
		return nil
	}
	if b.taken == 0 && b.armed && l.leavesToPeers() {
		b.queued = false
		return nil
	}
	c := l.acceptOne(b)
	if b.taken++; c == nil || b.taken >= l.opt.AcceptBatch {
		if b.taken > 1 || c != nil {
			l.hasAccepted(b)
		}
		b.queued, b.taken = false, 0
	} else {
		l.ready.push(item{accept: b})
	}
	return c
}

// acceptRest takes all that wait, for a listener that is about to close.
func (l *Loop) acceptRest(b *boundListener) {
	if l.accepting.exhausted {
		l.refuseWaiting(b)
		return
	}
	for range maxBacklog {
		c := l.acceptOne(b)
		if c == nil {
			return
		}
		l.ready.push(item{fresh: c})
	}
}

func (l *Loop) acceptOne(b *boundListener) *Conn {
	if b.gone || !b.armed {
		return nil
	}
	for range maxBacklog {
		if l.full() {
			l.accepting.full = true
			l.rest()
			l.retryAccepting() // one may have become idle for long enough
			return nil
		}
		var peer rawAddr
		fd, errno := acceptConn(b.ln.fd, &peer)
		switch errno {
		case 0:
		case syscall.EAGAIN:
			if !l.accepting.refused {
				l.accepting.reported, l.accepting.since = false, 0 // all that waited were served: the shortage is over
			}
			return nil
		case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
			l.exhaust("accept", errno)
			l.short()
			return nil
		case syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK, syscall.EFAULT, syscall.EOPNOTSUPP:
			l.exhaust("accept", errno) // not a connection's fault: try again later instead of spinning
			return nil
		default:
			continue // this one connection failed before we got it (ECONNABORTED, EPERM, network errors)
		}
		l.accepting.refused = false
		c := &Conn{bound: b, peer: peer} // made only now: most batches end with EAGAIN
		l.adopt(c, fd)
		b.last = l.nowNanos.Load()
		return c
	}
	return nil
}

// anyGen is the generation of events from pollers that cannot carry one. A connection never has it, nor 0, nor one of those
// with awaitGen.
const anyGen = ^uint32(0)

// adopt makes fd, just accepted, the descriptor of c.
func (l *Loop) adopt(c *Conn, fd int) {
	if l.gen++; l.gen == awaitGen {
		l.gen = 1
	}
	c.fd, c.gen = int32(fd), l.gen
	if fd >= len(l.table) {
		grown := make([]*Conn, max(2*len(l.table), fd+1, 64))
		copy(grown, l.table)
		l.table = grown
	}
	l.table[fd] = c
	l.conns.Add(1)
	l.unpolled = append(l.unpolled, c)
}

// register gives the poller the connections that were accepted since the last Poll and are still open. One that was served
// and closed at once never gets there, which saves 1.5 of 23 µs.
func (l *Loop) register() {
	for i, c := range l.unpolled {
		l.unpolled[i] = nil
		if l.table[c.fd] != c {
			continue
		}
		if err := l.addConn(int(c.fd), c.gen); err != nil {
			l.opt.Log("reactor: dropped a new connection: %v", err)
			c.Abort()
		}
	}
	l.unpolled = l.unpolled[:0]
}

// Take makes fd, a connected socket that does not block, a connection as if it had been accepted from ln, whose peer is this
// machine. The Handler is not told: what is returned is the caller's to see to. Leader only, or before anybody leads.
func (l *Loop) Take(ln *Listener, fd int) *Conn {
	c := &Conn{bound: &boundListener{ln: ln, loop: l}}
	if ln.network == "tcp" {
		c.peer.size = 4
		copy(c.peer.ip[:], []byte{127, 0, 0, 1})
	}
	l.adopt(c, fd)
	return c
}
