package httpparse

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Bodies piece by piece, and streams of many requests.

func chunkedBody(l Limits) *Body {
	b := new(Body)
	b.Init(&Request{Chunked: true, ContentLength: -1}, &l)
	return b
}

// feed feeds all of in and returns the data, how many bytes were used, and the error.
func feed(b *Body, in string) (string, int, error) {
	var data []byte
	used := 0
	for {
		d, n, err := b.Feed([]byte(in)[used:])
		if err != nil {
			return string(data), used, err
		}
		data, used = append(data, d...), used+n
		if n == 0 || b.Done() {
			return string(data), used, nil
		}
	}
}

func TestNoBody(t *testing.T) {
	l := DefaultLimits()
	for _, r := range []*Request{{ContentLength: -1}, {ContentLength: 0}} {
		var b Body
		b.Init(r, &l)
		if !b.Done() || b.Remaining() != 0 || b.Want() != 0 || r.HasBody() {
			t.Errorf("%+v: %+v", r, b)
		}
		if d, n, err := b.Feed([]byte("GET")); len(d) != 0 || n != 0 || err != nil {
			t.Error(d, n, err)
		}
	}
}

func TestFixedBody(t *testing.T) {
	r, l := &Request{ContentLength: 5}, DefaultLimits()
	var b Body
	b.Init(r, &l)
	if b.Done() || b.Remaining() != 5 || b.Want() != 5 || !r.HasBody() {
		t.Fatalf("%+v", b)
	}
	if d, n, err := b.Feed(nil); len(d) != 0 || n != 0 || err != nil {
		t.Fatal(d, n, err)
	}
	if d, n, _ := b.Feed([]byte("he")); string(d) != "he" || n != 2 || b.Remaining() != 3 {
		t.Fatal(d, n)
	}
	b.Took(1)
	if d, n, _ := b.Feed([]byte("loGET")); string(d) != "lo" || n != 2 || !b.Done() || b.Remaining() != 0 {
		t.Fatal(d, n)
	}
}

func TestChunkedWantTook(t *testing.T) {
	b := chunkedBody(DefaultLimits())
	if b.Want() != 0 || b.Remaining() != -1 || b.ChunkRemaining() != 0 {
		t.Fatalf("%+v", b)
	}
	if d, n, err := b.Feed([]byte("a\r\n")); len(d) != 0 || n != 3 || err != nil {
		t.Fatal(d, n, err)
	}
	if b.Want() != 10 || b.ChunkRemaining() != 10 {
		t.Fatalf("%+v", b)
	}
	b.Took(0)
	b.Took(9)
	if d, n, err := b.Feed([]byte("x\r\n3")); string(d) != "x" || n != 1 || err != nil || b.Want() != 0 {
		t.Fatal(d, n, err)
	}
	if d, n, err := b.Feed([]byte("\r\n3\r\nab")); string(d) != "ab" || n != 7 || err != nil || b.Want() != 1 {
		t.Fatal(d, n, err)
	}
	b.Took(1)
	if data, n, err := feed(b, "\r\n0\r\n\r\nGET"); data != "" || n != 7 || err != nil || !b.Done() || b.Remaining() != 0 {
		t.Fatal(data, n, err)
	}
}

func TestTookTooMuch(t *testing.T) {
	for _, n := range []int{-1, 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Took(%d) passed", n)
				}
			}()
			chunkedBody(DefaultLimits()).Took(n)
		}()
	}
}

func TestChunkedErrorSticky(t *testing.T) {
	b := chunkedBody(DefaultLimits())
	data, used, err := feed(b, "2\r\nok\r\n-1\r\n")
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeChunkSize || e.Offset != 7 || data != "ok" || used > 7 {
		t.Fatal(data, used, err)
	}
	if d, n, again := b.Feed([]byte("2\r\nok\r\n")); len(d) != 0 || n != 0 || again != err || b.Want() != 0 || b.Done() {
		t.Fatal(d, n, again)
	}
}

