package zeromq

import (
	"net"
	"strings"
	"testing"
	"time"
)

// raw is a peer that the test speaks for, byte by byte.
type raw struct {
	t *testing.T
	c net.Conn
	d *decoder
}

func newRaw(t *testing.T, c net.Conn) *raw {
	_ = c.SetDeadline(time.Now().Add(within))
	t.Cleanup(func() { _ = c.Close() })
	return &raw{t, c, newDecoder(c, 64<<20)}
}

// dial connects to an endpoint.
func dial(t *testing.T, at string) *raw {
	t.Helper()
	e, err := parseEndpoint(at, false)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial(e.network, e.address)
	if err != nil {
		t.Fatal(err)
	}
	return newRaw(t, c)
}

func (r *raw) write(b []byte) {
	r.t.Helper()
	if _, err := r.c.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

// greeting3 is what a peer of 3.1 says first.
func greeting3() []byte {
	b := make([]byte, 64)
	copy(b, signature)
	b[10], b[11] = 3, 1
	copy(b[12:], "NULL")
	return b
}

func readyOf(kind string, identity []byte) []byte {
	b := property(nil, "Socket-Type", []byte(kind))
	if identity != nil {
		b = property(b, "Identity", identity)
	}
	return appendCommand(nil, "READY", b)
}

// greet does a 3.1 handshake.
func (r *raw) greet(kind string, identity []byte) {
	r.t.Helper()
	r.write(greeting3())
	for range 64 {
		if _, err := r.d.take(1); err != nil {
			r.t.Fatal(err)
		}
	}
	r.write(readyOf(kind, identity))
	if got := r.command(); !strings.HasPrefix(got, "READY ") {
		r.t.Fatalf("got %q", got)
	}
}

// command reads a command, and returns its name and body.
func (r *raw) command() string {
	r.t.Helper()
	_, command, err := r.d.next()
	if err != nil {
		r.t.Fatal(err)
	}
	name, body, ok := splitCommand(command)
	if !ok {
		r.t.Fatalf("no command: %q", command)
	}
	return name + " " + string(body)
}

// message reads a message.
func (r *raw) message() string {
	r.t.Helper()
	m, command, err := r.d.next()
	if err != nil {
		r.t.Fatal(err)
	}
	if command != nil {
		r.t.Fatalf("a command: %q", command)
	}
	return text(m)
}

// ended waits until the other end has closed the connection.
func (r *raw) ended() {
	r.t.Helper()
	for {
		if _, _, err := r.d.next(); err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				r.t.Fatal("the connection was not closed")
			}
			return
		}
	}
}
