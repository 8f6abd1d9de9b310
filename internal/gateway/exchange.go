package gateway

import (
	"bytes"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/mongrel2"
	"github.com/gowsgi/gowsgi/internal/proxy"
	"github.com/gowsgi/gowsgi/internal/request"
	"github.com/gowsgi/gowsgi/internal/rules"
)

// exchange is one request in flight, and its client. It is used again and again.
type exchange struct {
	request.Request
	g *Gateway
	l *link
	t *crew.Thread // while it runs
	p *httpparse.Parser

	message mongrel2.Message
	dec     mongrel2.Decoder
	facts
	fields []byte // field lines
	arena  []byte // the head

	// The client's address, and the number under which Python keeps what it has made of it.
	addr   string
	ip     netip.Addr
	number uint32
	pair   pair // while it runs
	shut   bool

	uploading

	// Response.
	out     []byte // what goes out next; begins with whom it is for
	prefix  int    // so many bytes of that
	chunked bool
	keep    bool
	queued  bool // counted by Gateway.queued
	early   bool // began before the server began to stop
	pouring rules.Mutex

	// Under link.mu.
	apart   bool          // counted by Gateway.apart
	watched bool          // suspended, and wants to know when the client goes
	ahead   []ahead       // of a WebSocket that has not begun
	over    bool          // the waits of its calls are over
	done    chan struct{} // closed then; nil: nobody waits
}

// facts is what Mongrel2 says itself, by fields with upper-case names. They are parts of the message, or of what dec has made.
type facts struct {
	method, uri, version, pattern, scheme, remote, path []byte

	length           []byte // the client's Content-Length: the first one
	lengths          int    // so many there are
	codings          int    // so many Transfer-Encodings
	chunkedUpload    bool   // the first of them is chunked, as Mongrel2 knows it
	misspelled       bool   // one is, but Mongrel2 does not know it
	unfit            bool   // a field has a name or value that no field has
	hasCredits       bool
	credits          int64
	start, finished  []byte // of an upload that comes by a file
	starts           int    // so many fields name one
	offset           int64  // of a piece of one that comes in pieces
	inPieces, isLast bool
	flags            []byte // the first byte of a WebSocket's frame
	handshake        bool   // a WebSocket may come of it
}

func newExchange(g *Gateway) *exchange {
	x := &exchange{g: g, p: httpparse.NewParser(g.srv.Limits), pair: noPair, uploading: uploading{fd: -1}}
	x.Client, x.Service = x, g.srv.Requests
	return x
}

// reset lets go of everything that is held for the request.
func (x *exchange) reset() {
	x.closeUpload()
	x.setApart(false)
	x.facts = facts{}
	x.message = mongrel2.Message{}
	x.l, x.t = nil, nil
	x.Req.Arena, x.Req.Memory = nil, nil
	x.fields, x.arena = x.fields[:0], x.arena[:0]
	x.over, x.watched, x.done, x.ahead = false, false, nil, nil
	x.closePair()
	if cap(x.out) > keepOut {
		x.out = nil
	}
}

// openPair gets it when the request runs: those that wait, or whose body comes, may be many.
func (x *exchange) openPair() {
	p := x.g.pairs.take()
	x.Req.FD = p[0]
	x.l.mu.Lock()
	if x.pair = p; x.l.gone {
		x.shutPair()
	}
	x.l.mu.Unlock()
}

// shutPair says by it that the client has gone. With link.mu.
func (x *exchange) shutPair() {
	if x.pair[1] >= 0 && !x.shut {
		_ = unix.Shutdown(x.pair[1], unix.SHUT_RDWR)
		x.shut = true
	}
}

// closePair gives it back, unless it has been used.
func (x *exchange) closePair() {
	switch {
	case x.shut:
		x.pair.close()
	case x.pair[0] >= 0:
		x.g.pairs.give(x.pair, x.g.cfg.Threads)
	}
	x.pair, x.shut = noPair, false
}

// drop is its end.
func (x *exchange) drop() {
	if x.number != 0 {
		bridge.DropConn(x.number)
	}
}

