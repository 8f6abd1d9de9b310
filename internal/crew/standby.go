package crew

import "runtime"

// standbyLoop leads while calls block: the host hands tasks to Python threads by Submit then.
func (c *Crew) standbyLoop() {
	runtime.LockOSThread()
	Punctual()
	defer close(c.standbyDone)
	t := c.standby
	for {
		t.parker.wait()
		if !c.standbyTakes.Swap(false) {
			return // the server has stopped
		}
		t.leading = true
		c.host.Begin(t)
		for t.leading {
			switch {
			case c.host.Finished():
				c.host.End(t)
				c.end()
				t.leading = false
			case c.wished.Load() && c.grant():
			case c.host.Turn(t):
			default:
				c.host.Wait(t)
			}
		}
	}
}

// grant gives the lead to an idle thread, if there is one, since one of them wished so. Standby, as its last act.
func (c *Crew) grant() bool {
	c.mu.Lock()
	t := c.ask()
	if t == nil {
		c.mu.Unlock()
		return false // the one that wished will come
	}
	t.toLead = true
	c.setWish(nil)
	c.pooled = false
	c.mu.Unlock()
	c.standby.leading = false
	t.notify()
	return true
}

// setWish is called with c.mu held.
func (c *Crew) setWish(t *Thread) {
	c.wish = t
	c.wished.Store(t != nil)
}
