package zeromq

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// conversation is all that a PUSH says that sends two messages.
func conversation() []byte {
	b := append(greeting3(), readyOf("PUSH", nil)...)
	b = append(b, appendMessage(nil, [][]byte{[]byte("first")})...)
	b = append(b, appendCommand(nil, "PING", []byte("\x00\x00x"))...)
	return append(b, appendMessage(nil, [][]byte{[]byte("second"), bytes.Repeat([]byte("y"), 300)})...)
}

// A peer that goes at any byte takes with it what it had not said in full, and nothing else.
func TestPeerGoesAtEachByte(t *testing.T) {
	noLeak(t)
	all := conversation()
	first := len(greeting3()) + len(readyOf("PUSH", nil)) + 7
	var got atomic.Int64
	in := newInbox()
	pull := open(t, Pull, Options{Receive: func(m Message) {
		if string(m[0]) == "last" {
			in.put(m)
			return
		}
		got.Add(1)
	}})
	at := bind(t, pull, anyPort)
	want := int64(0)
	for n := range all {
		r := dial(t, at)
		r.write(all[:n])
		_ = r.c.(*net.TCPConn).CloseWrite()
		r.drainAll()
		if n >= first {
			want++
		}
	}
	push := open(t, Push, Options{})
	connect(t, push, at)
	send(t, push, "last")
	in.want(t, "last")
	if got.Load() != want {
		t.Errorf("%d messages, want %d", got.Load(), want)
	}
	until(t, "their links are gone", func() bool { return len(*pull.fan.Load()) == 1 })
}

// drainAll reads until the other end has closed.
func (r *raw) drainAll() {
	r.t.Helper()
	b := make([]byte, 4096)
	for {
		if _, err := r.c.Read(b); err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				r.t.Fatal("the connection was not closed")
			}
			return
		}
	}
}

// A message is the same however its bytes come.
func TestConversationByteByByte(t *testing.T) {
	in := newInbox()
	at := bind(t, open(t, Pull, Options{Receive: in.put}), anyPort)
	r := dial(t, at)
	for _, b := range conversation() {
		r.write([]byte{b})
	}
	in.want(t, "first")
	in.want(t, "second", strings.Repeat("y", 300))
}

// What a peer says wrong ends its connection with one line; the socket serves on.
func TestHostilePeers(t *testing.T) {
	frame := func(flags byte, size uint64, body string) []byte {
		b := []byte{flags}
		if flags&flagLong == 0 {
			return append(append(b, byte(size)), body...)
		}
		for i := 7; i >= 0; i-- {
			b = append(b, byte(size>>(8*i)))
		}
		return append(b, body...)
	}
	plain := greeting3()
	copy(plain[12:], "PLAIN")
	greeted := append(greeting3(), readyOf("PUSH", nil)...)
	after := func(b []byte) []byte { return append(append([]byte{}, greeted...), b...) }
	ready := func(body string) []byte { return append(greeting3(), appendCommand(nil, "READY", []byte(body))...) }
	cases := []struct {
		name string
		says []byte
		line string
	}{
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), errOld.Error()},
		{"ZMTP 1.0", []byte{1, 0, 2, 0, 'x', 0, 0, 0, 0, 0, 0, 0}, errOld.Error()},
		{"PLAIN", plain, `it wants the security mechanism "PLAIN"`},
		{"a wrong type", append(greeting3(), readyOf("PULL", nil)...), `it is a "PULL"`},
		{"no type", ready(""), `it is a ""`},
		{"an unknown 2.0 type", append(append([]byte{}, signature...), 1, 99), "unknown socket type"},
		{"a message for READY", append(greeting3(), appendMessage(nil, [][]byte{[]byte("x")})...), errHandshake.Error()},
		{"ERROR", append(greeting3(), appendCommand(nil, "ERROR", []byte("\x03bad"))...), `it says ERROR "bad"`},
		{"another command", append(greeting3(), appendCommand(nil, "HELLO", nil)...), errHandshake.Error()},
		{"READY cut", ready("\x0bSocket-Type\x00\x00"), errReady.Error()},
		{"READY whose value is longer", ready("\x0bSocket-Type\xff\xff\xff\xffPUSH"), errReady.Error()},
		{"a huge READY", append(greeting3(), frame(flagCommand|flagLong, 1<<40, "")...), errTooLarge.Error()},
		{"a huge frame", after(frame(flagLong, 1<<62, "")), errTooLarge.Error()},
		{"a frame of negative length", after(frame(flagLong, 1<<63|5, "")), errTooLarge.Error()},
		{"a message that sums up", after(bytes.Repeat(frame(flagMore|flagLong, 60<<10, strings.Repeat("x", 60<<10)), 18)),
			errTooLarge.Error()},
		{"empty parts without end", after(bytes.Repeat([]byte{flagMore, 0}, 1<<15+2)), errTooLarge.Error()},
		{"unknown flags", after(frame(8, 1, "x")), errFlags.Error()},
		{"a command of several frames", after(frame(flagCommand|flagMore, 1, "x")), errCommand.Error()},
		{"an empty command", after(frame(flagCommand, 0, "")), "a malformed command"},
		{"a command with a long name", after(frame(flagCommand, 2, "\x09x")), "a malformed command"},
		{"a short PING", after(appendCommand(nil, "PING", []byte("x"))), "a malformed PING"},
	}
	lines := newInbox()
	in := newInbox()
	pull := open(t, Pull, Options{Receive: in.put, MaxMessage: 1 << 20,
		Log: func(s string) { lines.put(Message{[]byte(s)}) }})
	pull.lines.SetLimit(1e9)
	at := bind(t, pull, anyPort)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := dial(t, at)
			_, _ = r.c.Write(c.says) // it may end within
			r.drainAll()
			if line := text(lines.get(t)); !strings.Contains(line, c.line) {
				t.Errorf("logged %q, want %q", line, c.line)
			}
		})
	}
	push := open(t, Push, Options{})
	connect(t, push, at)
	send(t, push, "good")
	in.want(t, "good")
	if len(in)+len(lines) > 0 {
		t.Errorf("%d more messages, %d more lines", len(in), len(lines))
	}
}

