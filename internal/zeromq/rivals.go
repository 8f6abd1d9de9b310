package zeromq

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"
)

// rivals are the identities whose peer has been here again before its last connection was seen to end. Two peers that say the same of
// themselves take the connection from each other without end; one comes back so now and then.
type rivals map[string]*rival

type rival struct {
	rarely *rate.Limiter
	last   time.Time
	told   bool
}

// More often than that it is not one peer.
const (
	takeovers       = 5
	takeoversWithin = 10 * time.Second
)

// tookOver notes such a case, and tells whether it is to be said that there are two: once until they have been quiet.
func (all rivals) tookOver(identity string, now time.Time) bool {
	for name, r := range all {
		if now.Sub(r.last) > takeoversWithin {
			delete(all, name)
		}
	}
	r := all[identity]
	if r == nil {
		r = &rival{rarely: rate.NewLimiter(rate.Every(takeoversWithin/takeovers), takeovers)}
		all[identity] = r
	}
	r.last = now
	if r.told || r.rarely.AllowN(now, 1) {
		return false
	}
	r.told = true
	return true
}

// tookOver notes that a peer's connection was given to a newer one.
func (s *Socket) tookOver(identity []byte) {
	s.mu.Lock()
	two := s.rivals.tookOver(string(identity), time.Now())
	s.mu.Unlock()
	if two {
		s.log(fmt.Sprintf("ZeroMQ %s: two peers say that they are %q, and take the connection from each other", s.kind, identity))
	}
}
