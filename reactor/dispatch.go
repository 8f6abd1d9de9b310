package reactor

// The ready queue and Dispatch, leader only. The rule of this file: whatever is to be done to the loop is done before the
// Handler is called, and nothing after, because by the time the Handler returns somebody else may lead.

// item is one thing to do; exactly one field is set.
type item struct {
	conn   *Conn          // look at its notes
	fresh  *Conn          // accepted, not announced yet
	accept *boundListener // take one that waits
	watch  *watch
	timer  *Timer
	fn     func()
}

// ring is a growing first-in first-out queue.
type ring struct {
	items []item // a power of two
	head  int
	n     int
}

func (r *ring) push(it item) {
	if r.n == len(r.items) {
		grown := make([]item, max(64, 2*len(r.items)))
		for i := range r.n {
			grown[i] = r.items[(r.head+i)&(len(r.items)-1)]
		}
		r.items, r.head = grown, 0
	}
	r.items[(r.head+r.n)&(len(r.items)-1)] = it
	r.n++
}

// pushFront puts it before all others.
func (r *ring) pushFront(it item) {
	r.push(item{}) // makes room; what is behind the last item is free
	r.head = (r.head - 1) & (len(r.items) - 1)
	r.items[r.head] = it
}

func (r *ring) pop() (it item, ok bool) {
	if r.n == 0 {
		return it, false
	}
	slot := &r.items[r.head]
	it = *slot
	*slot = item{}
	r.head = (r.head + 1) & (len(r.items) - 1)
	r.n--
	return it, true
}

// Dispatch takes items from the ready queue until one made it do something worth a look at the clock: it calls the
// Handler, a posted function, a timer's or a watch's function once, or finds nobody to accept. It returns false when nothing is
// left. Leader only.
func (l *Loop) Dispatch() bool {
	for {
		it, ok := l.ready.pop()
		switch {
		case !ok:
			return false
		case it.conn != nil:
			if l.dispatchConn(it.conn) {
				return true
			}
		case it.fresh != nil:
			if it.fresh.state.Load()&stClosed == 0 {
				l.announce(it.fresh)
				return true
			}
		case it.accept != nil:
			if c := l.accept(it.accept); c != nil {
				l.announce(c)
			}
			return true
		case it.watch != nil:
			it.watch.queued = false
			if !it.watch.removed {
				it.watch.fn()
				return true
			}
		case it.timer != nil:
			if fn := it.timer.fn; fn != nil {
				it.timer.fn = nil
				fn()
				return true
			}
		default:
			it.fn()
			return true
		}
	}
}

// announce tells the Handler of c. If c was accepted because it has sent something, that is read next.
func (l *Loop) announce(c *Conn) {
	if c.bound.ln.deferred {
		c.state.Or(stReadable)
		c.event, c.inReady = true, true
		l.ready.pushFront(item{conn: c})
	}
	l.h.Accepted(c)
}

