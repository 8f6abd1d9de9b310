package gateway

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/request"
	"github.com/gowsgi/gowsgi/internal/websocket"
	"github.com/gowsgi/gowsgi/internal/zeromq"
)

// nobody is a host whose crew never begins: what is offered waits in its queue.
type nobody struct{}

func (nobody) Begin(*crew.Thread)     {}
func (nobody) Turn(*crew.Thread) bool { return false }
func (nobody) Wait(*crew.Thread)      {}
func (nobody) Wake()                  {}
func (nobody) Idle(*crew.Thread)      {}
func (nobody) Finished() bool         { return true }
func (nobody) End(*crew.Thread)       {}
func (nobody) Clock() int64           { return 0 }

// paper is where answers go in tests.
type paper struct {
	mu    sync.Mutex
	all   []string
	queue []string             // waits for Flush
	sent  func(message string) // called with what is sent; nil: nobody
	more  chan struct{}        // there is something; of room for one
}

func (p *paper) Send(parts ...[]byte) (bool, error) {
	if p.sent != nil {
		p.sent(string(bytes.Join(parts, nil)))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(append(p.all, p.queue...), string(bytes.Join(parts, nil)))
	p.queue = nil
	select {
	case p.more <- struct{}{}:
	default:
	}
	return true, nil
}

func (p *paper) RoomFor([]byte, <-chan struct{}) bool { return true }

// Queue implements Out.
func (p *paper) Queue(parts ...[]byte) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, string(bytes.Join(parts, nil)))
	return true, nil
}

// Flush implements Out.
func (p *paper) Flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, p.queue...)
	p.queue = nil
}

// tap is where messages come from: the test itself. It counts how often they are to come again.
type tap struct{ resumed atomic.Int32 }

func (t *tap) Resume() { t.resumed.Add(1) }
func (t *tap) Drain()  {}

// taken is what has been sent since the last time.
func (p *paper) taken() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.all
	p.all = nil
	return all
}

type rig struct {
	*Gateway
	in    tap
	out   *paper
	log   *bytes.Buffer
	clock atomic.Int64
}

func newRig(t testing.TB) *rig {
	r := &rig{out: &paper{more: make(chan struct{}, 1)}, log: &bytes.Buffer{}}
	cfg := config.Default()
	cfg.Mongrel2Chroot = t.TempDir() // what messages name is here, and may be removed
	lines := request.MakeLines(time.Unix(0, 0), "")
	var number uint32
	r.Gateway = New(cfg, slog.New(slog.NewTextHandler(r.log, nil)), Server{
		Crew: crew.New(1, nobody{}), Requests: &request.Service{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Clock: r.clock.Load},
		Limits: httpparse.DefaultLimits(), Lines: func() *request.Lines { return lines }, Wake: func() {},
		Number:  func() uint32 { number++; return number },
		Sockets: websocket.Options{MaxMessage: 1 << 20, SendBuffer: 1 << 20, Count: func(websocket.Counter, int64) {}},
		Admit:   func(*request.Request, netip.Addr, []byte, uint32) (int, string, time.Duration) { return 0, "", 0 },
	}, &r.in, r.out)
	t.Cleanup(func() {
		r.Over()
		r.Close()
	})
	return r
}

func message(id int, headers, body string) string {
	return fmt.Sprintf("uuid %d / %d:%s,%d:%s,", id, len(headers), headers, len(body), body)
}

// asks is a request with more fields than it has to have, as JSON.
func asks(id int, more string) string {
	return message(id, `{"PATH":"/","host":"x",`+more+`"METHOD":"GET","VERSION":"HTTP/1.1","URI":"/","REMOTE_ADDR":"192.0.2.1"}`, "")
}

func aside(id int, headers, kind string) string {
	return strings.Replace(message(id, headers, `{"type":"`+kind+`"}`), " / ", " @* ", 1)
}

// offered is the next request that waits for a thread, begun; nil if there is none.
func (r *rig) offered() *exchange {
	task := r.srv.Crew.Take()
	if task == nil {
		return nil
	}
	x := task.(*exchange)
	x.begins(r.srv.Crew.Threads()[0])
	return x
}

// answers sends this as the whole answer of x.
func (x *exchange) answers(text string) {
	x.keep = true
	x.out = append(x.out, text...)
	x.send(false)
	x.answered()
}

