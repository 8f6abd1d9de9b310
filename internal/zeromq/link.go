package zeromq

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/gowsgi/gowsgi/internal/rules"
)

// link is somebody the socket talks to.
type link struct {
	s        *Socket
	endpoint *endpoint // that the socket connects to, or nil
	identity []byte    // a ROUTER's peer has one

	life sync.Mutex // of a session: there is one at a time

	mu     rules.Short
	now    *session // the connection there is, or nil
	q      queue
	left   time.Time // when the last connection ended
	expiry *time.Timer
	gone   bool // nobody will be here again
	drop   bool // what is queued, when the connection has ended
}

func (l *link) current() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// stays tells whether what is queued outlives a connection.
func (l *link) stays() bool {
	return l.endpoint != nil || len(l.identity) > 0 && l.identity[0] != 0
}

// stayConnected connects, again and again.
func (l *link) stayConnected() {
	s := l.s
	dialer := net.Dialer{Timeout: handshakeTime, KeepAliveConfig: keepAlive, Control: s.control()}
	pause := firstPause
	quiet := false // it has been said that there is no connection
	for s.started() && !s.leaving.Load() {
		began := time.Now()
		conn, err := dialer.DialContext(s.ctx, l.endpoint.network, l.endpoint.address)
		greeted := false
		if err == nil {
			greeted, err = l.talk(conn)
		}
		if greeted {
			quiet = false
		}
		if err != nil && !quiet && !s.leaving.Load() {
			if isEnd(err) {
				err = errEnded
			}
			s.log(fmt.Sprintf("ZeroMQ %s at %s: %v", s.kind, l.endpoint.text, reason(err)))
			quiet = true
		}
		if greeted && time.Since(began) > time.Second {
			pause = firstPause
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause)/2):
		}
		pause = min(2*pause, longestPause)
	}
}

// talk has one connection of a link that connects.
func (l *link) talk(conn net.Conn) (greeted bool, err error) {
	x, err := l.s.handshake(conn)
	if err != nil {
		_ = conn.Close()
		return false, err
	}
	if l.s.kind == Router {
		l.s.mu.Lock()
		l.name(x)
		l.s.mu.Unlock()
	}
	l.life.Lock()
	defer l.life.Unlock()
	return true, x.run(l)
}

// name gives a link the identity of its peer. It is called with the socket's mu.
func (l *link) name(x *session) {
	if l.s.byIdentity[string(l.identity)] == l {
		delete(l.s.byIdentity, string(l.identity))
	}
	l.identity = x.peer.identity
	if len(l.identity) == 0 {
		l.identity = l.s.newIdentity()
	}
	l.s.byIdentity[string(l.identity)] = l
}

// welcome has one connection that a peer made, to its end.
func (s *Socket) welcome(conn net.Conn) {
	x, err := s.handshake(conn)
	if err != nil {
		_ = conn.Close()
		s.complain(conn, err)
		return
	}
	for {
		l := s.place(x)
		if old := l.current(); old != nil {
			_ = old.conn.Close() // the peer is here again, before its last connection was seen to end
			s.tookOver(l.identity)
		}
		l.life.Lock()
		err = x.run(l)
		l.life.Unlock()
		if err != errGone {
			s.complain(conn, err)
			return
		}
	}
}

// place is the link for a connection that a peer made: the one it had, if it has an identity.
func (s *Socket) place(x *session) *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kind == Router && len(x.peer.identity) > 0 {
		if l := s.byIdentity[string(x.peer.identity)]; l != nil && l.endpoint == nil {
			return l
		}
	}
	l := &link{s: s}
	if s.kind == Router {
		l.name(x)
	}
	s.add(l)
	return l
}

// complain says what a peer has done, unless it has only gone.
func (s *Socket) complain(conn net.Conn, err error) {
	if isEnd(err) {
		return
	}
	from := conn.RemoteAddr().String()
	if from == "" || from == "@" {
		from = "a local process"
	}
	s.log(fmt.Sprintf("ZeroMQ %s, peer %s: %v", s.kind, from, reason(err)))
}

