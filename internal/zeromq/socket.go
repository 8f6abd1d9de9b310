package zeromq

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"github.com/gowsgi/gowsgi/internal/rules"
	"github.com/gowsgi/gowsgi/reactor"
)

// Message is the parts of one message. Who receives it owns it.
type Message [][]byte

// Options of a socket.
type Options struct {
	// Identity is what ROUTER peers know the socket by: at most 255 bytes, the first one not 0. Without one they
	// choose.
	Identity []byte
	// Receive gets what comes, on the connection's goroutine, so that with several connections calls overlap. As long
	// as it does not return nothing more is read from that peer. A ROUTER's message begins with the peer's identity.
	Receive func(Message)
	// Loop is who reads the connections of a PULL or DEALER in place of goroutines; nil: nobody. Receive is then called on its leader,
	// within Poll, and must not wait.
	Loop *reactor.Loop
	// Full is asked by a Loop's leader before each message: true, and nothing more is delivered before Resume. nil: never.
	Full func() bool
	// Subscribed is called when what Subscribed says has changed (PUB). Calls do not overlap.
	Subscribed func(bool)
	// Arrived is called when a peer has a new connection, before anything of it is delivered, with the peer's identity (ROUTER). One that has
	// been there before may be another process by now, for which nothing is meant that is queued: Forget drops that.
	Arrived func(identity []byte)
	// Left is called when a peer has gone, with what it had subscribed to and nobody else has (PUB).
	Left func(topics [][]byte)
	// Bound is from how many queued bytes on Send says that there is no room. Default: 8 MB.
	Bound int
	// Keep is how long what is queued for a peer that has gone is kept. PUSH, DEALER and REQ keep it without end.
	// Below 0 nothing is kept: for peers that would take it for something else when they are back.
	// Default: 10 s.
	Keep time.Duration
	// MaxMessage is the largest message, in bytes of all parts with 32 for each; who sends a larger one is
	// disconnected. Default: 64 MB.
	MaxMessage int
	// Paused has the socket neither connect nor deliver before Start.
	Paused bool
	// Stall is after which time a PUB gives up a peer that takes nothing while more than Bound waits for it. Default: a minute.
	Stall time.Duration
	// Lossy: a peer for which more than Bound is queued gets nothing more until there is room, as libzmq's PUB does it.
	Lossy bool
	// Log gets a line about a peer that misbehaves or cannot be reached, a few a second at most.
	Log func(string)
}

// Errors of Send.
var (
	ErrClosed = errors.New("zeromq: the socket is closed")
	ErrNoPeer = errors.New("zeromq: no peer has this identity")
	ErrType   = errors.New("zeromq: sockets of this type do not send")
	ErrEmpty  = errors.New("zeromq: a message has at least one part, and a ROUTER's one more, the peer's identity")
)

var background = context.Background()

const (
	handshakeTime = 10 * time.Second
	firstPause    = 50 * time.Millisecond // between two attempts to connect; it doubles
	longestPause  = 2 * time.Second
	maxPeers      = 4096 // connections that others made
)

// Socket is a ZeroMQ socket. Its methods may be called from any goroutine.
type Socket struct {
	kind Type
	o    Options

	mu         rules.Short
	links      []*link
	byIdentity map[string]*link // of a ROUTER
	backlog    queue            // of PUSH, DEALER, REQ: what no link has yet
	turn       int              // of links: whose turn it is
	lastName   uint32           // of the identities that a ROUTER gives
	topics     map[string]int   // of a SUB
	listeners  []net.Listener
	waiters    []waiter
	joined     chan struct{} // closed when there is one connection more; nil: nobody waits for that
	gate       chan struct{} // while paused; Start closes it
	peers      int
	rivals     rivals

	fan     atomic.Pointer[[]*link] // a copy of links
	queued  atomic.Int64
	closing atomic.Bool // nothing more is sent
	leaving atomic.Bool // nor connected
	resets  atomic.Int64
	resumed atomic.Uint64 // how often
	ctx     context.Context
	end     context.CancelFunc

	telling sync.Mutex // calls of Options.Subscribed
	told    bool
	lines   *rate.Limiter
}

// waiter waits until no more than below is queued.
type waiter struct {
	below int64
	to    []byte // what a message begins with: for any of those that get it; nil: altogether
	ready chan struct{}
}

// New makes a socket. It does nothing before Bind or Connect.
func New(t Type, o Options) *Socket {
	if o.Bound <= 0 {
		o.Bound = 8 << 20
	}
	if o.Stall <= 0 {
		o.Stall = time.Minute
	}
	if o.Keep == 0 {
		o.Keep = 10 * time.Second
	}
	if o.MaxMessage <= 0 {
		o.MaxMessage = 64 << 20
	}
	s := &Socket{kind: t, o: o, lines: rate.NewLimiter(2, 10), byIdentity: map[string]*link{}, topics: map[string]int{}, rivals: rivals{}}
	s.ctx, s.end = context.WithCancel(background)
	s.fan.Store(new([]*link))
	if o.Paused {
		s.gate = make(chan struct{})
	}
	return s
}

