package bridge

import (
	"github.com/gowsgi/gowsgi/bridge/internal/cpy"
	"github.com/gowsgi/gowsgi/internal/rules"
)

// UpgradeRequest is a request that is to become a WebSocket: its key, the protocol that was chosen, the extensions that are offered,
// and more header lines for the answer. Valid during the call.
type UpgradeRequest = cpy.WSAsk

// WebSocket is one as the application uses it. Results of Take and Send: WSOK, WSNothing (no message; the peer has enough to
// take), WSAgain (it would have to wait, and wait is false) or WSClosed. Any goroutine.
type WebSocket interface {
	Take(wait bool) (data []byte, binary bool, result int)
	Send(opcode byte, data []byte, wait bool) int
	// Await has w woken when there may be a message, or room to send; 0: there may be now. Forget of the result ends that.
	Await(w *WebSocketWaiter, room bool) uint64
	Forget(waiter uint64)
	Close(code int, reason string)
	State() WebSocketState
}

// WebSocketState is how it ends.
type WebSocketState = cpy.WSState

// Results of a WebSocket's methods, and of Responder.Upgrade.
const (
	WSOK      = cpy.WSOK
	WSNothing = cpy.WSNothing
	WSAgain   = cpy.WSAgain
	WSClosed  = cpy.WSClosed
	WSRefused = cpy.WSRefused
)

// WebSocketWaiter is who waits for one: a suspended job, or an OS thread.
type WebSocketWaiter struct{ w cpy.WSWaiter }

// Thread tells whether it is an OS thread.
func (w *WebSocketWaiter) Thread() bool { return w.w.Gen == 0 }

// Wake ends the wait. here: the number of the Python thread that calls, or one that none has. While it is awaited.
func (w *WebSocketWaiter) Wake(here int) {
	if w.w.Gen == 0 {
		w.w.Post()
		return
	}
	who, j := enter(w.w.Job, w.w.Gen)
	if j == nil {
		return
	}
	defer j.leave()
	if j.c.Wait.End(w.w.Number, cpy.WaitWoken, 0) {
		who.Ready(int(w.w.Thread) == here)
	}
}

// sockets are those that Python has, by number.
type sockets struct {
	mu   rules.Short
	last uint64
	all  map[uint64]WebSocket
}

var open = &sockets{last: 2, all: map[uint64]WebSocket{}} // numbers are no results

// AddWebSocket makes ws the application's, and returns its number.
func AddWebSocket(ws WebSocket) int64 {
	open.mu.Lock()
	defer open.mu.Unlock()
	open.last++
	open.all[open.last] = ws
	return int64(open.last)
}

func (s *sockets) get(ws uint64) WebSocket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[ws]
}

func (s *sockets) Take(ws uint64, wait bool) ([]byte, bool, int) { return s.get(ws).Take(wait) }

func (s *sockets) Await(ws uint64, room bool, w cpy.WSWaiter) uint64 {
	return s.get(ws).Await(&WebSocketWaiter{w}, room)
}

func (s *sockets) Forget(ws, waiter uint64) { s.get(ws).Forget(waiter) }

func (s *sockets) Send(ws uint64, opcode byte, data []byte, wait bool) int {
	return s.get(ws).Send(opcode, data, wait)
}

func (s *sockets) Close(ws uint64, code int, reason string) { s.get(ws).Close(code, reason) }

func (s *sockets) State(ws uint64) cpy.WSState { return s.get(ws).State() }

func (s *sockets) Drop(ws uint64) {
	s.mu.Lock()
	delete(s.all, ws)
	s.mu.Unlock()
}

func (upcalls) Upgrade(job uint32, gen uint64, ask cpy.WSAsk, wait bool) int64 {
	who, j := enter(job, gen)
	if j == nil {
		return WSRefused
	}
	defer j.leave()
	return who.Upgrade(ask, wait)
}

func init() { cpy.Sockets = open }