func TestOneRequestAtATime(t *testing.T) {
	r := newRig(t)
	for range 3 {
		r.take([]byte(asks(7, "")))
	}
	r.take([]byte(asks(8, "")))
	first, other := r.offered(), r.offered()
	if r.offered() != nil {
		t.Fatal("a second request of a client runs beside its first")
	}
	other.answers("other")
	first.answers("first")
	second := r.offered()
	second.keep = false
	second.out = append(second.out, "second"...)
	second.send(false)
	second.answered()
	want := []string{"uuid 1:8, other", "uuid 1:7, first", "uuid 1:7, second", "uuid 1:7, "}
	if got := r.out.taken(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q", got)
	}
	if r.offered() != nil || r.busy.Load() != 0 {
		t.Error("who has been hung up on is still served")
	}
}

// TestTheNextRequestAfterAFile: who ends a file's answer, and who hears that the client has taken it, do not end the next one's as well.
func TestTheNextRequestAfterAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	for n := range 300 {
		r.take([]byte(asks(n, "")))
		r.take([]byte(asks(n, "")))
		x := r.offered()
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		l := x.l
		l.pumped, x.keep = true, true
		x.answered()
		over := make(chan struct{})
		go func() {
			x.pump(fd, 0, 4, 0, r.srv.Crew.Threads()[0])
			close(over)
		}()
		var second *exchange
		for ; second == nil; second = r.offered() {
			l.credit(0)
		}
		<-over
		if l.cur != second || r.busy.Load() != 1 {
			t.Fatal("the second request has ended with the first one")
		}
		second.answers("second")
	}
}

func TestCredits(t *testing.T) {
	r := newRig(t)
	r.take([]byte(asks(7, `"DOWNLOAD_CREDITS":"50000",`)))
	x := r.offered()
	x.answers(strings.Repeat("x", 120000))
	sent := func() (n int) {
		for _, m := range r.out.taken() {
			body := strings.TrimPrefix(m, "uuid 1:7, ")
			if len(body) > creditPiece || body == m || body == "" {
				t.Errorf("a message of %d bytes", len(body))
			}
			n += len(body)
		}
		return n
	}
	total := sent()
	if total == 0 || total > 50000 {
		t.Errorf("%d bytes for 50000 credits", total)
	}
	if r.needy.Load() != 1 {
		t.Error("nobody knows that credits are wanted")
	}
	for total < 120000 {
		r.take([]byte(aside(7, `{"METHOD":"JSON","DOWNLOAD_CREDITS":"32768"}`, "credits")))
		n := sent()
		if n == 0 {
			t.Fatalf("nothing follows %d bytes", total)
		}
		total += n
	}
	if total != 120000 || r.needy.Load() != 0 || r.busy.Load() != 0 {
		t.Errorf("%d bytes, needy %d, busy %d", total, r.needy.Load(), r.busy.Load())
	}
	// They are the connection's: the next request says nothing of them.
	r.take([]byte(asks(7, "")))
	r.offered().answers(strings.Repeat("x", 200000))
	if n := sent(); n > 120000 {
		t.Errorf("%d bytes of the next answer at once", n)
	}
}

// TestWhoTakesNothingIsAskedFor: Mongrel2 does not always say by itself that a client has left.
func TestWhoTakesNothingIsAskedFor(t *testing.T) {
	defer func(was time.Duration) { askAfter = was }(askAfter)
	askAfter = time.Millisecond
	r := newRig(t)
	r.take([]byte(asks(7, `"DOWNLOAD_CREDITS":"50000",`)))
	r.offered().answers(strings.Repeat("x", 120000))
	for asked := 0; asked < 2; runtime.Gosched() {
		for _, m := range r.out.taken() {
			if m == "uuid 3:X 7, 9:3:ctl,0:}]" {
				asked++
			}
		}
	}
	r.take([]byte(aside(7, `{"METHOD":"JSON"}`, "disconnect")))
	if r.busy.Load() != 0 {
		t.Error("who has left is still served")
	}
}

// TestAnIdleClientHoldsNothing of the answers before.
func TestAnIdleClientHoldsNothing(t *testing.T) {
	r := newRig(t)
	r.take([]byte(asks(7, `"DOWNLOAD_CREDITS":"100000",`)))
	x := r.offered()
	l := x.l
	for range 4 {
		x.out = append(x.out, strings.Repeat("x", 8000)...)
		x.send(true)
	}
	x.answers("end")
	if l.cur != nil || cap(l.out)+cap(l.msg) > 0 {
		t.Errorf("%d and %d bytes", cap(l.out), cap(l.msg))
	}
}

