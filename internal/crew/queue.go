package crew

// How work reaches a Python thread that does not lead: tasks for any of them, and for a certain one.

// Post gives task to any Python thread: an idle one, else whoever is free first, a leader included. Any goroutine.
func (c *Crew) Post(task Task) {
	if !c.give(task, true) {
		c.host.Wake() // a leader may be waiting
	}
}

// Offer is Post for what comes in great numbers: a Python thread that leads takes it itself, and idle ones are left alone until
// its calls block. Any goroutine.
func (c *Crew) Offer(task Task) {
	if !c.give(task, false) {
		c.host.Wake()
	}
}

// Bring is Offer by whoever leads: it looks at the queue before it waits. (Woken all the same it would look at its sockets
// first, without waiting: an epoll_wait for each request, of 12 µs that such a one takes.)
func (c *Crew) Bring(task Task) { c.give(task, false) }

// Submit is Post by the standby, which leads.
func (c *Crew) Submit(task Task) { c.give(task, true) }

// Leave is Post by a thread that leads, which does it itself unless it blocks before: nobody is woken for it as long as it
// does not.
func (t *Thread) Leave(task Task) {
	c := t.crew
	c.mu.Lock()
	c.put(task)
	c.mu.Unlock()
}

// give reports whether an idle thread has got the task; wake: also where a Python thread leads, which takes it itself else.
func (c *Crew) give(task Task, wake bool) bool {
	c.mu.Lock()
	// Whoever is to lead next looks at the queue first.
	if (wake || c.pooled) && c.wish == nil {
		if t := c.ask(); t != nil {
			t.gift = task
			c.mu.Unlock()
			t.notify()
			return true
		}
	}
	c.put(task)
	c.mu.Unlock()
	return false
}

// put queues a task for any thread. c.mu is held.
func (c *Crew) put(task Task) {
	c.loose.Push(task)
	c.queued.Store(int32(c.loose.Len()))
}

// PostTo gives task to t and nobody else: a thread's own are done before anything new. Any goroutine.
func (c *Crew) PostTo(t *Thread, task Task) {
	c.mu.Lock()
	t.own.Push(task)
	t.owns.Add(1)
	told := c.askThis(t)
	c.mu.Unlock()
	if told {
		t.notify()
	} else {
		c.host.Wake() // it may lead, and be waiting
	}
}

// Later is PostTo by t itself: it does task before it waits.
func (t *Thread) Later(task Task) {
	c := t.crew
	c.mu.Lock()
	t.own.Push(task)
	t.owns.Add(1)
	c.mu.Unlock()
}

// LookRound makes an idle thread, if there is one, look for work once more, which begins with letting go of what was handed
// in. Threads that are in a call do so after it.
func (c *Crew) LookRound() { c.lookRound() }

// lookRound reports whether there was one.
func (c *Crew) lookRound() bool {
	c.mu.Lock()
	t := c.ask()
	c.mu.Unlock()
	if t != nil {
		t.notify()
	}
	return t != nil
}

// Free reports whether a Python thread waits for work. Any goroutine.
func (c *Crew) Free() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.idle) > 0
}

// Take is the next task for any thread, nil if there is none. Leader.
func (c *Crew) Take() Task {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.takeLocked()
}

func (c *Crew) takeLocked() Task {
	task := c.loose.Pop()
	c.queued.Store(int32(c.loose.Len()))
	return task
}

// ask takes the thread off the idle list that became idle last, which has the warmest caches; nil if there is none. In the
// same critical section the caller says what for. c.mu is held.
func (c *Crew) ask() *Thread {
	n := len(c.idle)
	if n == 0 {
		return nil
	}
	t := c.idle[n-1]
	c.idle = c.idle[:n-1]
	t.state = asked
	return t
}

// askThis is ask for a certain thread; false if it is not idle. c.mu is held.
func (c *Crew) askThis(t *Thread) bool {
	if t.state != idle {
		return false
	}
	for i, o := range c.idle {
		if o == t {
			c.idle = append(c.idle[:i], c.idle[i+1:]...)
			break
		}
	}
	t.state = asked
	return true
}

// takeOwn takes the next task that only t is to do, nil if there is none, or they are to wait. c.mu is held.
func (t *Thread) takeOwn(wait bool) Task {
	if wait {
		return nil
	}
	task := t.own.Pop()
	if task != nil {
		t.owns.Add(-1)
	}
	return task
}

// doOwn does what only t is to do, of much of it a part: what one does may be that another follows.
func (t *Thread) doOwn() {
	for range turnSteps {
		t.crew.mu.Lock()
		task := t.takeOwn(false)
		t.crew.mu.Unlock()
		if task == nil {
			return
		}
		task.Run(t)
	}
}
