package aside

import (
	"log/slog"
	"testing"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/crew"
)

// What is spawned after the leader has found nothing to wait for, and before the server is gone, finds no thread that would run
// it: the next server's will.
func TestSpawnedAtTheEnd(t *testing.T) {
	h := NewHub(crew.New(1, nil), nil)
	h.Begin(slog.Default())
	defer h.End()
	if !h.Idle() {
		t.Fatal("something is waited for")
	}
	later.Spawn(bridge.Later{}, -1)
	waiting := len(later.waiting)
	later.waiting = nil
	if n := h.Pending(); waiting != 1 || n != 0 {
		t.Fatalf("%d wait for the next server, %d for this one", waiting, n)
	}
}
