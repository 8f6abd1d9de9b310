package gateway

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/mongrel2"
	"github.com/gowsgi/gowsgi/internal/request"
	"github.com/gowsgi/gowsgi/internal/rules"
	"github.com/gowsgi/gowsgi/internal/spool"
	"github.com/gowsgi/gowsgi/internal/websocket"
	"github.com/gowsgi/gowsgi/internal/zeromq"
)

// In is where messages come from: a zeromq.Socket.
type In interface {
	// Resume has them come again after Full. Any goroutine.
	Resume()
	// Drain takes what is on its way, and has nothing come after that. It may wait.
	Drain()
}

// Server is whom the gateway works for.
type Server struct {
	Crew     *crew.Crew
	Requests *request.Service
	Limits   httpparse.Limits
	Lines    func() *request.Lines
	Wake     func()        // the leader looks whether it is finished
	Number   func() uint32 // of a connection, see bridge.Request.Conn
	Template uint8         // the environ template; behind it the secure one
	Sockets  websocket.Options
	Spool    *spool.Source // for what clients do not take; nil: memory alone
	Bodies   *spool.Source // for bodies that come in pieces
	// Admit decides about a request before it runs, as h1.Server does.
	Admit func(r *request.Request, from netip.Addr, script []byte, secure uint32) (status int, reason string, retry time.Duration)
}

const (
	maxSenders = 1024  // servers
	maxLinks   = 65536 // that are remembered between two requests
)

// Gateway is the requests of Mongrel2 servers.
type Gateway struct {
	cfg *config.Config
	log *slog.Logger
	srv Server
	in  In
	out Out

	mu      rules.Short
	links   map[key]*link
	senders map[string]*sender
	free    []*exchange
	pairs   pairs

	locals []request.Local // of the crew's threads

	busy     atomic.Int64 // requests, from their message to the end of their answer
	queued   atomic.Int64 // of those: wait for a thread
	needy    atomic.Int64 // links that wait for credits, or for more of a body
	stopping atomic.Bool
	drained  atomic.Bool
	over     atomic.Bool

	full atomic.Bool // no messages come until goOn
	gathering
	apart apart
	said  complaints
}

// complaints are what is said once a minute.
type complaints struct{ malformed, uploads, senders sparse }

type sparse struct{ next atomic.Int64 }

func (s *sparse) due() bool {
	now := time.Now().UnixNano()
	next := s.next.Load()
	return now >= next && s.next.CompareAndSwap(next, now+int64(time.Minute))
}

// sender is a Mongrel2 server.
type sender struct {
	name    []byte
	crowded atomic.Bool // more is queued for it than it takes
	links   int         // of its clients; with Gateway.mu
}

// key names a client's connection.
type key struct {
	of *sender
	id uint64
}

// New makes a gateway.
func New(cfg *config.Config, log *slog.Logger, srv Server, in In, out Out) *Gateway {
	return &Gateway{
		cfg: cfg, log: log, srv: srv, in: in, out: out,
		links: map[key]*link{}, senders: map[string]*sender{}, locals: make([]request.Local, len(srv.Crew.Threads())),
	}
}

// Receive takes a message. On the leader, without the GIL; it does not wait.
func (g *Gateway) Receive(m zeromq.Message) {
	if len(m) > 0 {
		g.take(m[len(m)-1])
	}
}

// most is how many requests may wait for a thread: those of others are left to other handlers.
func (g *Gateway) most() int64 { return int64(16 + 4*g.cfg.Threads) }

// Full tells whether no more messages are to come, until In.Resume: enough requests wait, and what others wait for cannot be
// among the messages to come.
func (g *Gateway) Full() bool {
	if !g.enough() {
		return false
	}
	g.full.Store(true) // before the second look, see goOn
	return g.enough()
}

func (g *Gateway) enough() bool {
	n := g.queued.Load()
	return n >= g.most() && (g.needy.Load() == 0 || n >= needyMost*g.most()) && !g.over.Load()
}

// needyMost is how many times as many may wait where messages have to come for who waits for one.
const needyMost = 64

// goOn has messages come again.
func (g *Gateway) goOn() {
	if g.full.Load() && g.full.Swap(false) {
		g.in.Resume()
	}
}

// need counts links that wait for what messages bring.
func (g *Gateway) need(n int64) {
	if g.needy.Add(n) == n && n > 0 {
		g.goOn()
	}
}

func (g *Gateway) take(text []byte) {
	m, err := mongrel2.Parse(text)
	if err != nil {
		g.malformed(err, text)
		return
	}
	if string(m.Path) == mongrel2.PathAside {
		g.aside(&m)
		return
	}
	x := g.exchange()
	x.message = m
	if err := x.dec.Headers(m.Headers, m.Dict, x); err != nil {
		g.malformed(err, text)
		g.recycle(x)
		return
	}
	switch {
	case x.continues():
		g.more(x)
	case x.flags != nil && string(x.method) == "WEBSOCKET":
		g.frame(x)
	case x.method == nil || x.version == nil && x.reserved(): // of a socket that speaks no HTTP
		g.recycle(x)
	default:
		g.arrived(x)
	}
}

// Lost says that the servers whose names begin so have gone, and their clients with them. Any goroutine.
func (g *Gateway) Lost(name []byte) {
	for _, l := range g.all() {
		if bytes.HasPrefix(l.key.of.name, name) {
			l.lost()
		}
	}
}

// malformed says so, and nothing else happens.
func (g *Gateway) malformed(err error, text []byte) {
	if g.said.malformed.due() {
		g.log.Error("a message is not one of Mongrel2's and is ignored", "error", err, "message", strconv.QuoteToASCII(string(text[:min(len(text), 100)])))
	}
}

