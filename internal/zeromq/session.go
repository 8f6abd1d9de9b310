package zeromq

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// session is one connection. What its writer and senders use is the link's, and under the link's mu.
type session struct {
	s    *Socket
	l    *link
	conn net.Conn
	raw  syscall.RawConn
	d    *decoder
	peer peer
	over chan struct{} // nothing more is read
	gone chan struct{} // and the link has no connection

	kick    chan struct{}   // wakes the writer
	open    bool            // messages may be sent
	writing bool            // the writer writes
	ending  bool            // half-close when all is written
	offset  int             // of the link's first item, what has been written
	movedAt time.Time       // when the peer last took something of what waits
	cut     bool            // it has not for too long
	told    bool            // Arrived was called
	ctl     []byte          // commands to send, before the next message
	topics  map[string]bool // a PUB's peer has subscribed to
	size    int             // of topics
	pongs   atomic.Int64    // answers to PING
	reset   atomic.Bool     // nothing more is delivered
	driven  *driven         // nil: a goroutine reads
	resets  int64           // the socket's, when the connection was new

	try     []byte // tryWrite's
	tried   int
	attempt func(uintptr) bool
}

// Limits for what a peer may have us keep.
const (
	maxControl = 64 << 10 // bytes of answers to a peer that does not read
	maxTopics  = 1 << 20  // bytes of subscriptions, with 64 for each
	batchItems = 64       // messages for one write
	batchSize  = 256 << 10
	shareSize  = 64 << 10 // what a link takes of the common queue at once
)

var (
	errDeaf   = errors.New("it sends commands and does not read the answers")
	errTopics = errors.New("too many subscriptions")
	errDumb   = errors.New("it takes nothing of what waits for it, and is given up")
	errEnded  = errors.New("the connection has ended; another is made")
	errGone   = errors.New("the link has been given up")
)

