package watch

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace is how editors save.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+"~", text)
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
}

func TestChanges(t *testing.T) {
	for _, engine := range []string{"auto", "inotify", "poll"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			at := func(name string) string { return filepath.Join(dir, name) }
			write(t, at("a.py"), "1")
			write(t, at("beside.py"), "1")
			w := New(engine, slog.New(slog.NewTextHandler(io.Discard, nil)))
			w.every = 10 * time.Millisecond
			if (w.notify == nil) != (engine == "poll") {
				t.Fatalf("inotify: %v", w.notify)
			}
			w.Add(at("a.py"), StampOf(at("a.py")))
			w.Add(at("late.cfg"), Stamp{}) // not there yet
			told := make(chan []string)
			go w.Run(func(paths []string) { told <- paths })
			next := func(want ...string) {
				t.Helper()
				select {
				case got := <-told:
					for i := range got {
						got[i] = filepath.Base(got[i])
					}
					if strings.Join(got, " ") != strings.Join(want, " ") {
						t.Errorf("%v, want %v", got, want)
					}
				case <-time.After(10 * time.Second):
					t.Fatalf("nothing, want %v", want)
				}
			}
			write(t, at("a.py"), "22")
			next("a.py")
			replace(t, at("a.py"), "333")
			next("a.py")

			// Nothing to tell, or these would come with the next.
			write(t, at("data.db"), "1")
			write(t, at(".a.py"), "1")
			if err := os.Remove(at("beside.py")); err != nil {
				t.Fatal(err)
			}
			write(t, at("b.py"), "1")
			next("b.py")
			write(t, at("late.cfg"), "1")
			next("late.cfg")
			write(t, at("b.py"), "22") // which nobody has loaded, so far
			next("b.py")

			w.Add(at("b.py"), StampOf(at("b.py")))
			write(t, at("c.txt"), "1")
			old := StampOf(at("c.txt"))
			write(t, at("c.txt"), "22")
			w.Add(at("c.txt"), old) // changed between the two
			next("c.txt")
		})
	}
}

func TestItPollsWhereNobodyTells(t *testing.T) {
	w := New("auto", slog.New(slog.NewTextHandler(io.Discard, nil)))
	w.every = 10 * time.Millisecond
	dir := t.TempDir()
	gone := filepath.Join(dir, "no", "such.py")
	w.Add(gone, Stamp{}) // there is no folder that could be told of
	told := make(chan []string)
	go w.Run(func(paths []string) { told <- paths })
	if err := os.Mkdir(filepath.Dir(gone), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, gone, "1")
	if got := <-told; len(got) != 1 || got[0] != gone {
		t.Error(got)
	}
}
