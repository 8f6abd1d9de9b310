package server

import (
	"os"
	"os/exec"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWhoHasEndedIsBuried(t *testing.T) {
	want := map[int]int{}
	for script, status := range map[string]int{"exit 3": 3, "kill -TERM $$": 128 + 15, "exit 0": 0} {
		cmd := exec.Command("sh", "-c", script)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		want[cmd.Process.Pid] = status
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			t.Fatal(err)
		}
	}
	got := map[int]int{}
	for _, e := range bury() {
		got[e.pid] = e.status
	}
	if !reflect.DeepEqual(got, want) {
		t.Error(got, want)
	}
	if more := bury(); more != nil {
		t.Error(more)
	}
}

func TestWhatTheServerGetsOfTheEnvironment(t *testing.T) {
	got := environOfChild([]string{"A=1", "WATCHDOG_PID=1", "WATCHDOG_PID=12"}, 1)
	if !reflect.DeepEqual(got, []string{"A=1", "WATCHDOG_PID=12"}) {
		t.Error(got)
	}
}

func TestTheParentOfAProcess(t *testing.T) {
	if parentOf(os.Getpid()) != os.Getppid() || parentOf(1<<30) != 0 {
		t.Error(parentOf(os.Getpid()))
	}
	if pids := successors(); pids != nil { // nobody's child is
		t.Error(pids)
	}
	if left, was := remove([]int{1, 2, 3}, 2); !was || !reflect.DeepEqual(left, []int{1, 3}) {
		t.Error(left, was)
	}
	if _, was := remove([]int{1}, 2); was {
		t.Error("it was none")
	}
}
