package httpparse

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"unsafe"
)

// Rules of the head that the corpus cannot show: other limits than the default ones, offsets, the life of a parser.
// The corpus has a case for nearly every rule; what stands here is the rest.

// parse reads one complete head, or fails the test.
func parse(t *testing.T, l Limits, in string) *Parser {
	t.Helper()
	p := NewParser(l)
	n, err := p.Parse([]byte(in))
	if n != len(in) || err != nil {
		t.Fatalf("%.80q: %d, %v", in, n, err)
	}
	return p
}

// refuse expects an error for what may be an incomplete head.
func refuse(t *testing.T, l Limits, in string, code Code, off int) {
	t.Helper()
	_, err := NewParser(l).Parse([]byte(in))
	var e *Error
	if !errors.As(err, &e) || e.Code != code || e.Offset != off {
		t.Errorf("%.80q: got %v, want %v at %d", in, err, code, off)
	}
}

// wait expects that more bytes are asked for.
func wait(t *testing.T, l Limits, in string) {
	t.Helper()
	if n, err := NewParser(l).Parse([]byte(in)); n != 0 || err != nil {
		t.Errorf("%.80q: got %d, %v, want more bytes", in, n, err)
	}
}

func TestHeaderLayout(t *testing.T) {
	if s := unsafe.Sizeof(Header{}); s != 16 {
		t.Errorf("Header has %d bytes, C expects 16", s)
	}
}

func TestSpans(t *testing.T) {
	in := "\r\nGET http://a.example/p?q=1 HTTP/1.1\r\nHost:\t a.example \r\nX:\r\nY_Z: 1\r\nA: b\r\n\r\n"
	p := parse(t, DefaultLimits(), in)
	for _, c := range []struct {
		name string
		span Span
		want string
	}{
		{"method", p.Method, "GET"},
		{"target", p.Target, "http://a.example/p?q=1"},
		{"authority", p.Authority, "a.example"},
		{"host", p.Host, "a.example"},
		{"path", p.Path, "/p"},
		{"query", p.Query, "q=1"},
	} {
		if got := in[c.span.Off:c.span.End()]; got != c.want {
			t.Errorf("%s: %q at %d", c.name, got, c.span.Off)
		}
	}
	if len(p.Headers) != 3 || string(p.Headers[2].Name.In([]byte(in))) != "A" {
		t.Errorf("headers: %v", p.Headers)
	}
	if v := p.Headers[1].Value; v.Len != 0 || int(v.Off) != strings.Index(in, "X:")+2 {
		t.Errorf("empty value at %v", v)
	}
}

// TestBufferWithinBuffer: spans count from the slice given, wherever it lies in its array.
func TestBufferWithinBuffer(t *testing.T) {
	in := minimalRequest
	big := []byte("........" + in + "GET /next HTTP/1.1\r\n")
	for _, buf := range [][]byte{big[8:], big[8 : 8+len(in)], big[8 : 8+len(in) : 8+len(in)]} {
		p := NewParser(DefaultLimits())
		if n, err := p.Parse(buf); n != len(in) || err != nil {
			t.Fatal(n, err)
		}
		if got := string(p.Headers[0].Name.In(buf)); got != "Host" {
			t.Errorf("name %q", got)
		}
	}
}

func TestEarlyRefusal(t *testing.T) {
	d := DefaultLimits()
	// A fault is reported with the byte that makes it one, not when the head is complete.
	for _, c := range []struct {
		in   string
		code Code
		off  int
	}{
		{"\x16", CodeMethod, 0},
		{"\n", CodeMethod, 0},
		{" ", CodeMethod, 0},
		{"\rG", CodeBareCR, 0},
		{"\r\n\r", CodeMethod, 2},
		{"GE\x00", CodeMethod, 2},
		{"GET\n", CodeBareLF, 3},
		{"GET\rx", CodeBareCR, 3},
		{"GET /\x00", CodeControl, 5},
		{"GET /\n", CodeBareLF, 5},
		{"GET /\r\n", CodeRequestLine, 5},
		{"GET / HTTP/3.0\r\n", CodeVersionUnsupported, 6},
		{"PRI * HTTP/2.0\r\n", CodeHTTP2, 6},
		{"GET / HTTP/1.1\r\n ", CodeFold, 16},
		{"GET / HTTP/1.1\r\n:", CodeFieldName, 16},
		{"GET / HTTP/1.1\r\n\n", CodeBareLF, 16},
		{"GET / HTTP/1.1\r\n\r\r", CodeBareCR, 16},
		{"GET / HTTP/1.1\r\nA ", CodeFieldSpace, 17},
		{"GET / HTTP/1.1\r\nA\r\n", CodeFieldColon, 17},
		{"GET / HTTP/1.1\r\nA:\x01", CodeControl, 18},
		{"GET / HTTP/1.1\r\nA: 1234567\x7f", CodeControl, 26},
		{"GET / HTTP/1.1\r\nA: b\n", CodeBareLF, 20},
	} {
		refuse(t, d, c.in, c.code, c.off)
		wait(t, d, c.in[:len(c.in)-1])
	}
}

