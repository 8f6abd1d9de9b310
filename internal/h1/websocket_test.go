package h1

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/websocket"
)

const asksForWebSocket = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

func ping() string { return string(ws.MustCompileFrame(ws.MaskFrame(ws.NewPingFrame(nil)))) }

// asked is a connection whose request is with a thread, which is to run it.
func (r *wireRig) asked(behind string) (*conn, func(text string)) {
	client, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(r.ln.Port()))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { client.Close() })
	r.send(client, asksForWebSocket+behind)
	r.until("a job", func() bool { return r.s.crew.Queued() > 0 })
	c := r.s.crew.Take().(*conn)
	c.x.t, c.phase = r.s.standby, phaseRun
	return c, func(text string) { r.send(client, text) }
}

// A request becomes a WebSocket on its own thread, and from one moment to the next its input is the leader's. (What either
// may touch the race detector tells.)
func TestUpgradeBesideTheLeader(t *testing.T) {
	r := newWireRig(t)
	for range 20 {
		c, send := r.asked(ping() + ping()[:1])
		number := make(chan int64)
		send(ping()[1:])
		go func() {
			number <- c.x.Client.Upgrade(bridge.UpgradeRequest{Key: []byte("key")}, true)
		}()
		send(strings.Repeat(ping(), 10))
		r.until("upgraded", func() bool {
			select {
			case n := <-number:
				if n <= bridge.WSAgain {
					t.Fatal("refused")
				}
				return true
			default:
				return false
			}
		})
		k := socketOf(c.rc)
		r.until("all read", func() bool { in, _ := k.Bytes(); return in == int64(12*len(ping())) })
	}
}

// The head of a suspended request moves, and its connection's block goes, only while no other thread may read either.
func TestSuspendedBesideAnotherThread(t *testing.T) {
	r := newWireRig(t)
	c, _ := r.asked("")
	r.s.cur.takeInput(c) // as a thread that leads has left it
	c.x.BeforeHead(true, func() bool {
		if c.x.Suspended(false); c.unread == nothing {
			t.Error("it went while another thread was in a call")
		}
		return true
	})
	if c.x.Suspended(false); c.unread != nothing {
		t.Error("it stays for ever")
	}
}

// What is left when the leader ends is not counted as open.
func TestOpenAtTheEnd(t *testing.T) {
	r := newWireRig(t)
	c, _ := r.asked("")
	open := int64(0)
	r.s.sockets.Count = func(what websocket.Counter, n int64) {
		if what == websocket.Open {
			open += n
		}
	}
	c.x.Client.Upgrade(bridge.UpgradeRequest{Key: []byte("key")}, true)
	r.s.over.Store(true)
	host{r.s}.End(nil)
	if open != 0 {
		t.Errorf("%d are open", open)
	}
}
