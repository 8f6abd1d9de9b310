package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/internal/rules"
)

// flushSize is how much is gathered before it is written. A line reaches the file by then, or when the server is idle.
const flushSize = 32 << 10

// maxWaiting is how much may wait for a file that takes nothing, a pipe that nobody reads for instance; what comes beyond
// that is lost.
const maxWaiting = 1 << 20

// Writer gathers lines and writes them to a file. Each write holds whole lines, so that processes which share the file
// do not mix theirs. A disk that is full costs lines, never the server: the loss is reported once, and the end of it.
//
// Any goroutine may call any method. WriteLine never waits for the file; the others do, but of several that flush only one.
type Writer struct {
	name   string // "-" for a standard stream
	stream int    // which
	report func(error)

	regular atomic.Bool // a regular file
	soon    atomic.Bool // FlushSoon has a goroutine on its way

	mu     rules.Short
	buf    []byte // lines that wait
	missed int    // lines that found no room there

	writing rules.Mutex // the rest; who has it waits for the file
	out     io.WriteCloser
	pipe    bool
	rest    []byte // lines being written
	torn    bool   // rest begins with the rest of a line whose beginning is in the file
	failed  bool   // the last write failed and that was reported
	lost    int    // lines dropped since then
	closed  bool
}

// Open opens the file for appending and creates it when it is missing; "-" is standard output. report is told, in one
// sentence, that lines are being lost or are written again; it may be called by any goroutine that uses the Writer, and
// must not use the Writer itself.
func Open(name string, report func(error)) (*Writer, error) {
	return open(name, syscall.Stdout, "standard output", report)
}

// OpenError is Open for the error log, where "-" is standard error.
func OpenError(name string, report func(error)) (*Writer, error) {
	return open(name, syscall.Stderr, "standard error", report)
}

func open(name string, stream int, streamName string, report func(error)) (*Writer, error) {
	var file *os.File
	var err error
	if name == "-" {
		file, err = duplicate(stream, streamName)
	} else {
		file, err = openFile(name)
	}
	if err != nil {
		return nil, err
	}
	w := &Writer{name: name, stream: stream, report: report, out: file, pipe: isPipe(file), buf: make([]byte, 0, flushSize+4096)}
	w.regular.Store(isRegular(file))
	if w.report == nil {
		w.report = func(error) {}
	}
	return w, nil
}

func openFile(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
}

// duplicate returns a descriptor of its own for a standard stream. The application may put another file in the place of
// the original, and Go would end the process when a write to descriptor 1 or 2 finds the reader gone.
func duplicate(stream int, name string) (*os.File, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := syscall.Dup(stream)
	if err != nil {
		return nil, &os.PathError{Op: "dup", Path: name, Err: err}
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name), nil
}

func isPipe(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}

func isRegular(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// WriteLine takes one line; a newline is added unless the line brings it. full: it is time to Flush.
func (w *Writer) WriteLine(line []byte) (full bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.buf) >= maxWaiting {
		w.missed++
		return true
	}
	w.buf = append(w.buf, line...)
	if len(line) == 0 || line[len(line)-1] != '\n' {
		w.buf = append(w.buf, '\n')
	}
	return len(w.buf) > flushSize
}

// Flush writes what is gathered; nothing if somebody else is doing it.
func (w *Writer) Flush() {
	for again := true; again; again = w.Waits() {
		if !w.writing.TryLock() {
			return // who has it looks again
		}
		news := w.flush()
		w.writing.Unlock()
		w.tell(news)
	}
}

// FlushSoon is Flush for who has better to do than to wait: for a regular file, whose pages take what is written, it is the same;
// a pipe or a terminal may take nothing for ever, and a goroutine waits for that.
func (w *Writer) FlushSoon() {
	if w.regular.Load() {
		w.Flush()
	} else if !w.soon.Swap(true) {
		go func() {
			w.soon.Store(false)
			w.Flush()
		}()
	}
}

// Within is f, which may wait for the file, for who has better to do: a pipe that nobody reads may take nothing for ever. Beyond limit
// f goes on by itself, and done is false.
func Within(limit time.Duration, f func()) (done bool) {
	rules.Waits("for a log file")
	over := make(chan struct{})
	go func() {
		f()
		close(over)
	}()
	select {
	case <-over:
		return true
	case <-time.After(limit):
		return false
	}
}

// Waits tells whether there is something to be written.
func (w *Writer) Waits() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.buf) > 0
}