// Field implements mongrel2.Sink.
func (x *exchange) Field(name, value []byte) error {
	if len(name) > 0 && 'A' <= name[0] && name[0] <= 'Z' {
		x.fact(name, value)
		return nil
	}
	switch string(name) {
	case "content-length":
		if x.lengths++; x.lengths == 1 {
			x.length = value
		}
		return nil // what has come counts
	case "transfer-encoding":
		x.codings++
		if string(value) == "chunked" {
			x.chunkedUpload = x.chunkedUpload || x.codings == 1
			return nil
		}
		x.misspelled = x.misspelled || bytes.EqualFold(value, []byte("chunked"))
	case "x-mongrel2-upload-start":
		x.start = value
		x.starts++
		return nil
	case "x-mongrel2-upload-done":
		x.finished = value
		return nil
	}
	if !httpparse.ValidFieldName(name) || bytes.ContainsAny(value, "\r\n") {
		x.unfit = true // Mongrel2 takes what is behind "a: b<LF>" and the next line for a name
		return nil
	}
	x.fields = append(x.fields, name...)
	x.fields = append(x.fields, ": "...)
	x.fields = append(x.fields, value...)
	x.fields = append(x.fields, "\r\n"...)
	return nil
}

// fact takes a field of Mongrel2's own. Unknown ones are ignored.
func (x *exchange) fact(name, value []byte) {
	switch string(name) {
	case "METHOD":
		x.method = value
	case "URI":
		x.uri = value
	case "VERSION":
		x.version = value
	case "PATTERN":
		x.pattern = value
	case "URL_SCHEME":
		x.scheme = value
	case "REMOTE_ADDR":
		x.remote = value
	case "PATH":
		x.path = value
	case "DOWNLOAD_CREDITS":
		x.hasCredits, x.credits = true, credits(value)
	case "UPLOAD_STREAM":
		x.inPieces, x.offset = true, credits(value)
	case "UPLOAD_STREAM_DONE":
		x.isLast = true
	case "FLAGS":
		x.flags = value
	}
}

// reserved tells of methods by which Mongrel2 names what is no HTTP. A client may use them, too.
func (x *exchange) reserved() bool {
	switch string(x.method) {
	case "JSON", "XML", "WEBSOCKET":
		return true
	}
	return false
}

// continues tells of a message that is no request but more of a body.
func (x *exchange) continues() bool { return x.inPieces && x.method == nil }

// parse makes the request's head. body: so many bytes, -1: nobody knows. An error is to be answered with its status.
func (x *exchange) parse(body int64) error {
	a := append(x.arena[:0], x.method...)
	a = append(a, ' ')
	a = append(a, x.uri...)
	a = append(a, ' ')
	a = append(a, x.version...)
	a = append(a, "\r\n"...)
	a = append(a, x.fields...)
	switch {
	case x.chunkedUpload:
		a = append(a, "transfer-encoding: chunked\r\n"...)
	case x.lengths > 0 || body > 0:
		a = append(a, "content-length: "...)
		a = strconv.AppendInt(a, max(body, 0), 10)
		a = append(a, "\r\n"...)
	}
	a = append(a, "\r\n"...)
	x.arena = a
	x.p.Reset()
	n, err := x.p.Parse(a)
	if err == nil && n != len(a) {
		err = &httpparse.Error{Code: httpparse.CodeHeadSize, Reason: "the request head is too large"}
	}
	x.Reset()
	if x.Service.Access != nil {
		x.At = time.Now()
	}
	r := &x.Req
	r.Head, r.Arena, r.Number = &x.p.Request, a, 0
	r.ScriptName, r.ServerName, r.ServerPort, r.Proxy = httpparse.Span{}, httpparse.Span{}, httpparse.Span{}, ""
	r.Body, r.Memory = bridge.BodyNone, nil
	r.Template = uint32(x.g.srv.Template)
	if string(x.scheme) == "https" {
		r.Template++
	}
	x.from()
	r.RemoteAddr, r.RemotePort, r.Conn, r.FD = x.addr, 0, x.number, -1
	if err != nil {
		return err
	}
	r.HasHost = x.p.Host.Len > 0
	if x.Service.Identifies {
		x.Identify(x.g.cfg.RequestID == "take", nil)
	}
	return nil
}

// server makes SERVER_NAME and SERVER_PORT what the client asked for: there is no listener that could tell. What Host does not say
// is the template's, and a trusted proxy may have said more.
func (x *exchange) server() {
	r, host := &x.Req, x.p.Host
	name := proxy.NameOf(host, r.Arena)
	if text := name.In(r.Arena); bytes.ContainsAny(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") { // RFC 9110 4.2.3: it has no case
		name.Off = uint32(len(r.Arena))
		r.Arena = append(r.Arena, bytes.ToLower(text)...)
	}
	r.ServerName = name
	if r.ServerPort.Len == 0 {
		r.ServerPort = proxy.PortOf(host, r.Arena)
	}
}

