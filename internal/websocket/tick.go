package websocket

import "github.com/gobwas/ws"

// schedule has Tick called in time. It is moved only to an earlier time: with each message it would be the clock's. With c.mu.
func (c *Conn) schedule() {
	if at := c.next(); at != 0 && (c.due == 0 || at < c.due) {
		c.due = at
		c.link.Move(at)
	}
}

// next is when Tick has something to do; 0: never. With c.mu.
func (c *Conn) next() (at int64) {
	sooner := func(t int64) {
		if at == 0 || t < at {
			at = t
		}
	}
	if c.over || c.lost {
		return 0
	}
	if c.closeBy != 0 {
		sooner(c.closeBy)
	}
	if t := c.opt.WriteTimeout.Nanoseconds(); t > 0 && c.waits() {
		sooner(c.moved + t)
	}
	if t := c.opt.PingInterval.Nanoseconds(); t > 0 && !c.sentClose && !c.failed {
		if c.pinged == 0 {
			sooner(c.heard + t)
		} else if out := c.opt.PingTimeout.Nanoseconds(); out > 0 {
			sooner(c.pinged + out)
		}
	}
	return at
}

// waits reports whether output may wait for the peer.
func (c *Conn) waits() bool {
	n, ok := c.link.Queued(false)
	return n > 0 || !ok
}

// Tick does what is due; Flush follows. Dead: the peer has had its time, and the connection below is to be cut. Leader.
func (c *Conn) Tick(here int) (dead bool) {
	c.mu.Lock()
	now := c.link.Now()
	if n, ok := c.link.Queued(false); n == 0 || !ok { // or somebody sends just now
		c.moved = now
	}
	if c.paused {
		c.heard, c.pinged = now, 0 // nobody has listened
	}
	late := func(since int64, after int64) bool { return since != 0 && after > 0 && now >= since+after }
	dead = c.closeBy != 0 && now >= c.closeBy || late(c.moved, c.opt.WriteTimeout.Nanoseconds()) ||
		late(c.pinged, c.opt.PingTimeout.Nanoseconds())
	if dead = dead && !c.over && !c.lost; !dead && !c.sentClose && c.pinged == 0 && late(c.heard, c.opt.PingInterval.Nanoseconds()) {
		c.pinged = now
		c.pendLocked(ws.OpPing, nil)
	}
	c.due = 0
	if !dead {
		c.schedule()
	}
	c.mu.Unlock()
	if dead {
		c.Lost(here)
	}
	return dead
}

// Moved says that the peer has taken some of what is queued, or all. Leader.
func (c *Conn) Moved(here int) {
	c.mu.Lock()
	c.moved = c.link.Now()
	if c.hasRoom() {
		c.wakeLocked(ForRoom, here)
	}
	if n, ok := c.link.Queued(false); ok && n <= pongsBelow && c.lastPong != nil && !c.sentClose {
		c.pendLocked(ws.OpPong, c.lastPong)
		c.lastPong = nil
	}
	c.mu.Unlock()
}
