package zeromq

import (
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// within is how long a test waits for what must happen.
const within = 30 * time.Second

// inbox collects what a socket receives.
type inbox chan Message

func newInbox() inbox { return make(inbox, 1<<16) }

func (in inbox) put(m Message) { in <- m }

func (in inbox) get(t *testing.T) Message {
	t.Helper()
	select {
	case m := <-in:
		return m
	case <-time.After(within):
		t.Fatal("no message has come")
		return nil
	}
}

func (in inbox) want(t *testing.T, parts ...string) {
	t.Helper()
	if got := text(in.get(t)); got != strings.Join(parts, "|") {
		t.Fatalf("got %.200q, want %.200q", got, strings.Join(parts, "|"))
	}
}

func text(m Message) string { return string(bytes.Join(m, []byte("|"))) }

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// open makes a socket that is closed, with all it has started, at the end of the test.
func open(t *testing.T, kind Type, o Options) *Socket {
	t.Helper()
	if o.Log == nil {
		o.Log = func(line string) { t.Log(line) }
	}
	var mu sync.Mutex
	ended := false
	log := o.Log
	o.Log = func(line string) {
		mu.Lock()
		defer mu.Unlock()
		if !ended {
			log(line)
		}
	}
	if (kind == Pull || kind == Dealer) && drives(t) {
		o.Loop = led(t)
	}
	s := New(kind, o)
	t.Cleanup(func() {
		s.Close(0)
		mu.Lock()
		ended = true
		mu.Unlock()
	})
	return s
}

func bind(t *testing.T, s *Socket, endpoint string) string {
	t.Helper()
	at, err := s.Bind(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func connect(t *testing.T, s *Socket, endpoint string) {
	t.Helper()
	if err := s.Connect(endpoint); err != nil {
		t.Fatal(err)
	}
}

func send(t *testing.T, s *Socket, parts ...string) bool {
	t.Helper()
	var m Message
	for _, p := range parts {
		m = append(m, []byte(p))
	}
	room, err := s.Send(m...)
	if err != nil {
		t.Fatal(err)
	}
	return room
}

const anyPort = "tcp://127.0.0.1:*"

// noLeak fails if goroutines are left that run code of this package's.
func noLeak(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		var stacks string
		until(t, "goroutines of sockets have ended", func() bool {
			b := make([]byte, 1<<20)
			stacks = string(b[:runtime.Stack(b, true)])
			return !strings.Contains(stacks, "zeromq.(*") // methods
		})
	})
}

func TestPushPull(t *testing.T) {
	for _, place := range []string{anyPort, "ipc://" + filepath.Join(t.TempDir(), "s"), "tcp://*:0", "tcp://lo:*"} {
		for _, pushBinds := range []bool{true, false} {
			t.Run(fmt.Sprint(place[:6], pushBinds), func(t *testing.T) {
				noLeak(t)
				in := newInbox()
				push := open(t, Push, Options{})
				pull := open(t, Pull, Options{Receive: in.put})
				if pushBinds {
					connect(t, pull, local(bind(t, push, place)))
				} else {
					connect(t, push, local(bind(t, pull, place)))
				}
				big := strings.Repeat("x", 3<<20)
				send(t, push, "one")
				send(t, push, "", "two", strings.Repeat("y", 300), "")
				send(t, push, big)
				send(t, push, big, "with", big)
				in.want(t, "one")
				in.want(t, "", "two", strings.Repeat("y", 300), "")
				in.want(t, big)
				in.want(t, big, "with", big)
				if _, err := pull.Send([]byte("x")); err != ErrType {
					t.Errorf("PULL sends: %v", err)
				}
			})
		}
	}
}

// local is an endpoint at which this machine is reached.
func local(at string) string { return strings.Replace(at, "[::]", "127.0.0.1", 1) }

func TestPushGivesEachMessageToOnePeerInTurn(t *testing.T) {
	push := open(t, Push, Options{})
	at := bind(t, push, anyPort)
	a, b := newInbox(), newInbox()
	connect(t, open(t, Pull, Options{Receive: a.put}), at)
	connect(t, open(t, Pull, Options{Receive: b.put}), at)
	until(t, "two peers", func() bool { return len(push.sessions()) == 2 })
	for i := range 10 {
		send(t, push, fmt.Sprint(i))
	}
	seen := map[string]bool{}
	for range 5 {
		seen[text(a.get(t))], seen[text(b.get(t))] = true, true
	}
	if len(seen) != 10 {
		t.Errorf("%d different messages of 10", len(seen))
	}
}

func TestPubFiltersByPrefix(t *testing.T) {
	pub := open(t, Pub, Options{})
	at := bind(t, pub, anyPort)
	a, b := newInbox(), newInbox()
	sa, sb := open(t, Sub, Options{Receive: a.put}), open(t, Sub, Options{Receive: b.put})
	sa.Subscribe([]byte("a"))
	sa.Subscribe([]byte("both"))
	sb.Subscribe([]byte("b"))
	connect(t, sa, at)
	connect(t, sb, at)
	until(t, "subscriptions", func() bool {
		n := 0
		for _, x := range pub.sessions() {
			x.l.mu.Lock()
			if x.open {
				n += len(x.topics)
			}
			x.l.mu.Unlock()
		}
		return n == 3
	})
	for _, m := range []string{"a1", "b1", "both", "c", "a2"} {
		send(t, pub, m, "rest")
	}
	a.want(t, "a1", "rest")
	a.want(t, "both", "rest")
	a.want(t, "a2", "rest")
	b.want(t, "b1", "rest")
	b.want(t, "both", "rest")
	sb.Unsubscribe([]byte("b"))
	until(t, "subscription taken back", func() bool {
		for _, l := range *pub.fan.Load() {
			if !l.subscribed() {
				return true
			}
		}
		return false
	})
	send(t, pub, "b2")
	send(t, pub, "a3")
	a.want(t, "a3")
	if len(b) > 0 {
		t.Errorf("b has %q", text(<-b))
	}
}

func TestRouterAndDealer(t *testing.T) {
	in, out := newInbox(), newInbox()
	router := open(t, Router, Options{Receive: in.put})
	at := bind(t, router, anyPort)
	dealer := open(t, Dealer, Options{Identity: []byte("me"), Receive: out.put})
	connect(t, dealer, at)
	send(t, dealer, "", "hello")
	in.want(t, "me", "", "hello")
	send(t, router, "me", "", "welcome")
	out.want(t, "", "welcome")
	if _, err := router.Send([]byte("other"), []byte("x")); err != ErrNoPeer {
		t.Errorf("sending to nobody: %v", err)
	}
	anonymous := newInbox()
	second := open(t, Dealer, Options{Receive: anonymous.put})
	connect(t, second, at)
	send(t, second, "anybody")
	m := in.get(t)
	if len(m[0]) != 5 || m[0][0] != 0 {
		t.Errorf("identity given: %q", m[0])
	}
	send(t, router, string(m[0]), "you")
	anonymous.want(t, "you")
}

func TestReq(t *testing.T) {
	in, out := newInbox(), newInbox()
	router := open(t, Router, Options{Receive: in.put})
	at := bind(t, router, anyPort)
	req := open(t, Req, Options{Identity: []byte("q"), Receive: out.put})
	connect(t, req, at)
	send(t, req, "status")
	in.want(t, "q", "", "status")
	send(t, router, "q", "", "fine")
	out.want(t, "fine")
}

func TestPausedSocketDoesNotEvenConnect(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	in := newInbox()
	pull := open(t, Pull, Options{Receive: in.put, Paused: true})
	connect(t, pull, "tcp://"+l.Addr().String())
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	runtime.Gosched()
	select {
	case <-accepted:
		t.Fatal("connected while paused")
	default:
	}
	pull.Start()
	c := <-accepted
	defer func() { _ = c.Close() }()
	other := newRaw(t, c)
	other.greet("PUSH", nil)
	other.write(appendMessage(nil, [][]byte{[]byte("1")}))
	in.want(t, "1")
	pull.Pause()
	other.write(appendMessage(nil, [][]byte{[]byte("2")}))
	other.write(appendCommand(nil, "PING", []byte("\x00\x00late")))
	if len(in) > 0 {
		t.Error("delivered while paused")
	}
	pull.Start()
	in.want(t, "2")
	if got := other.command(); got != "PONG late" {
		t.Errorf("got %q", got)
	}
}

// Joined waits for those that it connects to, for each of them, and until it is told to give up.
func TestJoined(t *testing.T) {
	pull := open(t, Pull, Options{})
	if bind(t, pull, anyPort); !pull.Joined(nil) {
		t.Error("it waits for nobody")
	}
	a, b := open(t, Push, Options{}), "ipc://"+filepath.Join(t.TempDir(), "b")
	connect(t, pull, bind(t, a, anyPort))
	connect(t, pull, b)
	done := make(chan struct{})
	close(done)
	if pull.Joined(done) {
		t.Error("joined before the second is there")
	}
	joined := make(chan bool)
	go func() { joined <- pull.Joined(nil) }()
	bind(t, open(t, Push, Options{}), b)
	if !<-joined {
		t.Error("not joined")
	}
}

func TestSendSaysWhenTheBoundIsPassedAndRoomWaits(t *testing.T) {
	push := open(t, Push, Options{Bound: 1 << 20})
	at := bind(t, push, anyPort)
	chunk := strings.Repeat("x", 64<<10)
	for range 15 {
		if !send(t, push, chunk) {
			t.Fatal("no room below the bound")
		}
	}
	send(t, push, chunk)
	if send(t, push, chunk) {
		t.Fatal("room above the bound")
	}
	done := make(chan struct{})
	close(done)
	if push.Room(done) {
		t.Fatal("Room where there is none")
	}
	room := make(chan bool)
	go func() { room <- push.Room(nil) }()
	in := newInbox()
	connect(t, open(t, Pull, Options{Receive: in.put}), at)
	if !<-room {
		t.Error("Room ended without room")
	}
	if q := push.Queued(); q > 1<<19 {
		t.Errorf("%d bytes are queued", q)
	}
	for range 17 {
		in.want(t, chunk)
	}
}

func TestRoomEndsWithTheSocket(t *testing.T) {
	push := open(t, Push, Options{Bound: 1})
	send(t, push, "x")
	room := make(chan bool)
	go func() { room <- push.Room(nil) }()
	until(t, "Room waits", func() bool {
		push.mu.Lock()
		defer push.mu.Unlock()
		return len(push.waiters) == 1
	})
	push.Close(0)
	if <-room {
		t.Error("Room said yes")
	}
	if _, err := push.Send([]byte("x")); err != ErrClosed {
		t.Errorf("Send: %v", err)
	}
}

// A receiver that does not return stops its own peer only, and what that has queued stays where it is.
func TestBackPressureIsPerPeer(t *testing.T) {
	hold := make(chan struct{})
	in := newInbox()
	pull := open(t, Pull, Options{Receive: func(m Message) {
		if string(m[0][:4]) == "slow" {
			<-hold
		}
		in.put(m)
	}})
	at := bind(t, pull, anyPort)
	slow, quick := open(t, Push, Options{Bound: 1 << 20}), open(t, Push, Options{})
	connect(t, slow, at)
	connect(t, quick, at)
	chunk := "slow" + strings.Repeat("x", 1<<18)
	n := 0
	for send(t, slow, chunk) || slow.Queued() < 1<<20 {
		n++
		if n == 4096 {
			t.Fatal("a gigabyte has gone to a receiver that does not take it")
		}
	}
	n++
	send(t, quick, "quick")
	in.want(t, "quick")
	close(hold)
	for range n {
		in.want(t, chunk)
	}
}

func TestCloseSendsWhatIsQueued(t *testing.T) {
	noLeak(t)
	const n = 200
	chunk := strings.Repeat("z", 100<<10)
	in := newInbox()
	pull := open(t, Pull, Options{Receive: in.put})
	at := bind(t, pull, anyPort)
	push := open(t, Push, Options{})
	connect(t, push, at)
	for range n {
		if _, err := push.Queue([]byte(chunk)); err != nil {
			t.Fatal(err)
		}
	}
	push.Close(within)
	for range n {
		in.want(t, chunk)
	}
}

func TestCloseGivesUpAfterLinger(t *testing.T) {
	noLeak(t)
	push := open(t, Push, Options{})
	connect(t, push, "ipc://"+filepath.Join(t.TempDir(), "nobody"))
	send(t, push, "x")
	push.Close(10 * time.Millisecond)
}

func TestQueueLeavesWithFlush(t *testing.T) {
	in := newInbox()
	sub := open(t, Sub, Options{Receive: in.put})
	at := bind(t, sub, anyPort)
	sub.Subscribe(nil)
	pub := open(t, Pub, Options{})
	connect(t, pub, at)
	until(t, "subscribed", pub.Subscribed)
	for i := range 100 {
		if _, err := pub.Queue([]byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	pub.Flush()
	for i := range 100 {
		in.want(t, fmt.Sprint(i))
	}
	if pub.Queued() != 0 {
		t.Errorf("%d bytes are queued", pub.Queued())
	}
}

func TestLossyPubDropsForWhoDoesNotRead(t *testing.T) {
	pub := open(t, Pub, Options{Lossy: true, Bound: 100 << 10})
	at := bind(t, pub, anyPort)
	deaf := dial(t, at)
	deaf.greet("SUB", nil)
	deaf.write(appendCommand(nil, "SUBSCRIBE", nil))
	until(t, "subscribed", pub.Subscribed)
	chunk := strings.Repeat("x", 10<<10)
	for range 10_000 {
		send(t, pub, chunk)
	}
	if q := pub.Queued(); q > 120<<10 {
		t.Errorf("%d bytes are queued", q)
	}
}

func TestMalformedEndpoints(t *testing.T) {
	for _, place := range []string{"", "127.0.0.1:5", "udp://1.2.3.4:5", "inproc://x", "tcp://", "tcp://host",
		"tcp://host:0", "tcp://*:5", "tcp://host:x", "ipc://", "tcp://:99999", "ipc://" + strings.Repeat("x", 108)} {
		s := open(t, Pull, Options{})
		if err := s.Connect(place); err == nil {
			t.Errorf("Connect(%.40q) is taken", place)
		} else if !strings.Contains(err.Error(), fmt.Sprintf("%q", place)) {
			t.Errorf("Connect(%q): %v", place, err)
		}
	}
	s := open(t, Pull, Options{})
	at := bind(t, s, anyPort)
	_, err := open(t, Pull, Options{}).Bind(at)
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a second bind: %v", err)
	}
}

func TestUnixSocketThatNobodyListensAtIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	s := open(t, Pull, Options{})
	bind(t, s, "ipc://"+path)
	if _, err := open(t, Pull, Options{}).Bind("ipc://" + path); err == nil {
		t.Error("taken from who listens")
	}
}
