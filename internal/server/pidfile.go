package server

// The pid file. It belongs to the process that it names: nobody else removes it, or writes over it while that one runs.

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// checkPidFile says in one sentence why this process must not write the pid file, if so.
func checkPidFile(path string) error {
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("the pid file cannot be read: %w; choose another file with --pid", err)
	}
	content := strings.TrimSpace(string(text))
	pid, err := strconv.Atoi(content)
	switch {
	case content == "":
		return nil
	case err != nil || pid <= 0:
		return fmt.Errorf("the pid file %s holds something other than a process id: choose another file with --pid", path)
	case pid != os.Getpid() && wrote(pid, path):
		return fmt.Errorf("the pid file %s is that of process %d, which is running: stop that one, or choose another file "+
			"with --pid", path, pid)
	}
	return nil
}

// wrote tells whether the process pid runs and may have written the file: one that began later has only got the number
// that the writer had, as it often happens where containers keep their files.
func wrote(pid int, path string) bool {
	if unix.Kill(pid, 0) == syscall.ESRCH {
		return false
	}
	info, err := os.Stat(path)
	began, alive := processBegan(pid)
	if err != nil || !alive {
		return alive
	}
	return began.IsZero() || began.Before(info.ModTime().Add(time.Second))
}

// processBegan looks into /proc; the zero time: not known. A zombie is not alive.
func processBegan(pid int) (began time.Time, alive bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return time.Time{}, true
	}
	// The second field is the program's name, in which anything may stand.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 20 {
		return time.Time{}, true
	}
	ticks, err := strconv.ParseInt(fields[19], 10, 64) // since the machine was started, 100 per second in every Linux
	var now unix.Timespec
	if err != nil || unix.ClockGettime(clockBoot, &now) != nil {
		return time.Time{}, true
	}
	return time.Now().Add(time.Duration(ticks)*(time.Second/100) - time.Duration(now.Nano())), fields[0] != "Z" && fields[0] != "X"
}

const clockBoot = 7 // CLOCK_BOOTTIME, which package unix does not name on every system

func writePidFile(path string) error {
	if path == "" {
		return nil
	}
	if err := checkPidFile(path); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return fmt.Errorf("the pid file cannot be written: %w; choose another file with --pid", err)
	}
	return nil
}

// removePidFile removes it if it is ours still.
func removePidFile(path string) {
	if path == "" {
		return
	}
	if text, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(os.Getpid()) {
		_ = os.Remove(path)
	}
}

// pidFileAfter is the file of a master that takes over from the process before, if there is one: as gunicorn has it, a second one
// until that one has ended.
func pidFileAfter(path string, before int) string {
	if path == "" || before == 0 {
		return path
	}
	return path + ".2"
}

// promotePidFile makes it the first one, and returns which the process has.
func promotePidFile(second, first string, log *slog.Logger) string {
	if first == "" {
		return ""
	}
	err := checkPidFile(first)
	if err == nil {
		err = os.Rename(second, first)
	}
	if err != nil {
		log.Warn("the pid file keeps its second name, "+second, "error", err)
		return second
	}
	return first
}
