package h1

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/reactor"
)

// queueServer is a server with one thread, without Python.
func queueServer() (*Server, *thread) {
	s := &Server{cfg: &config.Config{}}
	s.crew = crew.New(1, host{s})
	th := &thread{Thread: s.crew.Threads()[0], s: s}
	s.threads = []*thread{th}
	return s, th
}

// gatherer is a thread that leads, with a request staged, and a connection of its with an answer to be given.
func gatherer(t *testing.T) (*thread, *conn, net.Conn) {
	t.Helper()
	s, th := queueServer()
	rc, client := accepted(t)
	x := &exchange{keep: true}
	x.Reset()
	c := &conn{s: s, rc: rc, unread: nothing, x: x}
	rc.Owner = c
	s.loop = rc.Loop()
	s.staged.Push(&conn{})
	th.SetLeads(true)
	th.many = true
	return th, c, client
}

// An answer waits for others only if it leaves nothing to be decided about its connection, and only with a leader who has
// more to do: nobody else would send it.
func TestWhichAnswersAreGathered(t *testing.T) {
	for name, change := range map[string]func(th *thread, c *conn){
		"":                   func(*thread, *conn) {},
		"no leader":          func(th *thread, _ *conn) { th.SetLeads(false) },
		"nothing else to do": func(th *thread, _ *conn) { th.s.staged.Pop() },
		"the last answer":    func(_ *thread, c *conn) { c.x.keep = false },
		"a body being read":  func(_ *thread, c *conn) { c.x.Req.Body = bridge.BodyStream },
		"a pipeline goes on": func(_ *thread, c *conn) { c.unread = &unread{buf: make([]byte, 1), w: 1} },
		"a file to close":    func(_ *thread, c *conn) { c.withRare().finish = 1 },
		"output before it":   func(_ *thread, c *conn) { c.rc.Append([]reactor.Piece{{Bytes: []byte("x")}}) },
		"a stop":             func(th *thread, _ *conn) { th.s.stopping.Store(true) },
	} {
		th, c, _ := gatherer(t)
		change(th, c)
		if got := th.gathers(c, 10); got != (name == "") {
			t.Errorf("%q: gathered: %v", name, got)
		}
	}
	for name, change := range map[string]func(th *thread){
		"few":                func(*thread) {},
		"few, but slow":      func(th *thread) { th.slow = true },
		"few since the poll": func(th *thread) { th.round = crowd },
	} {
		th, c, _ := gatherer(t)
		th.many = false
		change(th)
		if got := th.gathers(c, 10); got != (name != "few") {
			t.Errorf("%q: gathered: %v", name, got)
		}
	}
	th, c, _ := gatherer(t)
	if th.gathers(c, flushAbove) {
		t.Error("a large answer is gathered")
	}
}

// What waits is sent when there is enough of it, however short the time, and if the lead was lost in the middle.
func TestGatheredBytesAreBounded(t *testing.T) {
	for _, n := range []int{gatherMax, 1} {
		th, c, client := gatherer(t)
		th.out = make([]byte, n)
		c.rc.Acquire()
		th.gathered(c)
		if n < gatherMax {
			th.SetLeads(false)
		}
		th.boundWait()
		if waiting, _ := th.box.waiting(); c.rc.Owned() || waiting != 0 {
			t.Fatal("the answer still waits")
		}
		got := make([]byte, n)
		client.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadFull(client, got); err != nil {
			t.Fatal(err)
		}
	}
}

// A staged connection holds no block, unless there is more in it than a head of moderate size.
func TestStage(t *testing.T) {
	s, th := queueServer()
	staged := func(head string, more int, x *exchange) *conn {
		u := &unread{buf: reactor.GetBuffer()}
		u.r = copy(u.buf, head)
		u.w = u.r + more
		c := &conn{s: s, unread: u, x: x}
		x.Req.Arena = u.buf[:u.r]
		th.stage(c)
		scribble := u.buf[:u.r]
		if c.unread == nothing { // it is somebody else's now
			copy(scribble, make([]byte, len(scribble)))
		}
		return c
	}
	long := strings.Repeat("x", ownHead)
	x := &exchange{}
	for _, head := range []string{"first", "a second one", long, "x"} {
		if c := staged(head, 0, x); c.unread != nothing || string(x.Req.Arena) != head || s.staged.Pop() != c {
			t.Fatalf("%.20q: staged %.20q, holds its block: %v", head, x.Req.Arena, c.unread != nothing)
		}
		x.reset()
	}
	body := &exchange{}
	body.Req.Body = bridge.BodyMemory
	for name, c := range map[string]*conn{
		"more input": staged("head", 1, &exchange{}), "a long head": staged(long+"x", 0, &exchange{}), "a body": staged("head", 0, body),
	} {
		if c.unread == nothing || c.x.Req.Arena[0] == 0 {
			t.Errorf("%s: the block is gone", name)
		}
	}
}

// Leaders keep exchanges, up to a limit, and others give them back to all: else each thread of a pool would hoard its own.
func TestWhoKeepsExchanges(t *testing.T) {
	s, th := queueServer()
	var taken []*exchange
	for range spareExchanges + 3 {
		taken = append(taken, th.nextExchange())
		th.fresh = th.fresh[:len(th.fresh)-1]
	}
	for _, x := range taken {
		x.c = &conn{s: s}
		th.recycle(x)
	}
	if len(th.fresh) != 0 {
		t.Errorf("a thread that does not lead keeps %d", len(th.fresh))
	}
	th.SetLeads(true)
	for _, x := range taken {
		th.recycle(x)
		if x.c != nil {
			t.Fatal("what is kept still holds its connection")
		}
	}
	if len(th.fresh) != spareExchanges {
		t.Errorf("a leader keeps %d", len(th.fresh))
	}
}

// acceptor takes the first connection.
type acceptor struct {
	reactor.Handler
	conn *reactor.Conn
}

func (a *acceptor) Accepted(c *reactor.Conn) { a.conn = c }
func (a *acceptor) Ready(*reactor.Conn)      {}

// accepted is a connection of a loop of its own, whose client says nothing, and the client.
func accepted(t *testing.T) (*reactor.Conn, net.Conn) {
	t.Helper()
	a := &acceptor{}
	loop, err := reactor.NewLoop(a, reactor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := reactor.Listen("tcp", "127.0.0.1:0", reactor.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := loop.AddListener(ln); err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", ln.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		loop.Close()
	})
	for end := time.Now().Add(10 * time.Second); a.conn == nil && time.Now().Before(end); {
		if !loop.Dispatch() {
			if err := loop.Poll(time.Second); err != nil {
				t.Fatal(err)
			}
		}
	}
	if a.conn == nil {
		t.Fatal("no connection came")
	}
	for loop.Dispatch() {
	}
	return a.conn, client
}

// flushed is a guest that counts how often it is told to send what waits.
type flushed int

func (f *flushed) Idle() bool { return true }
func (f *flushed) Flush()     { *f++ }
func (f *flushed) BeginStop() {}
func (f *flushed) Over()      {}

// What a guest's answers wait for is the guest's requests: those of connections come after them, and may be many.
func TestGuestsAnswersDoNotWaitForConnections(t *testing.T) {
	th, _, _ := gatherer(t)
	s := th.s
	s.staged.Pop()
	s.cur = th
	var guest flushed
	s.Host(&guest)
	ran := false
	s.loop.Post(func() { ran = true })
	if err := s.loop.Poll(0); err != nil {
		t.Fatal(err)
	}
	for !ran && (host{s}).Turn(th.Thread) {
		if guest == 0 {
			t.Fatal("they wait")
		}
	}
}
