package httpparse

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Fuzz targets. Their seeds are the corpus; findings are kept in testdata/fuzz.

// tight are limits that short inputs run into.
var tight = Limits{
	RequestLine: 24, Fields: 3, FieldSize: 40, Head: 120, HeaderMap: HeaderMapRefuse, ChunkExt: 6, TrailerSize: 12,
}

// checkSplits replays a stream whole, byte by byte and in three pieces, which must give the same events.
func checkSplits(t *testing.T, in []byte, cut1, cut2 uint16, l Limits) []string {
	t.Helper()
	whole := replayer{limits: l}.replay(in)
	same := func(how string, direct bool, cuts ...int) {
		t.Helper()
		if got := (replayer{l, direct}).replay(in, cuts...); !slices.Equal(got, whole) {
			t.Fatalf("%s: got\n%s\nwhole:\n%s", how, strings.Join(got, ""), strings.Join(whole, ""))
		}
	}
	if len(in) > 0 {
		a, b := int(cut1)%len(in), int(cut2)%len(in)
		a, b = min(a, b), max(a, b)
		same(fmt.Sprintf("cut at %d and %d", a, b), true, a, b)
		same("byte by byte", false, everyByte(in)...)
	}
	return whole
}

func addCorpus(f *testing.F) {
	for _, c := range readCorpus(f) {
		if len(c.in) < 2000 {
			f.Add(c.in, uint16(len(c.in)/3), uint16(len(c.in)/2))
		}
	}
}

// FuzzHead: no panic; the same events however the stream is cut; the first message does not change how the second is
// read; and what we accept net/http accepts and understands as we do, except as listed in differences.
func FuzzHead(f *testing.F) {
	addCorpus(f)
	f.Fuzz(func(t *testing.T, in []byte, cut1, cut2 uint16) {
		if len(in) > 4000 {
			return
		}
		checkSplits(t, in, cut1, cut2, tight)
		events := checkSplits(t, in, cut1, cut2, DefaultLimits())

		l := DefaultLimits()
		l.HeaderMap = HeaderMapDangerous
		p := NewParser(l)
		n, err := p.Parse(in)
		if n == 0 || err != nil {
			return
		}
		checkRequest(t, &p.Request, in)
		body, used, done, bad := readBody(t, &p.Request, in[n:])
		if done {
			rest := replayer{limits: DefaultLimits()}.replay(in[n+used:])
			for i := range rest { // an error's offset is its last word
				if at := strings.LastIndexByte(rest[i], ' '); strings.HasPrefix(rest[i], "error ") {
					var off int
					fmt.Sscan(rest[i][at:], &off)
					rest[i] = fmt.Sprintf("%s %d\n", rest[i][:at], off+n+used)
				}
			}
			if !slices.Equal(rest, events[1:]) {
				t.Fatalf("alone:\n%s\nbehind the first:\n%s", strings.Join(rest, ""), strings.Join(events[1:], ""))
			}
		}
		if !bad {
			compare(t, &p.Request, in, body, n+used, done)
		}
	})
}

// checkRequest checks what must hold for every accepted head.
func checkRequest(t *testing.T, r *Request, in []byte) {
	t.Helper()
	for _, s := range []Span{r.Method, r.Target, r.Path, r.Query, r.Authority, r.Host} {
		if int(s.End()) > r.HeadLen {
			t.Fatalf("span %v leaves the head of %d", s, r.HeadLen)
		}
	}
	last := r.Target.End()
	for _, h := range r.Headers {
		if h.Name.Off < last || h.Value.Off <= h.Name.End() || int(h.Value.End())+4 > r.HeadLen {
			t.Fatalf("header %v after %d in a head of %d", h, last, r.HeadLen)
		}
		last = h.Value.End()
		if !ValidFieldName(h.Name.In(in)) || !ValidFieldValue(h.Value.In(in)) {
			t.Fatalf("header %q: %q", h.Name.In(in), h.Value.In(in))
		}
	}
	if r.Chunked && r.ContentLength >= 0 || r.Chunked && r.Minor == 0 {
		t.Fatalf("framing: %+v", r)
	}
	if !bytes.HasSuffix(in[:r.HeadLen], []byte("\r\n\r\n")) {
		t.Fatalf("head ends in %q", in[:r.HeadLen])
	}
}

