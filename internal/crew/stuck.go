package crew

import "time"

// Stuck finds out whether every thread of a crew has been in one call for long. It belongs to one goroutine, which asks now
// and then.
type Stuck struct {
	crew  *Crew
	words []uint64
	since []time.Time
}

// NewStuck watches c.
func NewStuck(c *Crew) *Stuck {
	return &Stuck{c, make([]uint64, len(c.threads)), make([]time.Time, len(c.threads))}
}

// For is how long every thread has been in the call that it is in now, as far as anybody has asked; 0: one of them is free.
func (s *Stuck) For(now time.Time) time.Duration {
	least := time.Duration(-1)
	for i, t := range s.crew.threads {
		w := t.word.Load()
		step := w / wordStep // the lower bits change during a call
		if w&wordInCall == 0 || step != s.words[i] || s.since[i].IsZero() {
			s.words[i], s.since[i] = step, now
		}
		if d := now.Sub(s.since[i]); least < 0 || d < least {
			least = d
		}
		if w&wordInCall == 0 {
			least = 0
		}
	}
	return max(least, 0)
}