func TestHostileIdentity(t *testing.T) {
	lines := newInbox()
	router := open(t, Router, Options{Log: func(s string) { lines.put(Message{[]byte(s)}) }})
	at := bind(t, router, anyPort)
	for _, identity := range []string{"\x00abc", strings.Repeat("x", 256)} {
		r := dial(t, at)
		r.write(append(greeting3(), readyOf("DEALER", []byte(identity))...))
		r.drainAll()
		if line := text(lines.get(t)); !strings.Contains(line, errIdentity.Error()) {
			t.Errorf("logged %q", line)
		}
	}
}

// Who connects and says nothing keeps nobody else out.
func TestMutePeersKeepNobodyOut(t *testing.T) {
	in := newInbox()
	at := bind(t, open(t, Pull, Options{Receive: in.put}), anyPort)
	for range 50 {
		dial(t, at)
	}
	push := open(t, Push, Options{})
	connect(t, push, at)
	send(t, push, "x")
	in.want(t, "x")
}

// Who sends PING after PING and reads no answer is disconnected, before the answers fill memory.
func TestPeerThatReadsNoAnswers(t *testing.T) {
	lines := newInbox()
	at := bind(t, open(t, Pull, Options{Log: func(s string) { lines.put(Message{[]byte(s)}) }}), anyPort)
	r := dial(t, at)
	r.write(append(greeting3(), readyOf("PUSH", nil)...))
	pings := bytes.Repeat(appendCommand(nil, "PING", []byte("\x00\x000123456789abcdef")), 1000)
	for range 10_000 {
		if _, err := r.c.Write(pings); err != nil {
			break
		}
	}
	if line := text(lines.get(t)); !strings.Contains(line, errDeaf.Error()) {
		t.Errorf("logged %q", line)
	}
}

func TestSubscriptionsAreBounded(t *testing.T) {
	lines := newInbox()
	pub := open(t, Pub, Options{Log: func(s string) { lines.put(Message{[]byte(s)}) }})
	r := dial(t, bind(t, pub, anyPort))
	r.greet("SUB", nil)
	for i := range 2 << 14 {
		if _, err := r.c.Write(appendCommand(nil, "SUBSCRIBE", []byte(fmt.Sprint(i)))); err != nil {
			break
		}
	}
	if line := text(lines.get(t)); !strings.Contains(line, errTopics.Error()) {
		t.Errorf("logged %q", line)
	}
}

