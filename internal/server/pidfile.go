package server

// The pid file. It belongs to the process that it names: nobody else removes it, or writes over it while that one runs.

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
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
	text, err := readPidFile(path)
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
	text := []byte(strconv.Itoa(os.Getpid()) + "\n")
	err := replaceFile(path, text)
	if err != nil && writeOver(path, text) != nil {
		return fmt.Errorf("the pid file cannot be written: %w; choose another file with --pid", err)
	}
	return nil
}

// replaceFile puts a new file in the place of what has the name, as gunicorn does: whoever owns the directory of a root's pid file
// could have any file of root's written by a link. And nobody reads half a number.
func replaceFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".gowsgi-pid-*")
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: errors.Unwrap(err)}
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// writeOver is for a file that is there, in a directory where nothing can be made, or mounted by itself. No link is followed.
func writeOver(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 {
		return errNoPlainFile
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Truncate(int64(len(text))))
}

var errNoPlainFile = errors.New("it is no plain file")

// readPidFile does not wait for a pipe, and does not take a device's word.
func readPidFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "read", Path: path, Err: errors.Join(err, errNoPlainFile)}
	}
	return io.ReadAll(io.LimitReader(f, longestPidFile))
}

// longestPidFile is more than any pid file has.
const longestPidFile = 4096

// removePidFile removes it if it is ours still.
func removePidFile(path string) {
	if path == "" {
		return
	}
	if text, err := readPidFile(path); err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(os.Getpid()) {
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
