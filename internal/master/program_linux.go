package master

import (
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// commandLine is as the kernel has it, until the process's title stands there.
var commandLine, errCommandLine = readPlainly("/proc/self/cmdline")

// readPlainly reads a file without the os package, which would make Go's poller: there may be no descriptors for that, and
// Go's own error is none for a user.
func readPlainly(name string) (text []byte, err error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	for buf := make([]byte, 4096); ; {
		n, err := unix.Read(fd, buf)
		if n <= 0 || err != nil {
			return text, err
		}
		text = append(text, buf[:n]...)
	}
}

// thisProgram is how to start it again: with Python's own arguments, where it runs in an interpreter.
func thisProgram(dir string) (command, error) {
	argv := strings.Split(strings.TrimSuffix(string(commandLine), "\x00"), "\x00")
	if errCommandLine != nil || argv[0] == "" {
		return command{}, errNoProgram
	}
	// Not /proc/self/exe: an interpreter knows its environment by the path that it is called by, which may be a link.
	path := argv[0]
	if !strings.Contains(path, "/") {
		var err error
		if path, err = exec.LookPath(path); err != nil {
			return command{}, errNoProgram
		}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return command{path: path, argv: argv, dir: dir}, nil
}
