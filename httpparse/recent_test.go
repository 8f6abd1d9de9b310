package httpparse

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// remember makes r know head, if it may.
func remember(t *testing.T, r *Recent, p *Parser, head []byte) {
	t.Helper()
	for range recentSample {
		p.Reset()
		if _, err := p.Parse(head); err != nil {
			t.Fatal(err)
		}
		r.Note(p, head)
	}
}

// Every valid head of the corpus that is remembered is found as Parse reads it, whatever stands behind it, and no head is
// taken for another one.
func TestRecentIsParse(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(corpusDir, "valid", "*.http"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no corpus", err)
	}
	remembered := 0
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		buf, err := decodeHTTP(src)
		if err != nil {
			t.Fatal(err)
		}
		var r Recent
		parsed, found := NewParser(DefaultLimits()), NewParser(DefaultLimits())
		n, err := parsed.Parse(buf)
		if err != nil || n == 0 {
			continue // valid under other limits
		}
		remember(t, &r, found, buf)
		parsed.Reset()
		if _, err := parsed.Parse(buf); err != nil {
			t.Fatal(err)
		}
		found.Request = Request{Headers: found.Headers[:0]}
		for _, more := range []string{"", "G", "GET / HTTP/1.1\r\n", "\r\n"} {
			again := append(buf[:n:n], more...)
			m, number := r.Find(found, again)
			if m == 0 {
				break
			}
			remembered++
			if m != n || number == 0 || !reflect.DeepEqual(found.Request, parsed.Request) {
				t.Errorf("%s: %d bytes of %d: %+v instead of %+v", path, m, n, found.Request, parsed.Request)
			}
		}
		for i := range n { // cut, or with another byte
			if m, _ := r.Find(found, buf[:i]); m != 0 {
				t.Fatalf("%s: found in its first %d bytes", path, i)
			}
			other := append([]byte(nil), buf...)
			other[i] ^= 1
			if m, _ := r.Find(found, other); m != 0 {
				t.Fatalf("%s: found with another byte at %d", path, i)
			}
		}
	}
	if remembered == 0 {
		t.Fatal("nothing of the corpus is remembered")
	}
}

func TestWhatIsNotRemembered(t *testing.T) {
	for _, lines := range []string{
		"Cookie: a=1\r\n", "COOKIE: a=1\r\n", "Authorization: Basic x\r\n", "Proxy-authorization: x\r\n",
		"Content-Length: 0\r\n", "Content-Length: 1\r\n", "Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\n",
		"Connection: upgrade\r\nUpgrade: websocket\r\n", "X: " + strings.Repeat("x", recentSize) + "\r\n",
	} {
		var r Recent
		p := NewParser(DefaultLimits())
		remember(t, &r, p, []byte("GET / HTTP/1.1\r\nHost: x\r\n"+lines+"\r\n"))
		if r.known != 0 {
			t.Errorf("remembered with %.40q", lines)
		}
	}
}

// The heads that came last stay, each under a number of its own, and one that comes back later gets another number.
func TestRecentForgets(t *testing.T) {
	var r Recent
	p := NewParser(DefaultLimits())
	head := func(i int) []byte { return fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i) }
	numbers := map[uint64]bool{}
	for i := range recentHeads {
		remember(t, &r, p, head(i))
		n, number := r.Find(p, head(i))
		if n != len(head(i)) || numbers[number] {
			t.Fatalf("head %d: %d bytes, number %d", i, n, number)
		}
		numbers[number] = true
	}
	r.Find(p, head(0)) // now 1 is the one that has not come for longest
	remember(t, &r, p, head(recentHeads))
	for i := range recentHeads + 1 {
		if n, _ := r.Find(p, head(i)); (n > 0) != (i != 1) {
			t.Errorf("head %d: found: %v", i, n > 0)
		}
	}
	remember(t, &r, p, head(1))
	if _, number := r.Find(p, head(1)); number == 0 || numbers[number] {
		t.Errorf("it came back under number %d", number)
	}
}

func TestRecentAllocatesNothing(t *testing.T) {
	var r Recent
	p := NewParser(DefaultLimits())
	heads := make([][]byte, 2*recentHeads)
	for i := range heads {
		heads[i] = fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\r\n", i)
		remember(t, &r, p, heads[i])
	}
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		p.Reset()
		i++
		if n, _ := r.Find(p, heads[i%len(heads)]); n == 0 {
			p.Parse(heads[i%len(heads)])
			r.Note(p, heads[i%len(heads)])
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