// TestControlAnywhere puts each forbidden byte at each place of a value and of a target: the search goes by eight.
func TestControlAnywhere(t *testing.T) {
	const tail = "\r\nHost: a\r\n\r\n"
	for n := 1; n < 20; n++ {
		for at := range n {
			for c := range 256 {
				b := byte(c)
				fill := []byte(strings.Repeat("\xff", n))
				fill[at] = b
				field := "GET / HTTP/1.1\r\nX:" + string(fill) + tail
				line := "GET /" + string(fill) + " HTTP/1.1" + tail
				bad := b < ' ' || b == 0x7f
				code := CodeControl
				switch {
				case b == '\n':
					code = CodeBareLF
				case b == '\r' && at == n-1:
					code = CodeBareCR // CR CR LF
				case b == '\r':
					code = CodeBareCR
				}
				if bad && b != '\t' {
					refuse(t, DefaultLimits(), field, code, 18+at)
				} else {
					parse(t, DefaultLimits(), field)
				}
				switch {
				case b == '\r' && at == n-1:
					refuse(t, DefaultLimits(), line, CodeBareCR, 5+at)
				case bad:
					refuse(t, DefaultLimits(), line, code, 5+at)
				case b == '#':
					refuse(t, DefaultLimits(), line, CodeTarget, 5+at)
				case b == ' ':
					refuse(t, DefaultLimits(), line, CodeRequestLine, 5+at)
				default:
					parse(t, DefaultLimits(), line)
				}
			}
		}
	}
}

// TestNameBytes puts each byte at each place of a name, likewise.
func TestNameBytes(t *testing.T) {
	const tchars = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for n := 1; n < 20; n++ {
		for at := range n {
			for c := range 256 {
				name := []byte(strings.Repeat("Zz-Aa", 4)[:n])
				name[at] = byte(c)
				ok := strings.IndexByte(tchars, byte(c)) >= 0
				if got := ValidFieldName(name); got != ok {
					t.Fatalf("ValidFieldName(%q) = %v", name, got)
				}
				l := DefaultLimits()
				l.HeaderMap = HeaderMapRefuse
				in := "GET / HTTP/1.1\r\nHost: a\r\n" + string(name) + ": x\r\n\r\n"
				_, err := NewParser(l).Parse([]byte(in))
				if c == ':' && at > 0 {
					ok = true
				}
				if got := err == nil; got != (ok && c != '_') {
					t.Fatalf("%q: %v", in, err)
				}
			}
		}
	}
}