func TestWhatIsSmallIsPutTogether(t *testing.T) {
	r := newRig(t)
	r.take([]byte(asks(7, "")))
	x := r.offered()
	for range 1000 {
		x.out = append(x.out, "0123456789"...)
		x.send(true)
	}
	x.answers("end")
	got := r.out.taken()
	n := 0
	for _, m := range got {
		n += len(m) - len("uuid 1:7, ")
	}
	if n != 10003 || len(got) > 16 {
		t.Errorf("%d bytes in %d messages", n, len(got))
	}
}

func TestWhoHasGone(t *testing.T) {
	r := newRig(t)
	r.take([]byte(asks(7, "")))
	r.take([]byte(asks(7, "")))
	x := r.offered()
	if x.Gone() {
		t.Fatal("gone before")
	}
	r.take([]byte(aside(7, `{"METHOD":"JSON"}`, "disconnect")))
	if !x.Gone() {
		t.Error("nobody has told")
	}
	x.answers("late")
	if got := r.out.taken(); len(got) > 0 || r.offered() != nil || r.busy.Load() != 0 || len(r.links) != 0 {
		t.Errorf("%q, busy %d, %d links", got, r.busy.Load(), len(r.links))
	}
}

// TestAServerThatHasGone: the next one has other clients of the same numbers.
func TestAServerThatHasGone(t *testing.T) {
	r := newRig(t)
	r.take([]byte(asks(7, "")))
	r.take([]byte(asks(7, "")))
	x := r.offered()
	r.Lost(nil)
	if !x.Gone() {
		t.Error("nobody has told")
	}
	r.take([]byte(asks(7, "")))
	y := r.offered()
	if y == nil || y.Gone() {
		t.Fatal("the next one is served")
	}
	x.answers("late")
	if got := r.out.taken(); len(got) > 0 {
		t.Errorf("%q has reached another client", got)
	}
	y.answers("of its own")
	if got := r.out.taken(); len(got) == 0 || !strings.Contains(got[0], "of its own") {
		t.Errorf("%q", got)
	}
}

func TestHead(t *testing.T) {
	r := newRig(t)
	long := `{"PATH":"/","host":"x","a":["1","2"],"transfer-encoding":"gzip","METHOD":"POST","VERSION":"HTTP/1.1","URI":"/b?c",` +
		`"REMOTE_ADDR":"::1","METHOD":"PUT","content-length":"99"}`
	for headers, want := range map[string]string{
		`{"PATH":"/","host":"x","a":["1","2"],"content-length":"99","METHOD":"PUT","VERSION":"HTTP/1.1","URI":"/b?c","REMOTE_ADDR":"::1"}`: "" +
			"PUT /b?c HTTP/1.1\r\nhost: x\r\na: 1\r\na: 2\r\ncontent-length: 4\r\n\r\n",
		long: "400", // its body would have to end in two ways
		`{"METHOD":"GET","VERSION":"HTTP/1.1","URI":"/","host":"x","a":"b\r\nc: d"}`: "400",
		`{"METHOD":"GET","VERSION":"HTTP/1.1","URI":"/","host":"x","a b":"c"}`:       "400",
		`{"METHOD":"GET","VERSION":"HTTP/1.1","URI":"/","host":"x/y"}`:               "400",
		`{"METHOD":"GET","VERSION":"HTTP/1.1","URI":"/"}`:                            "400",
		`{"METHOD":"GET","VERSION":"HTTP/9","URI":"/","host":"x"}`:                   "400",
		`{"METHOD":"JSON","PATH":"@x"}`:                                              "",
		`{"host":"x"}`:                                                               "",
	} {
		r.take([]byte(message(7, headers, "text")))
		x := r.offered()
		got := ""
		switch {
		case x == nil:
		case x.refusal != 0:
			got = fmt.Sprint(x.refusal)
		default:
			got = string(x.Req.Arena)
		}
		if got != want {
			t.Errorf("%s\n is %q", headers, got)
		}
		if x != nil {
			x.answers("")
		}
	}
	if r.log.Len() > 0 {
		t.Errorf("the log says:\n%s", r.log)
	}
}