// offer sends a message to the link, or queues it. False: the link is gone.
func (l *link) offer(m *outgoing, now bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return false
	}
	x := l.now
	open := x != nil && x.open
	if l.s.kind == Pub {
		if open && !x.wants(m.parts[0]) || !open && (l.endpoint == nil || l.s.o.Keep < 0) {
			return true
		}
	}
	if l.s.o.Lossy && l.q.cost > l.s.o.Bound {
		return true
	}
	if !open {
		l.push(m)
		l.expire()
		return true
	}
	if !now || x.writing || l.q.len() > 0 || len(x.ctl) > 0 {
		l.push(m)
	} else if n := m.writeNow(x); n < m.size {
		l.push(m)
		x.offset = n
	} else {
		return true
	}
	if now {
		x.wake()
	}
	return true
}

// push is called with mu.
func (l *link) push(m *outgoing) {
	i := m.item()
	if l.now != nil && l.q.len() == 0 {
		l.now.movedAt = i.at
	}
	l.q.push(i)
	l.s.queued.Add(int64(i.cost()))
	if l.q.cost <= l.s.o.Bound {
		return
	}
	m.full = true
	if x := l.now; l.s.kind == Pub && x != nil && !x.cut && x.open && time.Since(x.movedAt) > l.s.o.Stall {
		x.cut = true
		_ = x.conn.Close()
		go l.s.complain(x.conn, errDumb)
	}
}

// takes sends a message of a socket that gives each to one link, if it can be begun at once.
func (l *link) takes(m *outgoing) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.now
	if x == nil || !x.open || x.writing || l.q.len() > 0 || len(x.ctl) > 0 {
		return false
	}
	n := m.writeNow(x)
	if n == 0 {
		return false
	}
	if n < m.size {
		l.push(m)
		x.offset = n
		x.wake()
	}
	return true
}

// flush has what is queued written: by the caller, if that needs no waiting, or else by the writer.
func (l *link) flush() {
	l.mu.Lock()
	x := l.now
	if x == nil || !x.open || x.writing {
		l.mu.Unlock()
		return
	}
	cost := 0
	if len(x.ctl) == 0 && l.q.len() > 0 {
		cost = x.writeQueued()
	}
	if l.q.len() > 0 || l.s.shared() {
		x.wake()
	}
	l.mu.Unlock()
	if cost > 0 {
		l.s.less(cost)
	}
}

func (l *link) subscribed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now != nil && l.now.open && len(l.now.topics) > 0
}

// deadline is until when the oldest item is kept, or a peer that has left may come back to nothing.
func (l *link) deadline() time.Time {
	at := l.left
	if l.q.len() > 0 && l.q.waiting()[0].at.After(at) {
		at = l.q.waiting()[0].at
	}
	return at.Add(l.s.o.Keep)
}

// expire starts the clock for what is queued while there is nobody. It is called with mu.
func (l *link) expire() {
	if l.expiry == nil && !l.s.shared() {
		l.expiry = time.AfterFunc(time.Until(l.deadline()), l.expired)
	}
}

// expired drops what has waited for too long, and a peer that has not come back.
func (l *link) expired() {
	s := l.s
	s.mu.Lock()
	l.mu.Lock()
	l.expiry = nil
	cost := 0
	if l.now == nil || !l.now.open {
		now := time.Now()
		before := l.q.cost
		for l.q.len() > 0 && !l.deadline().After(now) {
			l.q.pop()
		}
		cost = before - l.q.cost
		switch {
		case l.q.len() > 0:
			l.expire()
		case l.endpoint != nil || l.now != nil:
		case l.deadline().After(now):
			l.expire()
		default:
			l.gone = true
			s.remove(l)
		}
	}
	l.mu.Unlock()
	s.mu.Unlock()
	if cost > 0 {
		s.log(fmt.Sprintf("ZeroMQ %s: %d bytes for a peer that has not come back were dropped", s.kind, cost))
		s.less(cost)
	}
}

// abandon drops what is queued, the connection, and a peer that does not stay.
func (l *link) abandon() {
	l.mu.Lock()
	l.gone = l.endpoint == nil
	l.drop = l.now != nil
	x := l.now
	cost := 0
	if x == nil {
		cost = l.q.cost
		l.q = queue{}
	}
	l.mu.Unlock()
	if x != nil {
		_ = x.conn.Close() // its end drops the queue
	}
	l.s.less(cost)
}
