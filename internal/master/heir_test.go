package master

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/systemd"
)

// withHeirs has USR2 answered by the number afterAge, and counts.
func withHeirs(r *rig) (begun *int) {
	begun = new(int)
	r.heirs.begin = func() (process, error) {
		*begun++
		return fake{r, afterAge}, nil
	}
	return begun
}

func TestANewMasterRunsBesideThisOne(t *testing.T) {
	r := ready(t, 2)
	begun := withHeirs(r)
	left := false
	r.heirs.left = func() { left = true }
	r.gets(unix.SIGWINCH) // of a terminal
	r.was(1)
	r.gets(unix.SIGUSR2)
	r.gets(unix.SIGUSR2)
	if *begun != 1 {
		t.Fatal("begun:", *begun)
	}
	r.was(1, wordShared)
	// Its workers are stopped, and one that only begins to serve as well.
	r.gets(unix.SIGTTIN)
	r.gets(unix.SIGWINCH)
	r.was(1, wordShared, wordStop)
	r.was(2, wordShared, wordStop)
	r.was(3, "SIGTERM")
	r.gets(unix.SIGWINCH)
	for age := 1; age <= 3; age++ {
		r.ends(age, exited)
	}
	r.passes(longestPause)
	r.has()
	if r.stopping {
		t.Fatal("it ends")
	}
	// And come back.
	r.gets(unix.SIGHUP)
	r.has(4, 5, 6)
	r.hears(4, wordReady)
	r.was(4, wordShared)
	r.gets(unix.SIGTERM)
	r.was(4, wordShared, wordStop) // not the last: the listeners' queues are not theirs
	for age := 4; age <= 6; age++ {
		r.ends(age, exited)
	}
	signals := make(chan os.Signal)
	if r.run(signals); !left {
		t.Error("it has not left what the new one has")
	}
}

func TestANewMasterThatFailsLeavesThisOne(t *testing.T) {
	r := ready(t, 1)
	begun := withHeirs(r)
	r.gets(unix.SIGUSR2)
	r.ends(afterAge, bootFailed)
	r.was(1, wordShared, wordAlone)
	r.gets(unix.SIGWINCH) // too late
	r.has(1)
	r.gets(unix.SIGUSR2)
	if *begun != 2 {
		t.Fatal("begun:", *begun)
	}
	r.gets(unix.SIGHUP)
	r.has(1, 2)
	r.gets(unix.SIGWINCH)
	r.ends(1, exited)
	r.ends(2, exited)
	r.has()
	r.ends(afterAge, syscall.WaitStatus(unix.SIGKILL)) // and there is nobody left
	r.has(3)
	r.hears(3, wordReady)
	r.gets(unix.SIGTERM)
	r.was(3, wordLast)
	r.gets(unix.SIGUSR2)
	if *begun != 2 {
		t.Error("a new one when all is over")
	}
	// One that cannot even be begun.
	r = ready(t, 1)
	r.heirs.begin = func() (process, error) { return nil, errors.New("none") }
	r.gets(unix.SIGUSR2)
	r.was(1)
	r.gets(unix.SIGTERM)
	r.was(1, wordLast)
}

func TestANewMasterTakesTheOldOnesPlace(t *testing.T) {
	r := newRig(t, 1)
	begun := withHeirs(r)
	parent, promoted := 77, 0
	r.heirs.before = parent
	r.heirs.parentIs = func() int { return parent }
	r.heirs.promoted = func() { promoted++ }
	r.hears(1, wordReady)
	r.was(1, wordShared)
	r.gets(unix.SIGUSR2)
	r.passes(tick)
	if *begun > 0 || promoted > 0 {
		t.Fatal("too early", *begun, promoted)
	}
	parent = 1
	r.passes(tick)
	r.passes(tick)
	r.was(1, wordShared, wordAlone)
	r.gets(unix.SIGUSR2)
	if *begun != 1 || promoted != 1 {
		t.Fatal(*begun, promoted)
	}
}

func TestWhatANewMasterInherits(t *testing.T) {
	me := strconv.Itoa(os.Getppid())
	for _, c := range []struct {
		parent, fds, owned string
		before             int
		fails              bool
		bind               int
	}{
		{"", "", "", 0, false, 1}, {"1234567", "3", "", 0, false, 1}, {me, "3,4", "4", os.Getppid(), false, 2}, {me, "", "", 0, true, 0},
		{me, "2", "", 0, true, 0},
	} {
		t.Setenv(ownedVariable, c.owned)
		t.Setenv(parentVariable, c.parent)
		t.Setenv(listenersVariable, c.fds)
		cfg := config.Default()
		before, err := Inherit(cfg)
		if before != c.before || (err != nil) != c.fails || !c.fails && len(cfg.Bind) != c.bind {
			t.Errorf("%+v: %d, %v, %v", c, before, err, cfg.Bind)
		}
		if c.bind == 2 && !slices.Equal(cfg.Owned, []string{"4"}) {
			t.Error("whose they are:", cfg.Owned)
		}
		if os.Getenv(parentVariable) != "" || os.Getenv(listenersVariable) != "" || os.Getenv(ownedVariable) != "" {
			t.Error("others find the variables")
		}
	}
}

// Whose process is the service's main one systemd hears from the one that it listens to.
func TestSystemdHearsOfTheNewMaster(t *testing.T) {
	conn := systemdEnd(t)
	r := ready(t, 1)
	withHeirs(r)
	r.announcer.manager, r.announcer.phase = systemd.Take(), serving
	r.gets(unix.SIGUSR2)
	r.gets(unix.SIGTERM)
	r.announce()
	buf := make([]byte, 1000)
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "MAINPID=999\n" {
		t.Fatalf("%q %v", buf[:n], err)
	}
}

func TestWhoWasAnHeir(t *testing.T) {
	for environ, want := range map[string]bool{
		"": false, "GUNICORN_PID=1": true, "A=1\x00GUNICORN_PID=1\x00": true, "A=GUNICORN_PID=1\x00MY_GUNICORN_PID=1": false,
	} {
		if WasHeir([]byte(environ)) != want {
			t.Errorf("%q", environ)
		}
	}
}

func TestAHookMayRefuseANewMaster(t *testing.T) {
	r := ready(t, 1)
	begun := withHeirs(r)
	asked := 0
	r.heirs.allowed = func(int) bool { asked++; return false }
	r.gets(unix.SIGUSR2)
	r.hears(afterAge, wordRefuses)
	if asked != 1 || *begun != 0 {
		t.Fatal(asked, *begun)
	}
	r.gets(unix.SIGUSR2)
	r.gets(unix.SIGUSR2) // before the hook has answered
	r.hears(afterAge, wordBegins)
	r.hears(afterAge, wordBegins)
	if *begun != 1 {
		t.Fatal(*begun)
	}
	r.ends(afterAge, bootFailed)
	r.gets(unix.SIGTERM)
	if r.hears(afterAge, wordBegins); *begun != 1 {
		t.Fatal("when all is over")
	}
}

// Who ends right after the master before it has the listeners for itself, and what waits there.
func TestTheEndOfTwoMastersIsThatOfTheLast(t *testing.T) {
	r := ready(t, 1)
	r.heirs.before, r.heirs.parentIs = 7, func() int { return 1 }
	r.gets(unix.SIGTERM)
	if told := r.told[1]; told[len(told)-1] != wordLast {
		t.Errorf("the worker was told %v", told)
	}
}
