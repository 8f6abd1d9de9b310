package reactor

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain runs one test alone in a child process when asked to: those that change the process's limits.
func TestMain(m *testing.M) {
	if child := map[string]func() error{"exhaustion": exhaustion, "refusal": refusal}[os.Getenv("REACTOR_TEST_CHILD")]; child != nil {
		if err := child(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestGiveWay: at the limit a connection that may go makes room for a new one.
func TestGiveWay(t *testing.T) {
	var r *rig
	var may []*Conn
	give := func() bool {
		if len(may) == 0 {
			return false
		}
		may[0].CloseAfterFlush()
		may = may[1:]
		return true
	}
	r = newRig(t, &hooks{ready: echo}, Options{MaxConns: 2, GiveWay: give}, ListenOptions{})
	first, old := r.connect()
	r.connect()
	waiting := r.dial()
	waiting.Write([]byte("x"))
	r.until("full", func() bool { return r.l.accepting.full })
	may = append(may, first)
	r.untilAnswer(waiting) // by itself: it is looked again after a moment
	old.SetReadDeadline(time.Now().Add(patience))
	if n, err := old.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the one that gave way got %d bytes, %v", n, err)
	}
	if r.l.Conns() != 2 {
		t.Errorf("%d connections", r.l.Conns())
	}
}

func TestMaxConns(t *testing.T) {
	r := newRig(t, &hooks{ready: echo}, Options{MaxConns: 3}, ListenOptions{})
	var clients []net.Conn
	for range 8 {
		clients = append(clients, r.dial())
	}
	served := 0
	for len(clients) > 0 {
		n := min(3, len(clients))
		r.until("full", func() bool { return r.l.Conns() == n })
		r.l.Poll(0)
		for r.l.Dispatch() {
		}
		if r.l.Conns() != n {
			t.Fatalf("%d connections, limit 3", r.l.Conns())
		}
		if len(clients) > 3 {
			// The waiting ones do not keep the loop awake.
			start := time.Now()
			r.l.Poll(30 * time.Millisecond)
			if time.Since(start) < 29*time.Millisecond {
				t.Error("awake although full")
			}
		}
		clients[0].Write([]byte("x"))
		r.untilAnswer(clients[0])
		clients[0].Close()
		clients = clients[1:]
		served++
		r.until("one gone", func() bool { return len(r.conns) >= min(8, served+3) })
	}
}

// TestStopAccepting: what waits in the queue is accepted still, and what is open is served on.
func TestStopAccepting(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(socketDir(t), "s")
			}
			ln, err := Listen(network, address, ListenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			r := newRigOn(t, ln, &hooks{ready: echo}, Options{})
			_, nc := r.connect()
			waiting := []net.Conn{r.dial(), r.dial(), r.dial()}
			r.l.StopAccepting()
			if c, err := net.Dial(network, ln.Addr()); err == nil {
				c.Close()
				t.Error("still listening")
			}
			if r.l.Accepting() {
				t.Error("still accepting")
			}
			for _, nc := range append(waiting, nc) {
				nc.Write([]byte("x"))
				r.untilAnswer(nc)
			}
		})
	}
}

// TestStopAcceptingInherited: the queue of a listener that others hold is theirs.
func TestStopAcceptingInherited(t *testing.T) {
	other, err := Listen("tcp", "127.0.0.1:0", ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(other.FD())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := ListenFD(fd)
	if err != nil {
		t.Fatal(err)
	}
	r := newRigOn(t, ln, &hooks{}, Options{})
	r.dial()
	r.l.StopAccepting()
	if n := r.l.Conns(); n != 0 || r.l.Accepting() {
		t.Errorf("%d connections taken, accepting: %v", n, r.l.Accepting())
	}
	r = newRigOn(t, other, &hooks{}, Options{})
	r.until("the other holder has it", func() bool { return len(r.conns) == 1 })
	r.connect()
}

func TestAcceptExhaustion(t *testing.T) { runAlone(t, "exhaustion") }

func TestRefusal(t *testing.T) { runAlone(t, "refusal") }

func runAlone(t *testing.T, what string) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "REACTOR_TEST_CHILD="+what)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, bytes.TrimSpace(out))
	}
}

