package server

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
)

// A pipe that nobody reads may keep nobody: what is logged, opened again and closed returns.
func TestALogThatTakesNothingKeepsNobody(t *testing.T) {
	name := t.TempDir() + "/pipe"
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	cfg := config.Default()
	cfg.ErrorLog = name
	log, err := OpenLog(cfg)
	if err != nil {
		t.Fatal(err)
	}
	size, err := unix.FcntlInt(reader.Fd(), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		t.Fatal(err)
	}
	line := string(make([]byte, 1000))
	for range 2 * size / len(line) {
		log.Info(line)
	}
	if err := reopenLog(log); err == nil {
		t.Error("it was opened again, with lines that wait")
	}
	closeLog(log)
}
