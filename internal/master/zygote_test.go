package master

import (
	"errors"
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
	var both []*forked
	for age := range 2 {
		c, its, err := newChild(age, nil)
		if err != nil {
			t.Fatal(err)
		}
		its.Close()
		w := &forked{child: c, zygote: p}
		p.add(w)
		both = append(both, w)
	}
	both[0].Signal(unix.SIGINT)
	if len(both[0].waiting) != 1 {
		t.Error("the signal does not wait for the process")
	}
	both[1].Signal(unix.SIGTERM)
	p.endedBy(t, unix.SIGTERM)
}