func TestServerIsWhomTheClientAskedFor(t *testing.T) {
	r := newRig(t)
	for host, want := range map[string]string{
		`"host":"a.example",`:            "a.example ",
		`"host":"A.Example:8080",`:       "a.example 8080",
		`"host":"[2001:DB8::1]:81",`:     "[2001:db8::1] 81",
		`"host":"[::1]",`:                "[::1] ",
		`"host":"a.example:",`:           "a.example ",
		`"host":"a.example:080",`:        "a.example ",
		`"host":":81",`:                  " 81",
		`"host":"",`:                     " ",
		``:                               " ",
		`"host":"a.example:99999",`:      "400",
		`"host":"a.example:8a",`:         "400",
		`"host":"a.example, b.example",`: "400",
		`"host":"a.example/b",`:          "400",
		`"host":"b@a.example",`:          "400",
		`"host":"[::1",`:                 "400",
		`"host":["a.example","b"],`:      "400",
	} {
		r.take([]byte(message(7, `{"PATH":"/",`+host+`"METHOD":"GET","VERSION":"HTTP/1.0","URI":"/","REMOTE_ADDR":"192.0.2.1"}`, "")))
		x := r.offered()
		got := fmt.Sprint(x.refusal)
		if x.refusal == 0 {
			got = fmt.Sprintf("%s %s", x.Req.ServerName.In(x.Req.Arena), x.Req.ServerPort.In(x.Req.Arena))
		}
		if got != want {
			t.Errorf("%s is %q", host, got)
		}
		x.answers("")
	}
	// A proxy that may say so has named another host, without a port.
	r.srv.Admit = func(r *request.Request, _ netip.Addr, _ []byte, _ uint32) (int, string, time.Duration) {
		at := bytes.Index(r.Req.Arena, []byte("B.Example"))
		r.Req.Head.Host = httpparse.Span{Off: uint32(at), Len: uint32(len("B.Example"))}
		return 0, "", 0
	}
	r.take([]byte(message(7, `{"host":"a.example:81","x-forwarded-host":"B.Example","METHOD":"GET","VERSION":"HTTP/1.1","URI":"/"}`, "")))
	x := r.offered()
	if got := x.Req.ServerName.In(x.Req.Arena); string(got) != "b.example" || x.Req.ServerPort.Len > 0 {
		t.Errorf("%q, port of %d bytes", got, x.Req.ServerPort.Len)
	}
}

func TestForgedUploads(t *testing.T) {
	for headers, want := range map[string]int{
		`"x-mongrel2-upload-start":"/a",`:                                                             400,
		`"x-mongrel2-upload-start":"/a","x-mongrel2-upload-done":"/a",`:                               400,
		`"x-mongrel2-upload-done":"/a","content-length":"5",`:                                         400,
		`"x-mongrel2-upload-start":"/a","content-length":"0",`:                                        400,
		`"x-mongrel2-upload-start":"/a","content-length":"4294967296",`:                               400,
		`"x-mongrel2-upload-start":"/a","content-length":" 7",`:                                       400,
		`"x-mongrel2-upload-start":"/a","x-mongrel2-upload-done":"/b","content-length":"99999",`:      400,
		`"x-mongrel2-upload-start":"/a","UPLOAD_STREAM":"0","content-length":"99999",`:                400,
		`"x-mongrel2-upload-start":"/a","x-mongrel2-upload-done":"/b","transfer-encoding":"chunked",`: 400,
		`"x-mongrel2-upload-start":"/a","x-mongrel2-upload-done":"/a","transfer-encoding":"chunked",`: 0,
		`"x-mongrel2-upload-start":"/a","transfer-encoding":"chunked",`:                               -1, // the other one counts
		`"x-mongrel2-upload-start":"/a","x-mongrel2-upload-done":"/a","content-length":"99999",`:      -1,
		// Mongrel2 looks at the first field of a name, and at "chunked" letter by letter: these have no body for it, so that it has made
		// no file.
		`"x-mongrel2-upload-start":"/a","content-length":["0","99999"],`:                                                   400,
		`"x-mongrel2-upload-start":"/a","content-length":["x","99999"],`:                                                   400,
		`"x-mongrel2-upload-start":"/a","x-mongrel2-upload-done":"/a","transfer-encoding":"Chunked",`:                      400,
		`"x-mongrel2-upload-start":"/a","x-mongrel2-upload-done":"/a","transfer-encoding":["x","chunked"],`:                501,
		`"x-mongrel2-upload-start":"/a","content-length":["0","5"],"transfer-encoding":"chunked",`:                         400,
		`"x-mongrel2-upload-start":["/a","/a"],"x-mongrel2-upload-done":"/a","transfer-encoding":"chunked",`:               400,
		`"x-mongrel2-upload-start":"/a","x-mongrel2-upload-done":"/a","content-length":"0","transfer-encoding":"chunked",`: 400,
		`"content-length":"\\","x":"7\"","x-mongrel2-upload-start":"/a",`:                                                  400, // one escape is not to become another's text
	} {
		r := newRig(t)
		r.take([]byte(asks(7, headers)))
		got := -1
		if x := r.offered(); x != nil {
			got = x.refusal
		}
		if got != want {
			t.Errorf("%s: %d", headers, got)
		}
	}
}

