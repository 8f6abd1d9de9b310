package master

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWhereKillsAreCounted(t *testing.T) {
	root := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("app/memory.events", "low 0\noom 5\noom_kill 3\noom_group_kill 9\n")
	write("memory.events", "oom_kill 4\n")
	write("memory/docker/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n")
	write("bad/memory.events", "oom_kill many\n")
	for groups, want := range map[string]int{
		"0::/app\n": 3, "0::/elsewhere\n": 4, "12:cpu,cpuacct:/app\n3:memory:/docker\n0::/x:y\n": 7, "": -1, "4:cpu:/app\n": -1,
		"3:memory:/elsewhere\n": -1, "no group\n": -1, "0::/bad\n": 4,
	} {
		if n := oomCounter(root, []byte(groups))(); n != want {
			t.Errorf("%q: %d instead of %d", groups, n, want)
		}
	}
}

func TestWhoWasKilledForWantOfMemoryIsToldApart(t *testing.T) {
	r := ready(t, 2)
	var log bytes.Buffer
	r.log = slog.New(slog.NewTextHandler(&log, nil))
	kills := 5
	r.oomKills, r.oomSeen = func() int { return kills }, 5
	r.ends(1, syscall.WaitStatus(unix.SIGKILL))
	if text := log.String(); strings.Contains(text, memoryIsOut) || !strings.Contains(text, "was killed (SIGKILL)") {
		t.Error(text)
	}
	log.Reset()
	kills++
	r.ends(2, syscall.WaitStatus(unix.SIGKILL))
	if text := log.String(); !strings.Contains(text, memoryIsOut+"; it is replaced") {
		t.Error(text)
	}
}