func TestMethodBytes(t *testing.T) {
	for c := range 256 {
		in := "G" + string([]byte{byte(c)}) + "T / HTTP/1.1\r\nHost: a\r\n\r\n"
		_, err := NewParser(DefaultLimits()).Parse([]byte(in))
		if want := class[c]&isTchar != 0; (err == nil) != want {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestLimits(t *testing.T) {
	l := DefaultLimits()
	l.RequestLine = 14
	parse(t, l, minimalRequest)
	wait(t, l, "GET / HTTP/1.1\r")
	l.RequestLine = 13
	refuse(t, l, minimalRequest, CodeRequestLineSize, 13)
	refuse(t, l, "GET / HTTP/1.1", CodeRequestLineSize, 13)
	wait(t, l, "GET / HTTP/1.")
	l.RequestLine = 2
	refuse(t, l, "GET", CodeRequestLineSize, 2)
	l.RequestLine = 0
	parse(t, l, "GET /"+strings.Repeat("a", 60000)+" HTTP/1.1\r\nHost: a\r\n\r\n")
	refuse(t, l, strings.Repeat("a ", 140000), CodeRequestLineSize, 256<<10)

	l = DefaultLimits()
	l.Fields = 2
	parse(t, l, "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n")
	refuse(t, l, "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC", CodeFieldCount, 31)
	refuse(t, l, "GET / HTTP/1.1\r\nHost: a\r\nA_: b\r\nC", CodeFieldCount, 32) // dropped ones count
	l.Fields = 0
	parse(t, l, "GET / HTTP/1.1\r\nHost: a\r\n"+strings.Repeat("a:\r\n", 10000)+"\r\n")

	l = DefaultLimits()
	l.FieldSize = len("Host: a\r\n")
	parse(t, l, minimalRequest)
	refuse(t, l, "GET / HTTP/1.1\r\nHost: ab", CodeFieldSize, 23)
	refuse(t, l, "GET / HTTP/1.1\r\nHostHost", CodeFieldSize, 23)
	wait(t, l, "GET / HTTP/1.1\r\nHost: a\r")
	l.FieldSize = 1
	refuse(t, l, "GET / HTTP/1.1\r\nH", CodeFieldSize, 16)
	parse(t, l, "GET / HTTP/1.0\r\n\r\n")
	l.FieldSize = 0
	parse(t, l, "GET / HTTP/1.1\r\nHost: a\r\nA: "+strings.Repeat("b", 60000)+"\r\n\r\n")

	l = DefaultLimits()
	l.Head = len(minimalRequest)
	parse(t, l, minimalRequest)
	l.Head--
	refuse(t, l, minimalRequest, CodeHeadSize, l.Head)
	refuse(t, l, minimalRequest[:l.Head], CodeHeadSize, l.Head) // a buffer of this size is full
	wait(t, l, minimalRequest[:l.Head-1])
	for head := 1; head < len(minimalRequest); head++ {
		l.Head = head
		if n, err := NewParser(l).Parse([]byte(minimalRequest)); n != 0 || err == nil {
			t.Errorf("a head of %d in %d: %d, %v", len(minimalRequest), head, n, err)
		}
	}
	l.Head = 0
	parse(t, l, minimalRequest)
	parse(t, Limits{}, minimalRequest)
	parse(t, Limits{RequestLine: math.MaxInt, Fields: math.MaxInt, FieldSize: math.MaxInt, Head: math.MaxInt}, "\r\n"+browserRequest)
}

func TestHeaderMap(t *testing.T) {
	in := "GET / HTTP/1.1\r\nX_A: 1\r\nHost: a\r\nX-A: 2\r\n__: 3\r\n\r\n"
	for _, c := range []struct {
		m    HeaderMap
		want int
	}{{HeaderMapDrop, 2}, {HeaderMapDangerous, 4}} {
		l := DefaultLimits()
		l.HeaderMap = c.m
		if p := parse(t, l, in); len(p.Headers) != c.want {
			t.Errorf("%d: %d headers", c.m, len(p.Headers))
		}
	}
	l := DefaultLimits()
	l.HeaderMap = HeaderMapRefuse
	refuse(t, l, in, CodeUnderscore, 16)
	refuse(t, l, strings.Replace(in, "X_A", "X-B", 1), CodeUnderscore, 41)
}

// TestForwarder: some names with '_' are for the caller to judge, who knows the peer.
func TestForwarder(t *testing.T) {
	in := "GET / HTTP/1.1\r\nscript_Name: 1\r\nHost: a\r\nX_A: 2\r\n\r\n"
	l := DefaultLimits()
	for _, c := range []struct {
		m         HeaderMap
		names     []string
		want      int
		forwarder bool
	}{
		{HeaderMapDrop, []string{"PATH_INFO", "SCRIPT_NAME"}, 2, true}, {HeaderMapDrop, []string{"PATH_INFO"}, 1, false},
		{HeaderMapDangerous, []string{"SCRIPT_NAME"}, 3, true}, {HeaderMapDangerous, nil, 3, false},
		{HeaderMapDrop, []string{"*"}, 3, true}, {HeaderMapRefuse, []string{"*"}, 3, true},
	} {
		l.HeaderMap, l.Forwarder = c.m, c.names
		if p := parse(t, l, in); len(p.Headers) != c.want || p.Forwarder != c.forwarder {
			t.Errorf("%+v: %d headers, %v", c, len(p.Headers), p.Forwarder)
		}
	}
	l.HeaderMap, l.Forwarder = HeaderMapRefuse, []string{"SCRIPT_NAME"}
	refuse(t, l, in, CodeUnderscore, 41)
}

// TestStickyError: after an error nothing is parsed until Reset.
func TestStickyError(t *testing.T) {
	p := NewParser(DefaultLimits())
	for _, in := range []string{"GET / HTTP/1.1\r\nA\r\n", minimalRequest, ""} {
		n, err := p.Parse([]byte(in))
		if n != 0 || err == nil || err.Error() != "httpparse: header without colon at 17" {
			t.Fatalf("%q: %d, %v", in, n, err)
		}
	}
	p.Reset()
	if n, err := p.Parse([]byte(minimalRequest)); n != len(minimalRequest) || err != nil {
		t.Fatal(n, err)
	}
	if p.err.Code != CodeNone {
		t.Fatal(p.err)
	}
}

// TestStateSharedParser lets one parser read two connections in turns.
func TestStateSharedParser(t *testing.T) {
	a, b := []byte(browserRequest), []byte("\r\nPOST /b HTTP/1.1\r\nHost: b\r\nContent_Length: 1\r\nContent-Length: 7\r\n\r\n")
	p := NewParser(DefaultLimits())
	var sa, sb State
	for i := 1; i < len(b); i++ {
		p.SetState(sa)
		if n, err := p.Parse(a[:i*3]); n != 0 || err != nil {
			t.Fatal(i, n, err)
		}
		sa = p.State()
		p.SetState(sb)
		if n, err := p.Parse(b[:i]); n != 0 || err != nil {
			t.Fatal(i, n, err)
		}
		sb = p.State()
		if i%7 == 0 { // a third connection fails
			p.SetState(State{})
			if _, err := p.Parse([]byte("\x00")); err == nil {
				t.Fatal("no error")
			}
		}
	}
	p.SetState(sa)
	if n, err := p.Parse(a); n != len(a) || err != nil || len(p.Headers) != 13 {
		t.Fatal(n, err, p.Headers)
	}
	p.SetState(sb)
	if n, err := p.Parse(b); n != len(b) || err != nil || p.ContentLength != 7 || len(p.Headers) != 2 {
		t.Fatal(n, err, p.Request)
	}
}

func TestErrorCodes(t *testing.T) {
	seen := map[string]bool{}
	for c := CodeNone + 1; c < codes; c++ {
		f := faults[c]
		switch f.status {
		case 400, 413, 414, 417, 431, 501, 505:
		default:
			t.Errorf("%v: status %d", c, f.status)
		}
		if f.name == "" || f.reason == "" || seen[f.name] {
			t.Errorf("code %d: %+v", c, f)
		}
		seen[f.name] = true
		if StatusText(f.status) == "Unknown" {
			t.Errorf("%v: no text for %d", c, f.status)
		}
	}
	e := &Error{CodeChunkSize, faults[CodeChunkSize].reason, 71}
	if got := e.Error(); got != "httpparse: bad chunk size at 71" {
		t.Error(got)
	}
	if e.Status() != 400 || Code(200).Status() != 400 || Code(200).String() != "code-200" {
		t.Error("status or name of a code")
	}
}

// TestEveryCodeHasACase: no rule without a case in the corpus, except where default limits or the header map hide it.
func TestEveryCodeHasACase(t *testing.T) {
	seen := map[string]bool{CodeUnderscore.String(): true}
	rp := replayer{limits: DefaultLimits()}
	for _, f := range readCorpus(t) {
		for _, e := range rp.replay(f.in) {
			var status int
			var name string
			if n, _ := fmt.Sscanf(e, "error %d %s", &status, &name); n == 2 {
				seen[name] = true
			}
		}
	}
	for c := CodeNone + 1; c < codes; c++ {
		if !seen[c.String()] {
			t.Errorf("no case for %v", c)
		}
	}
}

func TestReset(t *testing.T) {
	p := parse(t, DefaultLimits(), browserRequest)
	p.Reset()
	if hp := &p.split.hp; hp.Method != nil || hp.Path != nil || hp.Version != nil || len(hp.Headers) > 0 {
		t.Fatal("a buffer is held after Reset")
	}
	if n, err := p.Parse([]byte("GET")); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	p.Reset()
	if n, err := p.Parse([]byte(minimalRequest)); n != len(minimalRequest) || err != nil {
		t.Fatal(n, err)
	}
}

// TestNoAllocation: once its tables have their size, a parser and a body allocate nothing.
func TestNoAllocation(t *testing.T) {
	p := NewParser(DefaultLimits())
	l := DefaultLimits()
	var body Body
	chunked := []byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n")
	many := []byte("GET http://a:80/ HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X_A:\r\nX-A: b\r\n", 49) + "\r\n")
	bad := []byte("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
	browser, dst := []byte(browserRequest), make([]byte, 0, 512)
	for _, c := range []struct {
		name string
		run  func()
	}{
		{"browser", func() { p.Parse(browser) }},
		{"many fields", func() { p.Parse(many) }},
		{"pieces", func() {
			for i := 0; i <= len(many); i += 7 {
				p.Parse(many[:i])
			}
			p.Reset()
		}},
		{"refused", func() {
			if _, err := p.Parse(bad); err == nil {
				t.Fatal("no error")
			}
			p.Reset()
		}},
		{"chunked", func() {
			n, _ := p.Parse(chunked)
			body.Init(&p.Request, &l)
			for in := chunked[n:]; !body.Done(); in = in[n:] {
				_, n, _ = body.Feed(in)
			}
		}},
		{"error response", func() { dst = AppendErrorResponse(dst[:0], 431, "x", nil, false, "s") }},
	} {
		c.run()
		if n := testing.AllocsPerRun(100, c.run); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}