func TestOfALargeBlockThereIsOneCopy(t *testing.T) {
	const size = 8 << 20
	for _, more := range []string{"", `"DOWNLOAD_CREDITS":"102400",`} {
		r := newRig(t)
		r.take([]byte(asks(7, more)))
		x := r.offered()
		x.out = x.pour(x.out, x.prefix, make([]byte, size))
		x.send(true)
		sent := 0
		for _, m := range r.out.taken() {
			sent += len(m) - x.prefix
		}
		if sent+x.l.pending() != size {
			t.Errorf("%d bytes have left and %d wait", sent, x.l.pending())
		}
		if kept := sent + cap(x.out) + cap(x.l.out); kept > size*5/4+4*plainPiece {
			t.Errorf("%d bytes are kept", kept)
		}
	}
}

// The descriptors by which the application asks about its client are there while it runs: those whose turn is not yet may be many.
func TestOnlyWhatRunsHasDescriptors(t *testing.T) {
	r := newRig(t)
	r.take([]byte(asks(7, "")))
	r.take([]byte(asks(7, "")))
	x := r.offered()
	waits := x.l.waiting[0]
	if x.Req.FD < 0 || waits.pair[0] >= 0 {
		t.Errorf("%d and %v", x.Req.FD, waits.pair)
	}
	first := x.Req.FD
	x.answers("first")
	r.take([]byte(aside(7, `{"METHOD":"JSON"}`, "disconnect"))) // before the second one begins
	y := r.offered()
	if y.Req.FD != first {
		t.Error("one that runs after another has more of them")
	}
	if n, err := unix.Read(y.Req.FD, make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("who had gone before is still there: %d, %v", n, err)
	}
}

// A file that has not grown for long is looked at seldom, so that many cost little; the message that it is complete is a reason to look.
func TestAFileIsLookedAtWhenItIsComplete(t *testing.T) {
	r := newRig(t)
	if err := os.WriteFile(r.cfg.Mongrel2Chroot+"/a", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const start = `"x-mongrel2-upload-start":"/a","content-length":"99999",`
	r.take([]byte(asks(7, start)))
	l := r.links[key{r.senders["uuid"], 7}]
	l.mu.Lock()
	changed := l.change()
	l.mu.Unlock()
	r.take([]byte(asks(7, start+`"x-mongrel2-upload-done":"/a",`)))
	select {
	case <-changed:
	default:
		t.Error("nobody was told")
	}
}

// A file that nobody reads would stay for ever, and clients could fill the disk.
func TestRefusedUploadsLeaveNoFile(t *testing.T) {
	const both = `"x-mongrel2-upload-start":"/a","x-mongrel2-upload-done":"/a",`
	for _, headers := range []string{
		`"x-mongrel2-upload-start":"/a","content-length":"99999999",`, // too large
		`"x-mongrel2-upload-start":"/a","content-length":"99999","a":"\u0001",`,
		`"x-mongrel2-upload-start":"/a","content-length":"+99999",`,
		`"x-mongrel2-upload-start":"/a","content-length":" 99999x",`,
		`"x-mongrel2-upload-start":"/a","content-length":["99999","5"],`,
		`"x-mongrel2-upload-start":"/a","content-length":"99999","transfer-encoding":"chunked",`,
		`"x-mongrel2-upload-start":"/a","x-mongrel2-upload-done":"/b","content-length":"99999",`,
		both + `"transfer-encoding":"chunked","a":"\u0001",`,
		both + `"transfer-encoding":["chunked","x"],`,
	} {
		r := newRig(t)
		r.cfg.LimitRequestBody = 1 << 20
		file := r.cfg.Mongrel2Chroot + "/a"
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r.take([]byte(asks(7, headers)))
		x := r.offered()
		if x.refusal == 0 {
			t.Errorf("%s is not refused", headers)
		}
		x.answers("no")
		untilRemoved(t, file)
	}
}

func TestUploadsOfWhoHasGoneLeaveNoFile(t *testing.T) {
	r := newRig(t)
	file := r.cfg.Mongrel2Chroot + "/a"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.take([]byte(asks(7, "")))
	r.take([]byte(asks(7, `"x-mongrel2-upload-start":"/a","x-mongrel2-upload-done":"/a","transfer-encoding":"chunked",`)))
	x := r.offered()
	r.take([]byte(aside(7, `{"METHOD":"JSON"}`, "disconnect")))
	x.answers("nobody")
	untilRemoved(t, file)
}

func untilRemoved(t *testing.T, file string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Lstat(file); err != nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the file is still there")
		}
	}
}

