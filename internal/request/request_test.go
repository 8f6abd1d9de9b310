package request

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/crew"
)

// fake is a client that notes what it is asked for, and answers what the test wants.
type fake struct {
	calls             []string
	result            bridge.WriteResult
	full, gone, stuck bool // stuck: Drain never succeeds
	read, upgrade     int64
}

func (f *fake) note(format string, args ...any) {
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
}

func (f *fake) Head(_ *bridge.Response, length int64, body bool) { f.note("head %d %v", length, body) }
func (f *fake) Body(pieces []bridge.Piece, total int64, last bool) bool {
	f.note("body %q %d %v", text(pieces), total, last)
	return !f.gone
}
func (f *fake) File(_ int, off, n int64, _ bridge.Finish, loose bool) {
	f.note("file %d+%d %v", off, n, loose)
}
func (f *fake) Error(status int) int64 { f.note("error %d", status); return 7 }
func (f *fake) Close() (in, out int64) { f.note("close"); return 5, 6 }
func (f *fake) Cut()                   { f.note("cut") }
func (f *fake) Long()                  { f.note("long") }
func (f *fake) Turn()                  { f.note("turn") }
func (f *fake) Suspended(gone bool)    { f.note("suspended %v", gone) }
func (f *fake) Resume(*crew.Thread)    { f.note("resume") }
func (f *fake) Full() bool             { return f.full }
func (f *fake) Drain() bool            { f.note("drain"); return !f.stuck }
func (f *fake) Gone() bool             { return f.gone }
func (f *fake) Write(res *bridge.Response, length int64, body bool, data []byte, wait bool) bridge.WriteResult {
	if res != nil {
		f.note("head %d %v", length, body)
	}
	f.note("write %q %v", data, wait)
	return f.result
}
func (f *fake) Hints(lines []byte, wait bool) bridge.WriteResult {
	f.note("hints %q %v", lines, wait)
	return f.result
}
func (f *fake) Socket(wait bool) int {
	f.note("socket %v", wait)
	if f.result == bridge.Again {
		return bridge.SocketAgain
	}
	return 7
}
func (f *fake) Read(dst []byte, wait bool) (got int64) {
	f.note("read %d %v", len(dst), wait)
	return f.read
}
func (f *fake) Upgrade(ask bridge.UpgradeRequest, wait bool) int64 {
	f.note("upgrade %q %v", ask.Key, wait)
	return f.upgrade
}
func (f *fake) Leave(failed bool) (in, out int64) { f.note("leave %v", failed); return 3, 4 }
func (f *fake) Over()                             { f.note("over") }
func (f *fake) wants(t *testing.T, calls ...string) {
	t.Helper()
	if !slices.Equal(f.calls, calls) {
		t.Errorf("calls of the client: %q, want %q", f.calls, calls)
	}
	f.calls = nil
}

var _ Client = (*fake)(nil)

// asked is a request with this method, its client, and what the error log has.
func asked(method string) (*Request, *fake, *bytes.Buffer) {
	log := new(bytes.Buffer)
	f := &fake{}
	r := &Request{Client: f, Service: &Service{Log: slog.New(slog.NewTextHandler(log, nil))}}
	r.Reset()
	arena := []byte(method + "/target")
	n := uint32(len(method))
	r.Req.Head = &httpparse.Request{HeadMethod: method == "HEAD",
		Method: httpparse.Span{Len: n}, Target: httpparse.Span{Off: n, Len: uint32(len(arena)) - n}}
	r.Req.Arena = arena
	return r, f, log
}

func pieces(blocks ...string) (all []bridge.Piece) {
	for _, b := range blocks {
		all = append(all, bridge.Piece{Ptr: unsafe.Pointer(unsafe.StringData(b)), Len: uintptr(len(b))})
	}
	return all
}

func text(pieces []bridge.Piece) (s string) {
	for i := range pieces {
		s += string(pieces[i].Bytes()) + "|"
	}
	return s
}

