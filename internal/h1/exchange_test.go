package h1

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/request"
	"github.com/gowsgi/gowsgi/reactor"
)

// TestFraming: what ends the body, and what becomes of the connection (RFC 9112 6.3, 9.3; PEP 3333, "Handling the
// Content-Length Header").
func TestFraming(t *testing.T) {
	const unknown, sized = -1, 5
	for _, c := range []struct {
		name, request string
		status        int32
		declared      int64
		total         int64 // known from the start, or unknown
		flags         uint32
		want, not     string
		keep          bool
	}{
		{"a list", "GET / HTTP/1.1\r\nHost: x", 200, -1, sized, 0, "Content-Length: 5\r\n", "Transfer-Encoding", true},
		{"a generator", "GET / HTTP/1.1\r\nHost: x", 200, -1, unknown, 0, "Transfer-Encoding: chunked\r\n", "Content-Length", true},
		{"a declared length", "GET / HTTP/1.1\r\nHost: x", 200, 7, unknown, 0, "Content-Length: 7\r\n", "chunked", true},
		{"the app's word stands", "GET / HTTP/1.1\r\nHost: x", 200, 7, sized, 0, "Content-Length: 7\r\n", "chunked", true},
		{"1.0 without a length", "GET / HTTP/1.0\r\nConnection: keep-alive", 200, -1, unknown, 0, "Connection: close\r\n", "chunked", false},
		{"1.0 kept", "GET / HTTP/1.0\r\nConnection: keep-alive", 200, -1, sized, 0, "Connection: keep-alive\r\n", "close", true},
		{"1.0 plain", "GET / HTTP/1.0", 200, -1, sized, 0, "Connection: close\r\n", "keep-alive", false},
		{"204", "GET / HTTP/1.1\r\nHost: x", 204, -1, unknown, 0, "", "Content-Length", true},
		{"204 with a length", "GET / HTTP/1.1\r\nHost: x", 204, 3, sized, 0, "", "Content-Length", true},
		{"304 keeps its length", "GET / HTTP/1.1\r\nHost: x", 304, 3, unknown, 0, "Content-Length: 3\r\n", "chunked", true},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: x", 200, -1, unknown, 0, "", "Transfer-Encoding", true},
		{"the client closes", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close", 200, -1, sized, 0, "Connection: close\r\n", "", false},
		{"the app closes", "GET / HTTP/1.1\r\nHost: x", 200, -1, sized, bridge.AskClose, "Connection: close\r\n", "", false},
		{"101", "GET / HTTP/1.1\r\nHost: x", 101, -1, unknown, 0, "Connection: Upgrade\r\n", "close", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &Server{cfg: &config.Config{KeepAlive: time.Minute}, limits: httpparse.DefaultLimits()}
			s.clock.Store(&request.Lines{})
			loop, err := reactor.NewLoop(nil, reactor.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer loop.Close()
			s.loop = loop
			x := newExchange(s)
			if n, err := x.p.Parse([]byte(c.request + "\r\n\r\n")); n == 0 || err != nil {
				t.Fatal(n, err)
			}
			x.c, x.Req.Head = &conn{s: s}, &x.p.Request
			length := c.declared
			body := !x.p.HeadMethod && c.status != 204 && c.status != 304
			if body && length < 0 && c.status != 101 {
				length = c.total
			}
			res := &bridge.Response{Status: c.status, ContentLength: c.declared, Flags: c.flags | bridge.HasHead}
			x.frame(res, length, body)
			head := string(x.appendHead(nil, res, length))
			if !strings.Contains(head, c.want) || c.not != "" && strings.Contains(head, c.not) || x.keep != c.keep {
				t.Errorf("keep %v\n%s", x.keep, head)
			}
			if strings.Count(head, "\r\n\r\n") != 1 || !strings.HasSuffix(head, "\r\n\r\n") {
				t.Errorf("not one head: %q", head)
			}
		})
	}
}

// TestAlarmIsOfOneRequest: the next request of an exchange waits in peace, whatever its body and that of the one before.
func TestAlarmIsOfOneRequest(t *testing.T) {
	s := &Server{limits: httpparse.DefaultLimits()}
	for _, body := range []bridge.BodyKind{bridge.BodyNone, bridge.BodyStream} {
		x := newExchange(s)
		x.Req.Body = body
		x.Over()
		x.reset()
		if !reflect.ValueOf(&x.alarm).Elem().IsZero() {
			t.Errorf("body %d: the alarm rings on", body)
		}
	}
}