func TestPieces(t *testing.T) {
	r := newRig(t)
	r.cfg.BodyStreaming = true
	r.take([]byte(asks(7, `"UPLOAD_STREAM":"0","content-length":"6",`)))
	x := r.offered()
	if !x.open() || x.Req.Body != bridge.BodyStream {
		t.Fatal("it is not read as it comes")
	}
	buf := make([]byte, 100)
	if n := x.Read(buf, false); n != bridge.ReadNothing {
		t.Fatal(n)
	}
	done := make(chan int64)
	go func() { done <- x.Read(buf, true) }()
	r.take([]byte(message(7, `{"UPLOAD_STREAM":"0"}`, "abc")))
	if n := <-done; n != 3 || string(buf[:3]) != "abc" {
		t.Error(n)
	}
	r.take([]byte(message(7, `{"UPLOAD_STREAM":"3","UPLOAD_STREAM_DONE":"1"}`, "def")))
	if n := x.Read(buf, true); n != 3 || string(buf[:3]) != "def" {
		t.Error(n)
	}
	if n := x.Read(buf, true); n != 0 {
		t.Error(n)
	}
	for _, m := range r.out.taken() {
		if !strings.Contains(m, "7:credits,") {
			t.Errorf("%q", m)
		}
	}
	// A piece that is missing can never come.
	r.take([]byte(asks(8, `"UPLOAD_STREAM":"0","content-length":"6",`)))
	y := r.offered()
	r.take([]byte(message(8, `{"UPLOAD_STREAM":"3"}`, "def")))
	if n := y.Read(buf, true); n != bridge.ReadGone {
		t.Error(n)
	}
}

// A client's first frame may be here as soon as its handshake has been answered.
func TestAFrameRightAfterTheHandshake(t *testing.T) {
	r := newRig(t)
	r.take([]byte(message(7, `{"PATH":"/","host":"x","METHOD":"WEBSOCKET_HANDSHAKE","VERSION":"HTTP/1.1","URI":"/"}`, "")))
	x := r.offered()
	ready := false
	r.out.sent = func(message string) {
		if strings.Contains(message, " 101 ") {
			ready = x.l.socket != nil
		}
	}
	x.Upgrade(bridge.UpgradeRequest{Key: []byte("dGhlIHNhbXBsZSBub25jZQ==")}, false)
	if !ready {
		t.Error("it is answered before there is somebody who takes a frame")
	}
}

// TestWhoLeavesDuringAnUpload: the application hears that the client has left, and not that its request is over, which it is not.
func TestWhoLeavesDuringAnUpload(t *testing.T) {
	for name, how := range map[string]string{
		"pieces": `"UPLOAD_STREAM":"0","content-length":"6",`,
		"file":   `"x-mongrel2-upload-start":"/upload","content-length":"6",`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.cfg.BodyStreaming = true
			if err := os.WriteFile(filepath.Join(r.cfg.Mongrel2Chroot, "upload"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			r.take([]byte(asks(7, how)))
			x := r.offered()
			if x.file != "" && !x.openFile() {
				t.Fatal("it cannot be opened")
			}
			read := make(chan int64)
			go func() { read <- x.Read(make([]byte, 100), true) }()
			for waits := false; !waits; runtime.Gosched() {
				x.l.mu.Lock()
				waits = x.done != nil
				x.l.mu.Unlock()
			}
			r.take([]byte(aside(7, `{"METHOD":"JSON"}`, "disconnect")))
			if n := <-read; n != bridge.ReadGone {
				t.Error(n)
			}
		})
	}
}

