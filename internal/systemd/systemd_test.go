package systemd

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// manager listens as systemd does.
func manager(t *testing.T, name string) func() string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return func() string {
		buf := make([]byte, 4096)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestWhatIsTold(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@gowsgi-test-%d", os.Getpid())} {
		next := manager(t, name)
		t.Setenv("WATCHDOG_USEC", "3000000")
		t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
		t.Setenv("LISTEN_FDS", "1")
		m := Take()
		for _, name := range Variables {
			if value, there := os.LookupEnv(name); there {
				t.Errorf("%s=%s is still there", name, value)
			}
		}
		if m.Watchdog() != 3*time.Second {
			t.Errorf("watchdog: %v", m.Watchdog())
		}
		if got := strings.Join(m.Environ(), " "); got != "NOTIFY_SOCKET="+name+" WATCHDOG_USEC=3000000" {
			t.Errorf("for a successor: %s", got)
		}
		m.Ready("up")
		m.Status("up") // known
		m.Status("busy")
		m.Alive()
		m.Stopping("over")
		m.Reloading("new")
		want := []string{
			fmt.Sprintf("READY=1\nMAINPID=%d\nSTATUS=up\n", os.Getpid()), "STATUS=busy\n", "WATCHDOG=1\n", "STOPPING=1\nSTATUS=over\n",
		}
		for _, w := range want {
			if got := next(); got != w {
				t.Errorf("got %q, want %q", got, w)
			}
		}
		var usec int64
		if _, err := fmt.Sscanf(next(), "RELOADING=1\nMONOTONIC_USEC=%d\nSTATUS=new\n", &usec); err != nil || usec <= 0 {
			t.Errorf("reloading: %v, %d", err, usec)
		}
	}
}

func TestNobodyIsTold(t *testing.T) {
	for _, socket := range []string{"", "nonsense", "vsock:2:1"} {
		t.Setenv("NOTIFY_SOCKET", socket)
		m := Take()
		if m != nil {
			t.Errorf("%q: a manager", socket)
		}
		m.Ready("")
		m.Status("")
		m.Alive()
		if m.Watchdog() != 0 || m.Environ() != nil {
			t.Errorf("%q: a watchdog or an environment", socket)
		}
	}
}

func TestTheWatchdogOfAnotherProcess(t *testing.T) {
	manager(t, filepath.Join(t.TempDir(), "notify"))
	t.Setenv("WATCHDOG_USEC", "3000000")
	t.Setenv("WATCHDOG_PID", "1")
	if m := Take(); m == nil || m.Watchdog() != 0 {
		t.Errorf("%+v", m)
	}
}

// A systemd that takes nothing holds nobody up, and has the last word when it does.
func TestASystemdThatIsBusy(t *testing.T) {
	next := manager(t, filepath.Join(t.TempDir(), "notify"))
	m := Take()
	m.Ready("up")
	const many = 5000 // more than any queue of datagrams has room for
	for i := range many {
		m.Status(fmt.Sprint(i))
	}
	m.Alive()
	m.Alive()
	m.Stopping("over")
	last, lost := -1, 0
	if got := next(); !strings.HasPrefix(got, "READY=1\n") {
		t.Errorf("first %q", got)
	}
	for {
		text := next()
		var n int
		if _, err := fmt.Sscanf(text, "STATUS=%d\n", &n); err != nil {
			if text != "WATCHDOG=1\n" {
				t.Fatalf("%q after %d", text, last)
			}
			break
		}
		if n <= last {
			t.Fatalf("%d after %d", n, last)
		}
		lost += n - last - 1
		last = n
	}
	if got := next(); got != "STOPPING=1\nSTATUS=over\n" || last != many-1 || lost == 0 {
		t.Errorf("%q, %d, %d lost", got, last, lost)
	}
}
