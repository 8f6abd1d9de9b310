package master

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// commandLine is as the kernel has it, until the process's title stands there.
var commandLine, errCommandLine = os.ReadFile("/proc/self/cmdline")

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