// exhaustion runs a process out of descriptors. It must log that once, keep serving what is open, not spin, and accept the
// others when there is room again: because a connection closed, or because the limit was raised.
func exhaustion() error {
	const clients = 20
	ln, err := Listen("tcp", "127.0.0.1:0", ListenOptions{})
	if err != nil {
		return err
	}
	logged := 0
	served := map[*Conn]bool{}
	l, err := NewLoop(&hooks{ready: func(c *Conn) { served[c] = true; echo(c) }}, Options{
		Log: func(string, ...any) { logged++ },
	})
	if err != nil {
		return err
	}
	if err := l.AddListener(ln); err != nil {
		return err
	}
	var ncs []net.Conn
	highest := 0
	for range clients {
		nc, err := net.Dial("tcp", ln.Addr())
		if err != nil {
			return err
		}
		f, _ := nc.(*net.TCPConn).SyscallConn()
		f.Control(func(fd uintptr) { highest = max(highest, int(fd)) })
		nc.Write([]byte("x"))
		ncs = append(ncs, nc)
	}
	drive := func(cond func() bool) (polls int, err error) {
		for end := time.Now().Add(patience); !cond(); polls++ {
			if time.Now().After(end) {
				return polls, fmt.Errorf("stuck with %d connections, %d served", l.Conns(), len(served))
			}
			if err := l.Poll(time.Second); err != nil {
				return polls, err
			}
			for l.Dispatch() {
			}
		}
		return polls, nil
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		return err
	}
	limit := old
	limit.Cur = uint64(highest + 6)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if _, err := drive(func() bool { return l.accepting.exhausted && len(served) == l.Conns() }); err != nil {
		return fmt.Errorf("until exhausted: %w", err)
	}
	open := l.Conns()
	if open == 0 || open >= clients || logged != 1 {
		return fmt.Errorf("%d of %d connections under the limit, %d messages", open, clients, logged)
	}
	start := time.Now()
	polls, err := drive(func() bool { return time.Since(start) > 500*time.Millisecond })
	if err != nil {
		return err
	}
	if polls > 30 || logged != 1 {
		return fmt.Errorf("%d wake-ups in half a second of exhaustion, %d messages", polls, logged)
	}
	// Both ends of the closed connection make room.
	ncs[0].Close()
	if _, err := drive(func() bool { return len(served) > open }); err != nil {
		return fmt.Errorf("after a close: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		return err
	}
	if _, err := drive(func() bool { return len(served) == clients }); err != nil {
		return fmt.Errorf("after raising the limit: %w", err)
	}
	for _, nc := range ncs[1:] {
		nc.SetReadDeadline(time.Now().Add(patience))
		if _, err := nc.Read(make([]byte, 1)); err != nil {
			return err
		}
	}
	if logged != 1 {
		return fmt.Errorf("%d messages", logged)
	}
	return nil
}

// refusal runs a process out of descriptors for so long that who waits is told; at once, at the end.
func refusal() error {
	ln, err := Listen("tcp", "127.0.0.1:0", ListenOptions{})
	if err != nil {
		return err
	}
	logged := 0
	l, err := NewLoop(&hooks{ready: echo}, Options{Refusal: []byte("no"), Log: func(string, ...any) { logged++ }})
	if err != nil {
		return err
	}
	if err := l.AddListener(ln); err != nil {
		return err
	}
	// ask drives the loop until a client has its answer, or forever for "".
	ask := func(nc net.Conn, want string) error {
		answer := make(chan string, 1)
		go func() {
			got, buf := "", make([]byte, 10)
			nc.SetReadDeadline(time.Now().Add(patience))
			for len(got) < len(want) {
				n, err := nc.Read(buf)
				if got += string(buf[:n]); err != nil {
					got += err.Error()
					break
				}
			}
			answer <- got
		}()
		for {
			select {
			case got := <-answer:
				if got != want {
					return fmt.Errorf("got %q, want %q", got, want)
				}
				return nil
			default:
			}
			if err := l.Poll(10 * time.Millisecond); err != nil {
				return err
			}
			for l.Dispatch() {
			}
		}
	}
	dial := func() net.Conn {
		nc, err := net.Dial("tcp", ln.Addr())
		if err != nil {
			panic(err)
		}
		nc.Write([]byte("x"))
		return nc
	}
	inside := dial()
	if err := ask(inside, "x"); err != nil {
		return err
	}
	waiting := []net.Conn{dial(), dial(), dial()}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		return err
	}
	// Whatever is free below the highest descriptor is used up, too.
	for {
		fd, err := unix.Dup(0)
		if err != nil {
			return err
		}
		if fd > 100 {
			limit := old
			limit.Cur = uint64(fd + 1)
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
				return err
			}
			break
		}
	}
	for _, nc := range waiting {
		if err := ask(nc, "no"); err != nil {
			return fmt.Errorf("after %d messages: %w", logged, err)
		}
	}
	inside.Write([]byte("y"))
	if err := ask(inside, "y"); err != nil {
		return err
	}
	if logged != 2 {
		return fmt.Errorf("%d messages", logged)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		return err
	}
	again := dial()
	if err := ask(again, "x"); err != nil {
		return err
	}
	// A new shortage, and the end before it lasts.
	late := dial()
	l.exhaust("accept", unix.EMFILE)
	l.StopAccepting()
	return ask(late, "no")
}

// TestAcceptNobody: nearly every batch ends with a look that finds nobody waiting, which must leave no garbage.
func TestAcceptNobody(t *testing.T) {
	if instrumented {
		t.Skip("it allocates by itself")
	}
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	if n := testing.AllocsPerRun(100, func() { r.l.accept(r.l.listeners[0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
