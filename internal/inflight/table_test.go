package inflight

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func newTable(t testing.TB, threads int) *Table {
	table, err := New(threads, time.Unix(1000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestWhatRunsIsRead(t *testing.T) {
	table := newTable(t, 3)
	if running, suspended := Read(table.File()); running != nil || suspended != 0 {
		t.Fatal(running, suspended)
	}
	table.Begin(0, []byte("GET /a"), "192.0.2.1", int64(time.Second))
	table.Begin(2, []byte("POST /"+strings.Repeat("x", 1000)), strings.Repeat("y", 100), 0)
	table.Suspended(3)
	table.Suspended(-1)
	running, suspended := Read(table.File())
	want := []Request{
		{"GET /a", "192.0.2.1", time.Unix(1001, 0)},
		{"POST /" + strings.Repeat("x", mostLine-6) + "...", strings.Repeat("y", mostPeer), time.Unix(1000, 0)},
	}
	if !reflect.DeepEqual(running, want) || suspended != 2 {
		t.Fatalf("%+v, %d", running, suspended)
	}
	table.End(0)
	table.End(1) // which ran none
	table.Begin(2, []byte("GET /b"), "", int64(time.Hour))
	if running, _ := Read(table.File()); len(running) != 1 || running[0].Line != "GET /b" || running[0].Client != "" {
		t.Fatalf("%+v", running)
	}
}

// Who reads while the threads write gets whole requests.
func TestNothingIsReadThatWasNot(t *testing.T) {
	table := newTable(t, 2)
	var over sync.WaitGroup
	stop := make(chan struct{})
	for thread := range 2 {
		over.Add(1)
		go func() {
			defer over.Done()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				text := strings.Repeat(string(rune('a'+n%26)), 1+n%40)
				table.Begin(thread, []byte(text), text, int64(n%26))
				table.End(thread)
			}
		}()
	}
	for seen := 0; seen < 500; {
		running, _ := Read(table.File())
		for _, r := range running {
			if r.Line != r.Client || strings.Trim(r.Line, r.Line[:1]) != "" || r.Since.Sub(time.Unix(1000, 0)) != time.Duration(r.Line[0]-'a') {
				t.Fatalf("%+v", r)
			}
			seen++
		}
	}
	close(stop)
	over.Wait()
}

func TestAFileOfAnotherKindIsNone(t *testing.T) {
	table := newTable(t, 1)
	table.Begin(0, []byte("GET /"), "", 0)
	whole, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", table.File().Fd()))
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		for _, text := range [][]byte{whole[:n], append([]byte("x"), whole[1:]...)} {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if running, _ := Read(f); running != nil {
				t.Fatal(n, running)
			}
			f.Close()
		}
	}
}

func TestWritingAllocatesNothing(t *testing.T) {
	table := newTable(t, 1)
	line, client := []byte("GET /some/path/of/an/application"), "192.0.2.1"
	if n := testing.AllocsPerRun(100, func() {
		table.Begin(0, line, client, 1)
		table.End(0)
	}); n > 0 {
		t.Error(n)
	}
}

func BenchmarkRequest(b *testing.B) {
	table := newTable(b, 1)
	line, client := []byte("GET /some/path/of/an/application"), "192.0.2.1"
	for b.Loop() {
		table.Begin(0, line, client, 1)
		table.End(0)
	}
}
