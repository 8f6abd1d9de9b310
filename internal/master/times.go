package master

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// tick is how often the times of workers are looked at.
	tick = 250 * time.Millisecond

	// abortFor is what a worker that does not answer gets to say where it hangs, before it is killed.
	abortFor = time.Second

	// askTime is how long after a worker's SIGTERM the master's own may come, where all processes of a group get one.
	askTime = 200 * time.Millisecond

	// leastToStart is how long a worker may take to come to serve, however short its timeout is: that is for requests.
	leastToStart = 30 * time.Second
)

// lookAtTimes ends workers that do not answer, and those that do not end.
func (m *Master) lookAtTimes() {
	m.lookForParent()
	m.lookAtReading()
	now := m.now()
	away := now.Sub(m.looked) - tick // when the master itself did not run, and heard nothing
	m.looked = now
	for _, w := range m.workers {
		if away > 0 {
			w.beat = w.beat.Add(away)
		}
		late := w.late(now)
		switch {
		case w.killed:
		case !w.asks.IsZero() && w.stopBy.IsZero() && now.Sub(w.asks) >= askTime:
			m.log.Info(w.name()+" has got SIGTERM, and is replaced", "pid", w.Pid())
			m.stop(w, wordStop)
		case !w.stopBy.IsZero() && now.After(w.stopBy):
			m.log.Warn(w.name()+" has not ended in time, and is killed", append([]any{"pid", w.Pid()}, m.atWork(w)...)...)
			w.killed = true
			w.Signal(unix.SIGKILL)
		case !late || !w.stopBy.IsZero():
		case w.aborted.IsZero():
			what := " has not answered for --timeout: all its threads are stuck, or none gets the GIL"
			if w.ready.IsZero() {
				what = " has not come to serve in time: it hangs, or its application takes longer to load than --timeout, if that is more than 30 s"
			}
			m.log.Error(w.name()+what, append([]any{"pid", w.Pid(), "timeout", w.cfg.Timeout}, m.atWork(w)...)...)
			w.aborted = now
			w.Signal(unix.SIGABRT)
		case now.Sub(w.aborted) > abortFor:
			w.killed = true
			w.Signal(unix.SIGKILL)
		}
	}
}

// late reports whether a worker has not answered for its timeout, or not come to serve; a warm-up may take as long again. That a
// zygote loads is no worker's time.
func (w *worker) late(now time.Time) bool {
	limit := w.cfg.Timeout
	if limit == 0 {
		return false
	}
	if w.ready.IsZero() {
		if w.Pid() == 0 {
			w.beat = now
		}
		limit = max(limit, leastToStart)
		if w.cfg.Warmup != "" {
			limit += w.cfg.Timeout
		}
	}
	return now.Sub(w.beat) > limit
}
