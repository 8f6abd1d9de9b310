package master

// What systemd and who started the master hear of it. It is read off the state after each turn of the loop, so that nothing that changes the
// state has to think of it.

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/systemd"
)

// announcer is what it heard last.
type announcer struct {
	manager  *systemd.Manager
	phase    phase
	renewals int // that it asked for and has not heard of
	fed      time.Time
}

type phase int

const (
	starting phase = iota
	serving
	reloading
	ending
)

// asked is called with each signal: whoever sent a HUP waits for an answer, also where it changes nothing.
func (a *announcer) asked(sig syscall.Signal) {
	if sig == unix.SIGHUP {
		a.renewals++
	}
}

// announce tells what has changed since the last time, and that the loop turns.
func (m *Master) announce() {
	a := &m.announcer
	ready := 0
	for _, w := range m.workers {
		if !w.ready.IsZero() && w.stopBy.IsZero() {
			ready++
		}
	}
	status := fmt.Sprintf("%d of %d workers serve", ready, m.want)
	if ready > m.want {
		status = fmt.Sprintf("%d workers serve", ready)
	}
	switch {
	case m.stopping && a.phase != ending:
		a.phase = ending
		if after := m.heirs.after; after != nil {
			a.manager.Successor(after.Pid())
		} else {
			a.manager.Stopping("stopping")
		}
	case m.stopping:
	case a.renewals > 0 && a.phase != starting:
		a.renewals = 0
		a.phase = reloading
		a.manager.Reloading("new workers are started")
	case a.phase == starting && ready >= m.want, a.phase == reloading && !m.renewing():
		if a.phase == starting {
			m.up()
		}
		a.phase = serving
		a.manager.Ready(status)
	case a.phase == serving:
		a.manager.Status(status)
	}
	if every := a.manager.Watchdog() / 4; every > 0 && m.now().Sub(a.fed) >= every {
		a.fed = m.now()
		a.manager.Alive()
	}
}

// renewing reports whether a new generation is to take over.
func (m *Master) renewing() bool { return m.previous >= 0 || m.reading != nil }