// greet2 is what a peer of ZMTP 2.0 says: libzmq 3.2 and what came before 4.0.
func (r *raw) greet2(number byte, identity string) {
	r.t.Helper()
	r.write(append(append([]byte{}, signature...), 1, number))
	r.write(append([]byte{0, byte(len(identity))}, identity...))
	for range 11 {
		if _, err := r.d.take(1); err != nil {
			r.t.Fatal(err)
		}
	}
	if _, err := r.d.take(1); err != nil {
		r.t.Fatal(err)
	}
	r.message() // our identity
}

func TestPeersOfZMTP2(t *testing.T) {
	in := newInbox()
	router := open(t, Router, Options{Receive: in.put})
	r := dial(t, bind(t, router, anyPort))
	r.greet2(5, "old")
	r.write(appendMessage(nil, [][]byte{nil, []byte("hello")}))
	in.want(t, "old", "", "hello")
	send(t, router, "old", "", "answer")
	if got := r.message(); got != "|answer" {
		t.Errorf("got %q", got)
	}

	pub := open(t, Pub, Options{})
	r = dial(t, bind(t, pub, anyPort))
	r.greet2(2, "")
	r.write(appendMessage(nil, [][]byte{[]byte("\x01a")}))
	until(t, "subscribed", pub.Subscribed)
	send(t, pub, "b")
	send(t, pub, "a")
	if got := r.message(); got != "a" {
		t.Errorf("got %q", got)
	}
	r.write(appendMessage(nil, [][]byte{[]byte("\x00a")}))
	until(t, "taken back", func() bool { return !pub.Subscribed() })

	sub := open(t, Sub, Options{Receive: in.put})
	sub.Subscribe([]byte("x"))
	r = dial(t, bind(t, sub, anyPort))
	r.greet2(1, "")
	if got := r.message(); got != "\x01x" {
		t.Errorf("got %q", got)
	}
}

// server accepts connections of a socket under test, and hands them to the test.
func server(t *testing.T) (at string, next func() *raw) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return "tcp://" + l.Addr().String(), func() *raw {
		t.Helper()
		_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(within))
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return newRaw(t, c)
	}
}

// A message of which the peer had a part only is sent again, whole, to whoever comes next; those before it are not.
func TestMessageCutByTheEndOfAConnectionIsSentAgain(t *testing.T) {
	for _, kind := range []Type{Push, Pub} {
		t.Run(kind.String(), func(t *testing.T) {
			at, next := server(t)
			s := open(t, kind, Options{Keep: within})
			connect(t, s, at)
			greet := func() *raw {
				r := next()
				if kind == Pub {
					r.greet("SUB", nil)
					r.write(appendCommand(nil, "SUBSCRIBE", nil))
				} else {
					r.greet("PULL", nil)
				}
				return r
			}
			r := greet()
			send(t, s, "small")
			if got := r.message(); got != "small" {
				t.Fatalf("got %q", got)
			}
			huge := strings.Repeat("h", 32<<20)
			send(t, s, huge) // more than the system takes
			send(t, s, "after")
			if err := r.d.head(); err != nil {
				t.Fatal(err)
			}
			_ = r.c.Close()
			r = greet()
			if got := r.message(); got != huge {
				t.Fatalf("got %d bytes", len(got))
			}
			if got := r.message(); got != "after" {
				t.Fatalf("got %.50q", got)
			}
			until(t, "nothing is queued", func() bool { return s.Queued() == 0 })
		})
	}
}

// A peer that takes connections and drops them is tried again and again, ever more rarely.
func TestReconnectStorm(t *testing.T) {
	noLeak(t)
	at, next := server(t)
	lines := newInbox()
	push := open(t, Push, Options{Log: func(s string) { lines.put(Message{[]byte(s)}) }})
	connect(t, push, at)
	send(t, push, "kept")
	for i := range 5 {
		r := next()
		switch i {
		case 0:
		case 1:
			r.write([]byte("SSH-2.0-x\r\n"))
		default:
			r.write((append(greeting3(), readyOf("PULL", nil)...))[:i*22])
		}
		_ = r.c.Close()
	}
	r := next()
	r.greet("PULL", nil)
	if got := r.message(); got != "kept" {
		t.Errorf("got %q", got)
	}
	lines.want(t, "ZeroMQ PUSH at "+at+": "+errEnded.Error()) // one line for all of it
	_ = r.c.Close()
	lines.want(t, "ZeroMQ PUSH at "+at+": "+errEnded.Error())
}