func status(code int32, length int64) *bridge.Response {
	return &bridge.Response{Status: code, ContentLength: length, Total: -1, FileFD: -1}
}

// What a response is, by its status, its Content-Length and what is known of its blocks.
func TestBegin(t *testing.T) {
	for _, c := range []struct {
		name, method    string
		code            int32
		declared, total int64
		length          int64
		body            bool
	}{
		{"a list", "GET", 200, -1, 5, 5, true},
		{"a generator", "GET", 200, -1, -1, -1, true},
		{"declared", "GET", 200, 7, -1, 7, true},
		{"declared, and the app's word stands", "GET", 200, 7, 5, 7, true},
		{"HEAD", "HEAD", 200, 7, -1, 7, false},
		{"HEAD of a list that was emptied", "HEAD", 200, -1, 0, -1, false},
		{"204", "GET", 204, 7, 5, 7, false},
		{"304", "GET", 304, -1, 5, -1, false},
		{"1xx", "GET", 199, -1, 5, -1, false},
		{"101 is another protocol", "GET", 101, 7, -1, -1, true},
	} {
		r, _, _ := asked(c.method)
		if length, body := r.begin(status(c.code, c.declared), c.total); length != c.length || body != c.body {
			t.Errorf("%s: length %d, body %v", c.name, length, body)
		}
		if r.Status() != int(c.code) || r.HeadSent() {
			t.Errorf("%s: status %d, head sent %v", c.name, r.Status(), r.HeadSent())
		}
	}
}

// A body ends with its Content-Length, in the middle of a block if need be.
func TestWithin(t *testing.T) {
	for _, c := range []struct {
		name, method string
		declared     int64
		blocks       []string
		want         string
		sent, left   int64
		excess       bool
	}{
		{"no length", "GET", -1, []string{"one", "two"}, "one|two|", 6, -1, false},
		{"less", "GET", 10, []string{"one", "two"}, "one|two|", 6, 4, false},
		{"exactly", "GET", 6, []string{"one", "two"}, "one|two|", 6, 0, false},
		{"cut in a block", "GET", 4, []string{"one", "two", "six"}, "one|t|", 4, 0, true},
		{"cut between two", "GET", 3, []string{"one", "two"}, "one|", 3, 0, true},
		{"cut in the first", "GET", 1, []string{"one"}, "o|", 1, 0, true},
		{"nothing is left", "GET", 0, []string{"one", "two"}, "|", 0, 0, true},
		{"HEAD", "HEAD", 6, []string{"one", "two"}, "", 0, 6, false},
	} {
		r, _, _ := asked(c.method)
		r.begin(status(200, c.declared), -1)
		got, total := r.within(pieces(c.blocks...))
		if text(got) != c.want || total != c.sent || r.Sent() != c.sent || r.left != c.left || r.excess != c.excess {
			t.Errorf("%s: %q, %d bytes, sent %d, left %d, too much: %v", c.name, text(got), total, r.Sent(), r.left, r.excess)
		}
	}
}

// Whether the application is to be asked for another block; nothing is over before the client has the head.
func TestNobodyWantsMore(t *testing.T) {
	for _, c := range []struct {
		name, method string
		code         int32
		declared     int64
		blocks       []string
		want         bool
	}{
		{"no length", "GET", 200, -1, []string{"one"}, false},
		{"some is missing", "GET", 200, 4, []string{"one"}, false},
		{"all is there", "GET", 200, 3, []string{"one"}, true},
		{"more than all", "GET", 200, 2, []string{"one"}, true},
		{"nothing is to come", "GET", 200, 0, nil, true},
		{"HEAD", "HEAD", 200, -1, nil, true},
		{"304", "GET", 304, 9, nil, true},
		{"101", "GET", 101, -1, []string{"one"}, false},
	} {
		r, _, _ := asked(c.method)
		r.begin(status(c.code, c.declared), -1)
		if r.nobodyWantsMore() {
			t.Errorf("%s: over before its head was sent", c.name)
		}
		r.start(status(c.code, c.declared), -1)
		r.within(pieces(c.blocks...))
		if r.nobodyWantsMore() != c.want {
			t.Errorf("%s: %v", c.name, !c.want)
		}
	}
}