// readBody reads a body from the front of in: its bytes, how many it took, and whether it ended well, or badly.
func readBody(t *testing.T, r *Request, in []byte) (data []byte, used int, done, bad bool) {
	t.Helper()
	var b Body
	l := DefaultLimits()
	b.Init(r, &l)
	for !b.Done() {
		d, n, err := b.Feed(in[used:])
		if err != nil {
			return data, used, false, true
		}
		if n == 0 {
			return data, used, false, false
		}
		if len(d) > n {
			t.Fatalf("%d bytes out of %d", len(d), n)
		}
		data, used = append(data, d...), used+n
	}
	return data, used, true, false
}

// differences are the requests that we accept, and net/http does not or reads in another way: each on purpose.
var differences = []struct {
	why  string
	when func(r *Request, in []byte, err error) bool
}{
	{"RFC 9112 2.2: one empty line before a request is skipped, net/http takes it for a request line",
		func(r *Request, in []byte, err error) bool { return err != nil && in[0] == '\r' }},
	{"RFC 3986 2.1: what a malformed or odd escape means is for the app to say, net/url refuses it",
		func(r *Request, in []byte, err error) bool {
			return err != nil && strings.Contains(err.Error(), "invalid URL escape")
		}},
}

var sizeSpaceExt = regexp.MustCompile(`[0-9A-Fa-f][ \t]+;`)

// spaceBeforeExt tells whether net/http has refused what RFC 9112 7.1.1 has a recipient accept: whitespace between the size
// of a chunk and the ';' of an extension.
func spaceBeforeExt(in []byte, err error) bool {
	return err != nil && strings.Contains(err.Error(), "invalid byte in chunk length") && sizeSpaceExt.Match(in)
}

// compare reads the same bytes with net/http.
func compare(t *testing.T, r *Request, in, body []byte, end int, done bool) {
	t.Helper()
	src := bytes.NewReader(in)
	br := bufio.NewReader(src)
	req, err := http.ReadRequest(br)
	for _, d := range differences {
		if d.when(r, in, err) {
			return
		}
	}
	if err != nil {
		t.Fatalf("net/http refuses %q: %v", in, err)
	}
	text := func(s Span) string { return string(s.In(in)) }
	if req.Method != text(r.Method) || req.RequestURI != text(r.Target) ||
		req.ProtoMajor != 1 || min(req.ProtoMinor, 1) != int(r.Minor) {
		t.Fatalf("request line: %s %s %s", req.Method, req.RequestURI, req.Proto)
	}
	if req.Host != text(r.Host) {
		t.Fatalf("host %q, net/http %q", text(r.Host), req.Host)
	}
	switch {
	case r.Chunked && (req.ContentLength != -1 || len(req.TransferEncoding) != 1 || req.TransferEncoding[0] != "chunked"),
		!r.Chunked && (req.ContentLength != max(r.ContentLength, 0) || req.TransferEncoding != nil):
		t.Fatalf("framing %d %v: net/http %d %v", r.ContentLength, r.Chunked, req.ContentLength, req.TransferEncoding)
	}
	want := http.Header{}
	for _, h := range r.Headers {
		name := textproto.CanonicalMIMEHeaderKey(text(h.Name))
		switch name {
		case "Host", "Transfer-Encoding", "Trailer", "Connection": // net/http takes these out
			continue
		}
		want[name] = append(want[name], text(h.Value))
	}
	for name, values := range want {
		if !slices.Equal(values, req.Header[name]) {
			t.Fatalf("header %s: %q, net/http %q", name, values, req.Header[name])
		}
	}
	for name := range req.Header {
		// net/http adds Cache-Control for Pragma.
		if _, ok := want[name]; !ok && name != "Connection" && name != "Cache-Control" {
			t.Fatalf("header %s only in net/http: %q", name, req.Header[name])
		}
	}
	if !done {
		return
	}
	got, err := io.ReadAll(req.Body)
	if spaceBeforeExt(in, err) {
		return
	}
	if err != nil || !bytes.Equal(got, body) {
		t.Fatalf("body %q, net/http %q, %v", body, got, err)
	}
	if at := len(in) - src.Len() - br.Buffered(); at != end {
		t.Fatalf("ends at %d, net/http at %d", end, at)
	}
}

