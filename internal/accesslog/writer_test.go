package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func openTest(t *testing.T, name string) *Writer {
	t.Helper()
	w, err := Open(name, func(err error) { t.Errorf("reported: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestWriterBuffersAndFlushes(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	w := openTest(t, name)
	w.WriteLine([]byte("one"))
	w.WriteLine([]byte("two\n"))
	if got := read(t, name); got != "" {
		t.Errorf("written at once: %q", got)
	}
	w.Flush()
	if got := read(t, name); got != "one\ntwo\n" {
		t.Errorf("after Flush: %q", got)
	}
	full := 0
	for range flushSize / 1000 {
		if w.WriteLine(bytes.Repeat([]byte{'x'}, 1200)) {
			full++
		}
	}
	if full == 0 || full > 10 {
		t.Errorf("full after %d lines too few", full)
	}
}

// TestWriterWaitsForNobody: a pipe that nobody reads keeps one who flushes, and nobody who writes a line or comes to flush as
// well; what finds no room is counted.
func TestWriterWaitsForNobody(t *testing.T) {
	r, p, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	w := &Writer{name: "-", out: p, pipe: true, report: func(err error) { told = append(told, err.Error()) }}
	line := bytes.Repeat([]byte{'x'}, 4000)
	for range 20 { // more than a pipe takes
		w.WriteLine(line)
	}
	done := make(chan struct{})
	go func() {
		w.Flush()
		close(done)
	}()
	for w.Waits() { // it has what waits
		runtime.Gosched()
	}
	const more = 2*maxWaiting/4001 + 1
	for range more {
		w.WriteLine(line)
		w.Flush()
	}
	go func() {
		_, _ = io.Copy(io.Discard, r)
	}()
	<-done
	w.Flush()
	if len(told) != 1 || !strings.Contains(told[0], "lines were lost") {
		t.Errorf("told %q", told)
	}
	w.Close()
	r.Close()
}

func TestWriterAppends(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	for _, line := range []string{"a", "b"} {
		w := openTest(t, name)
		w.WriteLine([]byte(line))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		w.WriteLine([]byte("late"))
		w.Flush()
	}
	if got := read(t, name); got != "a\nb\n" {
		t.Errorf("got %q", got)
	}
}

func TestWriterReopens(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	w := openTest(t, name)
	w.WriteLine([]byte("old"))
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	if err := w.Reopen(); err != nil {
		t.Fatal(err)
	}
	w.WriteLine([]byte("new"))
	w.Flush()
	if old, now := read(t, name+".1"), read(t, name); old != "old\n" || now != "new\n" {
		t.Errorf("got %q and %q", old, now)
	}
}

func TestWriterKeepsTheOldFileWhenReopenFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w := openTest(t, filepath.Join(dir, "log"))
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	if err := w.Reopen(); err == nil {
		t.Error("Reopen found a file in a directory that is gone")
	}
	w.WriteLine([]byte("still here"))
	w.Flush()
	if got := read(t, filepath.Join(dir+"2", "log")); got != "still here\n" {
		t.Errorf("got %q", got)
	}
}

func TestWriterConcurrent(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	w := openTest(t, name)
	var wg sync.WaitGroup
	const goroutines, lines = 8, 500
	for g := range goroutines {
		wg.Go(func() {
			for i := range lines {
				w.WriteLine(fmt.Appendf(nil, "%d %d %s.", g, i, strings.Repeat("x", i)))
				if i%100 == 0 {
					w.Flush()
					if err := w.Reopen(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	w.Flush()
	got := strings.Split(strings.TrimSuffix(read(t, name), "\n"), "\n")
	if len(got) != goroutines*lines {
		t.Fatalf("%d lines, want %d", len(got), goroutines*lines)
	}
	for _, line := range got {
		if !strings.HasSuffix(line, ".") || strings.Count(line, ".") != 1 {
			t.Fatalf("torn line %q", line)
		}
	}
}

// disk takes a number of bytes and is then full, and remembers what each write brought.
type disk struct {
	room   int
	data   []byte
	writes []int
}

func (d *disk) Write(p []byte) (int, error) {
	n := min(len(p), d.room)
	d.data = append(d.data, p[:n]...)
	d.room -= n
	d.writes = append(d.writes, n)
	if n < len(p) {
		return n, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	}
	return n, nil
}

func (d *disk) Close() error { return nil }

func TestWriterFullDisk(t *testing.T) {
	d := &disk{room: 12}
	var news []string
	w := &Writer{name: "access.log", out: d, report: func(err error) {
		news = append(news, err.Error())
		if len(news) == 1 && !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%v is not ENOSPC", err)
		}
	}}
	for i := range 4 {
		w.WriteLine(fmt.Appendf(nil, "line %d", i))
	}
	w.Flush() // one line and a part of the second fit
	w.WriteLine([]byte("lost"))
	w.Flush()
	w.Flush()
	d.room = 1000
	w.WriteLine([]byte("back"))
	w.Flush()
	w.WriteLine([]byte("again"))
	w.Flush()
	if got, want := string(d.data), "line 0\nline 1\nback\nagain\n"; got != want {
		t.Errorf("the file holds %q, want %q", got, want)
	}
	want := []string{
		"the log access.log cannot be written, lines are lost: no space left on device",
		"the log access.log can be written again; 3 lines were lost",
	}
	if fmt.Sprint(news) != fmt.Sprint(want) {
		t.Errorf("reported %q, want %q", news, want)
	}
}

func TestWriterOnDevFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full")
	}
	reports := 0
	w, err := Open("/dev/full", func(error) { reports++ })
	if err != nil {
		t.Fatal(err)
	}
	for range 5000 {
		w.WriteLine(bytes.Repeat([]byte{'x'}, 100))
	}
	if w.Flush(); reports != 1 {
		t.Errorf("%d reports, want 1", reports)
	}
	w.Close()
}

func TestWriterReopenDropsARestWhoseBeginningIsElsewhere(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	w := &Writer{name: name, out: &disk{room: 3}, report: func(error) {}}
	w.WriteLine([]byte("half a line"))
	w.Flush()
	if err := w.Reopen(); err != nil {
		t.Fatal(err)
	}
	w.WriteLine([]byte("whole"))
	w.Close()
	if got := read(t, name); got != "whole\n" {
		t.Errorf("got %q", got)
	}
}

func TestWriterPipeWritesAreAtomic(t *testing.T) {
	d := &disk{room: 1 << 20}
	w := &Writer{out: d, pipe: true, report: func(error) {}}
	for range 20 {
		w.WriteLine(bytes.Repeat([]byte{'x'}, 999))
	}
	w.WriteLine(bytes.Repeat([]byte{'y'}, 9999)) // longer than a pipe takes in one piece: at least whole
	w.Flush()
	if got, want := fmt.Sprint(d.writes), "[4000 4000 4000 4000 4000 10000]"; got != want {
		t.Errorf("writes of %s, want %s", got, want)
	}
}

func TestWriterBrokenPipeDoesNotEndTheProcess(t *testing.T) {
	r, p, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	file, err := duplicate(int(p.Fd()), "standard output")
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	r.Close()
	var news error
	w := &Writer{name: "-", out: file, pipe: isPipe(file), report: func(err error) { news = err }}
	w.WriteLine([]byte("nobody reads this"))
	w.Flush()
	const want = "the log standard output cannot be written, lines are lost: broken pipe"
	if news == nil || news.Error() != want || !w.pipe {
		t.Errorf("reported %v, want %s", news, want)
	}
	w.Close()
}

func TestWriteLineDoesNotAllocate(t *testing.T) {
	w := openTest(t, filepath.Join(t.TempDir(), "log"))
	line := bytes.Repeat([]byte{'x'}, 200)
	if n := testing.AllocsPerRun(1000, func() { w.WriteLine(line) }); n != 0 {
		t.Errorf("WriteLine allocates %v times", n)
	}
}

func TestOpenFails(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "no", "log"), nil); err == nil {
		t.Error("opened a file in a directory that does not exist")
	}
}
