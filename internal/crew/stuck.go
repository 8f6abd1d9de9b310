package crew

// Stuck finds out whether a crew's threads get on with their calls. It belongs to one goroutine, which asks now and then.
type Stuck struct {
	crew  *Crew
	calls []uint64 // in which each thread was; 0: in none
}

// NewStuck watches c.
func NewStuck(c *Crew) *Stuck { return &Stuck{c, make([]uint64, len(c.threads))} }

// Still reports whether every thread is in the call in which it was the last time.
func (s *Stuck) Still() bool {
	still := true
	for i, t := range s.crew.threads {
		call := uint64(0)
		if w := t.word.Load(); w&wordInCall != 0 {
			call = w / wordStep // the bits below change during a call
		}
		still = still && call != 0 && call == s.calls[i]
		s.calls[i] = call
	}
	return still
}
