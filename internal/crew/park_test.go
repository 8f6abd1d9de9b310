package crew

import (
	"sync/atomic"
	"testing"
)

// TestParker: no token is lost, and tokens given while one is there are one.
func TestParker(t *testing.T) {
	p := newParker()
	p.give()
	p.give()
	p.wait()

	// Each side goes on only when the other has: a lost token would stop both.
	back := newParker()
	var seen atomic.Int32
	const rounds = 20_000
	go func() {
		for range rounds {
			p.wait()
			seen.Add(1)
			back.give()
		}
	}()
	for i := range int32(rounds) {
		if seen.Load() != i {
			t.Fatalf("%d tokens taken, %d given", seen.Load(), i)
		}
		p.give()
		back.wait()
	}
}
