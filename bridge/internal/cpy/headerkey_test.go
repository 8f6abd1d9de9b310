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
