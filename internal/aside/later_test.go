package aside

import (
	"log/slog"
	"testing"
	"time"

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
	if waiting != 1 || h.jobs != 0 {
		t.Fatalf("%d wait for the next server, %d for this one", waiting, h.jobs)
	}
	number := later.Schedule(bridge.Later{}, time.Hour, -1, false)
	if !h.Idle() {
		t.Fatal("it waits for the next server's")
	}
	h.End()
	if !later.Cancel(number) {
		t.Fatal("what the next server is to do was dropped")
	}
}