// An empty block begins nothing (PEP 3333: the head goes with the first block that is not empty), and a client that is
// gone ends the iteration even then.
func TestEmptyBlocks(t *testing.T) {
	r, f, _ := asked("GET")
	th := &crew.Thread{Py: &bridge.Thread{}}
	if _, _, ok := r.blocks(th, status(200, -1)); !ok || r.HeadSent() {
		t.Error("an empty block began the response")
	}
	for _, c := range []struct {
		method string
		res    *bridge.Response
		enough bool
	}{
		{"GET", status(200, -1), false}, {"HEAD", status(200, -1), true}, {"GET", status(204, -1), true},
		{"GET", status(304, 5), true}, {"GET", status(200, 0), true}, {"GET", status(200, 5), false},
	} {
		r, _, _ := asked(c.method)
		c.res.Flags = bridge.HasHead
		if _, enough, ok := r.blocks(th, c.res); !ok || enough != c.enough || r.HeadSent() {
			t.Errorf("%s, %d, %d: enough after an empty block: %v", c.method, c.res.Status, c.res.ContentLength, enough)
		}
	}
	f.gone = true
	if _, _, ok := r.blocks(th, status(200, -1)); ok {
		t.Error("the application is asked for more, for a client that is gone")
	}
	f.wants(t)
}

func TestWrite(t *testing.T) {
	r, f, _ := asked("GET")
	res := status(200, 8)
	for _, data := range []string{"one", "two"} {
		if got := r.Write(res, []byte(data), false); got != bridge.WriteOK {
			t.Fatal(got)
		}
	}
	f.wants(t, "head 8 true", `write "one" false`, `write "two" false`) // the head once
	if got := r.Write(res, []byte("three"), false); got != bridge.WriteTooMuch {
		t.Error("more than the Content-Length: ", got)
	}
	f.wants(t, `write "th" false`)
	if r.Sent() != 8 || !r.Exact() || !r.excess || !r.nobodyWantsMore() {
		t.Error("sent ", r.Sent(), r.left, r.excess)
	}
	if got := r.Write(res, []byte("x"), false); got != bridge.WriteTooMuch || r.Sent() != 8 {
		t.Error("behind the end: ", got, r.Sent())
	}
	f.wants(t, `write "" false`)

	r, f, _ = asked("HEAD")
	if got := r.Write(status(200, 3), []byte("one"), false); got != bridge.WriteOK || r.Sent() != 0 {
		t.Error("HEAD: ", got, r.Sent())
	}
	f.wants(t, "head 3 false", `write "" false`)

	r, f, _ = asked("GET")
	f.result = bridge.WriteGone
	if got := r.Write(status(200, 2), []byte("one"), false); got != bridge.WriteGone {
		t.Error("that the client is gone comes first: ", got)
	}
}

// With the GIL nothing waits. What would have to leaves everything as it was, for the call that comes again without it.
func TestWithTheGILNothingWaits(t *testing.T) {
	res := status(200, 8)
	for name, busy := range map[string]func(r *Request, f *fake){
		"another thread is in write": func(r *Request, f *fake) { r.mu.Lock() },
		"the client has too much":    func(r *Request, f *fake) { f.full = true },
		"the client's lock is taken": func(r *Request, f *fake) { f.result = bridge.Again },
	} {
		r, f, _ := asked("GET")
		busy(r, f)
		if got := r.Write(res, []byte("one"), false); got != bridge.Again {
			t.Errorf("%s: write: %v", name, got)
		}
		if r.HeadSent() || r.Sent() != 0 || r.excess {
			t.Errorf("%s: something is counted as sent", name)
		}
		if slices.Contains(f.calls, "drain") {
			t.Errorf("%s: waited", name)
		}
		if f.full {
			f.wants(t)
			continue // hints go through: they are small
		}
		if got := r.EarlyHints([]byte("Link: </a>\r\n"), false); got != bridge.Again {
			t.Errorf("%s: hints: %v", name, got)
		}
		if got := r.SocketTaken(false); got != bridge.SocketAgain {
			t.Errorf("%s: socket: %v", name, got)
		}
		if !r.Hijacked() {
			t.Errorf("%s: the socket counts as taken only later", name)
		}
	}
}