func (s *Socket) log(line string) {
	if s.o.Log != nil && s.ctx.Err() == nil && s.lines.Allow() {
		s.o.Log(line)
	}
}

// shared tells whether links have one queue.
func (s *Socket) shared() bool { return s.kind == Push || s.kind == Dealer || s.kind == Req }

// Connect has the socket connect to an endpoint, again whenever the connection ends. It does not wait for the first
// one.
func (s *Socket) Connect(text string) error {
	e, err := parseEndpoint(text, false)
	if err != nil {
		return err
	}
	if s.closing.Load() {
		return ErrClosed
	}
	l := &link{s: s, endpoint: &e, left: time.Now()}
	s.mu.Lock()
	s.add(l)
	s.mu.Unlock()
	go l.stayConnected()
	return nil
}

// add is called with mu.
func (s *Socket) add(l *link) {
	s.links = append(s.links, l)
	links := append([]*link{}, s.links...)
	s.fan.Store(&links)
}

// remove is called with mu.
func (s *Socket) remove(l *link) {
	links := make([]*link, 0, len(s.links))
	for _, other := range s.links {
		if other != l {
			links = append(links, other)
		}
	}
	s.links = links
	s.fan.Store(&links)
	if s.byIdentity[string(l.identity)] == l {
		delete(s.byIdentity, string(l.identity))
	}
}

// Bind has the socket listen at an endpoint, and returns the endpoint to connect to.
func (s *Socket) Bind(text string) (string, error) {
	e, err := parseEndpoint(text, true)
	if err != nil {
		return "", err
	}
	l, err := e.listen(s.control())
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	closing := s.leaving.Load()
	if !closing {
		s.listeners = append(s.listeners, l)
	}
	s.mu.Unlock()
	if closing {
		_ = l.Close()
		return "", ErrClosed
	}
	go s.accept(l)
	return e.bound(l), nil
}

// control prepares descriptors. Answers for a machine that has vanished would wait for a quarter of an hour; a peer of the
// other types may have good reasons to read nothing for long.
func (s *Socket) control() func(string, string, syscall.RawConn) error {
	if s.kind != Pub {
		return nil
	}
	return boundUnacknowledged
}

// accept takes connections until the listener is closed.
func (s *Socket) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptor is left, or a client that has gone
			s.log("a ZeroMQ peer cannot be accepted: " + reason(err).Error())
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(firstPause):
			}
			continue
		}
		s.mu.Lock()
		full := s.peers >= maxPeers || len(s.links) >= 2*maxPeers
		if !full {
			s.peers++
		}
		s.mu.Unlock()
		if full {
			_ = c.Close()
			s.log("a ZeroMQ peer was turned away: there are too many")
			continue
		}
		go func() {
			s.welcome(c)
			s.mu.Lock()
			s.peers--
			s.mu.Unlock()
		}()
	}
}

// Start has a socket that is paused connect and deliver.
func (s *Socket) Start() {
	s.mu.Lock()
	if s.gate != nil {
		close(s.gate)
		s.gate = nil
	}
	s.mu.Unlock()
	s.Resume()
}

// Resume has those connections delivered from again that Full has stopped, or Pause: each time another one is the first.
func (s *Socket) Resume() {
	if s.o.Loop == nil {
		return
	}
	all := s.sessions()
	first := s.resumed.Add(1)
	for i := range all {
		if x := all[(first+uint64(i))%uint64(len(all))]; x.driven != nil {
			x.driven.resume()
		}
	}
}

// blocked tells whether a connection that is driven is to deliver nothing.
func (s *Socket) blocked() bool {
	s.mu.Lock()
	held := s.gate != nil
	s.mu.Unlock()
	return held || s.o.Full != nil && s.o.Full()
}

// Pause has nothing more delivered, and no new connection made, until Start.
func (s *Socket) Pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gate == nil && !s.leaving.Load() {
		s.gate = make(chan struct{})
	}
}

// started waits until the socket is not paused, and tells whether it goes on.
func (s *Socket) started() bool {
	for {
		s.mu.Lock()
		gate := s.gate
		s.mu.Unlock()
		if gate == nil {
			return s.ctx.Err() == nil
		}
		select {
		case <-gate:
		case <-s.ctx.Done():
			return false
		}
	}
}

// Joined waits until every endpoint that the socket connects to has a connection. False: done, or the socket was closed.
func (s *Socket) Joined(done <-chan struct{}) bool {
	rules.Waits("for a ZeroMQ connection")
	for {
		s.mu.Lock()
		if s.joined == nil {
			s.joined = make(chan struct{})
		}
		joined, all := s.joined, true
		for _, l := range s.links {
			all = all && (l.endpoint == nil || l.current() != nil)
		}
		s.mu.Unlock()
		if all {
			return true
		}
		select {
		case <-joined:
		case <-done:
			return false
		case <-s.ctx.Done():
			return false
		}
	}
}

