package websocket

import (
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/gowsgi/gowsgi/internal/rules"
)

// Options are the same for all connections of a server. A time of 0 is off.
type Options struct {
	MaxMessage   int // bytes of a message, inflated
	SendBuffer   int // bytes that may wait for the client before a sender does
	PingInterval time.Duration
	PingTimeout  time.Duration
	WriteTimeout time.Duration
	Compression  bool
	Count        func(Counter, int64)
}

// CloseTimeout is how long the peer's answer to a Close is waited for.
const CloseTimeout = 10 * time.Second

// Counter is something that is counted.
type Counter int

// Counters. Bytes are those of frames, without HTTP.
const (
	Open Counter = iota
	MessagesIn
	MessagesOut
	BytesIn
	BytesOut
)

// Link is what a connection is on. Any goroutine, but Move, whose calls do not overlap.
type Link interface {
	// Send sends head and body behind what is queued, or queues what cannot go now; both are the caller's again then. wait
	// false: it must not wait, and false is that it would have to; nothing is sent then. An error shows as Broken.
	Send(head, body []byte, wait bool) bool
	// Queued is how many bytes wait for the peer. wait false: it must not wait, and not ok is that it would have to.
	Queued(wait bool) (n int64, ok bool)
	// Broken reports that nothing can be sent any more.
	Broken() bool
	// Look has Feed called again, by the leader.
	Look()
	// Move sets when Tick is to be called, on the clock of Now; 0: never.
	Move(at int64)
	// Now is a monotonic clock, in ns; a look at it costs next to nothing.
	Now() int64
}

// Waiter is somebody who waits for a message, or for room to send.
type Waiter interface {
	// Wake ends the wait. here: the number of the thread that calls, or Elsewhere. It is called with a lock of the connection
	// held and must not wait.
	Wake(here int)
}

// Elsewhere is a thread that runs no waiters.
const Elsewhere = -2

// What a waiter waits for.
type For uint8

const (
	ForMessage For = iota
	ForRoom
)

type waiting struct {
	Waiter
	number uint64
	what   For
}

// Message is a whole message.
type Message struct {
	Data   []byte
	Binary bool

	deflated bool
}

// Bounds of what waits for the application; one message more may come.
const (
	mostWaiting   = 64
	mostWaitBytes = 64 << 10
)

// Conn is one connection.
type Conn struct {
	link Link
	opt  *Options

	parser // leader only

	mu         rules.Short
	messages   []Message
	waitSize   int
	waiters    []waiting
	lastWaiter uint64
	paused     bool // the leader has stopped reading, as enough waits

	sentClose, gotClose bool
	local               bool // the application has closed: it wants no messages any more
	failed              bool // nothing more is read
	lost                bool // without a closing handshake
	over                bool // nothing more comes or goes; counted as closed
	code                int  // why it ended: the peer's, else ours; 0: none yet
	reason              string

	heard    int64  // when the peer last sent something
	pinged   int64  // when it was pinged, and has sent nothing since; 0: it was not
	moved    int64  // when output last moved
	closeBy  int64  // when the peer's Close is to be here; 0: it is not waited for
	due      int64  // of the next Tick
	pending  []byte // control frames that wait for out
	lastPong []byte // of a ping while there was no room
	inBytes  atomic.Int64
	outBytes atomic.Int64

	out rules.Mutex // held while a message is made and sent
	def deflater    // with out

	in  rules.Mutex // held while a message is taken
	inf inflater    // with in
}

// New makes a connection on a link. rest: what has come already behind the request.
func New(link Link, opt *Options, d Deflate, rest []byte) *Conn {
	c := &Conn{link: link, opt: opt}
	c.parser.init(opt, d.On)
	c.rest = append([]byte(nil), rest...)
	c.def = deflater{bits: d.outBits, keep: d.outKeep}
	c.inf.keep = d.inKeep
	c.heard = link.Now()
	c.moved = c.heard
	c.mu.Lock()
	c.schedule()
	c.mu.Unlock()
	opt.Count(Open, 1)
	c.came(len(rest))
	return c
}

// came counts input.
func (c *Conn) came(n int) {
	c.inBytes.Add(int64(n))
	c.opt.Count(BytesIn, int64(n))
}

// Took is what Take came to.
type Took int

const (
	Got     Took = iota
	Nothing      // nothing is there now
	Again        // it would have to wait, and may not
	Ended        // nothing more comes
)

// inflateAtOnce is how many deflated bytes are inflated by who must not wait.
const inflateAtOnce = 4 << 10

