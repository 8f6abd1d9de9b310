package server

// Access log lines: filled from the exchange on the thread that ran it.

import (
	"bytes"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/accesslog"
	"github.com/gowsgi/gowsgi/internal/config"
)

func (s *Server) openAccessLog() error {
	if s.cfg.AccessLog == "" {
		return nil
	}
	if !s.cfg.AccessLogJSON {
		f, err := accesslog.Compile(s.cfg.AccessLogFormat)
		if err != nil {
			return &config.UsageError{Message: err.Error()}
		}
		s.format = f
	}
	w, err := accesslog.Open(s.cfg.AccessLog, func(err error) { s.log.Error(err.Error()) })
	if err != nil {
		return &config.UsageError{Message: "the access log cannot be opened: " + err.Error() + "; name another file with --access-logfile"}
	}
	s.access = w
	return nil
}

func (s *Server) closeAccessLog() {
	if s.access != nil {
		s.access.Close()
	}
}

// requestFields and responseFields look up what a format asks for.
type requestFields struct{ x *exchange }

func (f requestFields) Lookup(name string) ([]byte, bool) {
	h, arena := &f.x.p.Request, f.x.req.Arena
	for i := range h.Headers {
		n := h.Headers[i].Name
		if int(n.Len) == len(name) && bytes.EqualFold(arena[n.Off:n.Off+n.Len], []byte(name)) {
			v := h.Headers[i].Value
			return arena[v.Off : v.Off+v.Len], true
		}
	}
	return nil, false
}

type responseFields struct{ head []byte }

func (f responseFields) Lookup(name string) ([]byte, bool) {
	for rest := f.head; len(rest) > 0; {
		line, after, _ := bytes.Cut(rest, []byte("\r\n"))
		if k, v, ok := bytes.Cut(line, []byte(": ")); ok && len(k) == len(name) && bytes.EqualFold(k, []byte(name)) {
			return v, true
		}
		rest = after
	}
	return nil, false
}

// environFields answers %({name}e)s from what environ was made of. What the app itself puts into its environ is its own.
type environFields struct{ x *exchange }

func (f environFields) Lookup(name string) ([]byte, bool) {
	x := f.x
	h, ln := &x.p.Request, x.c.rc.Listener()
	cut := func(s httpparse.Span) []byte { return x.req.Arena[s.Off : s.Off+s.Len] }
	switch name {
	case "REQUEST_METHOD":
		return cut(h.Method), true
	case "RAW_URI", "REQUEST_URI":
		return cut(h.Target), true
	case "PATH_INFO":
		if path, err := url.PathUnescape(string(cut(h.Path))); err == nil {
			return []byte(path), true
		}
		return cut(h.Path), true
	case "QUERY_STRING":
		return cut(h.Query), true
	case "SCRIPT_NAME":
		return cut(x.req.ScriptName), true
	case "SERVER_PROTOCOL":
		return []byte(protocol(h)), true
	case "SERVER_NAME":
		return []byte(ln.Host()), true
	case "SERVER_PORT":
		if x.req.ServerPort.Len > 0 {
			return cut(x.req.ServerPort), true
		}
		return strconv.AppendInt(nil, int64(ln.Port()), 10), true
	case "SERVER_SOFTWARE":
		return []byte(Software), true
	case "REMOTE_ADDR":
		return []byte(x.req.RemoteAddr), true
	case "REMOTE_PORT":
		return strconv.AppendInt(nil, int64(x.req.RemotePort), 10), x.req.RemotePort != 0
	case "wsgi.url_scheme":
		if x.req.Template != uint32(x.c.tmpl) {
			return []byte("https"), true
		}
		return []byte("http"), true
	}
	field, ok := strings.CutPrefix(name, "HTTP_")
	if !ok && name != "CONTENT_TYPE" && name != "CONTENT_LENGTH" {
		return nil, false
	}
	return requestFields{x}.Lookup(strings.ReplaceAll(strings.ToLower(field), "_", "-"))
}

func protocol(h *httpparse.Request) string {
	if h.Minor == 0 {
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

func (t *thread) logAccess(c *conn, x *exchange, res *bridge.Response) {
	if t.s.access == nil {
		return
	}
	h, a := &x.p.Request, x.req.Arena
	cut := func(s httpparse.Span) []byte { return a[s.Off : s.Off+s.Len] }
	r := &t.record
	*r = accesslog.Record{
		RemoteAddr: append(t.record.RemoteAddr[:0], x.req.RemoteAddr...),
		Method:     cut(h.Method), Target: cut(h.Target), Path: cut(h.Path), Query: cut(h.Query),
		Proto: protocol(h), Status: x.status, ResponseBytes: x.sent, Pid: os.Getpid(),
		RequestHeader: requestFields{x}, Environ: environFields{x},
	}
	if res != nil && res.Flags&bridge.HasHead != 0 {
		r.ResponseHeader = responseFields{res.Head()}
	}
	r.Start = x.at
	r.Duration = time.Since(x.at)
	t.writeLine(r)
}

// logReject logs an answer that the app had no part in.
func (s *Server) logReject(t *thread, c *conn, status, size int) {
	if s.access == nil {
		return
	}
	host, _ := c.remote()
	if c.x != nil {
		host = c.x.req.RemoteAddr
	}
	t.record = accesslog.Record{
		RemoteAddr: []byte(host), Proto: "HTTP/1.1", Status: status, ResponseBytes: 0, Start: time.Now(), Pid: os.Getpid(),
	}
	if c.x == nil {
		// What there is of a request line, though it may be all wrong; the log escapes it.
		line, _, _ := bytes.Cut(c.buf[c.r:c.w], []byte("\r\n"))
		line = line[:min(len(line), 200)]
		t.record.Method, line, _ = bytes.Cut(line, []byte(" "))
		t.record.Target, _, _ = bytes.Cut(line, []byte(" "))
	}
	if x := c.x; x != nil {
		h, a := &x.p.Request, x.req.Arena
		t.record.Method = a[h.Method.Off : h.Method.Off+h.Method.Len]
		t.record.Target = a[h.Target.Off : h.Target.Off+h.Target.Len]
		t.record.Path = a[h.Path.Off : h.Path.Off+h.Path.Len]
	}
	t.writeLine(&t.record)
}

func (t *thread) writeLine(r *accesslog.Record) {
	if t.s.format != nil {
		t.line = t.s.format.Append(t.line[:0], r)
	} else {
		t.line = accesslog.AppendJSON(t.line[:0], r)
	}
	t.s.access.WriteLine(t.line)
}
