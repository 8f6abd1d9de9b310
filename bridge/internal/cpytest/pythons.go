package cpytest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Pythons returns the Python 3 interpreters of this machine, each once: those of pyenv, if it is there, and every
// python3 on PATH. GOWSGI_TEST_PYTHONS, a list like PATH, adds more.
var Pythons = sync.OnceValue(func() []string {
	var found []string
	seen := map[string]bool{}
	add := func(path string) {
		// What it says it is, not its path: pyenv puts scripts named python3 on PATH.
		out, err := exec.Command(path, "-I", "-c", "import sys; print(sys.executable)").Output()
		if err != nil {
			return
		}
		executable := strings.TrimSpace(string(out))
		if real, err := filepath.EvalSymlinks(executable); err == nil && !seen[real] {
			seen[real] = true
			found = append(found, executable)
		}
	}
	for _, path := range filepath.SplitList(os.Getenv("GOWSGI_TEST_PYTHONS")) {
		add(path)
	}
	if root, err := exec.Command("pyenv", "root").Output(); err == nil {
		versions, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(root)), "versions", "3.*", "bin", "python3"))
		for _, path := range versions {
			add(path)
		}
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		add(filepath.Join(dir, "python3"))
	}
	return found
})