// about is what Mongrel2 says by itself.
type about struct {
	kind, method []byte
	credits      int64
}

// Field implements mongrel2.Sink.
func (a *about) Field(name, value []byte) error {
	switch string(name) {
	case "METHOD":
		a.method = value
	case "type":
		a.kind = value
	case "DOWNLOAD_CREDITS":
		a.credits = credits(value)
	}
	return nil
}

func credits(value []byte) int64 {
	n, err := strconv.ParseInt(string(value), 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func (g *Gateway) aside(m *mongrel2.Message) {
	var a about
	var d mongrel2.Decoder
	err := d.Headers(m.Headers, m.Dict, &a)
	if err == nil {
		err = d.Headers(bytes.TrimSpace(m.Body), false, &a)
	}
	if err != nil || string(a.method) != "JSON" {
		g.malformed(err, m.Body)
		return
	}
	g.mu.Lock()
	l := g.links[key{g.senders[string(m.Sender)], m.ID}]
	g.mu.Unlock()
	switch {
	case l == nil: // it has been answered to the end, or is another handler's
	case string(a.kind) == "disconnect":
		l.lost()
	case string(a.kind) == "credits":
		l.credit(a.credits)
	}
}

// link is that of a client, made if it is new.
func (g *Gateway) link(m *mongrel2.Message) *link {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.senders[string(m.Sender)]
	if s == nil {
		if len(g.senders) >= maxSenders && !g.forgetSenders() {
			return nil
		}
		s = &sender{name: bytes.Clone(m.Sender)}
		g.senders[string(s.name)] = s
	}
	k := key{s, m.ID}
	l := g.links[k]
	if l == nil {
		if len(g.links) >= maxLinks {
			g.forgetSome()
		}
		l = &link{g: g, key: k}
		g.links[k] = l
		s.links++
	}
	return l
}

// forgetSome makes room among links that have no request. With g.mu.
func (g *Gateway) forgetSome() {
	tried := 0
	for k, l := range g.links {
		if l.mu.Lock(); l.cur == nil {
			l.gone = true
			delete(g.links, k)
			k.of.links--
		}
		l.mu.Unlock()
		if tried++; tried == 64 {
			return
		}
	}
}

// forget lets go of a link that has ended.
func (g *Gateway) forget(l *link) {
	g.mu.Lock()
	if g.links[l.key] == l {
		delete(g.links, l.key)
		l.key.of.links--
	}
	g.mu.Unlock()
}

// forgetSenders makes room among servers without clients; false: there are none. With g.mu.
func (g *Gateway) forgetSenders() bool {
	before := len(g.senders)
	for name, s := range g.senders {
		if s.links == 0 {
			delete(g.senders, name)
		}
	}
	return len(g.senders) < before
}

// arrived begins a request whose fields are known.
func (g *Gateway) arrived(x *exchange) {
	if !x.upload() {
		return
	}
	for {
		l := g.link(&x.message)
		if l == nil {
			if g.said.senders.due() {
				g.log.Error("requests come from too many Mongrel2 servers at once; some are ignored", "servers", maxSenders, "server", string(x.message.Sender))
			}
			g.recycle(x)
			return
		}
		if l.add(x) {
			return
		}
		g.forget(l)
	}
}

// ended is called when an answer is complete, or there will be none.
func (g *Gateway) ended(x *exchange) {
	g.recycle(x)
	if g.busy.Add(-1) == 0 && g.stopping.Load() {
		g.srv.Wake()
	}
}

// Idle implements h1.Guest.
func (g *Gateway) Idle() bool { return g.drained.Load() && g.busy.Load() == 0 }

// BeginStop implements h1.Guest.
func (g *Gateway) BeginStop() {
	g.stopping.Store(true)
	g.closeSockets()
	go func() {
		for g.hungry() {
			time.Sleep(stopLook)
		}
		g.in.Drain()
		g.drained.Store(true)
		g.srv.Wake()
	}()
}

// stopLook is how often is looked whether the coming of messages may end. Mongrel2 sends credits, and what has become of clients, the
// same way as requests: so as long as they are needed requests come as well, and are served.
const stopLook = 10 * time.Millisecond

func (g *Gateway) hungry() bool {
	if g.over.Load() {
		return false
	}
	for _, l := range g.all() {
		if l.hungry() {
			return true
		}
	}
	return false
}

// Over implements h1.Guest: who waits for a client returns, and clients that have not been answered are hung up on.
func (g *Gateway) Over() {
	g.over.Store(true)
	g.goOn()
	for _, l := range g.all() {
		l.abandon()
	}
}

func (g *Gateway) all() (all []*link) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range g.links {
		all = append(all, l)
	}
	return all
}

// spare is how many exchanges are kept. Others are made for a crowd.
func (g *Gateway) spare() int { return 8 + g.cfg.Threads }

// exchange is one for the next request.
func (g *Gateway) exchange() *exchange {
	g.mu.Lock()
	if n := len(g.free); n > 0 {
		x := g.free[n-1]
		g.free = g.free[:n-1]
		g.mu.Unlock()
		return x
	}
	g.mu.Unlock()
	return newExchange(g)
}

func (g *Gateway) recycle(x *exchange) {
	x.reset()
	g.mu.Lock()
	keep := len(g.free) < g.spare()
	if keep {
		g.free = append(g.free, x)
	}
	g.mu.Unlock()
	if !keep {
		x.drop()
	}
}

// Close lets go of what is kept. When nobody runs a request any more.
func (g *Gateway) Close() {
	g.mu.Lock()
	free := g.free
	g.free = nil
	g.mu.Unlock()
	for _, x := range free {
		x.drop()
	}
	g.pairs.closeAll()
}
