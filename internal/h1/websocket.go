package h1

// WebSockets: what has become of a connection after a 101. The request that it was goes on and owns it, as long as the application
// does; the leader reads all the same, and says what happens to internal/websocket. Afterwards the connection is the leader's
// alone, until the closing handshake is over.

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/request"
	"github.com/gowsgi/gowsgi/internal/websocket"
	"github.com/gowsgi/gowsgi/reactor"
)

// SocketOptions are those of all WebSockets of a server.
func SocketOptions(cfg *config.Config) websocket.Options {
	counters := []int{
		websocket.Open: bridge.TallyWebSockets, websocket.MessagesIn: bridge.TallyMessagesIn,
		websocket.MessagesOut: bridge.TallyMessagesOut, websocket.BytesIn: bridge.TallyBytesIn,
		websocket.BytesOut: bridge.TallyBytesOut,
	}
	return websocket.Options{
		MaxMessage: cfg.WebSocketMaxMessage, SendBuffer: cfg.WebSocketSendBuffer, PingInterval: cfg.WebSocketPingInterval,
		PingTimeout: cfg.WebSocketPingTimeout, WriteTimeout: cfg.WriteTimeout,
		Count: func(what websocket.Counter, n int64) { bridge.TallyAdd(counters[what], n) },
	}
}

// socket is a WebSocket, as the application uses it and as what it is on.
type socket struct {
	request.WebSocket
	rc   *reactor.Conn
	shut bool // its output is at an end; leader
}

// socketOf is nil for nearly all connections; for those it must not look at what their owner has.
func socketOf(rc *reactor.Conn) *socket {
	if !rc.Watched() {
		return nil
	}
	return rc.Owner.(*conn).rare.socket
}

// Upgrade implements request.Client.
func (x *exchange) Upgrade(ask bridge.UpgradeRequest, wait bool) int64 {
	c := x.c
	s := c.s
	if x.Req.Body == bridge.BodyStream && !x.body.Done() {
		return bridge.WSRefused // what comes is not the WebSocket's
	}
	var d websocket.Deflate
	if s.cfg.WebSocketCompression {
		d = websocket.Negotiate(ask.Extensions)
	}
	lines := s.ownLines()
	out := append([]byte("HTTP/1.1 101 Switching Protocols\r\n"), lines.Server...)
	out = websocket.AppendAnswer(append(out, lines.Date...), ask.Key, ask.Protocol, d, ask.Lines)
	if !x.sendNow(out, wait) {
		return bridge.WSAgain
	}
	k := &socket{rc: c.rc}
	k.Conn = websocket.New(link{k}, &s.sockets, d, c.buf[c.r:c.w])
	if c.r < c.w {
		c.w = c.r
	}
	c.withRare().socket = k
	x.t.Lasts()    // without greenlets; else the call ends when it first waits
	fed := k.Fed() // from WatchInput on the leader's to ask
	c.rc.WatchInput()
	if !fed || c.rc.Readable() {
		s.loop.PostConn(c.rc)
	}
	if s.stopping.Load() { // BeginStop may have missed it
		k.Conn.Close(request.CloseGoingAway, "", true, wait, websocket.Elsewhere)
	}
	return bridge.AddWebSocket(k)
}

// Leave implements request.Client.
func (x *exchange) Leave(failed bool) (in, out int64) {
	return socketOf(x.c.rc).Leave(x.t.Thread, failed)
}

// link is a socket as websocket.Link.
type link struct{ k *socket }

// Send implements websocket.Link.
func (l link) Send(head, body []byte, wait bool) bool {
	if len(body) == 0 {
		if wait {
			_ = l.k.rc.SendBytes(head)
			return true
		}
		return l.k.rc.TrySendBytes(head)
	}
	ps := [2]reactor.Piece{{Bytes: head}, {Bytes: body}}
	if wait {
		_, _ = l.k.rc.Send(ps[:]...)
		return true
	}
	return l.k.rc.TrySend(ps[:]...)
}

// Queued implements websocket.Link.
func (l link) Queued(wait bool) (int64, bool) {
	rc := l.k.rc
	if !rc.Pending() {
		return 0, true
	}
	if wait {
		return rc.QueuedBytes(), true
	}
	n, _, ok := rc.TryQueued()
	return n, ok
}

// Broken implements websocket.Link.
func (l link) Broken() bool { return l.k.rc.Broken() || l.k.rc.Closing() }

// Look implements websocket.Link.
func (l link) Look() { l.k.rc.Loop().PostConn(l.k.rc) }

// Move implements websocket.Link.
func (l link) Move(at int64) { l.k.rc.MoveDeadline(at) }

// Now implements websocket.Link.
func (l link) Now() int64 { return l.k.rc.Loop().NowNanos() }

// InputOwned implements reactor.Handler.
func (s *Server) InputOwned(rc *reactor.Conn) { s.cur.socketInput(rc, socketOf(rc)) }

// socketInput reads, for a turn. Leader.
func (t *thread) socketInput(rc *reactor.Conn, k *socket) {
	here := t.Index()
	k.Feed(nil, here)
	if k.Wants() && rc.Readable() {
		t.socketRead(rc, k, here)
	}
	if rc.Broken() {
		k.Lost(here)
	}
	t.socketTail(rc, k)
}

func (t *thread) socketRead(rc *reactor.Conn, k *socket, here int) {
	buf := reactor.GetBuffer()
	defer reactor.PutBuffer(buf)
	for n := 0; ; n++ {
		if n == mostReads { // others first
			t.s.loop.PostConn(rc)
			return
		}
		got, err := rc.Read(buf)
		if err != nil {
			if !errors.Is(err, reactor.ErrWouldBlock) {
				k.Lost(here)
			}
			return
		}
		k.Feed(buf[:got], here)
		if !k.Wants() || !rc.Readable() {
			return
		}
	}
}

// socketTail sends what is due, and ends what is over. Leader; what it may wait for comes last.
func (t *thread) socketTail(rc *reactor.Conn, k *socket) {
	if !k.Flush(false) {
		t.s.loop.PostConn(rc) // to go on here
		if t.Py == nil {
			k.Flush(true)
			return
		}
		t.Py.Pause()
		t.Blocking(func() { k.Flush(true) })
		return
	}
	if !k.Done() {
		return
	}
	k.Finished()
	if rc.Owned() {
		// Pending: Drained comes here again. A second time it would be an event, as long as there is input.
		if !k.shut && !rc.Pending() && !rc.Broken() {
			k.shut = true
			_ = unix.Shutdown(rc.FD(), unix.SHUT_WR)
		}
		return
	}
	if c := rc.Owner.(*conn); c.phase == phaseSocket {
		if !k.Clean() { // the peer may still be sending, and shall get to see why
			rc.Linger()
		}
		c.close()
	}
}

// socketMoved is called when the peer has taken some of the output.
func (t *thread) socketMoved(rc *reactor.Conn, k *socket) {
	k.Moved(t.Index())
	t.socketTail(rc, k)
}

// socketTick is called when its deadline has passed.
func (t *thread) socketTick(rc *reactor.Conn, k *socket) {
	if k.Tick(t.Index()) {
		t.abort(rc)
		return
	}
	t.socketTail(rc, k)
}

// closeSockets tells every WebSocket that the server stops. Leader.
func (s *Server) closeSockets() {
	s.loop.Each(func(rc *reactor.Conn) {
		if k := socketOf(rc); k != nil {
			k.Conn.Close(request.CloseGoingAway, "", true, false, s.cur.Index())
		}
	})
}