// Without the GIL it waits for the client, and then writes all of it.
func TestWriteWaits(t *testing.T) {
	r, f, _ := asked("GET")
	f.full = true
	if got := r.Write(status(200, -1), []byte("one"), true); got != bridge.WriteOK || r.Sent() != 3 {
		t.Error(got, r.Sent())
	}
	f.wants(t, "drain", "head -1 true", `write "one" true`)
	f.stuck = true
	if got := r.Write(status(200, -1), []byte("two"), true); got != bridge.WriteGone || r.Sent() != 3 {
		t.Error("the client takes nothing: ", got, r.Sent())
	}
	f.wants(t, "drain")

	r.mu.Lock()
	f.full, f.stuck = false, false
	done := make(chan bridge.WriteResult)
	go func() { done <- r.Write(status(200, -1), []byte("three"), true) }()
	r.sent = 100 // of the thread that has it
	r.mu.Unlock()
	if got := <-done; got != bridge.WriteOK || r.Sent() != 105 {
		t.Error("behind another thread: ", got, r.Sent())
	}
}

func TestEarlyHints(t *testing.T) {
	r, f, _ := asked("GET")
	lines := []byte("Link: </a>\r\n")
	for range 2 {
		if got := r.EarlyHints(lines, false); got != bridge.WriteOK {
			t.Fatal(got)
		}
	}
	f.wants(t, `hints "Link: </a>\r\n" false`, `hints "Link: </a>\r\n" false`)
	r.start(status(200, -1), -1)
	f.calls = nil
	if got := r.EarlyHints(lines, true); got != bridge.WriteOK {
		t.Error(got)
	}
	f.wants(t) // too late
}

// Reading needs no lock of the request: write and early hints go on while a thread waits for the body.
func TestReadLocksNothing(t *testing.T) {
	r, f, _ := asked("POST")
	f.read = bridge.ReadNothing
	r.mu.Lock()
	if got := r.Read(make([]byte, 10), false); got != bridge.ReadNothing {
		t.Error(got)
	}
	r.Over()
	r.mu.Unlock()
	f.wants(t, "read 10 false", "over")
}

// A body that does not match its length is said in the log, and one that is too short ends the connection.
func TestEnd(t *testing.T) {
	for _, c := range []struct {
		method string
		length int64
		blocks []string
		log    string
		calls  []string
	}{
		{"GET", 3, []string{"one"}, "", nil},
		{"GET", -1, []string{"one"}, "", nil},
		{"HEAD", 9, nil, "", nil},
		{"GET", 2, []string{"one"}, "more than its Content-Length", nil},
		{"GET", 9, []string{"one"}, "less than its Content-Length", []string{"close"}},
	} {
		r, f, log := asked(c.method)
		r.start(status(200, c.length), -1)
		r.within(pieces(c.blocks...))
		f.calls = nil
		r.end()
		f.wants(t, c.calls...)
		if said := log.String(); c.log == "" && said != "" || !strings.Contains(said, c.log) ||
			c.log != "" && !strings.Contains(said, c.method+" /target") {
			t.Errorf("%s, %d declared, %q: %q", c.method, c.length, c.blocks, said)
		}
	}
}

