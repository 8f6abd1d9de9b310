package m2device

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/internal/zeromq"
)

func TestWhatIsSaidOfAPeer(t *testing.T) {
	var said []string
	say := func(line string) { said = append(said, line) }
	p := &Peer{Here: "here", Gone: "gone", Missing: "missing", Info: say, Warn: say}
	p.Expect()
	for _, here := range []bool{false, true, true, false, false, true} {
		p.Is(here)
	}
	p.End()
	p.Is(false)
	if want := []string{"here", "gone", "here"}; !slices.Equal(said, want) {
		t.Errorf("%q", said)
	}
	lines := make(chan string, 10)
	q := &Peer{Missing: "missing", Warn: func(line string) { lines <- line }, After: 1}
	q.Expect()
	select {
	case <-lines:
	case <-time.After(within):
		t.Error("nobody says that it is missing")
	}
}

// The lines of a socket about its endpoint say what that is.
func TestNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("tcp://%s", l.Addr())
	_ = l.Close()
	lines := make(chan string, 10)
	say := func(line string) { lines <- line }
	s := zeromq.New(zeromq.Pub, zeromq.Options{Log: Named(say, zeromq.Pub, at, "its place")})
	defer s.Close(0)
	if err := s.Connect(at); err != nil {
		t.Fatal(err)
	}
	select {
	case line := <-lines:
		if line != "its place at "+at+": connection refused; it is tried again" {
			t.Error(line)
		}
	case <-time.After(within):
		t.Error("nothing is said")
	}
}