// from settles who the client is. Most requests are from the address that the one before came from.
func (x *exchange) from() {
	if x.number != 0 && x.addr == string(x.remote) {
		return
	}
	if x.number != 0 {
		bridge.DropConn(x.number)
	}
	x.addr, x.ip = string(x.remote), netip.Addr{}
	if ip, err := netip.ParseAddr(x.addr); err == nil {
		x.ip = ip.Unmap()
	} else {
		x.addr = ""
	}
	x.number = x.g.srv.Number()
}

// script is the script name that a handler's route says: what its pattern begins with.
func (x *exchange) script() []byte {
	script, _, _ := bytes.Cut(x.pattern, []byte("("))
	return bytes.TrimRight(script, "/")
}

// offer gives it to the crew by give, Offer or Bring.
func (x *exchange) offer(give func(*crew.Crew, crew.Task)) {
	if x.grows && !x.g.cfg.BodyStreaming && x.refusal == 0 {
		go x.gather()
		return
	}
	if x.collects() {
		go x.collect()
		return
	}
	x.ready(give)
}

// ready gives it to the crew, complete.
func (x *exchange) ready(give func(*crew.Crew, crew.Task)) {
	x.queued = true
	x.g.queued.Add(1)
	give(x.g.srv.Crew, x)
}

// begins makes t the thread that runs it.
func (x *exchange) begins(t *crew.Thread) *request.Local {
	if x.queued {
		x.queued = false
		if x.g.queued.Add(-1) == x.g.most()/2 {
			x.g.goOn()
		}
	}
	x.t = t
	x.openPair()
	x.out = mongrel2.AppendAnswer(x.out[:0], x.l.key.of.name, x.l.key.id)
	x.prefix = len(x.out)
	return &x.g.locals[t.Index()]
}

// Run implements crew.Task.
func (x *exchange) Run(t *crew.Thread) {
	g, local := x.g, x.begins(t)
	if x.refusal != 0 || !x.open() {
		x.refuse(local)
	} else if x.Request.Run(t, local) {
		x.answered()
	}
	g.ran(t)
}

// Drop implements crew.Dropper.
func (x *exchange) Drop() { x.l.settle(true) }

// answered is called when it is.
func (x *exchange) answered() {
	l := x.l
	if x.Upgraded() {
		l.socket.leaves()
		return
	}
	if !x.lingers() {
		l.settle(!x.keep)
	}
}

// refuse answers in place of the application.
func (x *exchange) refuse(local *request.Local) {
	x.keep = false
	lines := x.g.srv.Lines()
	x.out = httpparse.AppendErrorResponse(x.out, x.refusal, x.why, lines.Text, string(x.method) == "HEAD", x.g.cfg.ServerHeader)
	if x.retry > 0 {
		x.out = withRetry(x.out, x.prefix, x.retry)
	}
	f := request.Refusal{Host: x.addr, Status: x.refusal, Reason: x.why, Answer: x.out[x.prefix:], Head: x.arena}
	if x.Req.Head != nil && x.p.Request.Method.Len > 0 && !x.broken {
		f.Request = &x.Request
	}
	x.Service.LogReject(local, f)
	x.l.put(x.out, x.prefix, false, false)
	x.answered()
}

// withRetry puts a Retry-After behind the status line of the answer that begins at from.
func withRetry(out []byte, from int, wait time.Duration) []byte {
	line := from + bytes.IndexByte(out[from:], '\n') + 1
	field := append([]byte("Retry-After: "), strconv.Itoa(int((wait+time.Second-1)/time.Second))...)
	field = append(field, "\r\n"...)
	rest := bytes.Clone(out[line:])
	return append(append(out[:line], field...), rest...)
}

// clientGone is called when the client has gone. With link.mu.
func (x *exchange) clientGone() {
	x.shutPair()
	if x.watched {
		x.ClientGone()
	}
	x.stopWaiting()
}

// stopWaiting ends what its calls wait for. With link.mu.
func (x *exchange) stopWaiting() {
	if x.done != nil {
		close(x.done)
		x.done = nil
	}
}

var _ crew.Dropper = (*exchange)(nil)
