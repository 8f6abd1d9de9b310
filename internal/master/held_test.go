package master

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// Of a process without a parent that buries it the number is left, which says nothing.
func TestTheEndOfAStrangerIsSeen(t *testing.T) {
	cmd := sleeper(t)
	h := hold(cmd.Process.Pid)
	if h.fd < 0 {
		t.Skip("no descriptors of processes here")
	}
	if err := h.signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.awaitEnd() // of one that is not waited for
	_ = cmd.Wait()
	if err := h.signal(0); err == nil {
		t.Error("a signal goes to somebody")
	}
	h.awaitEnd()
	h.close()
	if h.signal(0) == nil {
		t.Error("a signal goes to somebody after the end")
	}
	h.awaitEnd()
	if h := hold(cmd.Process.Pid); h.fd >= 0 || h.signal(0) == nil {
		t.Errorf("%+v is there", h)
	}
}

func TestWithoutDescriptorsOfProcesses(t *testing.T) {
	cmd := sleeper(t)
	h := &held{pid: cmd.Process.Pid, fd: -1}
	if h.hasEnded() {
		t.Error("it is taken for one that has ended")
	}
	if err := h.signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.awaitEnd() // of one that is not waited for
	_ = cmd.Wait()
	h.awaitEnd()
}

// The zygote is the application's, who may say anything: a master that is root's must not end who it names.
func TestOnlyAChildOfTheZygoteIsAWorker(t *testing.T) {
	p, _ := silent(t)
	c, its, err := newChild(1, nil)
	if err != nil {
		t.Fatal(err)
	}
	its.Close()
	w := &forked{child: c, zygote: p}
	p.add(w)
	p.hear(report{Does: "forked", Age: 1, Pid: sleeper(t).Process.Pid})
	if w.Pid() != 0 {
		t.Error("somebody else's process is taken for a worker")
	}
	if h := hold(p.cmd.Process.Pid); !h.isChildOf(os.Getpid()) || h.isChildOf(1) {
		t.Error("it is not known whose child it is")
	}
}

// Between the end of a worker and its being known.
func TestASignalDoesNotGoByTheNumber(t *testing.T) {
	cmd := sleeper(t)
	c, its, err := newChild(1, make(chan event, 1))
	if err != nil {
		t.Fatal(err)
	}
	its.Close()
	sent := 0
	c.Signal(unix.SIGTERM)
	c.began(cmd.Process.Pid, func(sig unix.Signal) error { sent++; return nil })
	c.Signal(unix.SIGKILL)
	if sent != 2 {
		t.Errorf("%d signals were sent", sent)
	}
}