// Reopen writes what is gathered to the file as it is, then opens the name again, for log rotation. When that fails,
// the old file stays in use. A standard stream is left alone.
func (w *Writer) Reopen() error {
	if w.name == "-" {
		w.FlushSoon()
		return nil
	}
	w.writing.Lock()
	news := w.flush()
	err := w.reopen()
	w.writing.Unlock()
	w.tell(news)
	return err
}

func (w *Writer) reopen() error {
	if w.closed {
		return nil
	}
	file, err := openFile(w.name)
	if err != nil {
		return err
	}
	w.goOnIn(file)
	return nil
}

// Follow goes on in the standard stream as it is now, if it writes to one: a daemon's is another one when it is up.
func (w *Writer) Follow() error {
	if w.name != "-" {
		return nil
	}
	w.writing.Lock()
	news := w.flush()
	var err error
	if !w.closed {
		var file *os.File
		if file, err = duplicate(w.stream, "standard stream"); err == nil {
			w.goOnIn(file)
		}
	}
	w.writing.Unlock()
	w.tell(news)
	return err
}

func (w *Writer) goOnIn(file *os.File) {
	w.out.Close()
	w.out, w.pipe = file, isPipe(file)
	w.regular.Store(isRegular(file))
	if w.torn { // the beginning of this line is in the other file
		w.torn, w.rest = false, w.rest[:0]
	}
}

// Close writes what is gathered and closes the file. Lines that come later are dropped.
func (w *Writer) Close() error {
	w.writing.Lock()
	news := w.flush()
	var err error
	if !w.closed {
		w.closed = true
		err = w.out.Close()
	}
	w.writing.Unlock()
	w.tell(news)
	return err
}

func (w *Writer) tell(news error) {
	if news != nil {
		w.report(news)
	}
}

// flush writes what waits and returns what the operator has to know, if anything. The caller has w.writing.
func (w *Writer) flush() error {
	w.mu.Lock()
	w.rest = append(w.rest, w.buf...)
	w.buf = w.buf[:0]
	missed := w.missed
	w.missed = 0
	w.mu.Unlock()
	if missed > 0 {
		w.lost += missed
		w.failed = true
	}
	if w.closed {
		w.rest = w.rest[:0]
	}
	if len(w.rest) == 0 {
		return nil
	}
	rules.Waits("for a log file")
	for len(w.rest) > 0 {
		n, err := w.out.Write(w.rest[:w.chunk()])
		if err != nil || n == 0 {
			return w.drop(n, err)
		}
		w.torn = w.rest[n-1] != '\n'
		w.rest = w.rest[:copy(w.rest, w.rest[n:])]
	}
	if !w.failed {
		return nil
	}
	lost := w.lost
	w.failed, w.lost = false, 0
	return fmt.Errorf("the log %s can be written again; %d lines were lost", w.label(), lost)
}

// pipeAtomic is how much POSIX lets one write put into a pipe without mixing it with that of another process.
const pipeAtomic = 4096

// chunk is how much of the buffer the next write takes: everything, and into a pipe as many whole lines as it takes in
// one piece.
func (w *Writer) chunk() int {
	if !w.pipe || len(w.rest) <= pipeAtomic {
		return len(w.rest)
	}
	if i := bytes.LastIndexByte(w.rest[:pipeAtomic], '\n'); i >= 0 {
		return i + 1
	}
	return bytes.IndexByte(w.rest, '\n') + 1
}

// drop empties the buffer after a write that took n bytes of it and failed. The rest of a line that is partly in the
// file is kept, so that the file holds whole lines once it can be written again.
func (w *Writer) drop(n int, err error) error {
	rest := w.rest[n:]
	if n > 0 {
		w.torn = w.rest[n-1] != '\n'
	}
	keep := 0
	if w.torn {
		keep = bytes.IndexByte(rest, '\n') + 1
	}
	w.lost += bytes.Count(rest[keep:], []byte{'\n'})
	w.rest = w.rest[:copy(w.rest, rest[:keep])]
	if w.failed {
		return nil
	}
	w.failed = true
	if err == nil {
		err = io.ErrShortWrite
	}
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("the log %s cannot be written, lines are lost: %w", w.label(), err)
}

func (w *Writer) label() string {
	if f, ok := w.out.(*os.File); ok && w.name == "-" {
		return f.Name()
	}
	return w.name
}
