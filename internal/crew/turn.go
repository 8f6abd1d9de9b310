package crew

import "time"

// What one connection, or one request, gets before others have their turn: whatever it does, input, pipelines, chunks,
// blocks and output alike.
const (
	turnBytes = 256 << 10
	turnSteps = 64
	turnTime  = int64(time.Millisecond)
	lookEvery = 16 // steps; a clock costs as much as a small step
	lookAfter = 64 << 10
)

// Turn counts a turn; the zero value is one that begins with its first step.
type Turn struct {
	bytes int64
	steps int
	began int64
}

// Over counts a step of so many bytes and reports whether the turn is over, by bytes, steps or time; then another begins.
func (u *Turn) Over(n int64, clock func() int64) bool {
	u.bytes += n
	u.steps++
	over := u.bytes >= turnBytes || u.steps >= turnSteps
	if !over && u.steps%lookEvery == 0 {
		over = u.late(clock())
	}
	if over {
		*u = Turn{}
	}
	return over
}

// Lasts counts a step and reports, once in each turnTime, that the turn has lasted for another one, whatever its bytes.
func (u *Turn) Lasts(n int64, clock func() int64) bool {
	u.bytes += n
	u.steps++
	if u.steps%lookEvery != 1 && u.bytes < lookAfter {
		return false
	}
	u.bytes = 0
	now := clock()
	if !u.late(now) {
		return false
	}
	u.began = now
	return true
}

func (u *Turn) late(now int64) bool {
	if u.began == 0 {
		u.began = now
	}
	return now-u.began > turnTime
}
