package server

import (
	"io"
	"log/slog"
	"syscall"
	"testing"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/config"
)

// A poke is sent as SIGTERM, and comes back through Python's wake-up descriptor. If that is when the application has just
// been loaded, it would count as a second signal, after which the process ends at once with 143.
func TestTheEchoOfAPokeIsNoSignal(t *testing.T) {
	cfg := config.Default()
	s, err := New(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.http.Close()
	term, interrupt := byte(syscall.SIGTERM), byte(syscall.SIGINT)

	s.signal(bridge.SignalPoked)
	s.signal(term)
	if n := s.counted.Load(); n != 0 {
		t.Fatalf("the echo of a poke counted: %#x", n)
	}
	s.signal(interrupt | bridge.SignalOurs)
	if n := s.counted.Load(); byte(n) != interrupt {
		t.Fatalf("the signal that came during a poke did not count: %#x", n)
	}
	s.signal(bridge.SignalPokeOver)
	s.signal(interrupt)
	if n := s.counted.Load(); byte(n) != interrupt {
		t.Fatalf("counted: %#x", n)
	}
}

func TestASignalOfTheApplicationsCountsAfterAPoke(t *testing.T) {
	cfg := config.Default()
	s, err := New(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.http.Close()
	s.signal(bridge.SignalPoked)
	s.signal(bridge.SignalPokeOver)
	s.signal(byte(syscall.SIGTERM))
	if n := s.counted.Load(); byte(n) != byte(syscall.SIGTERM) {
		t.Fatalf("counted: %#x", n)
	}
}