func TestFile(t *testing.T) {
	for _, c := range []struct {
		name, method   string
		code           int32
		declared, size int64
		calls          []string
		sent           int64
	}{
		{"all", "GET", 200, -1, 9, []string{"head 9 true", "file 5+9 true"}, 9},
		{"a part", "GET", 206, 4, 9, []string{"head 4 true", "file 5+4 true"}, 4},
		{"too short", "GET", 200, 20, 9, []string{"head 20 true", "file 5+9 true", "close"}, 9},
		{"HEAD has its length", "HEAD", 200, -1, 9, []string{"head 9 false", "file 5+0 true"}, 0},
		{"304", "GET", 304, -1, 9, []string{"head -1 false", "file 5+0 true"}, 0},
	} {
		r, f, _ := asked(c.method)
		res := status(c.code, c.declared)
		res.FileOff, res.FileLen, res.Flags = 5, c.size, bridge.Loose
		r.file(res)
		f.wants(t, c.calls...)
		if r.Sent() != c.sent {
			t.Errorf("%s: sent %d", c.name, r.Sent())
		}
	}
}

// Nothing of a request is left for the next.
func TestReset(t *testing.T) {
	r, _, _ := asked("HEAD")
	r.Write(status(200, 2), []byte("one"), false)
	r.SocketTaken(false)
	r.Reset()
	if r.Status() != 0 || r.Sent() != 0 || r.HeadSent() || r.Hijacked() || !r.Exact() || r.excess || r.noBody {
		t.Errorf("%+v", r)
	}
}

// TestBeforeHead: what belongs before the head is sent before it, or not at all, and with the GIL nobody waits to find out.
func TestBeforeHead(t *testing.T) {
	var r Request
	sent := 0
	send := func() bool { sent++; return true }
	if !r.BeforeHead(true, send) || sent != 1 {
		t.Fatal("not sent")
	}
	r.mu.Lock() // the head is on its way
	if r.BeforeHead(false, send) || sent != 1 {
		t.Fatal("sent while the head is on its way")
	}
	r.head = true
	r.mu.Unlock()
	if !r.BeforeHead(false, send) || sent != 1 {
		t.Fatal("sent behind the head")
	}
}

// A request that becomes a WebSocket: once, before its answer, and what the application answers then goes nowhere.
func TestUpgrade(t *testing.T) {
	ask := bridge.UpgradeRequest{Key: []byte("key")}
	r, f, _ := asked("GET")
	r.Req.Head.Minor = 1
	f.upgrade = bridge.WSAgain
	if got := r.Upgrade(ask, false); got != bridge.WSAgain || r.Upgraded() {
		t.Error("it would have to wait: ", got)
	}
	f.upgrade = 7
	if got := r.Upgrade(ask, true); got != 7 || !r.Upgraded() || r.Status() != 101 {
		t.Error(got, r.Status())
	}
	f.wants(t, `upgrade "key" false`, `upgrade "key" true`)
	if got := r.Upgrade(ask, true); got != bridge.WSRefused {
		t.Error("twice: ", got)
	}
	if got := r.Write(status(200, -1), []byte("x"), false); got != bridge.WriteOK {
		t.Error("write: ", got)
	}
	if got := r.EarlyHints([]byte("Link: </a>\r\n"), false); got != bridge.WriteOK {
		t.Error("hints: ", got)
	}
	if got := r.SocketTaken(true); got != bridge.SocketOver {
		t.Error("its socket: ", got)
	}
	f.wants(t)
	r.Reset()
	if r.Upgraded() {
		t.Error("left for the next")
	}
	for name, spoil := range map[string]func(r *Request){
		"HTTP/1.0":     func(r *Request) { r.Req.Head.Minor = 0 },
		"answered":     func(r *Request) { r.start(status(200, -1), -1) },
		"socket taken": func(r *Request) { r.SocketTaken(false) },
	} {
		r, f, _ := asked("GET")
		r.Req.Head.Minor = 1
		spoil(r)
		f.calls = nil
		if got := r.Upgrade(ask, true); got != bridge.WSRefused {
			t.Errorf("%s: %v", name, got)
		}
		f.wants(t)
	}
	r, _, _ = asked("GET")
	r.Req.Head.Minor = 1
	r.mu.Lock()
	if got := r.Upgrade(ask, false); got != bridge.WSAgain {
		t.Error("another thread answers: ", got)
	}
	r.mu.Unlock()
}
