package websocket

import (
	"bytes"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// parser is the state of the input: bytes of a header that is not complete, or of a frame.
type parser struct {
	deflate bool

	rest []byte // input that was not looked at, as enough waits

	head    [ws.MaxHeaderSize]byte
	nhead   uint8
	inFrame bool
	h       ws.Header
	headErr error
	done    int64 // payload bytes of the frame

	msg        []byte // of a message, or of the control frame
	ctl        []byte
	inMessage  bool
	binary     bool
	deflated   bool
	checked    int // bytes of msg known to be UTF-8
	most       int // bytes that msg may have
	mostInHand int // and as it comes, deflated

	// Frames that bring nothing, in this second.
	second  int64
	nothing int
}

// mostNothing is how many frames without data, control frames or empty fragments, a peer may send in a second.
const mostNothing = 1000

func (p *parser) init(opt *Options, deflate bool) {
	p.deflate = deflate
	p.most = opt.MaxMessage
	// What cannot be compressed grows by some bytes for each 64 kB.
	p.mostInHand = opt.MaxMessage + opt.MaxMessage>>10 + 64
}

// failure is why the connection fails.
type failure struct {
	code   ws.StatusCode
	reason string
}

var (
	broken   = failure{ws.StatusInvalidFramePayloadData, "bad compressed data"}
	notUTF8  = failure{ws.StatusInvalidFramePayloadData, "text that is not UTF-8"}
	tooBig   = failure{ws.StatusMessageTooBig, "message too big"}
	tooMany  = failure{ws.StatusPolicyViolation, "too many frames without data"}
	badClose = failure{ws.StatusProtocolError, "bad close frame"}
)

func protocol(err error) failure { return failure{ws.StatusProtocolError, err.Error()} }

// Wants reports whether Feed would look at more input. Leader.
func (c *Conn) Wants() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wantsLocked()
}

func (c *Conn) wantsLocked() bool {
	if c.failed || c.gotClose || c.lost {
		return false
	}
	if !c.sentClose && (len(c.messages) >= mostWaiting || c.waitSize >= mostWaitBytes) {
		c.paused = true
		return false
	}
	return true
}

// Feed takes input; p is the caller's again then. Control frames that it asks for are Flush's. Leader, whose number is here.
func (c *Conn) Feed(p []byte, here int) {
	if len(p) > 0 {
		c.came(len(p))
		c.mu.Lock()
		c.heard = c.link.Now()
		if c.pinged != 0 {
			c.pinged = 0
			c.schedule() // nobody looks if there is no time-out
		}
		c.mu.Unlock()
	}
	if len(c.rest) > 0 {
		p = append(c.rest, p...)
		c.rest = nil
	}
	for len(p) > 0 {
		if !c.Wants() {
			if !c.Stopped() {
				c.rest = append([]byte(nil), p...)
			}
			return
		}
		n, f := c.eat(p, here)
		if f != nil {
			c.fail(*f, here)
			return
		}
		p = p[n:]
	}
}

// Fed reports that input was left by Feed. Leader.
func (c *Conn) Fed() bool { return len(c.rest) == 0 }

// Stopped reports that no input will be looked at any more.
func (c *Conn) Stopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed || c.gotClose || c.lost
}

// eat takes some of p, at most to the end of a frame.
func (c *Conn) eat(p []byte, here int) (n int, f *failure) {
	if !c.inFrame {
		n = c.eatHead(p)
		if n < 0 {
			return len(p), nil
		}
		if f = c.begin(here); f != nil {
			return n, f
		}
	}
	if left := c.h.Length - c.done; left > 0 {
		part := p[n:]
		if int64(len(part)) > left {
			part = part[:left]
		}
		if len(part) == 0 {
			return n, nil
		}
		n += len(part)
		if f = c.payload(part); f != nil {
			return n, f
		}
	}
	if c.done == c.h.Length {
		c.inFrame = false
		return n, c.end(here)
	}
	return n, nil
}

// eatHead gathers a header; -1: p is all taken, and it is not complete. Else so many bytes of p were of it.
func (c *Conn) eatHead(p []byte) int {
	had := int(c.nhead)
	k := had + copy(c.head[had:], p)
	need := 2
	if k >= 2 {
		need = headSize(c.head[1])
	}
	if k < need {
		c.nhead = uint8(k)
		return -1
	}
	c.nhead = 0
	c.h, c.headErr = ws.ReadHeader(bytes.NewReader(c.head[:need]))
	return need - had
}

// headSize is that of a header with this second byte.
func headSize(b byte) int {
	n := 2
	switch b & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if b&0x80 != 0 {
		n += 4
	}
	return n
}

// begin is called when a header is complete.
func (c *Conn) begin(here int) *failure {
	if c.headErr != nil {
		f := protocol(c.headErr)
		return &f
	}
	c.inFrame, c.done = true, 0
	state := ws.StateServerSide
	if c.inMessage {
		state = state.Set(ws.StateFragmented)
	}
	compressed := false
	if c.deflate && c.h.OpCode.IsData() && c.h.OpCode != ws.OpContinuation { // RFC 7692 6.1: elsewhere the bit is wrong
		compressed = c.h.Rsv1()
		_, r2, r3 := ws.RsvBits(c.h.Rsv)
		c.h.Rsv = ws.Rsv(false, r2, r3)
	}
	if err := ws.CheckHeader(c.h, state); err != nil {
		f := protocol(err)
		return &f
	}
	if c.h.OpCode.IsControl() || c.h.Length == 0 && !c.h.Fin {
		if c.flooded() {
			return &tooMany
		}
	}
	if c.h.OpCode.IsControl() {
		return nil
	}
	if c.h.OpCode != ws.OpContinuation {
		c.inMessage, c.binary, c.deflated, c.checked = true, c.h.OpCode == ws.OpBinary, compressed, 0
	}
	most := c.most
	if c.deflated {
		most = c.mostInHand
	}
	if c.h.Length > int64(most-len(c.msg)) {
		return &tooBig
	}
	return nil
}

