package h1

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/crew"
)

const aRequest = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// kept is a connection whose first request has been answered.
func (r *wireRig) kept() (net.Conn, *conn) {
	client, c := r.connect(aRequest)
	r.served(c)
	return client, c
}

// served waits until c has a request for the application, and leaves c as after its answer.
func (r *wireRig) served(c *conn) {
	r.t.Helper()
	r.until("a job", func() bool { return r.s.crew.Queued() > 0 })
	if r.s.crew.Take() != crew.Task(c) {
		r.t.Fatal("somebody else's")
	}
	r.s.putExchange(c.x)
	c.x = nil
	r.s.cur.dropInput(c)
	c.rest()
	c.rc.Release()
}

func (r *wireRig) turns() {
	turns := 0
	r.until("turns", func() bool { turns++; return turns > 3 })
}

func (r *wireRig) closed(client net.Conn) {
	r.t.Helper()
	r.until("closed", func() bool { return r.s.loop.Conns() == 0 })
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		r.t.Error("not closed in order:", err)
	}
}

// A request that is here when its connection is to be closed is served, whether somebody has seen it or not.
func TestARequestIsNotClosedOn(t *testing.T) {
	for name, end := range map[string]func(s *Server, c *conn){
		"by a stop": func(s *Server, _ *conn) {
			s.Stop(0)
			s.BeginStop()
		},
		"by its deadline": func(s *Server, c *conn) { s.Expired(c.rc) },
	} {
		for _, first := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				r := newWireRig(t)
				var client net.Conn
				var c *conn
				if first {
					client, c = r.connect()
					c.expireIn(time.Millisecond)
				} else {
					client, c = r.kept()
				}
				r.send(client, aRequest)
				end(r.s, c)
				r.served(c)
			})
		}
	}
}

func TestIdleConnectionsAreClosedByAStop(t *testing.T) {
	r := newWireRig(t)
	client, _ := r.kept()
	r.s.Stop(0)
	r.s.BeginStop()
	r.closed(client)
}

func TestIdleConnectionsMayAskOnceMore(t *testing.T) {
	r := newWireRig(t)
	client, c := r.kept()
	r.s.Stop(time.Hour)
	r.s.BeginStop()
	r.turns() // time to close it, if it were to be closed
	r.send(client, aRequest)
	r.served(c)
	r.s.Stop(time.Millisecond)
	c.stop()
	r.closed(client)
}

func TestAnswersEndTheirConnectionsBeforeAStop(t *testing.T) {
	for _, c := range []struct {
		what string
		rest string
		body bridge.BodyKind
		keep bool
	}{{"", "", bridge.BodyNone, false}, {"a pipeline", aRequest, bridge.BodyNone, true}, {"a body", aRequest, bridge.BodyStream, false}} {
		s := &Server{cfg: &config.Config{KeepAlive: time.Minute}, limits: httpparse.DefaultLimits()}
		x := newExchange(s)
		if n, err := x.p.Parse([]byte(aRequest)); n == 0 || err != nil {
			t.Fatal(n, err)
		}
		x.c, x.Req.Head, x.Req.Body = &conn{s: s, unread: &unread{buf: []byte(c.rest), w: len(c.rest)}}, &x.p.Request, c.body
		x.frame(&bridge.Response{Status: 200}, 0, true)
		if !x.keep {
			t.Error(c.what, ": not kept")
		}
		s.Drain()
		if x.frame(&bridge.Response{Status: 200}, 0, true); x.keep != c.keep {
			t.Error(c.what, x.keep)
		}
	}
}

// Who has sent more before the end of its connection could be known reads the answer, not a reset.
func TestTheLastAnswerIsNotLost(t *testing.T) {
	r := newWireRig(t)
	client, c := r.kept()
	r.s.Drain()
	r.send(client, aRequest)
	c.closeAnswered()
	r.turns()
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Error("not closed in order:", err)
	}
	r.send(client, aRequest)
	client.(*net.TCPConn).CloseWrite()
	r.until("closed", func() bool { return r.s.loop.Conns() == 0 })
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Error("reset:", err)
	}
}
