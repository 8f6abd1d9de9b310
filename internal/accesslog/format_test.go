package accesslog

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

type headers map[string]string

func (h headers) Lookup(name string) ([]byte, bool) {
	v, ok := h[name]
	return []byte(v), ok
}

var zone = time.FixedZone("CEST", 2*3600)

func sample() *Record {
	return &Record{
		RemoteAddr: []byte("192.0.2.7"), Method: []byte("GET"), Target: []byte("/a%20b?x=1"), Path: []byte("/a b"),
		Query: []byte("x=1"), Proto: "HTTP/1.1", Status: 200, ResponseBytes: 1234,
		Start:    time.Date(2024, time.May, 3, 9, 8, 7, 6_500_000, zone),
		Duration: 2*time.Second + 34567*time.Microsecond, Pid: 42,
		RequestHeader:  headers{"referer": "http://r/", "user-agent": "curl/8", "x-id": "7", "authorization": basic("ann:s3:cret")},
		ResponseHeader: headers{"content-type": "text/plain"},
		Environ:        headers{"REMOTE_USER": "bob", "wsgi.url_scheme": "https"},
	}
}

func basic(credentials string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
}

func mustCompile(t testing.TB, format string) *Format {
	t.Helper()
	f, err := Compile(format)
	if err != nil {
		t.Fatalf("Compile(%q): %v", format, err)
	}
	return f
}

