package zeromq

import "crypto/rand"

// Send sends a message, without ever waiting: what the system does not take at once is copied and queued. Not room:
// more than Bound is queued (PUB: for one of those that get the message); Room, or RoomFor, waits until it is not. PUB sends to whoever has subscribed to what the first part
// begins with, ROUTER to the peer whose identity the first part is, the others to one peer, in turn.
func (s *Socket) Send(parts ...[]byte) (room bool, err error) { return s.send(parts, true) }

// Queue is Send without writing; Flush writes, so that several messages need one system call.
func (s *Socket) Queue(parts ...[]byte) (room bool, err error) { return s.send(parts, false) }

func (s *Socket) send(parts [][]byte, now bool) (room bool, err error) {
	if s.closing.Load() {
		return false, ErrClosed
	}
	if len(parts) == 0 || s.kind == Router && len(parts) == 1 {
		return false, ErrEmpty
	}
	switch s.kind {
	case Pub:
		m := newOutgoing(parts)
		for _, l := range *s.fan.Load() {
			l.offer(&m, now)
		}
		m.release()
		return !m.full, nil
	case Router:
		s.mu.Lock()
		l := s.byIdentity[string(parts[0])]
		s.mu.Unlock()
		m := newOutgoing(parts[1:])
		if l == nil || !l.offer(&m, now) {
			return false, ErrNoPeer
		}
		m.release()
	case Push, Dealer, Req:
		if s.kind == Req {
			parts = append([][]byte{nil}, parts...)
		}
		m := newOutgoing(parts)
		s.sendToOne(&m, now)
		m.release()
	default:
		return false, ErrType
	}
	return s.queued.Load() <= int64(s.o.Bound), nil
}

// sendToOne gives the message to the next link that takes it at once, or to the first that will.
func (s *Socket) sendToOne(m *outgoing, now bool) {
	s.mu.Lock()
	if now && s.backlog.len() == 0 {
		for range s.links {
			l := s.links[s.turn%len(s.links)]
			s.turn = (s.turn + 1) % len(s.links)
			if l.takes(m) {
				s.mu.Unlock()
				return
			}
		}
	}
	i := m.item()
	s.backlog.push(i)
	s.queued.Add(int64(i.cost()))
	s.mu.Unlock()
	if now {
		s.Flush()
	}
}

// Flush writes what Queue has queued: at once, as far as that goes without waiting.
func (s *Socket) Flush() {
	for _, l := range *s.fan.Load() {
		l.flush()
	}
}

// Subscribe has a SUB get messages whose first part begins with prefix.
func (s *Socket) Subscribe(prefix []byte) {
	s.mu.Lock()
	s.topics[string(prefix)]++
	first := s.topics[string(prefix)] == 1
	s.mu.Unlock()
	if first {
		s.tellTopic(prefix, true)
	}
}

// Unsubscribe takes one Subscribe back.
func (s *Socket) Unsubscribe(prefix []byte) {
	s.mu.Lock()
	n := s.topics[string(prefix)]
	if n <= 1 {
		delete(s.topics, string(prefix))
	} else {
		s.topics[string(prefix)] = n - 1
	}
	s.mu.Unlock()
	if n == 1 {
		s.tellTopic(prefix, false)
	}
}

func (s *Socket) tellTopic(prefix []byte, on bool) {
	for _, x := range s.sessions() {
		x.control(x.topicCommand(prefix, on))
	}
}

// Subscribed tells whether every endpoint that the PUB connects to has subscribed to something; of one that only binds,
// whether any peer has.
func (s *Socket) Subscribed() bool {
	connects, any := false, false
	for _, l := range *s.fan.Load() {
		has := l.subscribed()
		if l.endpoint != nil {
			connects = true
			if !has {
				return false
			}
		}
		any = any || has
	}
	return connects || any
}

// tell calls Options.Subscribed if there is news. It is called without a lock.
func (s *Socket) tell() {
	if s.o.Subscribed == nil {
		return
	}
	s.telling.Lock()
	defer s.telling.Unlock()
	if yes := s.Subscribed(); yes != s.told {
		s.told = yes
		s.o.Subscribed(yes)
	}
}

// Connected tells whether the peer of a ROUTER that has this identity has a connection now.
func (s *Socket) Connected(identity []byte) bool {
	s.mu.Lock()
	l := s.byIdentity[string(identity)]
	s.mu.Unlock()
	return l != nil && l.current() != nil
}

// Forget has a ROUTER drop a peer, and what is queued for it.
func (s *Socket) Forget(identity []byte) {
	s.mu.Lock()
	l := s.byIdentity[string(identity)]
	if l != nil && l.endpoint == nil {
		s.remove(l)
	}
	s.mu.Unlock()
	if l != nil {
		l.abandon()
	}
}

// newIdentity is what a ROUTER calls a peer that has none. It is called with mu.
func (s *Socket) newIdentity() []byte {
	if s.lastName == 0 {
		var b [4]byte
		_, _ = rand.Read(b[:])
		s.lastName = uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	}
	s.lastName++
	n := s.lastName
	return []byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}
