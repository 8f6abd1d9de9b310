// Package watch finds out when files change, for --reload: told by inotify (github.com/fsnotify/fsnotify), or by looking once a
// second. Either way it is looked what has changed, so that both find the same: another time or size of a file that is known,
// however it was replaced, and a new .py file beside one.
package watch

import (
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is how long nothing may change before changes are told: an editor, or git, takes several steps.
	quiet = 100 * time.Millisecond

	// pollEvery is how often it is looked where nobody tells.
	pollEvery = time.Second
)

// Stamp is what tells a file from its last version. The zero one is a file that is not there.
type Stamp struct {
	Modified int64 // ns
	Size     int64
}

// StampOf looks at a file.
func StampOf(path string) Stamp {
	info, err := os.Stat(path)
	if err != nil {
		return Stamp{}
	}
	return Stamp{info.ModTime().UnixNano(), info.Size()}
}

// Watcher watches files. Any goroutine may add some; one runs it.
type Watcher struct {
	log     *slog.Logger
	notify  *fsnotify.Watcher // nil: it polls
	stirred chan struct{}
	every   time.Duration // pollEvery, but for tests

	mu      sync.Mutex
	polls   bool
	files   map[string]Stamp
	folders map[string]map[string]bool // the .py files in each
}

// New makes a Watcher. engine is auto, inotify or poll; the second becomes the last where it is not to be had.
func New(engine string, log *slog.Logger) *Watcher {
	w := &Watcher{log: log, every: pollEvery, stirred: make(chan struct{}, 1), files: map[string]Stamp{}, folders: map[string]map[string]bool{}}
	if engine != "poll" {
		notify, err := fsnotify.NewWatcher()
		if err == nil {
			w.notify = notify
			return w
		}
		w.fallBack(err)
	}
	w.polls = true
	return w
}

// fallBack is for limits on inotify, and file systems that it knows nothing of.
func (w *Watcher) fallBack(err error) {
	if !w.polls {
		w.polls = true
		w.log.Warn("files are looked at once a second, as the system does not tell of changes", "error", err)
	}
}

// Add watches a file from the version on that stamp was of.
func (w *Watcher) Add(path string, stamp Stamp) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.files[path]; known {
		return
	}
	w.files[path] = stamp
	folder := filepath.Dir(path)
	if w.folders[folder] == nil {
		if w.notify != nil { // before it is looked what is there
			if err := w.notify.Add(folder); err != nil {
				w.fallBack(err)
			}
		}
		w.folders[folder] = sources(folder)
	}
	w.stir()
}

func (w *Watcher) stir() {
	select {
	case w.stirred <- struct{}{}:
	default:
	}
}

// sources are the Python files in a folder.
func sources(folder string) map[string]bool {
	found := map[string]bool{}
	entries, _ := os.ReadDir(folder)
	for _, entry := range entries {
		if isSource(entry.Name()) {
			found[entry.Name()] = true
		}
	}
	return found
}

// isSource: editors keep theirs as .name.py or .#name.py.
func isSource(name string) bool {
	return strings.HasSuffix(name, ".py") && name[0] != '.' && name[0] != '#'
}

// Run calls changed with the paths of what has changed, until the program ends.
func (w *Watcher) Run(changed func(paths []string)) {
	if w.notify != nil {
		go w.listen()
	}
	poll := time.NewTicker(w.every)
	defer poll.Stop()
	later := time.NewTimer(time.Hour)
	later.Stop()
	found := map[string]bool{}
	for {
		select {
		case <-w.stirred:
			later.Reset(quiet)
		case <-poll.C:
			if w.isPolling() && w.look(found) {
				later.Reset(quiet)
			}
		case <-later.C:
			if w.look(found) {
				later.Reset(quiet)
			} else if len(found) > 0 {
				paths := make([]string, 0, len(found))
				for path := range found {
					paths = append(paths, path)
				}
				sort.Strings(paths)
				clear(found)
				changed(paths)
			}
		}
	}
}

func (w *Watcher) isPolling() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.polls
}

// listen passes on that something has happened to a file that may matter.
func (w *Watcher) listen() {
	for {
		select {
		case e := <-w.notify.Events:
			w.mu.Lock()
			_, known := w.files[e.Name]
			w.mu.Unlock()
			if e.Op != fsnotify.Chmod && (known || isSource(filepath.Base(e.Name))) {
				w.stir()
			}
		case err := <-w.notify.Errors: // too many at once, for instance
			w.log.Debug("watching files", "error", err)
			w.stir()
		}
	}
}

// look adds what has changed since it looked last, and reports whether that is anything. A file that is gone may come back
// the next moment: that is no change.
func (w *Watcher) look(found map[string]bool) (some bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, last := range w.files {
		if now := StampOf(path); now != last && now != (Stamp{}) {
			w.files[path] = now
			found[path], some = true, true
		}
	}
	for folder, last := range w.folders {
		now := sources(folder)
		for name := range now {
			if path := filepath.Join(folder, name); !last[name] {
				w.files[path] = StampOf(path)
				found[path], some = true, true
			}
		}
		w.folders[folder] = now
	}
	return some
}
