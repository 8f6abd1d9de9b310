package master

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pair is a link of which the test has the zygote's end.
func pair(t *testing.T) (mine, its *net.UnixConn) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "link")
		conn, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		ends[i] = conn.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

func receive(t *testing.T, link *net.UnixConn) (o order) {
	buf := make([]byte, 1<<16)
	n, err := link.Read(buf)
	if err := errors.Join(err, json.Unmarshal(buf[:n], &o)); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestRecordsGoToPythonAsLongAsThereIsOne(t *testing.T) {
	var out bytes.Buffer
	log, relay := newRelay(slog.New(slog.NewTextHandler(&out, nil)))
	log.Info("before")
	mine, its := pair(t)
	p := &zygoteProcess{link: mine, relay: relay}
	p.hear(report{Does: "loaded"})
	log.Info("of one that takes none")
	p.hear(report{Does: "loaded", Logs: true})
	log.Warn("a worker", "pid", 7, "why", "so it is")
	want := order{Do: "log", Level: "WARNING", Message: `a worker pid=7 why="so it is"`}
	if got := receive(t, its); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	p.gone = true
	log.Info("after")
	for _, text := range []string{"before", "of one that takes none", "after"} {
		if strings.Count(out.String(), text) != 1 {
			t.Errorf("%q is not once in %s", text, out.String())
		}
	}
	if strings.Contains(out.String(), "so it is") {
		t.Errorf("what went to Python is here as well: %s", out.String())
	}
}

// New workers that cannot start leave the old ones, with who takes records for them.
func TestRecordsGoBackToTheProcessBefore(t *testing.T) {
	var out bytes.Buffer
	log, relay := newRelay(slog.New(slog.NewTextHandler(&out, nil)))
	var links [3]*net.UnixConn
	var all [3]*zygoteProcess
	for i := range all {
		all[i] = new(zygoteProcess)
		all[i].link, links[i] = pair(t)
		relay.take(all[i])
	}
	all[1].gone, all[2].gone = true, true
	log.Info("here")
	if got := receive(t, links[0]); got.Message != "here" || out.Len() > 0 {
		t.Errorf("got %+v; %s", got, out.String())
	}
	last := &zygoteProcess{}
	if relay.take(last); last.earlier != all[0] {
		t.Error("those that are gone are kept")
	}
}

// A hook that does not come back must not keep the master from its workers.
func TestAProcessThatReadsNothingKeepsNoRecord(t *testing.T) {
	var out bytes.Buffer
	log, relay := newRelay(slog.New(slog.NewTextHandler(&out, nil)))
	mine, _ := pair(t)
	relay.to.Store(&zygoteProcess{link: mine, relay: relay})
	for out.Len() == 0 {
		log.Info(strings.Repeat("x", 4096))
	}
}

func TestWhatAForkedWorkerIsTold(t *testing.T) {
	for text, want := range map[string]*Forked{
		"7:1:5:6,8:":                                  nil,
		"7:1:5:6,8:forked":                            {},
		"7:1:5:6,8:forkedhooks":                       {Hooks: true},
		"7:1:5:6,8:forkedhooks,log=/dev/null":         {Hooks: true, Log: "/dev/null"},
		"7:1:5:6,8:forkedhooks,log=/dev/null,access":  {Hooks: true, Log: "/dev/null", Access: true},
		"7:1:5:6,8:forkedlater,than=this,hooks,other": {Hooks: true},
	} {
		p, ok := parsePlace(text, 7)
		if !ok || p.age != 1 || p.link != 5 || !reflect.DeepEqual(p.listeners, []int{6, 8}) || !reflect.DeepEqual(p.forked, want) {
			t.Errorf("%q: %+v, %v", text, p, ok)
		}
	}
}

func TestHooksHearOfTheNumberOfWorkers(t *testing.T) {
	r := newRig(t, 2)
	var heard [][3]int
	r.changed = func(generation, workers, before int) { heard = append(heard, [3]int{generation, workers, before}) }
	for range 3 {
		r.gets(unix.SIGTTOU)
	}
	r.gets(unix.SIGTTIN)
	if want := [][3]int{{0, 1, 2}, {0, 2, 1}}; !reflect.DeepEqual(heard, want) {
		t.Errorf("heard %v, want %v", heard, want)
	}
}

// The hook for the end is called for the generation that ends with the server, and for no other.
func TestTheLastGenerationIsToldThatItIs(t *testing.T) {
	r := newRig(t, 1)
	var over [][2]any
	r.over = func(generation int, last bool) { over = append(over, [2]any{generation, last}) }
	r.hears(1, wordReady)
	r.gets(unix.SIGHUP)
	r.hears(2, wordReady)
	r.gets(unix.SIGTERM)
	if want := [][2]any{{0, false}, {2, true}}; !reflect.DeepEqual(over, want) {
		t.Errorf("%v, want %v", over, want)
	}
}

// What was said before Python could hear it is told once, by whoever tells it.
func TestTheFirstRecords(t *testing.T) {
	for _, test := range []struct {
		hears   report
		written []string
	}{
		{report{Does: "logs", Logs: true}, []string{"later"}},
		{report{Does: "logs"}, []string{"first", "second", "later"}},
	} {
		var out bytes.Buffer
		log, relay := newRelay(slog.New(slog.NewTextHandler(&out, nil)))
		relay.hold()
		log.Info("first")
		log.Warn("second")
		p := &zygoteProcess{relay: relay, records: len(relay.kept())}
		log.Info("later")
		if out.Len() > 0 {
			t.Errorf("it is written already: %s", out.String())
		}
		p.hear(test.hears)
		relay.release(0)
		got := strings.Count(out.String(), "\n")
		for _, text := range test.written {
			if strings.Count(out.String(), text) != 1 {
				got = -1
			}
		}
		if got != len(test.written) {
			t.Errorf("%+v: %s", test.hears, out.String())
		}
	}
}