func TestAtoms(t *testing.T) {
	tests := []struct{ format, want string }{
		{DefaultFormat, `192.0.2.7 - ann [03/May/2024:09:08:07 +0200] "GET /a%20b?x=1 HTTP/1.1" 200 1234 "http://r/" "curl/8"`},
		{"%(h)s", "192.0.2.7"},
		{"%(l)s", "-"},
		{"%(u)s", "ann"},
		{"%(t)s", "[03/May/2024:09:08:07 +0200]"},
		{"%(r)s", "GET /a%20b?x=1 HTTP/1.1"},
		{"%(s)s", "200"},
		{"%(m)s", "GET"},
		{"%(U)s", `/a\x20b`},
		{"%(q)s", "x=1"},
		{"%(H)s", "HTTP/1.1"},
		{"%(b)s", "1234"},
		{"%(B)s", "1234"},
		{"%(f)s", "http://r/"},
		{"%(a)s", "curl/8"},
		{"%(T)s", "2"},
		{"%(D)s", "2034567"},
		{"%(M)s", "2034"},
		{"%(L)s", "2.034567"},
		{"%(p)s", "<42>"},
		{"%({X-Id}i)s", "7"},
		{"%({x-none}i)s", "-"},
		{"%({Content-Type}o)s", "text/plain"},
		{"%({REMOTE_USER}e)s", "bob"},
		{"%({remote_user}e)s", "bob"},
		{"%({wsgi.url_scheme}e)s", "https"},
		{"%({none}e)s", "-"},

		{"", ""},
		{"plain", "plain"},
		{"100%% %(s)s%%", "100% 200%"},
		{"%(s)d|%(D)i", "200|2034567"},
		{"%(nosuch)s %()s %({x}z)s", "- - -"}, // as gunicorn
		{"[%(s)5s]", "[  200]"},
		{"[%(s)-5s]", "[200  ]"},
		{"[%(D)010d]", "[0002034567]"},
		{"[%(a).4s]", "[curl]"},
		{"[%(a)6.4s]", "[  curl]"},
		{"[%(a).99s]", "[curl/8]"},
	}
	for _, test := range tests {
		if got := string(mustCompile(t, test.format).Append(nil, sample())); got != test.want {
			t.Errorf("format %q:\n got %s\nwant %s", test.format, got, test.want)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	tests := []struct{ format, want string }{
		{"%h", "the access log format has a % at position 1 that begins no %(atom)s: write %% for a percent sign"},
		{"ok 50%", "the access log format has a % at position 6 that begins no %(atom)s: write %% for a percent sign"},
		{"%(h", "the access log format has a % at position 1 that begins no %(atom)s: write %% for a percent sign"},
		{"%(h)", "the access log format has no s behind %(h): write %(h)s"},
		{"%(h)x", "the access log format has no s behind %(h): write %(h)s"},
		{"%(h)9999s", "the access log format pads or cuts %(h) to 9999 columns: give 1000 or fewer"},
		{"%(h).99999999999999999999s", "the access log format pads or cuts %(h) to 99999999999999999999 columns: give 1000 or fewer"},
		{"a\nb", "the access log format holds a line break or a NUL byte: give it on one line"},
	}
	for _, test := range tests {
		_, err := Compile(test.format)
		if err == nil || err.Error() != test.want {
			t.Errorf("Compile(%q)\n got %v\nwant %s", test.format, err, test.want)
		}
	}
}

func TestEmptyRecord(t *testing.T) {
	f := mustCompile(t, `%(h)s %(l)s %(u)s "%(f)s" %(m)s %(U)s [%(q)s] %(b)s %(B)s %(L)s %({a}i)s %({a}o)s %({a}e)s`)
	const want = `- - - "-" - - [] - 0 0.000000 - - -`
	if got := string(f.Append(nil, &Record{})); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestUser(t *testing.T) {
	tests := []struct{ name, header, want string }{
		{"name and password", basic("ann:x"), "ann"},
		{"lower case scheme", "basic " + basic("ann:x")[6:], "ann"},
		{"more spaces", "Basic   " + basic("ann:x")[6:], "ann"},
		{"no colon", basic("ann"), "-"},
		{"no name", basic(":x"), "-"},
		{"other scheme", "Bearer abc", "-"},
		{"no base64", "Basic !!!", "-"},
		{"unpadded", "Basic " + strings.TrimRight(basic("anna:x")[6:], "="), "anna"},
		{"cut", "Basic", "-"},
		{"empty", "", "-"},
		{"spaces would forge a field", basic(`a - [x] "y:z`), `a\x20-\x20[x]\x20\"y`},
		{"long password", basic("ann:" + strings.Repeat("p", 5000)), "ann"},
		{"long name", basic(strings.Repeat("n", 5000) + ":p"), "-"},
		{"line break", basic("a\nb:c"), `a\x0ab`},
	}
	f := mustCompile(t, "%(u)s")
	for _, test := range tests {
		r := sample()
		r.RequestHeader = headers{"authorization": test.header}
		if got := string(f.Append(nil, r)); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
	r := sample()
	r.RemoteUser = []byte("carl")
	if got := string(f.Append(nil, r)); got != "carl" {
		t.Errorf("RemoteUser: got %s", got)
	}
}

func TestEscaping(t *testing.T) {
	f := mustCompile(t, `"%(a)s"`)
	tests := []struct{ in, want string }{
		{`a"b`, `"a\"b"`},
		{`a\b`, `"a\\b"`},
		{`\x22`, `"\\x22"`},
		{"a\r\nb\x00\x1b[31m\x7f", `"a\x0d\x0ab\x00\x1b[31m\x7f"`},
		{"gr\xfc\xc3\x9f", `"gr\xfc\xc3\x9f"`},
		{"a b\tc", `"a b\x09c"`},
	}
	for _, test := range tests {
		r := &Record{RequestHeader: headers{"user-agent": test.in}}
		if got := string(f.Append(nil, r)); got != test.want {
			t.Errorf("%q: got %s, want %s", test.in, got, test.want)
		}
	}
	// A precision never cuts an escape in two: a lone backslash would hide the closing quotation mark.
	cut := mustCompile(t, `"%(a).4s"`)
	for in, want := range map[string]string{`abc"`: `"abc"`, "ab\n": `"ab"`, `ab"c`: `"ab\""`, "\nb": `"\x0a"`} {
		r := &Record{RequestHeader: headers{"user-agent": in}}
		if got := string(cut.Append(nil, r)); got != want {
			t.Errorf("cut %q: got %s, want %s", in, got, want)
		}
	}
}

func TestNamesNeeded(t *testing.T) {
	f := mustCompile(t, `%({X-A}i)s %({x-a}i)s %(a)s %(u)s %(f)s %({ETag}o)s %({path_info}e)s`)
	for _, test := range []struct {
		got  []string
		want string
	}{
		{f.RequestHeaders(), "x-a user-agent authorization referer"},
		{f.ResponseHeaders(), "etag"},
		{f.EnvironNames(), "PATH_INFO"},
	} {
		if got := strings.Join(test.got, " "); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func TestDateCache(t *testing.T) {
	f := mustCompile(t, "%(t)s")
	r := sample()
	for _, step := range []time.Duration{0, time.Millisecond, time.Second, -time.Hour, 0, time.Hour} {
		r.Start = r.Start.Add(step)
		want := r.Start.Format(dateLayout)
		if got := string(f.Append(nil, r)); got != want {
			t.Errorf("after %v: got %s, want %s", step, got, want)
		}
	}
}

func TestJSON(t *testing.T) {
	const want = `{"time":"2024-05-03T09:08:07.006+02:00","remote_addr":"192.0.2.7","remote_user":"ann","method":"GET",` +
		`"target":"/a%20b?x=1","path":"/a b","query":"x=1","protocol":"HTTP/1.1","status":200,"response_bytes":1234,` +
		`"duration_ms":2034.567,"host":null,"referer":"http://r/","user_agent":"curl/8","pid":42}`
	if got := string(AppendJSON(nil, sample())); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if line := AppendJSON(nil, &Record{}); !json.Valid(line) {
		t.Errorf("empty record: %s", line)
	}
}

func TestNoAllocation(t *testing.T) {
	r := sample()
	fixed := fixedLookup("value with \" and \n")
	r.RequestHeader, r.ResponseHeader, r.Environ = fixed, fixed, fixed
	f := mustCompile(t, DefaultFormat+` %(L)s %(p)s %({x}i)s %({x}o)s %({x}e)s %(D)12d`)
	buf := make([]byte, 0, 4096)
	f.Append(buf, r) // fills the date cache
	if n := testing.AllocsPerRun(100, func() { f.Append(buf, r) }); n != 0 {
		t.Errorf("Append allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { AppendJSON(buf, r) }); n != 0 {
		t.Errorf("AppendJSON allocates %v times", n)
	}
	r.RequestHeader = fixedLookup(basic("ann:x"))
	if n := testing.AllocsPerRun(100, func() { f.Append(buf, r) }); n != 0 {
		t.Errorf("Append with a user allocates %v times", n)
	}
}

type fixedLookup []byte

func (l fixedLookup) Lookup(string) ([]byte, bool) { return l, true }

// FuzzForging feeds arbitrary bytes into every field a client controls, and checks that the line stays one line of
// printable ASCII with its quotation marks and fields where the format put them.
func FuzzForging(f *testing.F) {
	f.Add([]byte("GET"), []byte("/"), []byte("curl"), []byte("ann:x"))
	f.Add([]byte("G\nE"), []byte(`/" 200 1 "`), []byte("a\\"), []byte("a\r\n b\":x"))
	f.Add([]byte(`\`), []byte("\x00\xff"), []byte(`\"`), []byte("\x80:"))
	format := mustCompile(f, DefaultFormat)
	cut := mustCompile(f, `"%(a).7s"`)
	f.Fuzz(func(t *testing.T, method, target, agent, credentials []byte) {
		value := headers{"user-agent": string(agent), "referer": string(target), "authorization": basic(string(credentials))}
		r := &Record{
			RemoteAddr: agent, Method: method, Target: target, Path: target, Query: target, Proto: "HTTP/1.1", Status: 200,
			RequestHeader: value,
		}
		line := format.Append(nil, r)
		for _, c := range line {
			if c < ' ' || c > '~' {
				t.Fatalf("byte %#x in %q", c, line)
			}
		}
		if got := countQuotes(line); got != 6 {
			t.Fatalf("%d quotation marks in %q", got, line)
		}
		before := line[:openingQuote(line)]
		if got := bytes.Count(before, []byte(" ")); got != 5 { // four behind the fields, one inside the date
			t.Fatalf("%d spaces before the request line in %q", got, line)
		}
		if got := countQuotes(cut.Append(nil, r)); got != 2 {
			t.Fatalf("%d quotation marks in the cut line", got)
		}
		object := AppendJSON(nil, r)
		if !json.Valid(object) || bytes.ContainsAny(object, "\r\n") {
			t.Fatalf("not one line of JSON: %q", object)
		}
		var back struct{ Target string }
		if err := json.Unmarshal(object, &back); err != nil || back.Target != latin1(target) {
			t.Fatalf("target came back as %q, %v", back.Target, err)
		}
	})
}

// countQuotes counts the quotation marks that no backslash escapes.
func countQuotes(line []byte) (n int) {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '"':
			n++
		}
	}
	return n
}

// openingQuote is where the first quotation mark stands that no backslash escapes.
func openingQuote(line []byte) int {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(line)
}

func latin1(b []byte) string {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}

func BenchmarkAppend(b *testing.B) {
	r := sample()
	r.RequestHeader = fixedLookup("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0")
	f := mustCompile(b, DefaultFormat)
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		f.Append(buf, r)
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	r := sample()
	r.RequestHeader = fixedLookup("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0")
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		AppendJSON(buf, r)
	}
}

// TestPlain8 compares the test of 8 bytes at once with the table, for every byte in every place beside bytes that could
// lend it a carry.
func TestPlain8(t *testing.T) {
	for _, filler := range []byte{'a', ' ', '!', '#', '~', '[', ']'} {
		for place := range 8 {
			for c := range 256 {
				s := bytes.Repeat([]byte{filler}, 8)
				s[place] = byte(c)
				class := escapeClass[byte(c)]
				if got, want := plain8(s), class == 0 || class == 3; got != want {
					t.Fatalf("plain8(%q) = %v", s, got)
				}
			}
		}
	}
}