// What a user has to be told, as nothing else says what is wrong.
func TestWhatIsSaidOfUploads(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		err    error
		chroot string
		want   string
	}{
		{os.ErrNotExist, "", "--mongrel2-chroot says"},
		{os.ErrNotExist, "/srv", "has to be Mongrel2's root"},
		{os.ErrPermission, "/srv", "upload.temp_store_mode"},
		{io.ErrUnexpectedEOF, "", "cannot be read"},
	} {
		r.cfg.Mongrel2Chroot = c.chroot
		if got := r.unreadable(c.err); !strings.Contains(got, c.want) {
			t.Errorf("%v: %s", c.err, got)
		}
	}
	r.take([]byte(message(8, `{"UPLOAD_STREAM":"0"}`, "abc")))
	if !strings.Contains(r.log.String(), "another handler may have that") {
		t.Errorf("the log says:\n%s", r.log)
	}
}

// Requests that need no thread are counted, but no WebSocket, and none that has been answered.
func TestApart(t *testing.T) {
	r := newRig(t)
	var told []int64
	r.TellApart(func(n int64) { told = append(told, n) })
	r.take([]byte(asks(7, `"DOWNLOAD_CREDITS":"10",`)))
	x := r.offered()
	x.Suspended(false)
	x.l.mu.Lock()
	x.setApart(true)
	x.setApart(false)
	x.l.mu.Unlock()
	x.answers("more than ten bytes")
	if r.Apart() != 1 {
		t.Error("an answer that waits for its client needs no thread")
	}
	r.take([]byte(aside(7, `{"METHOD":"JSON","DOWNLOAD_CREDITS":"100"}`, "credits")))
	if fmt.Sprint(told) != "[1 0 1 0]" || r.Apart() != 0 {
		t.Errorf("%d", told)
	}
}

// Frames that come before the handshake is answered are kept, but not many.
func TestFramesAheadAreBounded(t *testing.T) {
	r := newRig(t)
	headers := `{"METHOD":"WEBSOCKET_HANDSHAKE","VERSION":"HTTP/1.1","URI":"/","host":"x","REMOTE_ADDR":"192.0.2.1"}`
	r.take([]byte(message(7, headers, "")))
	x := r.offered()
	frame := []byte(message(7, `{"METHOD":"WEBSOCKET","FLAGS":"0x81"}`, "text"))
	for range maxAhead {
		r.take(frame)
	}
	if x.Gone() || len(x.ahead) != maxAhead {
		t.Fatalf("%d frames are kept", len(x.ahead))
	}
	r.out.taken()
	if r.take(frame); !x.Gone() || fmt.Sprint(r.out.taken()) != "[uuid 1:7, ]" {
		t.Error("it is not cut")
	}
}

// Where there are no credits Mongrel2 hangs up on whom more than 16 messages wait for: of many frames few messages are made.
func TestFramesArePutTogetherWithoutCredits(t *testing.T) {
	for credits, most := range map[string]int{"": freeFrames + 1, `"DOWNLOAD_CREDITS":"102400",`: 100} {
		r := newRig(t)
		r.take([]byte(asks(7, credits)))
		x := r.offered()
		k := &socket{x: x, l: x.l, name: x.l.key.of.name}
		x.l.mu.Lock()
		x.l.socket = k
		x.l.frameAt = time.Now().Add(time.Hour) // so that no pause comes between two, however slow this is
		x.l.sentAt = x.l.frameAt
		x.l.mu.Unlock()
		for n := range 100 {
			wire{k}.Send([]byte{byte(n)}, nil, false)
			x.l.mu.Lock()
			x.l.frameAt = time.Now().Add(time.Hour)
			x.l.mu.Unlock()
		}
		x.l.flush()
		sent, all := r.out.taken(), ""
		for _, m := range sent {
			_, body, _ := strings.Cut(m, ", ")
			all += body
		}
		if len(sent) > most || len(all) != 100 {
			t.Errorf("%q: %d bytes in %d messages", credits, len(all), len(sent))
		}
		x.l.mu.Lock()
		x.l.socket = nil
		x.l.mu.Unlock()
	}
}

