package h1

import (
	"io"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/reactor"
)

// TestConnSize: a server may hold a hundred thousand idle connections. 48 bytes are a size of Go's allocator; one field more
// would take 64.
func TestConnSize(t *testing.T) {
	if n := unsafe.Sizeof(conn{}); n > 48 {
		t.Errorf("an idle connection takes %d bytes", n)
	}
}

// wireRig is a server that reads and answers what it can without an application: the test's goroutine leads.
type wireRig struct {
	t  *testing.T
	s  *Server
	ln *reactor.Listener
}

func newWireRig(t *testing.T, args ...string) *wireRig {
	t.Helper()
	args = append([]string{"--bind", "127.0.0.1:0"}, append(args, "app:app")...)
	cfg, _, err := config.Parse(args, func(string) string { return "" }, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := reactor.Listen("tcp", "127.0.0.1:0", reactor.ListenOptions{Defer: true})
	if err != nil {
		t.Fatal(err)
	}
	s.cur = s.standby
	if err := s.AddListener(ln, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.loop.Close() })
	return &wireRig{t, s, ln}
}

func (r *wireRig) until(what string, cond func() bool) {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); {
		if time.Now().After(end) {
			r.t.Fatal("never happened: ", what)
		}
		if err := r.s.loop.Poll(20 * time.Millisecond); err != nil {
			r.t.Fatal(err)
		}
		for r.s.loop.Dispatch() {
		}
	}
}

// connect returns both ends of a new connection, on which texts have been sent.
func (r *wireRig) connect(texts ...string) (net.Conn, *conn) {
	r.t.Helper()
	client, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(r.ln.Port()))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { client.Close() })
	client.SetDeadline(time.Now().Add(20 * time.Second))
	for _, text := range texts { // the kernel keeps who is silent for a second
		r.send(client, text)
	}
	var c *conn
	r.until("accepted", func() bool {
		r.s.loop.Each(func(rc *reactor.Conn) {
			o, ok := rc.Owner.(*conn)
			if ok && o.rc.Peer().String() == client.LocalAddr().String() {
				c = o
			}
		})
		return c != nil
	})
	return client, c
}

func (r *wireRig) send(client net.Conn, text string) {
	if _, err := io.WriteString(client, text); err != nil {
		r.t.Fatal(err)
	}
}

// TestIdleHoldsNothing: a connection has a block for input, and what goes with it, only while there is input, and whatever
// happens to it leaves what the others share as it is.
func TestIdleHoldsNothing(t *testing.T) {
	for _, c := range []struct {
		name, first, rest string
		args              []string
		jobs              bool // a request for the application
	}{
		{name: "a request in two parts", first: "GET / HTTP/1.1\r\nHo", rest: "st: x\r\n\r\n", jobs: true},
		{name: "a pipeline", first: "GET / HTTP/1.1\r\nHost: x\r\n\r", rest: "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", jobs: true},
		{name: "a body in two parts", first: "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc", rest: "def", jobs: true},
		{
			name: "chunks", first: "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r",
			rest: "\nabc\r\n0\r\n\r\n", jobs: true,
		},
		{name: "a bad head", first: "GET / HTTP/1.1\r\nHo", rest: "st x\r\n\r\n"},
		{name: "a bad chunk", first: "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", rest: "x\r\n"},
		{
			name: "a PROXY header", first: "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nG", rest: "ET / HTTP/1.1\r\nHost: x\r\n\r\n",
			args: []string{"--proxy-protocol", "v1", "--proxy-allow-from", "127.0.0.1"}, jobs: true,
		},
		{
			name: "a bad PROXY header", first: "PROXY ", rest: "XYZ\r\n",
			args: []string{"--proxy-protocol", "v1", "--proxy-allow-from", "127.0.0.1"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newWireRig(t, c.args...)
			buffers := reactor.BuffersInUse()
			client, there := r.connect()
			if there.unread != nothing || there.x != nil || there.rare != nil {
				t.Fatal("a new connection holds something")
			}
			r.send(client, c.first)
			r.until("the first part read", func() bool { return there.unread != nothing })
			r.send(client, c.rest)
			if c.jobs {
				r.until("a job", func() bool { return r.s.crew.Queued() > 0 })
				// What a thread does after the application, without one.
				if job := r.s.crew.Take(); job != crew.Task(there) {
					t.Fatal("somebody else's")
				}
				r.s.putExchange(there.x)
				there.x, there.phase = nil, phaseIdle
				r.s.cur.dropInput(there)
				if there.unread != nothing {
					t.Error("it holds input")
				}
				there.rc.Release()
			}
			client.Close()
			r.until("closed", func() bool { return r.s.loop.Conns() == 0 })
			if there.unread != nothing {
				t.Error("it holds input at the end")
			}
			if n := nothing; n.buf != nil || n.r != 0 || n.w != 0 || n.begun {
				t.Fatalf("somebody wrote to what all share: %+v", n)
			}
			if spare := r.s.cur.unread; spare != nil { // the thread's, for the next connection
				reactor.PutBuffer(spare.buf)
			}
			if n := reactor.BuffersInUse() - buffers; n != 0 {
				t.Errorf("%d buffers not put back", n)
			}
		})
	}
}
