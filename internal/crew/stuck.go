package crew

// Stuck finds out whether a crew's threads get on with their calls. It belongs to one goroutine, which asks now and then.
type Stuck struct {
	crew  *Crew
	calls []uint64 // in which each thread was; 0: in none
}

// NewStuck watches c.
func NewStuck(c *Crew) *Stuck { return &Stuck{c, make([]uint64, len(c.threads))} }

// Still reports whether every thread is in the call in which it was the last time; those whose calls last are left out,
// unless all do, which is no reason.
func (s *Stuck) Still() bool {
	still, lasting := true, 0
	for i, t := range s.crew.threads {
		call := t.call()
		if call != 0 && call == t.lasting.Load() {
			lasting++
		} else {
			still = still && call != 0 && call == s.calls[i]
		}
		s.calls[i] = call
	}
	return still && lasting < len(s.calls)
}

// call is the number of the call that t is in; 0: in none.
func (t *Thread) call() uint64 {
	if w := t.word.Load(); w&wordInCall != 0 {
		return w / wordStep // the bits below change during a call
	}
	return 0
}

// Lasts says that the call that t is in may last, for a conversation and not for an answer. Any thread.
func (t *Thread) Lasts() { t.lasting.Store(t.call()) }
