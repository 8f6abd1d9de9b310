package gateway

// WebSockets. Mongrel2 does the handshake's arithmetic and takes frames apart: each comes as a message with its first byte in
// FLAGS, unmasked. Answers are frames as they are. For internal/websocket, whose parser is the one place that checks them, a
// frame gets its head back, with a mask of zeros.

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/mongrel2"
	"github.com/gowsgi/gowsgi/internal/request"
	"github.com/gowsgi/gowsgi/internal/rules"
	"github.com/gowsgi/gowsgi/internal/websocket"
)

// socket is a WebSocket, as the application uses it and as what it is on.
type socket struct {
	request.WebSocket
	x *exchange
	l *link

	turn    rules.Mutex // of who feeds it
	queue   [][]byte    // frames that it would not look at, as nobody takes messages; with turn
	backlog int         // bytes of them
	left    bool        // the application has
	ended   bool

	timer atomic.Pointer[time.Timer]
	name  []byte // of l, for messages
}

var epoch = time.Now()

// Upgrade implements request.Client. There is no compression: Mongrel2 refuses frames that are marked for it.
func (x *exchange) Upgrade(ask bridge.UpgradeRequest, _ bool) int64 {
	if !x.handshake {
		return bridge.WSRefused
	}
	lines := x.g.srv.Lines()
	x.out = append(x.out, "HTTP/1.1 101 Switching Protocols\r\n"...)
	x.out = append(append(x.out, lines.Server...), lines.Date...)
	x.out = websocket.AppendAnswer(x.out, ask.Key, ask.Protocol, websocket.Deflate{}, ask.Lines)
	k := &socket{x: x, l: x.l, name: x.l.key.of.name}
	k.Conn = websocket.New(wire{k}, &x.g.srv.Sockets, websocket.Deflate{}, nil)
	k.turn.Lock() // frames that come now wait until it has been answered
	x.l.mu.Lock()
	x.l.socket = k // before the answer leaves: the client's first frame may be here at once
	x.l.puts(x.out, x.prefix, false, false)
	x.out = x.out[:x.prefix]
	ahead, gone := x.ahead, x.l.gone
	x.ahead = nil
	x.l.mu.Unlock()
	for _, f := range ahead {
		k.feed(f.first, f.body)
	}
	k.turn.Unlock()
	if len(ahead) > 0 {
		go k.tail()
	}
	x.t.Lasts() // without greenlets; else the call ends when it first waits
	if gone {
		k.Lost(websocket.Elsewhere)
	}
	if x.g.stopping.Load() { // closeSockets may have missed it
		go k.Conn.Close(request.CloseGoingAway, "", true, true, websocket.Elsewhere)
	}
	return bridge.AddWebSocket(k)
}

// Leave implements request.Client.
func (x *exchange) Leave(failed bool) (in, out int64) { return x.l.socket.Leave(x.t, failed) }

// leaves is called when the request is over: the link is the socket's until the closing handshake is.
func (k *socket) leaves() {
	k.turn.Lock()
	k.left = true
	k.turn.Unlock()
	k.look()
}

// frame takes a message that is a frame.
func (g *Gateway) frame(m *exchange) {
	defer g.recycle(m)
	g.mu.Lock()
	l := g.links[key{g.senders[string(m.message.Sender)], m.message.ID}]
	g.mu.Unlock()
	if l == nil {
		return
	}
	first, err := strconv.ParseUint(string(m.flags), 0, 8)
	if err != nil {
		return
	}
	l.mu.Lock()
	k, x, ok := l.socket, l.cur, true
	if k == nil && x != nil && x.handshake {
		if ok = len(x.ahead) < maxAhead; ok {
			x.ahead = append(x.ahead, ahead{byte(first), m.message.Body})
		}
	}
	l.mu.Unlock()
	switch {
	case !ok:
		l.cut()
	case k != nil: // else it is over
		k.take(byte(first), m.message.Body)
	}
}

// ahead is a frame that its client did not keep back until the handshake was answered.
type ahead struct {
	first byte
	body  []byte
}

const maxAhead = 16

// frames is room for one: most WebSockets are idle, and hold none.
var frames = sync.Pool{New: func() any { return new([]byte) }}

