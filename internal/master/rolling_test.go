package master

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRollingReplacesOneAfterTheOther(t *testing.T) {
	r := ready(t, 2)
	r.cfg.Rolling = true
	r.gets(unix.SIGHUP)
	r.has(1, 2, 3)
	r.was(1)
	r.hears(3, wordReady)
	r.was(1, wordStop)
	r.was(2)
	r.has(1, 2, 3, 4) // the next, while the old one finishes
	r.ends(1, exited)
	r.has(2, 3, 4)
	r.hears(4, wordReady)
	r.was(2, wordStop)
	r.ends(2, exited)
	r.has(3, 4)
	r.was(3)
	// Old ones that die or have to go meanwhile are replaced by new ones.
	r.gets(unix.SIGHUP)
	r.ends(3, syscall.WaitStatus(unix.SIGKILL))
	r.passes(firstPause)
	r.has(4, 5, 6)
	r.hears(5, wordReady)
	r.was(4)
	r.hears(6, wordReady)
	r.was(4, wordStop)
	r.has(4, 5, 6)
}

func TestRollingThatFailsLosesNobody(t *testing.T) {
	r := ready(t, 2)
	r.cfg.Rolling = true
	// The first: nothing has changed.
	r.gets(unix.SIGHUP)
	r.ends(3, appFailed)
	r.has(1, 2)
	r.passes(longestPause)
	r.has(1, 2)
	r.hears(1, wordBeat)
	r.hears(2, wordBeat)
	// A later one: it is tried again.
	r.gets(unix.SIGHUP)
	r.hears(4, wordReady)
	r.ends(1, exited)
	r.has(2, 4, 5)
	r.ends(5, appFailed)
	r.has(2, 4)
	r.was(2)
	r.was(4)
	r.passes(firstPause)
	r.has(2, 4, 6)
	// A new HUP: who serves is old now, who does not is not wanted.
	r.gets(unix.SIGHUP)
	r.was(6, "SIGTERM")
	r.was(4)
	r.has(2, 4, 6, 7)
	r.hears(6, wordReady) // it was about to serve
	r.was(6, "SIGTERM", wordStop)
	r.ends(6, exited)
	r.hears(7, wordReady)
	r.was(2, wordStop)
	r.hears(8, wordReady)
	r.was(4, wordStop)
	r.ends(2, exited)
	r.ends(4, exited)
	r.has(7, 8)
}

func TestRollingMindsTheNumberOfWorkers(t *testing.T) {
	r := ready(t, 3)
	r.cfg.Rolling = true
	r.gets(unix.SIGHUP)
	r.has(1, 2, 3, 4)
	r.gets(unix.SIGTTOU)
	r.was(1, wordStop) // one less than before, without the next having come
	r.was(2)
	r.hears(4, wordReady)
	r.was(2, wordStop)
	r.gets(unix.SIGTTIN)
	r.has(1, 2, 3, 4, 5, 6)
	r.was(3)
}
