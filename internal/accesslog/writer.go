package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

// flushSize is how much is gathered before it is written. A line reaches the file by then, or when the server is idle.
const flushSize = 32 << 10

// Writer gathers lines and writes them to a file. Each write holds whole lines, so that processes which share the file
// do not mix theirs. A disk that is full costs lines, never the server: the loss is reported once, and the end of it.
//
// Any goroutine may call any method. A pipe that nobody reads blocks the caller, as it does everywhere.
type Writer struct {
	name   string // "-" for a standard stream
	report func(error)

	mu     sync.Mutex
	out    io.WriteCloser
	pipe   bool
	buf    []byte
	torn   bool // buf begins with the rest of a line whose beginning is in the file
	failed bool // the last write failed and that was reported
	lost   int  // lines dropped since then
	closed bool
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
	w := &Writer{name: name, report: report, out: file, pipe: isPipe(file), buf: make([]byte, 0, flushSize+4096)}
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

// WriteLine takes one line; a newline is added unless the line brings it.
func (w *Writer) WriteLine(line []byte) {
	w.mu.Lock()
	w.buf = append(w.buf, line...)
	if len(line) == 0 || line[len(line)-1] != '\n' {
		w.buf = append(w.buf, '\n')
	}
	var news error
	if len(w.buf) > flushSize {
		news = w.flush()
	}
	w.mu.Unlock()
	w.tell(news)
}

// Flush writes what is gathered.
func (w *Writer) Flush() {
	w.mu.Lock()
	news := w.flush()
	w.mu.Unlock()
	w.tell(news)
}

// Reopen writes what is gathered to the file as it is, then opens the name again, for log rotation. When that fails,
// the old file stays in use. A standard stream is left alone.
func (w *Writer) Reopen() error {
	w.mu.Lock()
	news := w.flush()
	err := w.reopen()
	w.mu.Unlock()
	w.tell(news)
	return err
}

func (w *Writer) reopen() error {
	if w.name == "-" || w.closed {
		return nil
	}
	file, err := openFile(w.name)
	if err != nil {
		return err
	}
	w.out.Close()
	w.out, w.pipe = file, isPipe(file)
	if w.torn { // the beginning of this line is in the other file
		w.torn, w.buf = false, w.buf[:0]
	}
	return nil
}

// Close writes what is gathered and closes the file. Lines that come later are dropped.
func (w *Writer) Close() error {
	w.mu.Lock()
	news := w.flush()
	var err error
	if !w.closed {
		w.closed = true
		err = w.out.Close()
	}
	w.mu.Unlock()
	w.tell(news)
	return err
}

func (w *Writer) tell(news error) {
	if news != nil {
		w.report(news)
	}
}

// flush writes the buffer and returns what the operator has to know, if anything. The caller holds the lock.
func (w *Writer) flush() error {
	if w.closed {
		w.buf = w.buf[:0]
	}
	if len(w.buf) == 0 {
		return nil
	}
	for len(w.buf) > 0 {
		n, err := w.out.Write(w.buf[:w.chunk()])
		if err != nil || n == 0 {
			return w.drop(n, err)
		}
		w.torn = w.buf[n-1] != '\n'
		w.buf = w.buf[:copy(w.buf, w.buf[n:])]
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
	if !w.pipe || len(w.buf) <= pipeAtomic {
		return len(w.buf)
	}
	if i := bytes.LastIndexByte(w.buf[:pipeAtomic], '\n'); i >= 0 {
		return i + 1
	}
	return bytes.IndexByte(w.buf, '\n') + 1
}

// drop empties the buffer after a write that took n bytes of it and failed. The rest of a line that is partly in the
// file is kept, so that the file holds whole lines once it can be written again.
func (w *Writer) drop(n int, err error) error {
	rest := w.buf[n:]
	if n > 0 {
		w.torn = w.buf[n-1] != '\n'
	}
	keep := 0
	if w.torn {
		keep = bytes.IndexByte(rest, '\n') + 1
	}
	w.lost += bytes.Count(rest[keep:], []byte{'\n'})
	w.buf = w.buf[:copy(w.buf, rest[:keep])]
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
