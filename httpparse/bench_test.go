package httpparse

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/evanphx/wildcat"
)

// What a head and a chunk cost. The budget: a browser's request, scanned, split and checked, in less than 1.5 µs.

const minimalRequest = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// browserRequest is what a desktop browser sends for a page, with cookies: 644 bytes.
const browserRequest = "GET /articles/2024/strict-parsers?ref=home&page=2 HTTP/1.1\r\n" +
	"Host: www.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Referer: https://www.example.com/articles/\r\n" +
	"Connection: keep-alive\r\n" +
	"Cookie: sessionid=0123456789abcdef0123456789abcdef; csrftoken=ABCDEFGHIJKLMNOPQRSTUVWXYZ012345; theme=dark\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n" +
	"Sec-Fetch-Dest: document\r\n" +
	"Sec-Fetch-Mode: navigate\r\n" +
	"Sec-Fetch-Site: same-origin\r\n" +
	"Priority: u=0, i\r\n\r\n"

// chromiumRequest is another browser's, for what a page loads: 16 fields in 740 bytes.
const chromiumRequest = "GET /api/v2/articles/128/comments?after=2024-05-01&limit=20 HTTP/1.1\r\n" +
	"Host: www.example.com\r\n" +
	"Connection: keep-alive\r\n" +
	"Cache-Control: max-age=0\r\n" +
	"sec-ch-ua: \"Chromium\";v=\"126\", \"Not/A)Brand\";v=\"8\"\r\n" +
	"sec-ch-ua-mobile: ?0\r\n" +
	"sec-ch-ua-platform: \"Linux\"\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n" +
	"Accept: application/json, text/plain, */*\r\n" +
	"Sec-Fetch-Site: same-origin\r\n" +
	"Sec-Fetch-Mode: cors\r\n" +
	"Sec-Fetch-Dest: empty\r\n" +
	"Referer: https://www.example.com/articles/2024/strict-parsers\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-GB,en;q=0.9\r\n" +
	"Cookie: sessionid=fedcba9876543210fedcba9876543210; _pk_id=0a1b2c3d.1717000000; consent=yes\r\n" +
	"If-None-Match: W/\"5f3c-19a\"\r\n\r\n"

// differentRequests are 64 of these, 533 to 800 bytes long, 673 on average. No two have the same fields in the same
// order, so that branch prediction does not learn one request by heart.
func differentRequests() [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	requests := make([][]byte, 64)
	for i := range requests {
		lines := strings.SplitAfter([]string{browserRequest, chromiumRequest}[i%2], "\r\n")
		fields := lines[2 : len(lines)-2]
		rng.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
		fields[rng.IntN(len(fields))] = ""
		lines[0] = strings.Replace(lines[0], "articles", strings.Repeat("a", rng.IntN(32)), 1)
		fields[rng.IntN(len(fields))] = "X-Request-Id: " + strings.Repeat("0", 16+rng.IntN(64)) + "\r\n"
		requests[i] = []byte(strings.Join(lines, ""))
	}
	return requests
}

func benchmarkParse(b *testing.B, requests ...[]byte) {
	p := NewParser(DefaultLimits())
	bytes := 0
	for _, r := range requests {
		bytes += len(r)
	}
	b.SetBytes(int64(bytes / len(requests)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		buf := requests[i%len(requests)]
		if n, err := p.Parse(buf); n != len(buf) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkParseMinimal(b *testing.B)   { benchmarkParse(b, []byte(minimalRequest)) }
func BenchmarkParseBrowser(b *testing.B)   { benchmarkParse(b, []byte(browserRequest)) }
func BenchmarkParseChromium(b *testing.B)  { benchmarkParse(b, []byte(chromiumRequest)) }
func BenchmarkParseDifferent(b *testing.B) { benchmarkParse(b, differentRequests()...) }

// BenchmarkScanBrowser is the part before wildcat: it finds the fields, too.
func BenchmarkScanBrowser(b *testing.B) {
	buf := []byte(browserRequest)
	p := NewParser(DefaultLimits())
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		p.scan = State{}
		p.scanHead(buf)
	}
}

// BenchmarkWildcatBrowser is what wildcat takes for a whole head, BenchmarkWildcatLine for what we give it to read.
func BenchmarkWildcatBrowser(b *testing.B) { benchmarkWildcat(b, browserRequest) }
func BenchmarkWildcatLine(b *testing.B) {
	benchmarkWildcat(b, browserRequest[:strings.IndexByte(browserRequest, '\n')+1])
}

func benchmarkWildcat(b *testing.B, text string) {
	buf := []byte(text)
	hp := wildcat.NewSizedHTTPParser(64)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		hp.Parse(buf)
	}
}

// BenchmarkParseDribble gets the head in pieces of 16 bytes: the cost must stay in proportion to its length.
func BenchmarkParseDribble(b *testing.B) {
	buf := []byte(browserRequest)
	p := NewParser(DefaultLimits())
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for end := 16; n == 0; end += 16 {
			n, _ = p.Parse(buf[:min(end, len(buf))])
		}
	}
}

func benchmarkChunked(b *testing.B, size, count int) {
	var in []byte
	for range count {
		in = AppendChunkHead(in, size)
		in = append(in, bytes.Repeat([]byte("x"), size)...)
		in = append(in, ChunkEnd...)
	}
	in = append(in, LastChunk...)
	r, l := &Request{Chunked: true, ContentLength: -1}, DefaultLimits()
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	var body Body
	for b.Loop() {
		body.Init(r, &l)
		for rest := in; !body.Done(); {
			_, n, err := body.Feed(rest)
			if n == 0 || err != nil {
				b.Fatal(n, err)
			}
			rest = rest[n:]
		}
	}
}

func BenchmarkChunkedSmall(b *testing.B) { benchmarkChunked(b, 16, 64) }
func BenchmarkChunkedLarge(b *testing.B) { benchmarkChunked(b, 8192, 16) }

func BenchmarkErrorResponse(b *testing.B) {
	dst, date := make([]byte, 0, 512), []byte(strings.Repeat("x", 29))
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendErrorResponse(dst[:0], 400, "bad method at 0", date, false, "gowsgi")
	}
}
