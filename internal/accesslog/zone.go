package accesslog

import (
	"sync/atomic"
	"time"
)

// UTCOffset tells how many seconds local time is ahead of UTC at a time. It is libc's, which Python's time goes by: that
// understands TZ in every form, and follows time.tzset(), where Go reads a zone once and by name only. Set before use; nil:
// times are left in the zone they have.
var UTCOffset func(unix int64) int

// localZone is what was found for the newest second.
type localZone struct {
	second int64
	offset int
	place  *time.Location
}

var newestZone atomic.Pointer[localZone]

// Local returns t in local time, which is asked for once a second.
func Local(t time.Time) time.Time {
	if UTCOffset == nil {
		return t
	}
	z, second := newestZone.Load(), t.Unix()
	if z == nil || second > z.second { // of a long request, which began earlier, the newest will do: it is the same instant
		next := &localZone{second: second, offset: UTCOffset(second)}
		if z != nil && z.offset == next.offset {
			next.place = z.place
		} else {
			next.place = time.FixedZone("", next.offset)
		}
		newestZone.Store(next)
		z = next
	}
	return t.In(z.place)
}
