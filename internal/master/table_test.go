package master

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/inflight"
)

func tableOf(t *testing.T, began time.Time) *inflight.Table {
	table, err := inflight.New(40, began)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestWhatAWorkerWasAtIsLogged(t *testing.T) {
	r := ready(t, 1)
	var log bytes.Buffer
	r.log = slog.New(slog.NewTextHandler(&log, nil))
	table := tableOf(t, r.time)
	r.hear(event{age: 1, word: wordTable, file: table.File()})
	table.Begin(0, []byte("GET /slow"), "192.0.2.1", 0)
	table.Suspended(2)
	r.passes(r.cfg.Timeout + tick)
	r.ends(1, 11)
	const named = `running="GET /slow from 192.0.2.1 for 30.2 s" suspended=2`
	for _, want := range []string{"has not answered", "was ended by SIGSEGV"} {
		found := false
		for _, line := range strings.Split(log.String(), "\n") {
			found = found || strings.Contains(line, want) && strings.Contains(line, named)
		}
		if !found {
			t.Errorf("%s: %s", want, log.String())
		}
	}
	// One that has not shown any, and one that has very many.
	r.passes(longestPause)
	r.ends(2, 11)
	r.passes(longestPause)
	log.Reset()
	table = tableOf(t, r.time)
	for i := range 40 {
		table.Begin(i, []byte("GET /"), "", 0)
	}
	r.hear(event{age: 3, word: wordTable, file: table.File()})
	r.ends(3, 9)
	if text := log.String(); strings.Count(text, "GET / for") != mostNamed || !strings.Contains(text, "and 20 more") {
		t.Error(text)
	}
}

// A worker's table comes over the link, beside what else it says.
func TestAFileComesWithAWord(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "end")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	events := make(chan event, 3)
	c := &child{age: 7, link: ends[0], known: make(chan struct{}), heard: make(chan struct{}), events: events}
	go c.read()
	c.began(os.Getpid(), nil)
	l := &Link{conn: ends[1]}
	l.Ready()
	l.Retire(strings.Repeat("x", 3*mostLine)) // who says too much is not heard, but for what follows
	l.Table(tableOf(t, time.Now()))
	l.Beat()
	for _, want := range []string{wordReady, wordTable, wordBeat} {
		if e := <-events; e.word != want || e.age != 7 || (e.file != nil) != (want == wordTable) {
			t.Errorf("%+v instead of %s", e, want)
		}
	}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l.tellWith(wordBeat, out) // a file that nobody asked for
	out.Close()
	<-events
	ends[1].Close()
	<-c.heard
	_ = in.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := in.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Error("it is kept:", err)
	}
}

func TestTheTableBeforeIsClosed(t *testing.T) {
	r := ready(t, 1)
	first := tableOf(t, r.time).File()
	r.hear(event{age: 1, word: wordTable, file: first})
	r.hear(event{age: 1, word: wordTable, file: tableOf(t, r.time).File()})
	if err := first.Close(); !errors.Is(err, os.ErrClosed) {
		t.Error("it is open:", err)
	}
	r.hear(event{age: 1, word: wordTable}) // without one
	r.ends(1, exited)
}

// A worker's children may have its link, so that it is read until a deadline.
func TestALinkThatIsNotReadToItsEnd(t *testing.T) {
	c, its, err := newChild(1, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer its.Close()
	if err := c.link.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(&receiver{link: c.link.(*net.UnixConn)})
	if line, err := nextLine(in); line != "" || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(line, err)
	}
}