// FuzzMessages: whatever comes, nothing of it is more than a line in the log or a request, and nothing is left when its clients have
// gone. One gateway has them all: to make one took most of the time. Nothing waits for files or deadlines, and none are opened.
func FuzzMessages(f *testing.F) {
	f.Add([]byte(asks(7, "")))
	f.Add([]byte(asks(8, `"DOWNLOAD_CREDITS":"3",`)))
	f.Add([]byte(asks(7, `"UPLOAD_STREAM":"0","content-length":"6",`)))
	f.Add([]byte(asks(7, `"x-mongrel2-upload-start":"/a","transfer-encoding":"chunked",`)))
	f.Add([]byte(asks(7, `"x-mongrel2-upload-start":"/a","content-length":"99999",`)))
	f.Add([]byte(aside(7, `{"METHOD":"JSON","DOWNLOAD_CREDITS":"32768"}`, "credits")))
	f.Add([]byte(aside(7, `{"METHOD":"JSON"}`, "disconnect")))
	f.Add([]byte(message(7, `{"METHOD":"WEBSOCKET","FLAGS":"0x81"}`, "text")))
	f.Add([]byte("uuid 9 / 73:6:METHOD,3:GET,3:URI,1:/,7:VERSION,8:HTTP/1.1,4:host,3:a:1,1:x,8:1:1,1:2,]}0:,"))
	r := newRig(f)
	r.cfg.BodyStreaming, r.cfg.WriteTimeout = true, 0
	f.Fuzz(func(t *testing.T, b []byte) {
		answer := func() {
			for x := r.offered(); x != nil; x = r.offered() {
				x.answers("answer")
			}
		}
		r.take([]byte(asks(7, "")))
		r.Receive(zeromq.Message{b})
		answer()
		r.Lost(nil)
		answer()
		if len(r.links) > 0 || r.busy.Load() != 0 || r.queued.Load() != 0 || r.needy.Load() != 0 {
			t.Errorf("%d links, %d busy, %d queued, %d needy", len(r.links), r.busy.Load(), r.queued.Load(), r.needy.Load())
		}
		r.out.taken()
		clear(r.senders)
	})
}

// Who has gone takes his clients with him, and nobody else's.
func TestLostByName(t *testing.T) {
	r := newRig(t)
	other := strings.Replace(asks(7, ""), "uuid", "other", 1)
	r.comes(asks(7, ""))
	r.comes(other)
	a, b := r.offered(), r.offered()
	r.Lost([]byte("uu"))
	if !a.l.isGone() || b.l.isGone() {
		t.Errorf("its client is gone: %v, the other's: %v", a.l.isGone(), b.l.isGone())
	}
}

// Servers that have no client any more are forgotten when there are too many; else it is said that one is ignored.
func TestManyServers(t *testing.T) {
	r := newRig(t)
	for n := range maxSenders + 1 {
		r.comes(strings.Replace(asks(n, ""), "uuid", fmt.Sprint("server", n), 1))
	}
	for range maxSenders {
		if r.offered() == nil {
			t.Fatal("requests are missing")
		}
	}
	if r.offered() != nil || !strings.Contains(r.log.String(), "too many Mongrel2 servers") {
		t.Errorf("one too many: %s", r.log)
	}
	r.Lost([]byte("server9"))
	r.comes(strings.Replace(asks(1, ""), "uuid", "new", 1))
	if r.offered() == nil {
		t.Error("a new server is not served")
	}
}

// However many wait for credits, not everything is taken.
func TestNeedyHasABound(t *testing.T) {
	r := newRig(t)
	r.need(1)
	defer r.need(-1)
	n := 0
	for ; !r.Full(); n++ {
		if n > needyMost*int(r.most()) {
			t.Fatal("no bound")
		}
		r.comes(asks(n, ""))
	}
	if n < 2*int(r.most()) {
		t.Error("full with", n)
	}
}

// A client that uses one of Mongrel2's own methods is told so; what comes by them is no request.
func TestReservedMethods(t *testing.T) {
	for _, method := range []string{"JSON", "XML", "WEBSOCKET"} {
		r := newRig(t)
		r.comes(message(7, `{"PATH":"@chat","METHOD":"`+method+`","PATTERN":"@chat"}`, ""))
		if r.offered() != nil {
			t.Errorf("%s is a request", method)
		}
		headers := `{"PATH":"/","host":"x","METHOD":"` + method + `","VERSION":"HTTP/1.1","URI":"/","REMOTE_ADDR":"192.0.2.1"}`
		r.comes(message(7, headers, ""))
		if x := r.offered(); x == nil || x.refusal != 501 {
			t.Errorf("%s gets no answer", method)
		}
	}
}
