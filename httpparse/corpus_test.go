package httpparse

import (
	"bytes"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The corpus in testdata/http: every case is replayed whole, in two pieces for every place to cut, and byte by byte,
// and each way must give the same events. testdata/http/README.md describes the two file formats.
//
//	go test ./httpparse -run TestCorpus -update
//
// writes the .want files anew; what changed is to be reviewed as a diff.

var update = flag.Bool("update", false, "rewrite the .want files of the corpus")

const corpusDir = "../testdata/http"

// decodeHTTP reads the visible form of a .http file: real newlines are ignored, \r \n \t \\ and \xNN are bytes, and
// \{N*text} is N times text.
func decodeHTTP(src []byte) ([]byte, error) {
	var out []byte
	for i := 0; i < len(src); i++ {
		c := src[i]
		switch {
		case c == '\n':
			continue
		case c < ' ' || c >= 0x7f:
			return nil, fmt.Errorf("raw byte %#x at %d", c, i)
		case c != '\\':
			out = append(out, c)
			continue
		case i+1 == len(src):
			return nil, fmt.Errorf("lone backslash at the end")
		}
		i++
		switch src[i] {
		case 'r':
			out = append(out, '\r')
		case 'n':
			out = append(out, '\n')
		case 't':
			out = append(out, '\t')
		case '\\':
			out = append(out, '\\')
		case 'x':
			if i+2 >= len(src) {
				return nil, fmt.Errorf("short \\x at %d", i)
			}
			v, err := strconv.ParseUint(string(src[i+1:i+3]), 16, 8)
			if err != nil {
				return nil, err
			}
			out = append(out, byte(v))
			i += 2
		case '{':
			count, text, ok := strings.Cut(string(src[i+1:]), "*")
			end := strings.IndexByte(text, '}')
			n, err := strconv.Atoi(count)
			if !ok || end < 0 || err != nil {
				return nil, fmt.Errorf("bad repetition at %d", i)
			}
			part, err := decodeHTTP([]byte(text[:end]))
			if err != nil {
				return nil, err
			}
			out = append(out, bytes.Repeat(part, n)...)
			i += len(count) + len("*") + end + len("}")
		default:
			return nil, fmt.Errorf("unknown escape \\%c at %d", src[i], i)
		}
	}
	return out, nil
}

// quote writes bytes as .want files show them: in quotes, or only counted when there are many.
func quote(b []byte) string {
	if len(b) > 300 {
		return fmt.Sprintf("%d bytes, crc32 %08x", len(b), crc32.ChecksumIEEE(b))
	}
	out := []byte{'"'}
	for _, c := range b {
		switch {
		case c == '\r':
			out = append(out, `\r`...)
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\t':
			out = append(out, `\t`...)
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ' || c >= 0x7f:
			out = fmt.Appendf(out, `\x%02x`, c)
		default:
			out = append(out, c)
		}
	}
	return string(append(out, '"'))
}

// A replayer is a connection without a socket: it feeds a stream in pieces and notes what comes out.
type replayer struct {
	limits Limits
	direct bool // read body data past Feed, as a server reads big bodies
}

// replay returns one entry for each request, and at the end one for an error or an incomplete message. The stream is
// cut at the offsets in cuts, which ascend.
func (rp replayer) replay(in []byte, cuts ...int) []string {
	var log []string
	var body Body
	var data []byte
	p := NewParser(rp.limits)
	p.Parse(nil)
	start, pos := 0, 0 // where the current message starts, and what has been consumed
	inBody := false
	fail := func(err error, base int) []string {
		if inBody {
			log[len(log)-1] += "  body " + quote(data) + "\n"
		}
		e := err.(*Error)
		return append(log, fmt.Sprintf("error %d %v %d\n", e.Status(), e.Code, base+e.Offset))
	}
	for _, end := range append(slices.Clone(cuts), len(in)) {
		for {
			if !inBody {
				// The caller may move the bytes between two calls: here they move each time.
				buf := in[start:end]
				if len(in) < 4096 {
					buf = slices.Clone(buf)
				}
				n, err := p.Parse(buf)
				if err != nil {
					return fail(err, start)
				}
				if n == 0 {
					break
				}
				log = append(log, describe(&p.Request, buf))
				body.Init(&p.Request, &rp.limits)
				inBody, data = p.HasBody(), data[:0]
				start, pos = start+n, start+n
				continue
			}
			if w := min(body.Want(), end-pos); rp.direct && w > 0 {
				data = append(data, in[pos:pos+w]...)
				body.Took(w)
				pos += w
			}
			chunk, n, err := body.Feed(in[pos:end])
			if err != nil {
				return fail(err, start)
			}
			data = append(data, chunk...)
			pos += n
			if body.Done() {
				log[len(log)-1] += "  body " + quote(data) + "\n"
				inBody, start = false, pos
			} else if n == 0 {
				break
			}
		}
	}
	if inBody {
		log[len(log)-1] += "  body " + quote(data) + "\n"
		return append(log, "partial body\n")
	}
	if start < len(in) {
		return append(log, "partial head\n")
	}
	return log
}

// describe is a request as .want files show it.
func describe(r *Request, buf []byte) string {
	var b strings.Builder
	line := func(key string, spans ...Span) {
		b.WriteString("  " + key)
		for _, s := range spans {
			b.WriteString(" " + quote(s.In(buf)))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "request %s HTTP/1.%d\n", quote(r.Method.In(buf)), r.Minor)
	line("target", r.Target)
	fmt.Fprintf(&b, "  form %v\n", r.Form)
	if r.Form == Absolute {
		line("authority", r.Authority)
	}
	line("path", r.Path)
	if r.HasQuery {
		line("query", r.Query)
	}
	line("host", r.Host)
	for _, h := range r.Headers {
		line("header", h.Name, h.Value)
	}
	switch {
	case r.Chunked:
		b.WriteString("  framing chunked\n")
	case r.ContentLength >= 0:
		fmt.Fprintf(&b, "  framing length %d\n", r.ContentLength)
	default:
		b.WriteString("  framing none\n")
	}
	for _, f := range []struct {
		on   bool
		name string
	}{
		{r.KeepAlive, "keep-alive"},
		{!r.KeepAlive, "close"},
		{r.HeadMethod, "head"},
		{r.Expect100, "expect-100"},
		{r.Upgrade, "upgrade"},
	} {
		if f.on {
			b.WriteString("  " + f.name + "\n")
		}
	}
	return b.String()
}

// corpusFile is one case.
type corpusFile struct {
	name, path string
	valid      bool
	in         []byte
}

func readCorpus(tb testing.TB) []corpusFile {
	tb.Helper()
	var files []corpusFile
	for _, dir := range []string{"valid", "invalid"} {
		paths, err := filepath.Glob(filepath.Join(corpusDir, dir, "*.http"))
		if err != nil {
			tb.Fatal(err)
		}
		for _, path := range paths {
			src, err := os.ReadFile(path)
			if err != nil {
				tb.Fatal(err)
			}
			in, err := decodeHTTP(src)
			if err != nil {
				tb.Fatalf("%s: %v", path, err)
			}
			name := strings.TrimSuffix(filepath.Base(path), ".http")
			files = append(files, corpusFile{dir + "/" + name, path, dir == "valid", in})
		}
	}
	if len(files) < 150 {
		tb.Fatalf("only %d cases in %s", len(files), corpusDir)
	}
	return files
}

// splits is every place to cut a short stream, and for a long one those near its interesting places and a few hundred
// in between.
func splits(in []byte) []int {
	var at []int
	step := max(1, len(in)/400)
	for i := range len(in) {
		near := len(in) < 2000 || i < 100 || len(in)-i < 100 || i%step == 0
		near = near || bytes.IndexByte(in[i:min(i+3, len(in))], '\n') >= 0 || i > 0 && in[i-1] == '\n'
		for _, limit := range []int{4094, 8190, 256 << 10} {
			near = near || i > limit-30 && i < limit+60
		}
		if near {
			at = append(at, i)
		}
	}
	return at
}

func everyByte(in []byte) []int {
	at := make([]int, len(in))
	for i := range at {
		at[i] = i
	}
	return at
}

func TestCorpus(t *testing.T) {
	rp := replayer{limits: DefaultLimits()}
	for _, f := range readCorpus(t) {
		t.Run(f.name, func(t *testing.T) {
			events := rp.replay(f.in)
			got := strings.Join(events, "")
			path := strings.TrimSuffix(f.path, ".http") + ".want"
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s: whole: got\n%swant\n%s", path, got, want)
			}
			if bad := strings.Contains(got, "error "); bad == f.valid {
				t.Errorf("%s: in the wrong directory:\n%s", path, got)
			}
			check := func(how string, rp replayer, cuts ...int) {
				t.Helper()
				if again := strings.Join(rp.replay(f.in, cuts...), ""); again != got {
					t.Fatalf("%s: %s: got\n%swant\n%s", path, how, again, got)
				}
			}
			for _, i := range splits(f.in) {
				check(fmt.Sprintf("cut at %d", i), rp, i)
			}
			check("byte by byte", rp, everyByte(f.in)...)
			check("data read directly", replayer{rp.limits, true})
			check("data read directly, byte by byte", replayer{rp.limits, true}, everyByte(f.in)...)
		})
	}
}

// TestCorpusComplete: no .want without its .http.
func TestCorpusComplete(t *testing.T) {
	wants, _ := filepath.Glob(filepath.Join(corpusDir, "*valid", "*.want"))
	for _, path := range wants {
		if _, err := os.Stat(strings.TrimSuffix(path, ".want") + ".http"); err != nil {
			t.Error(err)
		}
	}
}

func TestDecodeHTTP(t *testing.T) {
	got, err := decodeHTTP([]byte("a\\r\\n\nb\\t\\\\\\xfF\\{3*x\\r}\n"))
	if want := "a\r\nb\t\\\xffx\rx\rx\r"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for _, bad := range []string{"\\", "\\q", "\\x1", "\\xzz", "\\{3x}", "\\{3*x", "\\{*x}", "\\{2*\\q}", "é", "\r"} {
		if got, err := decodeHTTP([]byte(bad)); err == nil {
			t.Errorf("%q: got %q", bad, got)
		}
	}
}
