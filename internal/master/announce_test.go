package master

import (
	"net"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/systemd"
)

// systemdEnd is systemd's end of the socket that this process finds in its environment.
func systemdEnd(t *testing.T) *net.UnixConn {
	name := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return conn
}

// TestWhatSystemdHears goes through a master's life, with systemd's end of the socket in hand.
func TestWhatSystemdHears(t *testing.T) {
	conn := systemdEnd(t)
	t.Setenv("WATCHDOG_USEC", "8000000")
	r := newRig(t, 2)
	r.announcer.manager = systemd.Take()
	r.announcer.fed = r.time
	hears := func(what string) {
		t.Helper()
		r.announce()
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if what == "" { // a message of ours is the next one then
			r.announcer.manager.Status("?")
			what = `^STATUS=\?\n`
		}
		buf := make([]byte, 1000)
		n, err := conn.Read(buf)
		if err != nil || !regexp.MustCompile(what).Match(buf[:n]) {
			t.Fatalf("got %q, %v, want %s", buf[:n], err, what)
		}
	}
	r.hears(1, wordReady)
	hears("")
	r.hears(2, wordReady)
	hears(`READY=1\nMAINPID=\d+\nSTATUS=2 of 2 workers serve`)
	hears("")
	r.ends(1, exited)
	hears("STATUS=1 of 2 workers serve")
	r.passes(time.Second) // it died young
	r.hears(3, wordReady)
	hears("STATUS=2 of 2 workers serve")

	hup := func() {
		r.announcer.asked(unix.SIGHUP)
		r.gets(unix.SIGHUP)
	}
	hup()
	hears(`RELOADING=1\nMONOTONIC_USEC=\d+\n`)
	r.hears(4, wordReady)
	hears("")
	r.hears(5, wordReady)
	hears(`READY=1\n`)
	hup() // and now one that fails
	hears(`RELOADING=1\n`)
	r.ends(6, appFailed)
	hears(`READY=1\n`)

	r.passes(time.Second)
	hears("WATCHDOG=1")
	hears("")
	r.gets(unix.SIGTERM)
	hears("STOPPING=1")
	hears("")
}