// dispatchConn acts on the notes of c and reports whether it called the Handler. When several calls are due it makes the
// first and puts c back into the queue for the others.
func (l *Loop) dispatchConn(c *Conn) bool {
	c.inReady = false
	s := c.state.Load()
	if s&stClosed != 0 {
		return false
	}
	if s&stResched != 0 {
		c.state.And(^uint32(stResched))
		l.schedule(c)
	}
	if s&stWritable != 0 && c.Pending() {
		c.state.And(^uint32(stWritable))
		progress := false
		switch c.flushForLeader() {
		case flushDrained:
			c.state.Or(stDrained)
		case flushPartial:
			progress = true
		case flushAgain: // more than its share was written: let others have a turn
			c.state.Or(stWritable)
			l.enqueue(c)
			progress = true
		case flushFailed:
			c.state.Or(stFailed)
		}
		s = c.state.Load()
		if progress {
			if c.event || s&stDue != 0 {
				l.enqueue(c)
			}
			l.h.Progress(c)
			return true
		}
	}
	if s&stOwned != 0 {
		return l.dispatchOwned(c, s)
	}
	switch {
	case s&stAbort != 0:
		l.closeNow(c, true)
		l.h.Closed(c)
		return true
	case s&stLingering != 0:
		return l.lingerOn(c)
	case s&stClose != 0 && (s&stBroken != 0 || !c.Pending()):
		return l.closeGracefully(c, s)
	case s&stFailed != 0:
		c.event = false
		c.state.And(^uint32(stFailed | stKick))
		err := c.failure()
		l.h.Failed(c, err)
		return true
	}
	if s&(stFire|stExpired) != 0 {
		c.state.And(^uint32(stFire | stExpired))
		if c.expired() {
			if c.event || s&(stDue&^(stFire|stExpired)) != 0 {
				l.enqueue(c)
			}
			l.h.Expired(c)
			return true
		}
		l.schedule(c)
	}
	if s&stDrained != 0 {
		c.state.And(^uint32(stDrained))
		if !c.Pending() {
			if c.event || s&stKick != 0 {
				l.enqueue(c)
			}
			l.h.Drained(c)
			return true
		}
	}
	if c.event || s&stKick != 0 {
		c.event = false
		if s&stKick != 0 {
			c.state.And(^uint32(stKick))
		}
		if s&stClose == 0 && s&(stReadable|stGone|stBroken|stKick) != 0 {
			l.h.Ready(c)
			return true
		}
	}
	return false
}

// dispatchOwned is dispatchConn for an owned connection. Most notes stay where they are: Release looks at them.
func (l *Loop) dispatchOwned(c *Conn, s uint32) bool {
	if s&stWatch != 0 {
		return l.dispatchWatched(c, s)
	}
	c.event = false
	if s&stFailed != 0 {
		c.state.And(^uint32(stFailed))
	}
	if s&stFire != 0 {
		c.state.And(^uint32(stFire)) // stExpired stays, for Release
		if c.expired() {
			if s&stDrained != 0 {
				l.enqueue(c)
			}
			l.h.ExpiredOwned(c)
			return true
		}
		l.schedule(c)
	}
	if s&stDrained != 0 {
		c.state.And(^uint32(stDrained))
		if !c.Pending() {
			if s&stTell != 0 && s&stGone != 0 {
				l.enqueue(c)
			}
			l.h.Drained(c)
			return true
		}
	}
	if s&stTell != 0 && s&stGone != 0 {
		c.state.And(^uint32(stTell))
		l.h.GoneOwned(c)
		return true
	}
	return false
}

// dispatchWatched is dispatchOwned for a connection whose input is the Handler's in spite of that.
func (l *Loop) dispatchWatched(c *Conn, s uint32) bool {
	if s&stFire != 0 {
		c.state.And(^uint32(stFire))
		if c.expired() {
			l.again(c, s&^stFire)
			l.h.ExpiredOwned(c)
			return true
		}
		l.schedule(c)
	}
	if s&stDrained != 0 {
		c.state.And(^uint32(stDrained))
		if !c.Pending() {
			l.again(c, s&^(stFire|stDrained))
			l.h.Drained(c)
			return true
		}
	}
	gone := s&stTell != 0 && s&stGone != 0
	switch {
	case c.event || s&(stKick|stFailed) != 0:
		c.event = false
		c.state.And(^uint32(stKick | stFailed))
		if gone { // told when the end is read
			l.enqueue(c)
		}
		l.h.InputOwned(c)
		return true
	case gone:
		c.state.And(^uint32(stTell))
		l.h.GoneOwned(c)
		return true
	}
	return false
}

// again puts c back into the queue if more than what is being called for is due.
func (l *Loop) again(c *Conn, s uint32) {
	if c.event || s&(stKick|stFailed|stFire|stDrained) != 0 {
		l.enqueue(c)
	}
}

// expired verifies an expiry: the deadline may have been moved after it was noted.
func (c *Conn) expired() bool {
	d := c.deadline.Load()
	return d != 0 && d <= c.bound.loop.nowNanos.Load()
}
