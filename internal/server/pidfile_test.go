package server

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// Whoever owns the directory of the pid file has root write no other file by a link.
func TestAPidFileIsWrittenThroughNoLink(t *testing.T) {
	for name, link := range map[string]func(string, string) error{"symbolic": os.Symlink, "hard": os.Link} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			victim, path := filepath.Join(dir, "victim"), filepath.Join(dir, "pid")
			if err := os.WriteFile(victim, []byte("\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := link(victim, path); err != nil {
				t.Fatal(err)
			}
			if err := writePidFile(path); err != nil {
				t.Fatal(err)
			}
			contains(t, victim, "\n")
			contains(t, path, strconv.Itoa(os.Getpid())+"\n")
			if info, err := os.Lstat(path); err != nil || info.Mode() != 0o644 {
				t.Errorf("%v, %v", info.Mode(), err)
			}
			if writeOver(path, []byte("1\n")) != nil {
				t.Error("a file of its own is not written over")
			}
			removePidFile(path)
			_ = os.Remove(path)
			if err := link(victim, path); err != nil || writeOver(path, []byte("1\n")) == nil {
				t.Errorf("a link is written through (%v)", err)
			}
			contains(t, victim, "\n")
			if names, _ := filepath.Glob(filepath.Join(dir, ".*")); len(names) > 0 {
				t.Errorf("left: %v", names)
			}
		})
	}
}

// A pipe that somebody has put there would have a reader wait for ever.
func TestAPidFileThatIsNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writePidFile(path); err == nil {
		t.Error("a pipe is taken for a pid file")
	}
}

func contains(t *testing.T, path, want string) {
	t.Helper()
	if text, err := os.ReadFile(path); err != nil || string(text) != want {
		t.Errorf("%s has %q (%v)", path, text, err)
	}
}