// Take takes the next message. wait: the caller may.
func (c *Conn) Take(wait bool) (m Message, how Took) {
	if !wait {
		if !c.in.TryLock() {
			return m, Again
		}
	} else {
		c.in.Lock()
	}
	defer c.in.Unlock()
	c.mu.Lock()
	switch {
	case c.local || len(c.messages) == 0 && c.endedLocked():
		c.messages, c.waitSize = nil, 0
		c.mu.Unlock()
		return m, Ended
	case len(c.messages) == 0:
		c.mu.Unlock()
		return m, Nothing
	}
	m = c.messages[0]
	if m.deflated && len(m.Data) > inflateAtOnce && !wait {
		c.mu.Unlock()
		return Message{}, Again
	}
	c.messages[0] = Message{}
	if c.messages = c.messages[1:]; len(c.messages) == 0 {
		c.messages = nil // an idle connection keeps nothing
	}
	c.waitSize -= len(m.Data)
	look := c.paused && len(c.messages) <= mostWaiting/2 && c.waitSize <= mostWaitBytes/2
	if look {
		c.paused = false
	}
	c.mu.Unlock()
	if look {
		c.link.Look()
	}
	if m.deflated {
		data, err := c.inf.inflate(m.Data, c.opt.MaxMessage)
		switch {
		case err == errTooBig:
			c.failFrom(wait, tooBig)
			return Message{}, Ended
		case err != nil:
			c.failFrom(wait, broken)
			return Message{}, Ended
		case !m.Binary && !validText(data):
			c.failFrom(wait, notUTF8)
			return Message{}, Ended
		}
		m.Data, m.deflated = data, false
	}
	c.opt.Count(MessagesIn, 1)
	return m, Got
}

// endedLocked reports that no message will come any more.
func (c *Conn) endedLocked() bool { return c.gotClose || c.sentClose || c.failed || c.lost }

// Await registers w, which is woken once what it waits for may be there; the result is for Forget. 0: it may be there
// already, and w was not registered.
func (c *Conn) Await(w Waiter, what For) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case what == ForMessage && (len(c.messages) > 0 || c.local || c.endedLocked()),
		what == ForRoom && (c.endedLocked() || c.hasRoom()):
		return 0
	}
	c.lastWaiter++
	c.waiters = append(c.waiters, waiting{w, c.lastWaiter, what})
	if what == ForRoom {
		c.schedule()
	}
	return c.lastWaiter
}

// hasRoom reports whether a sender that had to wait goes on; it does where nobody can tell, as somebody sends just now.
func (c *Conn) hasRoom() bool {
	n, ok := c.link.Queued(false)
	return !ok || n <= int64(c.opt.SendBuffer/2)
}

// Forget ends what Await began. Afterwards w is not woken.
func (c *Conn) Forget(waiter uint64) {
	c.mu.Lock()
	for i := range c.waiters {
		if c.waiters[i].number == waiter {
			c.waiters = append(c.waiters[:i], c.waiters[i+1:]...)
			break
		}
	}
	if len(c.waiters) == 0 {
		c.waiters = nil
	}
	c.mu.Unlock()
}

// wakeLocked wakes who waits for that. They stay registered until they Forget.
func (c *Conn) wakeLocked(what For, here int) {
	for _, w := range c.waiters {
		if w.what == what {
			w.Wake(here)
		}
	}
}

func (c *Conn) wakeAllLocked(here int) {
	c.wakeLocked(ForMessage, here)
	c.wakeLocked(ForRoom, here)
}

// State is what is known of the end.
type State struct {
	Closed bool // nothing can be sent any more
	Over   bool // nothing more comes or goes
	Code   int  // 0: none yet
	Reason string
}

// State returns that.
func (c *Conn) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return State{Closed: c.endedLocked(), Over: c.over, Code: c.code, Reason: c.reason}
}

// Bytes is how many bytes of frames have come and gone.
func (c *Conn) Bytes() (in, out int64) { return c.inBytes.Load(), c.outBytes.Load() }

// Done reports that nothing more comes or goes: what is queued is the end.
func (c *Conn) Done() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.doneLocked()
}

func (c *Conn) doneLocked() bool {
	return (c.sentClose && c.gotClose || c.failed || c.lost) && len(c.pending) == 0
}

// Clean reports whether both sides have closed.
func (c *Conn) Clean() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sentClose && c.gotClose
}

// Lost says that the connection has ended below. Any goroutine.
func (c *Conn) Lost(here int) {
	c.mu.Lock()
	if !c.doneLocked() {
		c.lost = true
		c.endsLocked(int(ws.StatusAbnormalClosure), "")
	}
	c.overLocked()
	c.wakeAllLocked(here)
	c.mu.Unlock()
}

// endsLocked notes why it ends, if nobody has yet.
func (c *Conn) endsLocked(code int, reason string) {
	if c.code == 0 {
		c.code, c.reason = code, reason
	}
}

func (c *Conn) overLocked() {
	if !c.over {
		c.over = true
		c.opt.Count(Open, -1)
		c.link.Move(0)
	}
}

// Finished says that the connection below is closed, or about to be.
func (c *Conn) Finished() {
	c.mu.Lock()
	c.overLocked()
	c.mu.Unlock()
}