// handshake greets whoever is at the other end.
func (s *Socket) handshake(conn net.Conn) (*session, error) {
	resets := s.resets.Load()
	_ = conn.SetDeadline(time.Now().Add(handshakeTime))
	defer context.AfterFunc(s.ctx, func() { _ = conn.Close() })()
	d := newDecoder(conn, 8<<10)
	p, err := greet(conn, d, s.kind, s.o.Identity)
	if err != nil {
		return nil, err
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	if d.max = s.o.MaxMessage; s.kind == Pub || s.kind == Push {
		d.max = maxControl // nothing but subscriptions is wanted
	}
	x := &session{s: s, resets: resets, conn: conn, raw: raw, d: d, peer: p, kick: make(chan struct{}, 1),
		over: make(chan struct{}), gone: make(chan struct{}),
		topics: map[string]bool{}}
	x.attempt = x.attempted
	return x, x.drive()
}

// run is the connection's life as the link's session, unless the link has been given up.
func (x *session) run(l *link) error {
	if x.s.kind == Router && x.s.o.Arrived != nil && !x.told {
		x.told = true
		x.s.o.Arrived(bytes.Clone(l.identity))
	}
	l.mu.Lock()
	if l.gone {
		l.mu.Unlock()
		return errGone
	}
	x.l = l
	l.now = x
	x.open = x.s.kind != Pub
	l.mu.Unlock()
	x.s.news()
	if x.s.ctx.Err() != nil || x.resets != x.s.resets.Load() {
		x.reset.Store(true)
		_ = x.conn.Close() // Close, or Reset, may not have seen this connection
	} else if x.s.leaving.Load() {
		x.finish()
	}
	if x.s.kind == Sub {
		x.s.mu.Lock()
		for topic := range x.s.topics {
			x.control(x.topicCommand([]byte(topic), true))
		}
		x.s.mu.Unlock()
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		x.write()
	}()
	x.wake()
	read := x.read
	if x.driven != nil {
		read = x.driven.run
	}
	err := read()
	_ = x.conn.Close()
	close(x.over)
	<-written
	x.finished()
	if x.driven != nil {
		x.driven.release() // now that no link has it
	}
	close(x.gone)
	return err
}

// finished leaves the link without a connection.
func (x *session) finished() {
	s, l := x.s, x.l
	s.mu.Lock()
	l.mu.Lock()
	l.now = nil
	l.left = time.Now()
	cost := 0
	switch {
	case s.shared():
		s.backlog.pushFront(l.q.waiting())
		l.q = queue{}
	case l.drop || !l.stays() || s.o.Keep < 0:
		cost = l.q.cost
		l.q = queue{}
		l.drop = false
	default:
		l.expire()
	}
	if !l.stays() {
		l.gone = true
		s.remove(l)
	}
	l.mu.Unlock()
	s.mu.Unlock()
	s.less(cost)
	if s.shared() {
		s.Flush() // another link may send what this one had
	}
	s.tell()
	if s.o.Left != nil {
		if gone := x.alone(); len(gone) > 0 {
			s.o.Left(gone)
		}
	}
}

// alone are the subscriptions of a session that has ended which no other has.
func (x *session) alone() (all [][]byte) {
	for topic := range x.topics {
		if !x.s.has(topic) {
			all = append(all, []byte(topic))
		}
	}
	return all
}

// has tells whether a peer of a PUB has subscribed to exactly this.
func (s *Socket) has(topic string) bool {
	for _, l := range *s.fan.Load() {
		l.mu.Lock()
		yes := l.now != nil && l.now.topics[topic]
		l.mu.Unlock()
		if yes {
			return true
		}
	}
	return false
}

// wake has the writer look.
func (x *session) wake() {
	select {
	case x.kick <- struct{}{}:
	default:
	}
}

// finish half-closes the connection when all is written.
func (x *session) finish() {
	x.l.mu.Lock()
	x.ending = true
	x.l.mu.Unlock()
	x.wake()
}

// control sends commands.
func (x *session) control(b []byte) bool {
	x.l.mu.Lock()
	defer x.l.mu.Unlock()
	x.ctl = append(x.ctl, b...)
	x.wake()
	return len(x.ctl) <= maxControl
}

// topicCommand subscribes, or takes that back: a command from 3.1 on, a message before.
func (x *session) topicCommand(prefix []byte, on bool) []byte {
	if x.peer.version >= 3 && x.peer.minor >= 1 {
		name := "CANCEL"
		if on {
			name = "SUBSCRIBE"
		}
		return appendCommand(nil, name, prefix)
	}
	b := header(nil, 0, 1+len(prefix))
	if on {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return append(b, prefix...)
}

// wants tells whether a PUB's peer has subscribed to a message that begins so.
func (x *session) wants(first []byte) bool {
	for topic := range x.topics {
		if len(topic) <= len(first) && topic == string(first[:len(topic)]) {
			return true
		}
	}
	return false
}

// read is the reading goroutine.
func (x *session) read() error {
	for {
		if x.s.kind == Pub && !x.d.buffered() {
			x.opened()
		}
		if err := x.step(); err != nil {
			return err
		}
	}
}

// step reads a message, or a command, and does what it is for.
func (x *session) step() error {
	m, command, err := x.d.next()
	switch {
	case err != nil:
		return err
	case command != nil:
		return x.obey(command)
	case x.s.kind == Pub:
		return x.subscription(m)
	}
	return x.deliver(m)
}

// opened begins to send, once the peer has subscribed: first what it missed, if it has subscribed to that.
func (x *session) opened() {
	l := x.l
	l.mu.Lock()
	if x.open || len(x.topics) == 0 {
		l.mu.Unlock()
		return
	}
	cost := l.q.filter(func(i item) bool { return x.wants(firstPart(i.data)) })
	x.open = true
	l.mu.Unlock()
	x.wake()
	x.s.less(cost)
	x.s.tell()
}

// obey does what a command says.
func (x *session) obey(command []byte) error {
	name, body, ok := splitCommand(command)
	if !ok {
		return errors.New("a malformed command")
	}
	switch name {
	case "PING": // two bytes of a time, and at most 16 to send back
		if len(body) < 2 {
			return errors.New("a malformed PING")
		}
		if !x.control(appendCommand(nil, "PONG", body[2:min(len(body), 18)])) {
			return errDeaf
		}
		x.pongs.Add(1)
	case "SUBSCRIBE":
		return x.topic(body, true)
	case "CANCEL":
		return x.topic(body, false)
	case "ERROR":
		return errors.New("it says ERROR")
	}
	return nil
}

// subscription is one as a message, of peers before 3.1.
func (x *session) subscription(m Message) error {
	if len(m) == 1 && len(m[0]) > 0 && m[0][0] <= 1 {
		return x.topic(m[0][1:], m[0][0] == 1)
	}
	return nil
}

// topic notes a subscription of the peer's.
func (x *session) topic(prefix []byte, on bool) error {
	if x.s.kind != Pub {
		return nil
	}
	x.l.mu.Lock()
	has := x.topics[string(prefix)]
	if on && !has {
		x.topics[string(prefix)] = true
		x.size += len(prefix) + 64
	} else if !on && has {
		delete(x.topics, string(prefix))
		x.size -= len(prefix) + 64
	}
	size := x.size
	x.l.mu.Unlock()
	if size > maxTopics {
		return errTopics
	}
	x.s.tell()
	return nil
}

// deliver calls Receive.
func (x *session) deliver(m Message) error {
	switch x.s.kind {
	case Router:
		m = append(Message{bytes.Clone(x.l.identity)}, m...)
	case Req:
		if len(m) < 2 || len(m[0]) != 0 {
			return errors.New("an answer without its empty part")
		}
		m = m[1:]
	case Push:
		return nil
	}
	if x.driven == nil && !x.s.started() || x.reset.Load() {
		return net.ErrClosed
	}
	if x.s.o.Receive != nil && !x.s.closing.Load() {
		x.s.o.Receive(m)
	}
	return nil
}

// write is the writing goroutine.
func (x *session) write() {
	for {
		select {
		case <-x.over:
			return
		case <-x.kick:
		}
		for {
			more, err := x.writeSome()
			if err != nil {
				_ = x.conn.Close() // the reader sees it, and ends the session
				return
			}
			if !more {
				break
			}
		}
	}
}

// writeSome writes what there is, a bounded amount, and tells whether there was anything.
func (x *session) writeSome() (more bool, err error) {
	l := x.l
	x.share()
	l.mu.Lock()
	if len(x.ctl) > 0 && x.offset == 0 {
		ctl := x.ctl
		x.writing = true
		l.mu.Unlock()
		n, err := x.conn.Write(ctl)
		l.mu.Lock()
		x.ctl = x.ctl[n:]
		x.writing = false
		l.mu.Unlock()
		return true, err
	}
	if !x.open || l.q.len() == 0 {
		ending := x.ending
		if ending {
			x.open = false // what comes now is for the next connection
		}
		l.mu.Unlock()
		if ending {
			x.halfClose()
		}
		return false, nil
	}
	batch := x.batch()
	x.writing = true
	l.mu.Unlock()
	n, err := batch.WriteTo(x.conn)
	l.mu.Lock()
	x.writing = false
	cost := x.advance(int(n))
	l.mu.Unlock()
	x.s.less(cost)
	return true, err
}

// share takes some of the queue that links have in common.
func (x *session) share() {
	s, l := x.s, x.l
	if !s.shared() {
		return
	}
	s.mu.Lock()
	l.mu.Lock()
	for x.open && l.q.cost < shareSize && s.backlog.len() > 0 {
		l.q.push(s.backlog.pop())
	}
	l.mu.Unlock()
	s.mu.Unlock()
}

// batch is what the writer writes next. It is called with the link's mu.
func (x *session) batch() net.Buffers {
	var b net.Buffers
	size := 0
	offset := x.offset
	for _, i := range x.l.q.waiting() {
		b = append(b, i.data[offset:])
		size += len(i.data) - offset
		offset = 0
		if len(b) >= batchItems || size >= batchSize {
			break
		}
	}
	return b
}

// advance takes n bytes that have been written off the queue, and returns what that frees. It is called with the link's
// mu.
func (x *session) advance(n int) (cost int) {
	q := &x.l.q
	if n > 0 {
		x.movedAt = time.Now()
	}
	for q.len() > 0 {
		left := len(q.waiting()[0].data) - x.offset
		if n < left {
			x.offset += n
			break
		}
		n -= left
		x.offset = 0
		cost += q.pop().cost()
	}
	return cost
}

// writeQueued writes what is queued as far as that goes without waiting; several small messages in one call. It is
// called with the link's mu.
func (x *session) writeQueued() (cost int) {
	scratch := scratches.Get().(*[]byte)
	defer scratches.Put(scratch)
	for x.l.q.len() > 0 {
		b := (*scratch)[:0]
		offset := x.offset
		for _, i := range x.l.q.waiting() {
			if len(b) > 0 && len(b)+len(i.data) > scratchSize {
				break
			}
			if len(b) == 0 && len(i.data) > scratchSize {
				b = i.data[offset:]
				break
			}
			b = append(b, i.data[offset:]...)
			offset = 0
		}
		n := x.tryWrite(b)
		cost += x.advance(n)
		if n < len(b) {
			break
		}
	}
	return cost
}

// halfClose tells the peer that nothing more comes.
func (x *session) halfClose() {
	if c, ok := x.conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
}

// isEnd tells whether a connection has ended as connections do.
func isEnd(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
