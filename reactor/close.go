package reactor

// Ends of connections. Owners mark, the leader closes: that is why a descriptor never changes its meaning under a thread
// that uses it.

import (
	"time"

	"golang.org/x/sys/unix"
)

// CloseAfterFlush asks for c to be closed once its out-queue is empty. Ready is not called any more; Progress, Failed and
// Expired are. By the owner (the leader acts on release), or by the leader when c is not owned.
func (c *Conn) CloseAfterFlush() {
	if c.state.Or(stClose)&(stOwned|stClosed) == 0 {
		c.bound.loop.enqueue(c)
	}
}

// Linger asks that CloseAfterFlush shuts down the write side first and reads what still comes for a while, even if no
// input is noted: closing with unread input resets the connection, and the peer loses the end of our answer. It is
// implied when Readable is noted. Owner or leader.
func (c *Conn) Linger() { c.state.Or(stLinger) }

// Abort ends c with a reset, so that the peer can tell that the answer is not complete. The out-queue is dropped. The peer
// of an owned connection sees it at once, and whoever waits in WaitQueued or WaitReadable returns; the descriptor is closed
// by the leader, on release if c is owned. Any thread.
func (c *Conn) Abort() {
	if c.state.Load()&stOwned != 0 {
		c.mu.Lock()
		if c.state.Load()&stClosed == 0 {
			c.dropLocked(ErrClosed)
			resetSocket(int(c.fd))
		}
		c.unlock()
	}
	// Posted rather than put into the ready queue: the owner may release c right now, and we need not be the leader.
	c.post(stAbort)
}

// Closing reports whether CloseAfterFlush or Abort was called. Any thread.
func (c *Conn) Closing() bool { return c.state.Load()&(stClose|stAbort|stClosed) != 0 }

// closeGracefully is CloseAfterFlush with nothing left to send. It reports whether the Handler was called. Leader only.
func (l *Loop) closeGracefully(c *Conn, s uint32) bool {
	unread := s&(stReadable|stLinger) != 0 && s&stEOF == 0
	if s&stBroken != 0 || !unread {
		l.closeNow(c, s&stBroken != 0)
		l.h.Closed(c)
		return true
	}
	shutdownWrite(int(c.fd))
	c.lingerLeft = int32(min(l.opt.LingerBytes, 1<<30))
	c.state.Or(stLingering)
	c.deadline.Store(l.nowNanos.Load() + int64(l.opt.LingerTime/time.Nanosecond))
	l.schedule(c)
	return l.lingerOn(c)
}

// lingerOn throws away what the peer still sends, until it closes, sends too much, or takes too long. Leader only.
func (l *Loop) lingerOn(c *Conn) bool {
	done := c.expired()
	if !done {
		scratch := GetBuffer()
		for !done {
			n, err := c.Read(scratch[:min(len(scratch), int(c.lingerLeft))])
			if err == ErrWouldBlock {
				break
			}
			c.lingerLeft -= int32(n)
			done = err != nil || c.lingerLeft <= 0
		}
		PutBuffer(scratch)
	}
	if !done {
		c.event = false
		c.state.And(^uint32(stKick | stDrained | stFailed | stFire | stExpired))
		l.schedule(c) // the note of expiry may have been for the deadline before
		return false
	}
	l.closeNow(c, false)
	l.h.Closed(c)
	return true
}

// closeNow closes the descriptor, with a reset if rst. Leader only; c is not owned.
func (l *Loop) closeNow(c *Conn, rst bool) {
	l.wheel.remove(&c.timer)
	l.table[c.fd] = nil
	c.mu.Lock()
	c.dropLocked(ErrClosed)
	s := c.state.Or(stClosed)
	forked := l.forked()
	if s&stShared != 0 || forked {
		// The duplicate keeps the socket, and with it our registration, alive.
		_ = l.poll.remove(int(c.fd), true)
	}
	endSocket(int(c.fd), rst, others(s, forked))
	c.mu.Unlock()
	l.conns.Add(-1)
	l.roomAgain()
}

// orphaned closes c after Loop.Close: at once, or, if it is owned, when its owner releases it. Any thread.
func (c *Conn) orphaned() {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.state.Load()
	if s&stClosed != 0 {
		return
	}
	c.dropLocked(ErrClosed)
	if s&stOwned != 0 {
		resetSocket(int(c.fd))
		return
	}
	s = c.state.Or(stClosed)
	endSocket(int(c.fd), true, others(s, c.bound.loop.forked()))
	c.bound.loop.conns.Add(-1)
}

// others tells whether duplicates are to end with c: in forked children, or lent ones. Those that Dup made stay.
func others(s uint32, forked bool) bool { return s&stLent != 0 || forked && s&stShared == 0 }

func (l *Loop) forked() bool { return l.opt.Forked != nil && l.opt.Forked() }

// endSocket closes fd. others: somebody may have a duplicate, which would keep the connection open for as long as it lives.
func endSocket(fd int, rst, others bool) {
	switch {
	case others && rst:
		resetSocket(fd)
	case others:
		_ = unix.Shutdown(fd, unix.SHUT_RDWR)
	case rst:
		setReset(fd)
	}
	closeFD(fd)
}
