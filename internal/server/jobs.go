package server

// How work reaches a Python thread that does not lead: requests that wait for any of them, and mail for a certain one.

// submit hands an owned connection with a complete request to a Python thread. Standby only.
func (s *Server) submit(c *conn) {
	s.mu.Lock()
	if t := s.popIdle(); t != nil {
		t.slot = c
		s.mu.Unlock()
		t.notify()
		return
	}
	s.putJob(c)
	s.mu.Unlock()
}

// putJob and takeJob are called with s.mu held.
func (s *Server) putJob(c *conn) {
	s.jobs.push(c)
	s.queued.Store(int32(s.jobs.len()))
}

func (s *Server) takeJob() *conn {
	c := s.jobs.pop()
	s.queued.Store(int32(s.jobs.len()))
	return c
}

func (s *Server) popJob() *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.takeJob()
}

// popIdle takes the last thread that became idle, which has the warmest caches; nil if there is none. s.mu is held.
func (s *Server) popIdle() *thread {
	n := len(s.idle)
	if n == 0 {
		return nil
	}
	t := s.idle[n-1]
	s.idle = s.idle[:n-1]
	t.idle = false
	return t
}

// wakeIdle makes an idle thread, if there is one, look for work once more, which begins with Release. Threads that are in a
// call do so after it.
func (s *Server) wakeIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.popIdle(); t != nil { // until it has looked, nobody counts on it
		t.notify()
	}
}

// unidle takes t off the idle list; s.mu is held.
func (s *Server) unidle(t *thread) {
	if !t.idle {
		return
	}
	t.idle = false
	for i, o := range s.idle {
		if o == t {
			s.idle = append(s.idle[:i], s.idle[i+1:]...)
			return
		}
	}
}

// endThreads lets every Python thread come out of work. Leader only, as its last act.
func (s *Server) endThreads() {
	s.cutAll()
	s.mu.Lock()
	s.done = true
	s.mu.Unlock()
	for _, t := range s.threads {
		t.notify()
	}
}

// mailTo gives t something that it had better do itself, such as closing a file it has opened. While t runs a request somebody
// else does it, see takeMail: what runs there may be waiting for this very thing. Any goroutine.
func (s *Server) mailTo(t *thread, fn func(t *thread)) {
	s.mu.Lock()
	t.mail = append(t.mail, fn)
	s.mailed.Add(1)
	if t.busy() {
		if other := s.popIdle(); other != nil {
			t = other
		}
	}
	s.unidle(t) // a request given to it would wait for the mail
	s.mu.Unlock()
	t.notify()
	s.loop.Wake() // a leader may be waiting in Poll
}

// busy tells whether t may be in the application for long; s.mu is held.
func (t *thread) busy() bool { return t.engaged || t.word.Load()&wordInCall != 0 }

// takeMail takes what has come for t, or, if that is nothing, for a thread that is busy. s.mu is held.
func (t *thread) takeMail() (mail []func(t *thread)) {
	s := t.s
	if s.mailed.Load() == 0 {
		return nil
	}
	from := t
	for _, other := range s.threads {
		if len(from.mail) == 0 && other.busy() && len(other.mail) > 0 {
			from = other
		}
	}
	mail, from.mail = from.mail, nil
	s.mailed.Add(-int32(len(mail)))
	return mail
}

// doMail does what takeMail finds; it reports whether there was anything.
func (t *thread) doMail() bool {
	t.s.mu.Lock()
	mail := t.takeMail()
	t.s.mu.Unlock()
	t.do(mail)
	return len(mail) > 0
}

func (t *thread) do(mail []func(t *thread)) {
	for _, fn := range mail {
		fn(t)
	}
}
