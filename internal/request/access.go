package request

// Access log lines: filled from the request on the thread that ran it.

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
	"github.com/gowsgi/gowsgi/internal/crew"
)

// OpenAccessLog opens the access log that cfg asks for.
func (s *Service) OpenAccessLog(cfg *config.Config) error {
	if cfg.AccessLog == "" {
		return nil
	}
	if !cfg.AccessLogJSON {
		format := cfg.AccessLogFormat
		if s.Identifies && format == config.DefaultAccessLogFormat {
			format += ` "%({` + IDField + `}i)s"`
		}
		f, err := accesslog.Compile(format)
		if err != nil {
			return &config.UsageError{Message: err.Error()}
		}
		s.Format = f
	}
	w, err := accesslog.Open(cfg.AccessLog, func(err error) { s.Log.Error(err.Error()) })
	if err != nil {
		return &config.UsageError{Message: "the access log cannot be opened: " + err.Error() + "; name another file with --access-logfile"}
	}
	s.Access = w
	return nil
}

// FlushLogSoon writes what is buffered, or sees to it. Any goroutine.
func (s *Service) FlushLogSoon() {
	if s.Access != nil {
		s.Access.FlushSoon()
	}
}

// lastLines is how long a log that takes nothing is waited for at the end.
const lastLines = time.Second

// FlushLog writes what is buffered, if the log takes it. Any goroutine.
func (s *Service) FlushLog() {
	if s.Access != nil {
		accesslog.Within(lastLines, s.Access.Flush)
	}
}

// CloseLog ends the access log.
func (s *Service) CloseLog() {
	if s.Access != nil {
		accesslog.Within(lastLines, func() { _ = s.Access.Close() })
	}
}

// requestFields and responseFields look up what a format asks for.
type requestFields struct{ r *Request }

func (f requestFields) Lookup(name string) ([]byte, bool) {
	h, arena := f.r.Req.Head, f.r.Req.Arena
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
type environFields struct{ r *Request }

func (f environFields) Lookup(name string) ([]byte, bool) {
	r := &f.r.Req
	h := r.Head
	cut := func(s httpparse.Span) []byte { return r.Arena[s.Off : s.Off+s.Len] }
	tmpl := func() *bridge.Template { return &f.r.Service.Templates[r.Template] }
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
		return cut(r.ScriptName), true
	case "SERVER_PROTOCOL":
		return []byte(protocol(h)), true
	case "SERVER_NAME":
		if r.ServerName.Len > 0 {
			return cut(r.ServerName), true
		}
		return []byte(tmpl().ServerName), true
	case "SERVER_PORT":
		if r.ServerPort.Len > 0 {
			return cut(r.ServerPort), true
		}
		return []byte(tmpl().ServerPort), true
	case "SERVER_SOFTWARE":
		return []byte(tmpl().Software), true
	case "REMOTE_ADDR":
		return []byte(r.RemoteAddr), true
	case "REMOTE_PORT":
		return strconv.AppendInt(nil, int64(r.RemotePort), 10), r.RemotePort != 0
	case "wsgi.url_scheme":
		return []byte(tmpl().Scheme), true
	}
	field, ok := strings.CutPrefix(name, "HTTP_")
	if !ok && name != "CONTENT_TYPE" && name != "CONTENT_LENGTH" {
		return nil, false
	}
	return requestFields(f).Lookup(strings.ReplaceAll(strings.ToLower(field), "_", "-"))
}

func protocol(h *httpparse.Request) string {
	if h.Minor == 0 {
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

func (r *Request) logAccess(t *crew.Thread, l *Local, res *bridge.Response) {
	h, a := r.Req.Head, r.Req.Arena
	cut := func(s httpparse.Span) []byte { return a[s.Off : s.Off+s.Len] }
	rec := &l.record
	*rec = accesslog.Record{
		RemoteAddr: append(l.record.RemoteAddr[:0], r.Req.RemoteAddr...),
		Method:     cut(h.Method), Target: cut(h.Target), Path: cut(h.Path), Query: cut(h.Query),
		Proto: protocol(h), Status: r.status, ResponseBytes: r.sent, Pid: os.Getpid(),
		RequestHeader: requestFields{r}, Environ: environFields{r}, RequestID: r.ID(),
	}
	rec.Counted, rec.ReceivedBytes = r.received >= 0, r.received
	if !r.Upgraded() && res != nil && res.Flags&bridge.HasHead != 0 {
		rec.ResponseHeader = responseFields{res.Head()}
	}
	rec.Start = r.At
	rec.Duration = time.Since(r.At)
	if r.Service.writeLine(l) {
		t.Py.Release()
		t.Blocking(r.Service.Access.FlushSoon) // a disk may be slow
	}
}

// Refusal is an answer that the application had no part in.
type Refusal struct {
	Request *Request // nil if there is no complete head
	Head    []byte   // then: what there is of one, though it may be all wrong; the log escapes it
	Host    string   // of the client
	Status  int
	Reason  string
	Answer  []byte // head and body
}

// LogReject counts and logs it.
func (s *Service) LogReject(l *Local, f Refusal) {
	rec := &l.record
	*rec = accesslog.Record{
		RemoteAddr: []byte(f.Host), Proto: "HTTP/1.1", Status: f.Status, ResponseBytes: BodySize(f.Answer), Start: time.Now(),
		Pid: os.Getpid(),
	}
	if r := f.Request; r != nil {
		h, a := r.Req.Head, r.Req.Arena
		rec.Method, rec.Target, rec.Path = h.Method.In(a), h.Target.In(a), h.Path.In(a)
		rec.Query, rec.Proto = h.Query.In(a), protocol(h)
		rec.RequestHeader, rec.Environ, rec.RequestID = requestFields{r}, environFields{r}, r.ID()
	} else {
		line, _, _ := bytes.Cut(f.Head, []byte("\r\n"))
		line = line[:min(len(line), 200)]
		rec.Method, line, _ = bytes.Cut(line, []byte(" "))
		rec.Target, _, _ = bytes.Cut(line, []byte(" "))
	}
	about := []any{"request", string(rec.Method) + " " + string(rec.Target), "client", f.Host}
	if f.Request != nil {
		about = f.Request.About()
	}
	s.NoteRefused(f.Status, f.Reason, about...)
	if s.Access != nil {
		s.writeLine(l) // written before the leader waits
	}
}

// NoteRefused counts a request, or a connection, that was refused, and says why to whoever looks for it.
func (s *Service) NoteRefused(status int, reason string, about ...any) {
	bridge.Tally(bridge.TallyRefused)
	s.Log.Debug("a request is refused", append([]any{"status", status, "reason", reason}, about...)...)
}

// BodySize is how many bytes of an answer that is put together are its body.
func BodySize(answer []byte) int64 {
	_, body, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
	return int64(len(body))
}

// writeLine reports whether it is time to write the lines to the file.
func (s *Service) writeLine(l *Local) (full bool) {
	if s.Format != nil {
		l.line = s.Format.Append(l.line[:0], &l.record)
	} else {
		l.line = accesslog.AppendJSON(l.line[:0], &l.record)
	}
	return s.Access.WriteLine(l.line)
}