func TestWhatIsKeptForAPeerThatStaysAwayIsDroppedAfterKeep(t *testing.T) {
	at, next := server(t)
	pub := open(t, Pub, Options{Keep: 20 * time.Millisecond, Bound: 1})
	connect(t, pub, at)
	r := next()
	r.greet("SUB", nil)
	r.write(appendCommand(nil, "SUBSCRIBE", nil))
	until(t, "subscribed", pub.Subscribed)
	_ = r.c.Close()
	until(t, "gone", func() bool { return !pub.Subscribed() })
	send(t, pub, "lost")
	if !pub.Room(nil) {
		t.Error("no room")
	}
	if pub.Queued() != 0 {
		t.Errorf("%d bytes are queued", pub.Queued())
	}
}

// With Keep below 0 a peer that has come back gets nothing that was meant for the time before.
func TestNothingIsKept(t *testing.T) {
	at, next := server(t)
	pub := open(t, Pub, Options{Keep: -1})
	connect(t, pub, at)
	send(t, pub, "early")
	for _, now := range []string{"1", "2"} {
		r := next()
		r.greet("SUB", nil)
		r.write(appendCommand(nil, "SUBSCRIBE", nil))
		until(t, "subscribed", pub.Subscribed)
		send(t, pub, now)
		if got := r.message(); got != now {
			t.Errorf("got %q", got)
		}
		for send(t, pub, strings.Repeat("x", 1<<20)) { // more than the system takes
			continue
		}
		_ = r.c.Close()
		until(t, "gone", func() bool { return !pub.Subscribed() })
		send(t, pub, "away")
		if pub.Queued() != 0 {
			t.Errorf("%d bytes are queued", pub.Queued())
		}
	}
}

// A peer that has come back with its identity has what a ROUTER queued meanwhile; one that has been forgotten has not.
func TestRouterKeepsForAnIdentity(t *testing.T) {
	in := newInbox()
	router := open(t, Router, Options{Receive: in.put, Keep: within})
	at := bind(t, router, anyPort)
	hello := func() *raw {
		r := dial(t, at)
		r.greet("DEALER", []byte("d"))
		r.write(appendMessage(nil, [][]byte{[]byte("hello")}))
		in.want(t, "d", "hello")
		return r
	}
	leave := func(r *raw) {
		_ = r.c.Close()
		until(t, "gone", func() bool { return len(router.sessions()) == 0 })
	}
	leave(hello())
	if router.Connected([]byte("d")) {
		t.Error("connected without a connection")
	}
	send(t, router, "d", "kept")
	r := hello()
	if got := r.message(); got != "kept" {
		t.Errorf("got %q", got)
	}
	if !router.Connected([]byte("d")) {
		t.Error("not connected")
	}
	leave(r)
	send(t, router, "d", "lost")
	router.Forget([]byte("d"))
	if _, err := router.Send([]byte("d"), []byte("x")); err != ErrNoPeer {
		t.Errorf("sent to a forgotten peer: %v", err)
	}
	if router.Queued() != 0 {
		t.Errorf("%d bytes are queued", router.Queued())
	}
	r = hello()
	send(t, router, "d", "new")
	if got := r.message(); got != "new" {
		t.Errorf("got %q", got)
	}
	// The same identity once more, before the first connection is seen to end: the newcomer has it.
	second := hello()
	r.ended()
	send(t, router, "d", "newer")
	if got := second.message(); got != "newer" {
		t.Errorf("got %q", got)
	}
	router.Forget([]byte("d"))
	second.ended()
}

func TestRouterForgetsWhoStaysAway(t *testing.T) {
	in := newInbox()
	router := open(t, Router, Options{Receive: in.put, Keep: time.Millisecond})
	r := dial(t, bind(t, router, anyPort))
	r.greet("DEALER", []byte("d"))
	r.write(appendMessage(nil, [][]byte{[]byte("hello")}))
	in.want(t, "d", "hello")
	_ = r.c.Close()
	until(t, "forgotten", func() bool {
		_, err := router.Send([]byte("d"), []byte("x"))
		return err == ErrNoPeer && len(*router.fan.Load()) == 0
	})
}
