package websocket

import (
	"encoding/binary"
	"sync"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Sent is what Send came to.
type Sent int

const (
	SendOK     Sent = iota
	SendAgain       // it would have to wait, and may not
	SendFull        // the peer has enough to take: Await(ForRoom)
	SendClosed      // nothing can be sent any more
)

// Opcodes of messages.
const (
	Text   = byte(ws.OpText)
	Binary = byte(ws.OpBinary)
	Ping   = byte(ws.OpPing)
	Pong   = byte(ws.OpPong)
)

// deflateAtOnce is how many bytes are deflated by who must not wait.
const deflateAtOnce = 2 << 10

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// keepBuffer is how large a buffer is kept for the next message.
const keepBuffer = 256 << 10

// Send sends a message, or a ping or pong, in one frame. wait: the caller may wait, for others that send; it is not made to wait
// for the peer. Data is the caller's again on return. Any goroutine.
func (c *Conn) Send(op byte, data []byte, wait bool) Sent {
	if wait {
		c.out.Lock()
	} else if !c.out.TryLock() {
		return SendAgain
	}
	r := c.sendLocked(op, data, wait)
	c.out.Unlock()
	if !c.Flush(wait) {
		c.link.Look()
	}
	return r
}

// sendLocked is Send with c.out.
func (c *Conn) sendLocked(op byte, data []byte, wait bool) Sent {
	if !c.flushLocked(wait) {
		return SendAgain
	}
	queued, ok := c.link.Queued(wait)
	c.mu.Lock()
	closed := c.endedLocked()
	if ok && queued == 0 {
		c.moved = c.link.Now() // before anything waits: a Tick may come any time
	}
	c.mu.Unlock()
	if closed || c.link.Broken() {
		return SendClosed
	}
	if !ok {
		return SendAgain
	}
	if most := int64(c.opt.SendBuffer); queued > most/2 && queued+int64(len(data)) > most { // else hasRoom
		return SendFull
	}
	h := ws.Header{Fin: true, OpCode: ws.OpCode(op)}
	body := data
	deflated := false
	if c.deflate && h.OpCode.IsData() && len(data) >= deflateAbove {
		if !wait && len(data) > deflateAtOnce {
			return SendAgain
		}
		b := buffers.Get().(*[]byte)
		defer func() {
			if cap(*b) <= keepBuffer {
				buffers.Put(b)
			}
		}()
		if *b = c.def.append((*b)[:0], data); len(*b) < len(data) {
			body, deflated = *b, true
			h.Rsv = ws.Rsv(true, false, false)
		}
	}
	h.Length = int64(len(body))
	var head [ws.MaxHeaderSize]byte
	k := putHead(head[:], h)
	if !c.give(head[:k], body, wait) {
		return SendAgain
	}
	if deflated {
		c.def.remember(data)
	}
	c.sent(int64(k + len(body)))
	if h.OpCode.IsData() {
		c.opt.Count(MessagesOut, 1)
	}
	if queued == 0 && c.waits() {
		c.mu.Lock()
		c.schedule()
		c.mu.Unlock()
	}
	return SendOK
}

// copyBelow is the size up to which a message is copied behind its head: one piece is sent faster than two.
const copyBelow = 4 << 10

// give is Link.Send, for what is large and what is small.
func (c *Conn) give(head, body []byte, wait bool) bool {
	if len(body) > copyBelow {
		return c.link.Send(head, body, wait)
	}
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	*b = append(append((*b)[:0], head...), body...)
	return c.link.Send(*b, nil, wait)
}

func (c *Conn) sent(n int64) {
	c.outBytes.Add(n)
	c.opt.Count(BytesOut, n)
}

// putHead writes the header of a frame of ours, which has no mask.
func putHead(dst []byte, h ws.Header) int {
	dst[0] = 0x80 | h.Rsv<<4 | byte(h.OpCode)
	switch {
	case h.Length <= 125:
		dst[1] = byte(h.Length)
		return 2
	case h.Length <= 0xffff:
		dst[1] = 126
		binary.BigEndian.PutUint16(dst[2:], uint16(h.Length))
		return 4
	}
	dst[1] = 127
	binary.BigEndian.PutUint64(dst[2:], uint64(h.Length))
	return 10
}

// pendLocked leaves a control frame for Flush. With c.mu.
func (c *Conn) pendLocked(op ws.OpCode, p []byte) {
	var head [ws.MaxHeaderSize]byte
	k := putHead(head[:], ws.Header{Fin: true, OpCode: op, Length: int64(len(p))})
	c.pending = append(append(c.pending, head[:k]...), p...)
}

// Flush sends the control frames that are due, or leaves them to who is sending. False: it would have to wait, and may not.
// Any goroutine.
func (c *Conn) Flush(wait bool) bool {
	for {
		c.mu.Lock()
		n := len(c.pending)
		c.mu.Unlock()
		if n == 0 || !c.out.TryLock() { // who has it comes here when it has let go
			return true
		}
		ok := c.flushLocked(wait)
		c.out.Unlock()
		if !ok {
			return false
		}
		if c.Done() {
			c.link.Look()
		}
	}
}

// flushLocked is Flush with c.out, by whom alone pending is taken from.
func (c *Conn) flushLocked(wait bool) bool {
	c.mu.Lock()
	p := c.pending
	if len(p) > 0 && !c.waits() {
		c.moved = c.link.Now()
	}
	c.mu.Unlock()
	if len(p) == 0 {
		return true
	}
	if !c.link.Send(p, nil, wait) {
		return false
	}
	c.sent(int64(len(p)))
	c.mu.Lock()
	if c.pending = c.pending[len(p):]; len(c.pending) == 0 {
		c.pending = nil
	}
	c.schedule()
	c.mu.Unlock()
	return true
}

// closeBody is the payload of a Close.
func closeBody(code int, reason string) []byte {
	for len(reason) > ws.MaxControlFramePayloadSize-2 || !utf8.ValidString(reason) {
		_, n := utf8.DecodeLastRuneInString(reason)
		reason = reason[:len(reason)-n]
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}

// Close begins the closing handshake, unless it has begun. keep: what has come is still to be taken; else the application is done
// with it. code 0: a Close without a code. False: wait is false and it is left to the leader. Any goroutine.
func (c *Conn) Close(code int, reason string, keep, wait bool, here int) {
	c.mu.Lock()
	c.local = c.local || !keep
	if c.local {
		c.messages, c.waitSize = nil, 0
	}
	if !c.sentClose && !c.lost && !c.failed {
		c.sentClose = true
		var body []byte
		if code != 0 {
			body = closeBody(code, reason)
		}
		c.pendLocked(ws.OpClose, body)
		c.closeBy = c.link.Now() + CloseTimeout.Nanoseconds()
		c.endsLocked(code, reason)
		c.schedule()
	}
	c.wakeAllLocked(here)
	look := c.paused // what the peer still sends is looked at, up to its Close
	c.paused = false
	c.mu.Unlock()
	if !c.Flush(wait) || look {
		c.link.Look()
	}
}
