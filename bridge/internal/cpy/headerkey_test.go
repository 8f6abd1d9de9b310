package cpy

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// startPython embeds the Python of this machine once per test process, on a thread of its own that stays.
var startPython = sync.OnceValue(func() error {
	i, err := Locate("", os.Getenv("VIRTUAL_ENV"), "", nil)
	if err != nil {
		return err
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- Start(i, []string{"test"})
		select {}
	}()
	return <-done
})

// wantKey is the rule in Go: CGI's name for a header field, RFC 3875 4.1.18, as PEP 3333 has it.
func wantKey(name []byte) string {
	key := ""
	for _, c := range name {
		switch {
		case c == '-':
			c = '_'
		case c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		}
		key += string([]byte{c})
	}
	if key == "CONTENT_TYPE" || key == "CONTENT_LENGTH" {
		return key
	}
	return "HTTP_" + key
}

func checkKey(t *testing.T, name []byte) {
	t.Helper()
	for range 2 { // made, then from the cache
		got, ok := headerKey(name)
		if want := wantKey(name); !ok || got != want {
			t.Fatalf("key of %q is %q, want %q", name, got, want)
		}
	}
}

func TestHeaderKey(t *testing.T) {
	if err := startPython(); err != nil {
		t.Skip("no Python to embed: ", err)
	}
	for _, name := range []string{"Host", "host", "HOST", "content-type", "Content-Length", "Content_Length", "X-A", "x_a", "",
		strings.Repeat("n", 48), strings.Repeat("n", 49), strings.Repeat("N", 5000), "a`b", "a@b", "[x]", "{x}"} {
		checkKey(t, []byte(name))
	}
	// More names than the cache takes: the later ones are made each time, and the earlier ones stay right.
	for i := range 3000 {
		checkKey(t, []byte(fmt.Sprintf("X-Invented-%d", i)))
	}
	checkKey(t, []byte("host"))
	checkKey(t, []byte("X-Invented-7"))
}

// TestHeaderKeyFlood: names that nobody will send again do not keep out those that come with each request, neither when
// they came first nor while they go on coming, nor if they come twice.
func TestHeaderKeyFlood(t *testing.T) {
	if err := startPython(); err != nil {
		t.Skip("no Python to embed: ", err)
	}
	invented := 0
	flood := func(n, times int) {
		for range n {
			invented++
			for range times {
				headerKey([]byte(fmt.Sprintf("X-Flood-%d", invented)))
			}
		}
	}
	// use looks up the names of so many requests, and tells how many keys had to be made.
	use := func(name string, requests, between int) (made int64) {
		for range requests {
			flood(between, 1)
			before := headerKeysMade()
			for field := range 30 {
				headerKey([]byte(fmt.Sprintf("%s-%d", name, field)))
			}
			made += headerKeysMade() - before
		}
		return made
	}
	for _, times := range []int{1, 2, 5} {
		flood(5000, times)
		name := fmt.Sprintf("X-After-%d", times)
		use(name, 10, 0)
		if made := use(name, 100, 0); made != 0 {
			t.Errorf("after a flood of names that came %d times: %d keys made for 3000 fields", times, made)
		}
		if made := use(name, 100, 100); made > 300 {
			t.Errorf("during a flood: %d keys made for 3000 fields", made)
		}
	}
}

func FuzzHeaderKey(f *testing.F) {
	if err := startPython(); err != nil {
		f.Skip("no Python to embed: ", err)
	}
	for _, name := range []string{"Host", "content-type", "x_a", "A-\x00", "\xff", strings.Repeat("-", 60)} {
		f.Add([]byte(name), []byte("other"))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		checkKey(t, a)
		checkKey(t, b)
		checkKey(t, a)
		if c := append(bytes.Clone(a), b...); len(c) < 100 {
			checkKey(t, c)
		}
	})
}
