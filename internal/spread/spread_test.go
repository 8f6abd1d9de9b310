package spread

import (
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
)

// several are places in one file, as of processes 1, 2, ….
func several(t *testing.T, n int) (*file, []*Place) {
	t.Helper()
	shared := new(file)
	all := make([]*Place, n)
	for i := range all {
		all[i] = &Place{file: shared, pid: int32(i + 1), vain: map[int]inVain{}, alive: func(int32) bool { return true }}
		if !all[i].claim() {
			t.Fatal("no place")
		}
		all[i].Set(0, true)
	}
	return shared, all
}

func TestWhoIsAheadLeavesTheNextToWhoHasFewest(t *testing.T) {
	shared, all := several(t, 3)
	for i, conns := range []int{40, 20, 30} {
		all[i].Set(conns, true)
	}
	if !all[0].Ahead() || all[1].Ahead() || all[2].Ahead() {
		t.Fatal("only the first is ahead")
	}
	all[0].Call()
	if shared.places[1].bell != 1 || shared.places[2].bell != 0 {
		t.Fatal("the second has fewest")
	}
	all[0].Call()
	if shared.places[1].bell != 1 {
		t.Fatal("it was called already")
	}
	all[1].Comes()
	all[0].Call()
	if shared.places[1].bell != 2 {
		t.Fatal("it has come, and may be called again")
	}
}

func TestNearlyTheSameIsNotAhead(t *testing.T) {
	_, all := several(t, 2)
	for _, c := range []struct {
		own, other int
		ahead      bool
	}{{2, 0, false}, {3, 1, false}, {4, 0, false}, {7, 0, true}, {36, 28, false}, {38, 26, true}, {530, 470, false}, {600, 400, true}} {
		all[0].Set(c.own, true)
		all[1].Set(c.other, true)
		if all[0].Ahead() != c.ahead {
			t.Errorf("%d beside %d: %v", c.own, c.other, !c.ahead)
		}
	}
}

func TestWhoAcceptsNoneDoesNotCount(t *testing.T) {
	_, all := several(t, 2)
	all[0].Set(100, true)
	all[1].Set(0, false)
	if all[0].Ahead() {
		t.Fatal("nobody else accepts")
	}
}

func TestWhoHasEndedDoesNotCountAndLeavesItsPlace(t *testing.T) {
	shared, all := several(t, 2)
	all[0].Set(100, true)
	all[0].alive = func(pid int32) bool { return pid != 2 }
	if all[0].Ahead() {
		t.Fatal("the other has ended")
	}
	shared.places[1].pid = 2 // and again, for another to find
	next := &Place{file: shared, pid: 3, vain: map[int]inVain{}, alive: all[0].alive}
	if !next.claim() || next.mine != &shared.places[1] || shared.used != 2 {
		t.Fatal("the place was not taken over")
	}
	if shared.places[1].conns != -1 {
		t.Fatal("it accepts before it says so")
	}
}

func TestWhoDoesNotComeIsLeftOutUntilItDoes(t *testing.T) {
	_, all := several(t, 2)
	all[0].Set(100, true)
	rounds := 0
	for ; all[0].Ahead(); rounds++ {
		if rounds > patience {
			t.Fatal("for ever")
		}
		all[0].Call()
		all[0].Waited()
	}
	if rounds != patience {
		t.Fatal(rounds)
	}
	all[1].Comes()
	if !all[0].Ahead() {
		t.Fatal("it has come")
	}
	for range 2 * patience { // who comes is never left out
		all[0].Call()
		all[1].Comes()
		all[0].Waited()
	}
	if !all[0].Ahead() {
		t.Fatal("it comes each time")
	}
}

func TestNoMorePlaces(t *testing.T) {
	shared, _ := several(t, places)
	one := &Place{file: shared, pid: places + 1, alive: func(int32) bool { return true }}
	if one.claim() {
		t.Fatal("there are no more")
	}
}

func TestACallReachesWhoWaits(t *testing.T) {
	f, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mine, err := Open(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	sleep := exec.Command("sleep", "600")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sleep.Process.Kill(); _ = sleep.Wait() }()
	other, err := Open(int(f.Fd())) // which finds a place of its own, as if of another process
	if err != nil {
		t.Fatal(err)
	}
	atomic.StoreInt32(&other.mine.pid, int32(sleep.Process.Pid))
	mine.Set(100, true)
	other.Set(0, true)
	called := make(chan struct{})
	go other.Listen(func() {
		other.Comes()
		called <- struct{}{}
	})
	for range 3 {
		if !mine.Ahead() {
			t.Fatal("it is ahead")
		}
		mine.Call()
		<-called
	}
}

func TestNoWorkerCanMakeTheMemoryShorter(t *testing.T) {
	f, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Truncate(1) == nil || f.Truncate(fileSize*2) == nil {
		t.Fatal("it has another size now")
	}
}

func TestAnotherFileIsNone(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if p, err := Open(int(f.Fd())); p != nil || err == nil {
		t.Fatal(p, err)
	}
}
