package crew

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPunctual: the thread gets the server's slack and its own back, but keeps a stricter one.
func TestPunctual(t *testing.T) {
	runtime.LockOSThread() // and not unlocked: the thread ends with the goroutine
	slack := func() int {
		n, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, c := range []struct{ before, during int }{{50_000, timerSlack}, {1_000, 1_000}} {
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(c.before), 0, 0, 0); err != nil {
			t.Fatal(err)
		}
		undo := Punctual()
		if got := slack(); got != c.during {
			t.Errorf("slack of %d ns became %d, not %d", c.before, got, c.during)
		}
		undo()
		if got := slack(); got != c.before {
			t.Errorf("slack of %d ns is %d afterwards", c.before, got)
		}
	}
}