func TestChunkedLimits(t *testing.T) {
	l := DefaultLimits()
	l.ChunkExt, l.TrailerSize = 0, 0
	if data, _, err := feed(chunkedBody(l), "2\r\nok\r\n0\r\n\r\n"); data != "ok" || err != nil {
		t.Error(data, err)
	}
	for in, want := range map[string]string{
		"2;a\r\nok\r\n0\r\n\r\n":    "httpparse: chunk extensions too long at 1",
		"2\r\nok\r\n0\r\nA: b\r\n":  "httpparse: trailer section too long at 10",
		"2\r\nok\r\n0\r\n\x00":      "httpparse: trailer section too long at 10",
		"fffffffffffffff\r\n-\r\n0": "", // 60 bits are counted, and there is nothing to add up
	} {
		b := chunkedBody(l)
		_, _, err := feed(b, in)
		if want == "" {
			if err != nil || b.ChunkRemaining() != 1<<60-1-4 {
				t.Errorf("%q: %v, %d", in, err, b.ChunkRemaining())
			}
		} else if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

// TestHexDigits: every byte as a chunk size.
func TestHexDigits(t *testing.T) {
	for c := range 256 {
		b := chunkedBody(DefaultLimits())
		_, _, err := feed(b, "0"+string([]byte{byte(c)})+"\r\n")
		i := strings.IndexByte("0123456789abcdef", lower(byte(c)))
		if i > 0 && (err != nil || b.ChunkRemaining() != int64(i)) || i < 0 && c != '\r' && err == nil {
			t.Errorf("%q: %v, %d", byte(c), err, b.ChunkRemaining())
		}
	}
}

// randomRequest appends a request, and returns the event it must give.
func randomRequest(rng *rand.Rand, dst []byte, i int) ([]byte, string) {
	body := make([]byte, rng.IntN(40))
	for j := range body {
		body[j] = "\r\n0GET /1;:\x00"[rng.IntN(12)]
	}
	kind := rng.IntN(3)
	if rng.IntN(4) == 0 {
		dst = append(dst, "\r\n"...)
	}
	dst = fmt.Appendf(dst, "POST /%d HTTP/1.1\r\nHost: a\r\n", i)
	want := fmt.Sprintf("/%d ", i)
	for range rng.IntN(3) {
		dst = append(dst, "X-Filler: Content-Length: 4\r\n"...)
	}
	switch kind {
	case 0:
		dst = append(dst, "\r\n"...)
		body = nil
	case 1:
		dst = fmt.Appendf(dst, "Content-Length: %d\r\n\r\n%s", len(body), body)
	case 2:
		dst = append(dst, "Transfer-Encoding: chunked\r\n\r\n"...)
		for rest := body; len(rest) > 0; {
			n := 1 + rng.IntN(len(rest))
			dst = AppendChunkHead(dst, n)
			if rng.IntN(3) == 0 {
				dst = append(dst[:len(dst)-2], ";a=\"0;\"\r\n"...)
			}
			dst = append(append(dst, rest[:n]...), ChunkEnd...)
			rest = rest[n:]
		}
		if rng.IntN(3) == 0 {
			dst = append(dst, "0\r\nX: GET / HTTP/1.1\r\n\r\n"...)
		} else {
			dst = append(dst, LastChunk...)
		}
	}
	return dst, want + quote(body)
}

// TestStreamsStayInStep: no sequence of requests, cut anywhere, makes two requests of one, or one of two.
func TestStreamsStayInStep(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 3000 {
		var in []byte
		var want []string
		for i := range 1 + rng.IntN(8) {
			var w string
			in, w = randomRequest(rng, in, i)
			want = append(want, w)
		}
		cuts := make([]int, rng.IntN(12))
		for i := range cuts {
			cuts[i] = rng.IntN(len(in) + 1)
		}
		slices.Sort(cuts)
		rp := replayer{DefaultLimits(), round%2 == 0}
		events := rp.replay(in, cuts...)
		var got []string
		for _, e := range events {
			_, path, _ := strings.Cut(e, `  path "`)
			path, _, _ = strings.Cut(path, `"`)
			body := `""`
			if _, b, ok := strings.Cut(e, "  body "); ok {
				body = strings.TrimSuffix(b, "\n")
			}
			got = append(got, path+" "+body)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("cut at %d: %q\ngot  %q\nwant %q", cuts, in, got, want)
		}
		// One byte gone or changed may break a request, but never how the stream is cut matters.
		broken := slices.Clone(in)
		at := rng.IntN(len(in))
		if rng.IntN(2) == 0 {
			broken = slices.Delete(broken, at, at+1)
		} else {
			broken[at] = "\r\n :;0a\x00"[rng.IntN(8)]
		}
		for i := range cuts {
			cuts[i] = min(cuts[i], len(broken))
		}
		whole := rp.replay(broken)
		if again := rp.replay(broken, cuts...); !slices.Equal(again, whole) {
			t.Fatalf("cut at %d: %q\ngot  %q\nwhole %q", cuts, broken, again, whole)
		}
		ends := func(e string) bool { return !strings.HasPrefix(e, "request ") }
		if i := slices.IndexFunc(whole, ends); i >= 0 && i != len(whole)-1 {
			t.Fatalf("something behind an error: %q", whole)
		}
	}
}

func TestRandomBytesNeverPanic(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	words := strings.Split("GET|POST| |/| HTTP/1.1\r\n|\r\n|\n|\r|:|Host: a\r\n|Content-Length: 3\r\n|"+
		"Transfer-Encoding: chunked\r\n|\r\n\r\n|a|_|\x00|\t|0\r\n\r\n|3\r\nabc\r\n", "|")
	for range 20000 {
		var in []byte
		for range 1 + rng.IntN(12) {
			in = append(in, words[rng.IntN(len(words))]...)
		}
		for _, l := range []Limits{DefaultLimits(), tight, {}} {
			rp := replayer{limits: l}
			if a, b := rp.replay(in), rp.replay(in, everyByte(in)...); !slices.Equal(a, b) {
				t.Fatalf("%q: %q, byte by byte %q", in, a, b)
			}
		}
	}
}

func TestFeedKeepsAddress(t *testing.T) {
	in := []byte("3\r\nabc\r\n0\r\n\r\n")
	d, n, err := chunkedBody(DefaultLimits()).Feed(in)
	if err != nil || n != 6 || !bytes.Equal(d, in[3:6]) || &d[0] != &in[3] {
		t.Fatal(d, n, err)
	}
}
