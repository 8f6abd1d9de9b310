package h1

import (
	"bytes"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/crew"
)

// TestSpaceBounds: each kind has its own bound, and both together half of what there is.
func TestSpaceBounds(t *testing.T) {
	s := &Server{cfg: &config.Config{ResponseSpoolTotal: 300, BodySpoolTotal: 400}}
	s.measured.Store(&spaceMeasured{at: time.Now().Add(time.Hour), whole: 1000})
	steps := []struct {
		what string
		take func(int64) bool
		n    int64
		want bool
	}{
		{"responses", s.takeForResponse, 300, true},
		{"responses over their bound", s.takeForResponse, 1, false},
		{"bodies", s.takeForBody, 100, true},
		{"bodies, more than half of all", s.takeForBody, 101, false},
		{"bodies, half of all", s.takeForBody, 100, true},
	}
	for _, step := range steps {
		if got := step.take(step.n); got != step.want {
			t.Errorf("%s: %v for %d", step.what, got, step.n)
		}
	}
	s.giveForResponse(300)
	if !s.takeForBody(200) || s.takeForBody(1) || !s.takeForResponse(100) || s.takeForResponse(1) {
		t.Error("what was given back cannot be had again, or more than that")
	}
	s.cfg.BodySpoolTotal = 0
	if s.giveForResponse(100); !s.takeForBody(100) || s.takeForBody(1) {
		t.Error("without a bound of their own bodies may not take half of all, or more")
	}
}

func TestSpaceIsMeasured(t *testing.T) {
	s := &Server{cfg: &config.Config{TempDir: t.TempDir()}}
	allowed := s.spaceAllowed(0)
	if allowed <= 0 || allowed > 1<<60 {
		t.Fatalf("%d bytes", allowed)
	}
	if s.takeForBody(allowed * 2) {
		t.Error("more than there is")
	}
}

// TestAhead: a body that cannot be stored any further is read in the order in which it came, wherever its parts are.
func TestAhead(t *testing.T) {
	part := bytes.Repeat([]byte("0123456789abcdef"), 1000)
	for _, total := range []int64{1, 50_000, 100_000} { // nothing goes to the file; some of it does
		s := &Server{cfg: &config.Config{BodyBuffer: 40_000, BodySpoolTotal: total, TempDir: t.TempDir()}}
		s.log = slog.New(slog.DiscardHandler)
		th := &thread{Thread: crew.New(1, nil).Standby(), s: s}
		x := withBody(s, 1<<30)
		var want []byte
		for n := 0; x.ahead == nil; n++ {
			if n == 20 {
				t.Fatal("all of it was stored")
			}
			data := append([]byte{byte(n)}, part...)
			want = append(want, data...)
			if !th.keep(nil, x, data) {
				t.Fatal("refused")
			}
			th.spill(x.c, x)
		}
		if (x.fileFD >= 0) != (total > 1) || x.stored > total || s.inBodies.Load() != x.stored || x.Req.Body != bridge.BodyStream {
			t.Errorf("bound %d: %d bytes stored, %d counted, file %d", total, x.stored, s.inBodies.Load(), x.fileFD)
		}
		var got []byte
		dst := make([]byte, 7000)
		for {
			n, err := x.readAhead(dst)
			if err != nil && err != io.EOF {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			got = append(got, dst[:n]...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("bound %d: %d bytes instead of %d, or not the same", total, len(got), len(want))
		}
		x.reset()
		if n := s.inBodies.Load(); n != 0 || x.ahead != nil {
			t.Errorf("bound %d: %d bytes counted without a body", total, n)
		}
	}
}
