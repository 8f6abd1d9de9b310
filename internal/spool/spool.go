// Package spool keeps in a file what waits for a slow peer: the part of an out-queue that memory has no room for. What is in
// the file, and where, is its owner's to know. A File is for one goroutine at a time, but for ReadAt.
package spool

import (
	"fmt"
	"io"
	"os"

	"github.com/gowsgi/gowsgi/internal/rules"
)

// Source is where files come from, and who counts what is in them.
type Source struct {
	// Open makes a file of no name, or one that has been removed already.
	Open func() (*os.File, error)
	// Take is asked before so many bytes more go to files, and Give told when they are no longer there; nil: they are not
	// counted. Full is told, once for each queue, that it gets no more of a file, with the error if it was one.
	Take func(n int64) bool
	Give func(n int64)
	Full func(error)
}

// File is the file of a queue, opened when something is written to it. The zero value is one.
type File struct {
	from *Source // of what is open
	file *os.File
	end  int64
	told bool // Source.Full was
}

// Append writes b behind what is there, and returns where it is. False: there is no room, and the file is as it was.
func (f *File) Append(s *Source, b []byte) (off int64, ok bool) {
	n := int64(len(b))
	if s.Take != nil && !s.Take(n) {
		f.full(s, nil)
		return 0, false
	}
	off = f.end
	if err := f.write(s, b); err != nil {
		if s.Give != nil {
			s.Give(n)
		}
		f.full(s, err)
		return 0, false
	}
	f.end += n
	return off, true
}

func (f *File) write(s *Source, b []byte) error {
	if f.file == nil {
		file, err := s.Open()
		if err != nil {
			return fmt.Errorf("spool output: %w", err)
		}
		f.file, f.from, f.end = file, s, 0
	}
	rules.Waits("for a disk")
	n, err := f.file.WriteAt(b, f.end)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err == nil {
		return nil
	}
	if f.end == 0 {
		f.Drop()
	} else {
		_ = f.file.Truncate(f.end)
	}
	return fmt.Errorf("spool output: %w", err)
}

func (f *File) full(s *Source, err error) {
	if s.Full != nil && !f.told {
		s.Full(err)
	}
	f.told = true
}

// FD is its descriptor, while something is in it.
func (f *File) FD() int { return int(f.file.Fd()) }

// Drop lets go of the file and of what is in it.
func (f *File) Drop() {
	if f.file == nil {
		return
	}
	_ = f.file.Close()
	if f.from.Give != nil {
		f.from.Give(f.end)
	}
	f.file, f.from, f.end = nil, nil, 0
}

// Detach leaves f without a file: what was there is the result's, to be dropped.
func (f *File) Detach() File {
	d := *f
	*f = File{told: f.told}
	return d
}

// Another makes it that of another queue, of which Full is told again.
func (f *File) Another() { f.told = false }

// Reset is Drop and Another.
func (f *File) Reset() {
	f.Drop()
	f.Another()
}

// ReadAt reads what is there, beside an Append.
func (f *File) ReadAt(b []byte, off int64) (int, error) {
	rules.Waits("for a disk")
	return f.file.ReadAt(b, off)
}
