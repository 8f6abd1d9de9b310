package spool

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestFile(t *testing.T) {
	taken, told := int64(0), []error{}
	room := int64(10)
	open := func() (*os.File, error) { return os.Create(filepath.Join(t.TempDir(), "spool")) }
	s := &Source{
		Open: func() (*os.File, error) { return open() },
		Take: func(n int64) bool {
			if taken+n > room {
				return false
			}
			taken += n
			return true
		},
		Give: func(n int64) { taken -= n },
		Full: func(err error) { told = append(told, err) },
	}
	var f File
	for i, want := range []int64{0, 4, -1, -1, 8} {
		text := "abcd"
		if i == 4 {
			text = "ef"
		}
		off, ok := f.Append(s, []byte(text))
		if ok != (want >= 0) || ok && off != want {
			t.Errorf("%d: at %d, %v", i, off, ok)
		}
	}
	if len(told) != 1 || told[0] != nil || taken != 10 {
		t.Errorf("told %v, %d bytes taken", told, taken)
	}
	got := make([]byte, 10)
	if _, err := f.ReadAt(got, 0); err != nil || string(got) != "abcdabcdef" {
		t.Errorf("%q, %v", got, err)
	}
	f.Reset()
	if taken != 0 {
		t.Errorf("%d bytes are still taken", taken)
	}
	// Another queue, which finds that no file can be made.
	failed := errors.New("no file")
	open = func() (*os.File, error) { return nil, failed }
	for range 2 {
		if _, ok := f.Append(s, []byte("abcd")); ok {
			t.Error("written to no file")
		}
	}
	if len(told) != 2 || !errors.Is(told[1], failed) || taken != 0 {
		t.Errorf("told %v, %d bytes taken", told, taken)
	}
}
