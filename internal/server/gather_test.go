package server

import (
	"net"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/reactor"
)

// A call that writes a large answer may be taken for blocked: what was to be gathered when it began must not be kept by a
// thread that leads no more, where nobody would send it.
func TestOnlyTheLeaderGathers(t *testing.T) {
	s, th := queueServer()
	c := &conn{s: s, rc: accepted(t)}
	s.loop = c.rc.Loop()
	c.rc.Append([]reactor.Piece{{Bytes: []byte("an answer")}})
	if th.putLate(c) || len(th.late) != 0 {
		t.Fatal("an answer waits for a thread that does not lead")
	}
	th.leading = true
	if !th.putLate(c) || len(th.late) != 1 {
		t.Fatal("the leader did not keep the answer")
	}
}

// A large answer is written in a call, which may have cost the thread the lead: what else waits is not its to look at then.
func TestLargeAnswersDoNotAskForOthers(t *testing.T) {
	s, th := queueServer()
	c := &conn{s: s, rc: accepted(t), x: &exchange{keep: true}}
	s.loop = nil // any look at it panics
	th.slow, th.leading = true, true
	if th.gathers(c, largeBody+1) {
		t.Fatal("a large answer waits for others")
	}
}

// acceptor takes the first connection.
type acceptor struct {
	reactor.Handler
	conn *reactor.Conn
}

func (a *acceptor) Accepted(c *reactor.Conn) { a.conn = c }

// accepted is a connection of a loop of its own, whose client says nothing.
func accepted(t *testing.T) *reactor.Conn {
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
	return a.conn
}