// flooded counts a frame that brings nothing.
func (c *Conn) flooded() bool {
	if now := c.link.Now() / 1e9; now != c.second {
		c.second, c.nothing = now, 0
	}
	c.nothing++
	return c.nothing > mostNothing
}

// payload takes a part of the frame's payload.
func (c *Conn) payload(part []byte) *failure {
	dst := &c.msg
	if c.h.OpCode.IsControl() {
		dst = &c.ctl
	}
	off := len(*dst)
	*dst = append(withRoom(*dst, len(part), int(c.h.Length-c.done)), part...)
	ws.Cipher((*dst)[off:], c.h.Mask, int(c.done))
	c.done += int64(len(part))
	if dst == &c.msg && !c.binary && !c.deflated && !c.checkText() {
		return &notUTF8
	}
	return nil
}

// withRoom is b with room for part bytes more, of left that are announced. What is only announced gets as much room as what
// has come: an announcement costs its sender nothing.
func withRoom(b []byte, part, left int) []byte {
	if cap(b)-len(b) >= part {
		return b
	}
	room := min(left, max(part, len(b)+part))
	return append(make([]byte, 0, len(b)+room), b...)
}

// checkText reports whether what is there of a text may be UTF-8.
func (c *Conn) checkText() bool {
	b := c.msg[c.checked:]
	n := len(b)
	for i := n - 1; i >= max(0, n-utf8.UTFMax+1); i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				n = i
			}
			break
		}
	}
	c.checked += n
	return utf8.Valid(b[:n])
}

func validText(b []byte) bool { return utf8.Valid(b) }

// end is called when a frame is complete.
func (c *Conn) end(here int) *failure {
	if c.h.OpCode.IsControl() {
		p := c.ctl
		c.ctl = nil
		return c.control(p, here)
	}
	if !c.h.Fin {
		return nil
	}
	m := Message{Data: c.msg, Binary: c.binary, deflated: c.deflated}
	if !m.Binary && !m.deflated && c.checked != len(c.msg) {
		return &notUTF8
	}
	c.msg, c.inMessage = nil, false
	c.mu.Lock()
	if !c.endedLocked() {
		c.messages = append(c.messages, m)
		c.waitSize += len(m.Data)
		c.wakeLocked(ForMessage, here)
	} // else nobody will ask for it
	c.mu.Unlock()
	return nil
}

// pongsBelow is how much may be queued for a pong to be sent: who sends pings and reads nothing gets only the last one.
const pongsBelow = 16 << 10

func (c *Conn) control(p []byte, here int) *failure {
	switch c.h.OpCode {
	case ws.OpPing:
		c.mu.Lock()
		if c.sentClose {
			c.lastPong = nil
		} else if n, _ := c.link.Queued(false); n+int64(len(c.pending)) > pongsBelow {
			c.lastPong = append(c.lastPong[:0], p...)
		} else {
			c.pendLocked(ws.OpPong, p)
		}
		c.mu.Unlock()
	case ws.OpClose:
		return c.closed(p, here)
	}
	return nil
}

// closed takes the peer's Close.
func (c *Conn) closed(p []byte, here int) *failure {
	code, reason := int(ws.StatusNoStatusRcvd), ""
	if len(p) > 0 {
		sent, text := ws.ParseCloseFrameData(p)
		if len(p) == 1 || !mayClose(int(sent)) {
			return &badClose
		}
		if !utf8.ValidString(text) {
			return &notUTF8
		}
		code, reason = int(sent), text
	}
	c.mu.Lock()
	c.gotClose, c.closeBy = true, 0
	c.endsLocked(code, reason)
	if !c.sentClose {
		c.sentClose = true
		if len(p) > 0 {
			p = p[:2]
		}
		c.pendLocked(ws.OpClose, p)
	}
	c.wakeAllLocked(here)
	c.mu.Unlock()
	return nil
}

// mayClose reports whether a Close may have this code: RFC 6455 7.4, and those that IANA has registered since.
func mayClose(code int) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
}

// fail ends the connection because of what the peer has sent. Flush follows.
func (c *Conn) fail(f failure, here int) {
	c.mu.Lock()
	c.endsLocked(int(f.code), f.reason)
	if !c.sentClose {
		c.sentClose = true
		c.pendLocked(ws.OpClose, closeBody(int(f.code), f.reason))
	}
	c.failed = true
	c.wakeAllLocked(here)
	c.mu.Unlock()
	c.rest = nil // the leader's, as it is
	c.msg, c.ctl = nil, nil
}

// failFrom is fail for what a receiver has found.
func (c *Conn) failFrom(wait bool, f failure) {
	c.mu.Lock()
	c.messages, c.waitSize = nil, 0
	c.endsLocked(int(f.code), f.reason)
	if !c.sentClose {
		c.sentClose = true
		c.pendLocked(ws.OpClose, closeBody(int(f.code), f.reason))
	}
	c.failed = true
	c.wakeAllLocked(Elsewhere)
	c.mu.Unlock()
	c.Flush(wait)
	c.link.Look()
}
