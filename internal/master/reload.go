package master

// --reload: the master sends itself a HUP when a file has changed that its workers have loaded.

import (
	"encoding/json"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/watch"
)

// fileSeen is a file that a worker has loaded, and the version of it that was there shortly after.
type fileSeen struct {
	Path    string
	Version watch.Stamp
}

// watchFiles begins with those that the user names.
func (m *Master) watchFiles() {
	if !m.cfg.Reload {
		return
	}
	m.watcher = watch.New(m.cfg.ReloadEngine, m.log)
	for _, path := range m.cfg.ReloadExtraFiles {
		m.watcher.Add(path, watch.StampOf(path))
	}
	go m.watcher.Run(func(paths []string) {
		m.log.Info("files have changed, so new workers are started", "files", strings.Join(paths, " "))
		_ = unix.Kill(os.Getpid(), unix.SIGHUP)
	})
}

// watch is what a worker asks for.
func (m *Master) watch(text string) {
	var f fileSeen
	if m.watcher != nil && json.Unmarshal([]byte(text), &f) == nil {
		m.watcher.Add(f.Path, f.Version)
	}
}
