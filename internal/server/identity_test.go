package server

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
)

// Root gives a log file to the user, but nothing that a link in the user's directory points at.
func TestNoLinkIsGiven(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files")
	}
	dir := t.TempDir()
	owner := func(name string) uint32 {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, name), &st); err != nil {
			t.Fatal(err)
		}
		return st.Uid
	}
	for _, name := range []string{"secret", "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("secret", filepath.Join(dir, "symbolic")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(dir, "other"), filepath.Join(dir, "hard")); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	for name, want := range map[string]uint32{"symbolic": 0, "hard": 0, "new": 65534} {
		cfg.ErrorLog = filepath.Join(dir, name)
		if err := give(&syscall.Credential{Uid: 65534, Gid: 65534}, cfg, nil); err != nil {
			t.Fatal(err)
		}
		if got := owner(name); got != want {
			t.Errorf("%s belongs to %d", name, got)
		}
	}
}