// take feeds it with a frame.
func (k *socket) take(first byte, body []byte) {
	k.turn.Lock()
	k.feed(first, body)
	flooded := k.backlog > 1<<20+2*k.x.g.cfg.WebSocketMaxMessage
	k.turn.Unlock()
	if flooded { // nothing slows Mongrel2 down
		k.x.g.log.Warn("a WebSocket's messages come faster than the application takes them; it is cut", "client", k.l.key.id)
		k.l.cut()
		return
	}
	k.tail()
}

// feed is take with turn.
func (k *socket) feed(first byte, body []byte) {
	room := frames.Get().(*[]byte)
	f := append((*room)[:0], first)
	switch n := len(body); {
	case n < 126:
		f = append(f, 0x80|byte(n))
	case n < 1<<16:
		f = binary.BigEndian.AppendUint16(append(f, 0x80|126), uint16(n))
	default:
		f = binary.BigEndian.AppendUint64(append(f, 0x80|127), uint64(n))
	}
	f = append(append(f, 0, 0, 0, 0), body...)
	switch {
	case k.Stopped(): // it would throw it away
	case len(k.queue) == 0 && k.Fed() && k.Wants():
		k.Feed(f, websocket.Elsewhere)
	default:
		k.queue = append(k.queue, bytes.Clone(f))
		k.backlog += len(f) + frameCost
	}
	if cap(f) <= keepOut {
		*room = f
		frames.Put(room)
	}
}

const frameCost = 64 // bytes that a frame takes in the queue beside its own

// look has it look at what it would not before, a frame at a time: what it does not take of that it copies.
func (k *socket) look() {
	k.turn.Lock()
	k.Feed(nil, websocket.Elsewhere)
	for len(k.queue) > 0 && k.Fed() && k.Wants() {
		f := k.queue[0]
		k.queue[0] = nil
		k.queue = k.queue[1:]
		k.backlog -= len(f) + frameCost
		k.Feed(f, websocket.Elsewhere)
	}
	if k.Stopped() {
		k.queue, k.backlog = nil, 0
	}
	k.turn.Unlock()
	k.tail()
}

// tail sends what is due, and ends what is over.
func (k *socket) tail() {
	k.Flush(true)
	k.turn.Lock()
	done := k.left && !k.ended && k.Done()
	k.ended = k.ended || done
	k.turn.Unlock()
	if done {
		k.Finished()
		k.l.settle(true)
	}
}

// lost is called when the client has gone.
func (k *socket) lost() {
	k.Conn.Lost(websocket.Elsewhere)
	k.tail()
}

// moved is called when the client has taken something.
func (k *socket) moved() {
	k.Moved(websocket.Elsewhere)
	k.tail()
}

func (k *socket) tick() {
	k.turn.Lock()
	dead := k.Tick(websocket.Elsewhere)
	k.turn.Unlock()
	if dead {
		k.l.cut()
	}
	k.tail()
}

// wire is a socket as websocket.Link. Nothing of it waits, and it may be called with locks of the connection held.
type wire struct{ k *socket }

// Send implements websocket.Link.
func (w wire) Send(head, body []byte, _ bool) bool {
	l := w.k.l
	message := mongrel2.AppendAnswer(make([]byte, 0, 320+len(head)+len(body)), w.k.name, l.key.id)
	prefix := len(message)
	l.put(append(append(message, head...), body...), prefix, l.frames(), false)
	return true
}

// Queued implements websocket.Link.
func (w wire) Queued(bool) (int64, bool) { return int64(w.k.l.pending()), true }

// Broken implements websocket.Link.
func (w wire) Broken() bool { return w.k.l.isGone() }

// Look implements websocket.Link.
func (w wire) Look() { go w.k.look() }

// Move implements websocket.Link.
func (w wire) Move(at int64) {
	old := w.k.timer.Load()
	switch {
	case at == 0:
		if old != nil {
			old.Stop()
		}
	case old != nil:
		old.Reset(time.Duration(at - w.Now()))
	default:
		w.k.timer.Store(time.AfterFunc(time.Duration(at-w.Now()), w.k.tick))
	}
}

// Now implements websocket.Link.
func (w wire) Now() int64 { return int64(time.Since(epoch)) + 1 }

// closeSockets tells every WebSocket that the server stops.
func (g *Gateway) closeSockets() {
	for _, l := range g.all() {
		l.mu.Lock()
		k := l.socket
		l.mu.Unlock()
		if k != nil {
			go func() {
				k.Conn.Close(request.CloseGoingAway, "", true, true, websocket.Elsewhere)
				k.tail()
			}()
		}
	}
}