// news has who waits in Joined look.
func (s *Socket) news() {
	s.mu.Lock()
	if s.joined != nil {
		close(s.joined)
		s.joined = nil
	}
	s.mu.Unlock()
}

// Queued is how many bytes wait to be sent, each message with some for itself.
func (s *Socket) Queued() int { return int(s.queued.Load()) }

// Room waits until less than half of Bound is queued. False: done, or the socket was closed.
func (s *Socket) Room(done <-chan struct{}) bool {
	return s.await(nil, int64(s.o.Bound/2), done) && !s.closing.Load()
}

// RoomFor is Room of a PUB for a message that begins so: less than half of Bound is queued for each peer that gets it.
func (s *Socket) RoomFor(to []byte, done <-chan struct{}) bool {
	return s.await(to, int64(s.o.Bound/2), done) && !s.closing.Load()
}

// await waits until no more than below is queued.
func (s *Socket) await(to []byte, below int64, done <-chan struct{}) bool {
	rules.Waits("a ZeroMQ socket's queue")
	w := waiter{below, to, make(chan struct{})}
	s.mu.Lock()
	s.waiters = append(s.waiters, w)
	s.mu.Unlock()
	s.less(0)
	select {
	case <-w.ready:
		return true
	case <-done:
	case <-s.ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.waiters {
		if other.ready == w.ready {
			s.waiters = append(s.waiters[:i], s.waiters[i+1:]...)
			break
		}
	}
	return false
}

// less says that so much less is queued. It is called without a lock.
func (s *Socket) less(cost int) {
	all := s.queued.Add(-int64(cost))
	s.mu.Lock()
	defer s.mu.Unlock()
	still := s.waiters[:0]
	for _, w := range s.waiters {
		left := all
		if w.to != nil {
			left = s.behind(w.to)
		}
		if left <= w.below {
			close(w.ready)
		} else {
			still = append(still, w)
		}
	}
	clear(s.waiters[len(still):])
	s.waiters = still
}

// behind is how much is queued for that peer of a message that begins so for which it is most. It is called with mu.
func (s *Socket) behind(to []byte) (most int64) {
	for _, l := range s.links {
		l.mu.Lock()
		if l.now == nil || !l.now.open || l.now.wants(to) {
			most = max(most, int64(l.q.cost))
		}
		l.mu.Unlock()
	}
	return most
}

// leave ends listening and connecting; connections stay.
func (s *Socket) leave() {
	s.mu.Lock()
	s.leaving.Store(true)
	listeners := s.listeners
	s.listeners = nil
	s.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
}

// sessions are the connections there are.
func (s *Socket) sessions() []*session {
	var all []*session
	for _, l := range *s.fan.Load() {
		if x := l.current(); x != nil {
			all = append(all, x)
		}
	}
	return all
}

// Reset ends all connections; what has come by them and was not delivered is thrown away. Those that the socket makes it
// makes again. With a Loop no Receive of before runs any more when it returns; so Receive must not call it.
func (s *Socket) Reset() {
	s.resets.Add(1)
	for _, x := range s.sessions() {
		x.reset.Store(true)
		_ = x.conn.Close()
		if x.driven != nil {
			x.driven.still()
		}
	}
}

// Drain has the peers of a PULL or SUB send nothing more, and delivers what they have sent. It returns when that is
// all, or after limit. For that it half-closes each connection and reads on, so that what is on its way comes; messages
// that the peer has queued because it could not send them are lost with libzmq, which drops them at the end of a
// connection.
func (s *Socket) Drain(limit time.Duration) {
	s.leave()
	s.Start()
	rules.Waits("ZeroMQ peers")
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for all := s.sessions(); len(all) > 0; all = s.sessions() {
		for _, x := range all {
			x.finish()
		}
		for _, x := range all {
			select {
			case <-x.gone:
			case <-timer.C:
				return
			case <-s.ctx.Done():
				return
			}
		}
	}
}

// Close sends what is queued, for linger at most, and ends all connections. It does not wait for a Receive that runs.
func (s *Socket) Close(linger time.Duration) {
	if s.closing.Swap(true) {
		return
	}
	s.Flush()
	if linger > 0 {
		done := make(chan struct{})
		timer := time.AfterFunc(linger, func() { close(done) })
		s.await(nil, 0, done)
		s.leave()
		s.part(done)
		timer.Stop()
	}
	s.leave()
	s.end()
	for _, x := range s.sessions() {
		_ = x.conn.Close()
	}
}

// part half-closes the connections and waits for the peers to do the same: a connection that is closed while something
// has come and was not read is reset, and the peer may lose what it has not read.
func (s *Socket) part(done <-chan struct{}) {
	all := s.sessions()
	for _, x := range all {
		x.finish()
		if x.driven != nil {
			x.driven.leave()
		}
	}
	enough := time.After(250 * time.Millisecond)
	for _, x := range all {
		select {
		case <-x.over:
		case <-done:
			return
		case <-enough:
			return
		}
	}
}
