package request

// WebSockets, as the application has them: what is the same whatever they are on.

import (
	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/websocket"
)

// WebSocket is a websocket.Conn as bridge.WebSocket.
type WebSocket struct{ *websocket.Conn }

var _ bridge.WebSocket = WebSocket{}

// Codes of a Close, RFC 6455 7.4.1.
const (
	CloseNormal     = 1000
	CloseGoingAway  = 1001
	CloseServerFail = 1011
)

// Leave begins the end that a request's end is, on its thread, and returns the bytes of messages.
func (k WebSocket) Leave(t *crew.Thread, failed bool) (in, out int64) {
	code := CloseNormal
	if failed {
		code = CloseServerFail
	}
	t.Blocking(func() { k.Conn.Close(code, "", false, true, websocket.Elsewhere) })
	return k.Bytes()
}

// Take implements bridge.WebSocket.
func (k WebSocket) Take(wait bool) (data []byte, binary bool, result int) {
	m, how := k.Conn.Take(wait)
	return m.Data, m.Binary, [...]int{
		websocket.Got: bridge.WSOK, websocket.Nothing: bridge.WSNothing, websocket.Again: bridge.WSAgain, websocket.Ended: bridge.WSClosed,
	}[how]
}

// Send implements bridge.WebSocket.
func (k WebSocket) Send(opcode byte, data []byte, wait bool) int {
	return [...]int{
		websocket.SendOK: bridge.WSOK, websocket.SendAgain: bridge.WSAgain, websocket.SendFull: bridge.WSNothing,
		websocket.SendClosed: bridge.WSClosed,
	}[k.Conn.Send(opcode, data, wait)]
}

// Await implements bridge.WebSocket.
func (k WebSocket) Await(w *bridge.WebSocketWaiter, room bool) uint64 {
	what := websocket.ForMessage
	if room {
		what = websocket.ForRoom
	}
	return k.Conn.Await(w, what)
}

// Close implements bridge.WebSocket.
func (k WebSocket) Close(code int, reason string) {
	k.Conn.Close(code, reason, false, false, websocket.Elsewhere)
}

// State implements bridge.WebSocket.
func (k WebSocket) State() bridge.WebSocketState {
	s := k.Conn.State()
	return bridge.WebSocketState{Closed: s.Closed, Code: s.Code, Reason: s.Reason}
}
