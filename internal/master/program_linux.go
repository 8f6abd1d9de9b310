package master

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// thisProgram is how to start it again: with Python's own arguments, where it runs in an interpreter.
func thisProgram(dir string) (command, error) {
	text, err := os.ReadFile("/proc/self/cmdline")
	argv := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	if err != nil || argv[0] == "" {
		return command{}, errNoProgram
	}
	// Not /proc/self/exe: an interpreter knows its environment by the path that it is called by, which may be a link.
	path := argv[0]
	if !strings.Contains(path, "/") {
		if path, err = exec.LookPath(path); err != nil {
			return command{}, errNoProgram
		}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return command{path: path, argv: argv, dir: dir}, nil
}
