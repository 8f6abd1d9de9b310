package h1

import (
	"math"
	"time"

	"github.com/gowsgi/gowsgi/reactor"
)

// idleEnough is how long a connection has to have been idle to give way to a new one: a request may be on its way to one
// that has just answered, and would be lost.
const idleEnough = time.Second

// giveWay ends the connection that has been idle for longest, for somebody who wants to connect when there are
// --worker-connections: else as many clients that keep theirs and say nothing would lock out all others. Leader. It looks at
// all of them, 3 ns each.
func (s *Server) giveWay() bool {
	var oldest *conn
	since := int64(math.MaxInt64)
	s.loop.Each(func(rc *reactor.Conn) {
		c, ok := rc.Owner.(*conn)
		if !ok || c.phase != phaseIdle && c.phase != phaseNew || rc.Owned() || rc.Readable() || rc.Pending() || rc.Closing() {
			return
		}
		// Those without a first request have a shorter deadline than the others, so they give way first.
		if at := rc.Deadline() - s.cfg.KeepAlive.Nanoseconds(); at < since {
			oldest, since = c, at
		}
	})
	if oldest == nil || since > s.loop.Clock()-idleEnough.Nanoseconds() {
		return false
	}
	oldest.close()
	return true
}
