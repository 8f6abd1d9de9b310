package request

import (
	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/crew"
)

// Client is who asked, one implementation per protocol. Calls come on the thread that runs the request, with the GIL unless
// it says otherwise, and none of them waits with the GIL: an implementation that has to wait lets go of it first
// (bridge.Thread.Pause) and waits in crew.Thread.Blocking.
type Client interface {
	// Head begins the response, whose status and fields are in res. length is that of the body, or -1: then the client's
	// framing tells. body: a body follows by Body or File; else length is only what is said of it. What follows at once may
	// leave together with it.
	Head(res *bridge.Response, length int64, body bool)
	// Body sends these blocks, total bytes; none if there is no body. last: they end the response. Small ones may wait for
	// more as long as the application goes on without a wait. False: the client is gone.
	Body(pieces []bridge.Piece, total int64, last bool) bool
	// File sends n bytes of the descriptor fd, from off on, and closes it. finish is due when it is sent, on the request's
	// thread or, if loose, on any. The response is complete.
	File(fd int, off, n int64, finish bridge.Finish, loose bool)
	// Error answers in place of the application, with this status. Nothing of a response has been sent. size: of the body.
	Error(status int) (size int64)

	// Close says that the application has answered on the socket, which ends with the request. in, out: bytes that it has read
	// and written; in is -1 where nobody knows.
	Close() (in, out int64)
	// Cut ends a response that cannot be completed, so that the peer can tell that something is missing.
	Cut()
	// Long is called when the response goes on after its first blocks: nothing of others may wait for it.
	Long()
	// Turn is called when it has lasted: others get the lead, and the GIL.
	Turn()

	// Suspended says that the request waits without a thread. Gone: it wants to know (Request.ClientGone) when the peer goes.
	// Whatever the client has been given is to be sent.
	Suspended(gone bool)
	// Resume is called on the request's thread when the wait is over. The client calls Request.GoOn.
	Resume(t *crew.Thread)

	// Full reports whether the peer has so much to take that more has to wait. Any thread.
	Full() bool
	// Drain waits until enough of that is gone; false if it never will be. Without the GIL. Any thread.
	Drain() bool
	// Gone reports that the peer can get nothing any more. Any thread.
	Gone() bool

	// Write sends data of the write callable at once, behind the head of res unless that is nil; length and body as in
	// Head. Hints sends early hints. Read reads body bytes, and Socket gives the raw socket, as bridge.Responder does. Any
	// thread, in a call of the application's. wait false: with the GIL; what would have to wait is not done (Again, or
	// bridge.ReadNothing).
	Write(res *bridge.Response, length int64, body bool, data []byte, wait bool) bridge.WriteResult
	Hints(lines []byte, wait bool) bridge.WriteResult
	Socket(wait bool) (fd int)
	Read(dst []byte, wait bool) int64
	// Upgrade makes a WebSocket of what the request came on and sends the 101: its number (bridge.AddWebSocket), bridge.WSAgain
	// or bridge.WSRefused. As Write. Leave follows, on the request's thread, when the application has ended, failed or not:
	// the closing handshake begins, unless it has. in, out: bytes of frames so far.
	Upgrade(ask bridge.UpgradeRequest, wait bool) int64
	Leave(failed bool) (in, out int64)
	// Over ends the waits of other threads in Drain and Read, now and until the request is settled. Any goroutine.
	Over()
}
