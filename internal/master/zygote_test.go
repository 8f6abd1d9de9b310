package master

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// silent is a zygote that never reads, and the other end of its link.
func silent(t *testing.T) (p *zygoteProcess, its *os.File) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	mine, its := os.NewFile(uintptr(fds[0]), "link"), os.NewFile(uintptr(fds[1]), "its")
	conn, err := net.FileConn(mine)
	if err != nil {
		t.Fatal(err)
	}
	_ = mine.Close()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = conn.Close(); _ = its.Close() })
	return &zygoteProcess{cmd: cmd, link: conn.(*net.UnixConn), workers: map[int]*forked{}, ended: make(chan struct{})}, its
}

func (p *zygoteProcess) endedBy(t *testing.T, sig syscall.Signal) {
	t.Helper()
	_ = p.cmd.Wait()
	if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != sig {
		t.Errorf("it has ended by %v", status.Signal())
	}
}

func TestAZygoteThatReadsNothingIsKilled(t *testing.T) {
	p, _ := silent(t)
	for {
		if err := p.send(order{Do: "workers"}); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			break
		}
	}
	p.endedBy(t, unix.SIGKILL)
}

func TestAnOrderThatIsTooLargeIsAnError(t *testing.T) {
	p, _ := silent(t)
	if err := p.send(order{Do: "load", Setup: string(make([]byte, 4<<20))}); !errors.Is(err, unix.EMSGSIZE) {
		t.Error(err)
	}
}

// A zygote that is loading stands for its workers only when all of them are to end.
func TestOneOfTwoThatAreNotForkedYetIsToEnd(t *testing.T) {
	p, _ := silent(t)
	both := []*forked{notForked(t, p, 0), notForked(t, p, 1)}
	both[0].Signal(unix.SIGINT)
	if len(both[0].waiting) != 1 {
		t.Error("the signal does not wait for the process")
	}
	both[1].Signal(unix.SIGTERM)
	p.endedBy(t, unix.SIGTERM)
}

// notForked is a worker that p is to fork.
func notForked(t *testing.T, p *zygoteProcess, age int) *forked {
	t.Helper()
	c, its, err := newChild(age, nil)
	if err != nil {
		t.Fatal(err)
	}
	its.Close()
	w := &forked{child: c, zygote: p}
	p.add(w)
	return w
}

// A zygote that has just loaded takes a signal for a worker's, unless it finds that it is to end.
func TestOneThatLoadsHasTheOrderBeforeTheSignal(t *testing.T) {
	for name, end := range map[string]func(*zygoteProcess){
		"over":    func(p *zygoteProcess) { p.finish(true) },
		"dropped": func(p *zygoteProcess) { notForked(t, p, 1).Signal(unix.SIGTERM) },
	} {
		p, its := silent(t)
		end(p)
		p.endedBy(t, unix.SIGTERM)
		if err := unix.SetNonblock(int(its.Fd()), true); err != nil {
			t.Fatal(err)
		}
		var o order
		data := make([]byte, 1024)
		n, err := unix.Read(int(its.Fd()), data)
		if err != nil || json.Unmarshal(data[:n], &o) != nil || o.Do != "end" {
			t.Errorf("%s: %v %+v", name, err, o)
		}
	}
}

// One that hangs in a hook, or is stopped, has not waited for a worker that has ended.
func TestAZygoteThatDoesNotTellOfAnEndIsKilled(t *testing.T) {
	p, _ := silent(t)
	p.log = slog.New(slog.DiscardHandler)
	cat := exec.Command("cat")
	in, err := cat.StdinPipe()
	if err == nil {
		err = cat.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cat.Wait() })
	w := notForked(t, p, 1)
	w.process = hold(cat.Process.Pid)
	w.awaitWord(0)
	if w.process.hasEnded() || hold(p.cmd.Process.Pid).hasEnded() {
		t.Fatal("the worker lives, and the zygote is killed")
	}
	_ = in.Close()
	if err := unix.Waitid(unix.P_PID, cat.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	w.awaitWord(0)
	p.endedBy(t, unix.SIGKILL)
}