// FuzzChunked: as FuzzHead, for a body; what we accept net/http's reader decodes to the same bytes.
func FuzzChunked(f *testing.F) {
	head := []byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	for _, c := range readCorpus(f) {
		if i := bytes.Index(c.in, []byte("chunked\r\n\r\n")); i >= 0 && len(c.in) < 2000 {
			f.Add(c.in[i+len("chunked\r\n\r\n"):], uint16(3), uint16(7))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, cut1, cut2 uint16) {
		if len(in) > 4000 {
			return
		}
		stream := slices.Concat(head, in)
		checkSplits(t, stream, cut1, cut2, DefaultLimits())
		l := DefaultLimits()
		l.ChunkExt, l.TrailerSize = tight.ChunkExt, tight.TrailerSize
		checkSplits(t, stream, cut1, cut2, l)

		data, used, done, bad := readBody(t, &Request{Chunked: true, ContentLength: -1}, in)
		src := bufio.NewReader(bytes.NewReader(in))
		got, err := io.ReadAll(httputil.NewChunkedReader(src))
		if spaceBeforeExt(in, err) {
			return
		}
		switch {
		case done && (err != nil || !bytes.Equal(got, data)):
			t.Fatalf("%q: %q, net/http %q, %v", in[:used], data, got, err)
		case !bad && !bytes.HasPrefix(got, data):
			t.Fatalf("%q: so far %q, net/http %q, %v", in, data, got, err)
		}
		if !done {
			return
		}
		// net/http leaves the trailer section: it must be what we took beyond.
		trailer := in[len(in)-src.Buffered() : used]
		if _, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(trailer))).ReadMIMEHeader(); err != nil {
			t.Fatalf("trailer section %q: %v", trailer, err)
		}
	})
}

// FuzzResponse: what passes the checks on an app's fields comes back from a client as it was sent.
func FuzzResponse(f *testing.F) {
	f.Add([]byte("OK"), []byte("X-A"), []byte("b c"))
	f.Add([]byte(""), []byte("a_b"), []byte("\xe9\t"))
	f.Add([]byte("a\r\nb"), []byte("X:Y"), []byte("b\nc"))
	f.Fuzz(func(t *testing.T, reason, name, value []byte) {
		if !ValidStatusReason(reason) || !ValidFieldName(name) || !ValidFieldValue(value) ||
			len(reason)+len(name)+len(value) > 3000 {
			return
		}
		msg := fmt.Sprintf("HTTP/1.1 200 %s\r\nContent-Length: 0\r\nConnection: close\r\nZ: %s\r\nY%s: z\r\n\r\n",
			reason, value, name)
		resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(msg)), nil)
		if err != nil {
			t.Fatalf("%q: %v", msg, err)
		}
		if got := resp.Header.Get("Z"); got != string(trimOWS(value)) {
			t.Fatalf("value %q came back as %q", value, got)
		}
		if got := resp.Header[textproto.CanonicalMIMEHeaderKey("Y"+string(name))]; len(got) != 1 || got[0] != "z" {
			t.Fatalf("name %q came back as %q", name, resp.Header)
		}
	})
}
