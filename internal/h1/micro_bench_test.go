package h1

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/config"
)

// What a request costs between the parser and the socket: the crossing into Python with the environ it makes, and the
// response head. The application is `plain` of pytests/bench/apps.py; `make bench-micro` compares with the last release.

// A minimal request costs the crossing, the app and what every environ has; the browser's costs ten more keys.
const (
	minimalHead = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"
	browserHead = "GET /articles/2024/strict-parsers?ref=home&page=2 HTTP/1.1\r\n" +
		"Host: www.example.com\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
		"Accept-Language: en-US,en;q=0.5\r\n" +
		"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
		"Referer: https://www.example.com/articles/\r\n" +
		"Cookie: sessionid=0123456789abcdef0123456789abcdef; csrftoken=ABCDEFGHIJKLMNOPQRSTUVWXYZ012345; theme=dark\r\n" +
		"Upgrade-Insecure-Requests: 1\r\n" +
		"Sec-Fetch-Mode: navigate\r\n" +
		"Cache-Control: max-age=0\r\n\r\n"
)

// python is the one interpreter of the process and the thread it lives on, which runs what it is sent.
var python struct {
	once  sync.Once
	calls chan func(*bridge.Thread)
	err   error
}

// onPython runs f on the Python thread and waits for it.
func onPython(b *testing.B, f func(t *bridge.Thread)) {
	python.once.Do(func() {
		python.calls = make(chan func(*bridge.Thread))
		up := make(chan error)
		go livePython(up)
		python.err = <-up
	})
	if python.err != nil {
		b.Skip("no Python: ", python.err)
	}
	done := make(chan bool)
	python.calls <- func(t *bridge.Thread) {
		defer close(done)
		f(t)
	}
	<-done
}

func livePython(up chan error) {
	runtime.LockOSThread()
	t, err := startPython()
	up <- err
	if err != nil {
		return
	}
	for f := range python.calls {
		f(t)
		t.Release()
	}
}

func startPython() (*bridge.Thread, error) {
	found, err := bridge.Locate(os.Getenv("GOWSGI_BENCH_PYTHON"), os.Getenv("VIRTUAL_ENV"), "", nil)
	if err != nil {
		return nil, err
	}
	if err := bridge.Start(found, []string{"gowsgi"}); err != nil {
		return nil, err
	}
	apps, err := filepath.Abs("../../pytests/bench")
	if err != nil {
		return nil, err
	}
	if err := bridge.Setup(bridge.PythonSetup{PythonPath: []string{apps}}); err != nil {
		return nil, err
	}
	if err := bridge.LoadApp("apps:plain"); err != nil {
		return nil, err
	}
	if _, err := bridge.AddTemplate(bridge.Template{ServerName: "127.0.0.1", ServerPort: "8000", Software: "gowsgi", Scheme: "http"}); err != nil {
		return nil, err
	}
	return bridge.NewThread(0, bridge.MainState())
}

// parsed is a request as the server would give it to the bridge, and the parser that holds its head.
func parsed(b *testing.B, head string) (*httpparse.Parser, *bridge.Request) {
	p := httpparse.NewParser(httpparse.DefaultLimits())
	if n, err := p.Parse([]byte(head)); n != len(head) || err != nil {
		b.Fatal(n, err)
	}
	return p, &bridge.Request{
		Head: &p.Request, Arena: []byte(head), HasHost: true, FD: -1, RemoteAddr: "127.0.0.1", RemotePort: 40000,
	}
}

// cpuTime adds the thread's CPU time per operation: on a busy machine it varies far less than the time that passed.
func cpuTime(b *testing.B) func() {
	var from, to unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &from)
	return func() {
		_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &to)
		b.ReportMetric(float64(to.Nano()-from.Nano())/float64(b.N), "cpu-ns/op")
	}
}

// benchmarkCall: the requests come in turn from conns connections.
func benchmarkCall(b *testing.B, head string, conns int) {
	_, r := parsed(b, head)
	b.ReportAllocs()
	onPython(b, func(t *bridge.Thread) {
		defer cpuTime(b)()
		for i := 0; b.Loop(); i++ {
			r.Conn = uint32(i % conns)
			if step, _ := t.Call(r, nil); step != bridge.End {
				b.Error("the app ended in step ", step)
				return
			}
			if i%16 == 0 {
				t.Release() // as a leader does between its polls
			}
		}
	})
}

func BenchmarkCallMinimal(b *testing.B) { benchmarkCall(b, minimalHead, 1) }
func BenchmarkCallBrowser(b *testing.B) { benchmarkCall(b, browserHead, 1) }

// BenchmarkCallFlooded: some client has sent six requests before, of 100 invented field names each.
func BenchmarkCallFlooded(b *testing.B) {
	for i := range 6 {
		head := "GET / HTTP/1.1\r\nHost: x\r\n"
		for j := range 99 {
			head += fmt.Sprintf("X-Invented-%d: x\r\n", i*100+j)
		}
		_, r := parsed(b, head+"\r\n")
		onPython(b, func(t *bridge.Thread) { t.Call(r, nil) })
	}
	benchmarkCall(b, browserHead, 1)
}

// BenchmarkCallForgotten: so many connections that nothing of the last request is there any more.
func BenchmarkCallForgotten(b *testing.B) { benchmarkCall(b, minimalHead, 1000) }

// BenchmarkResponseHead is what Go puts around the header lines of the app.
func BenchmarkResponseHead(b *testing.B) {
	cfg, _, err := config.Parse([]string{"--bind", "127.0.0.1:0", "apps:plain"}, func(string) string { return "" }, nil, io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	p, r := parsed(b, minimalHead)
	x := newExchange(s)
	x.p, x.c = p, &conn{s: s}
	b.ReportAllocs()
	onPython(b, func(t *bridge.Thread) {
		step, res := t.Call(r, nil)
		if step != bridge.End {
			b.Error("the app ended in step ", step)
			return
		}
		var out []byte
		defer cpuTime(b)()
		for b.Loop() {
			x.frame(res, 13, true)
			out = x.appendHead(out[:0], res, 13)
		}
	})
}
