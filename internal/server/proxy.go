package server

// Who the client is, behind proxies or not, and what one address may take. The rules are in internal/proxy and
// internal/limit; here they meet connections and requests. On the leader for what concerns connections, on the thread
// that parses for requests.

import (
	"bytes"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/limit"
	"github.com/gowsgi/gowsgi/internal/proxy"
	"github.com/gowsgi/gowsgi/reactor"
)

const (
	tooManyConns    = "too many connections from this address"
	tooManyRequests = "too many requests from this address"
)

// frontState is the server's part of it; only read while it serves, but for what the log has said.
type frontState struct {
	rules   *proxy.Rules
	version proxy.Version
	senders *proxy.Trust // of PROXY headers

	conns *limit.Connections // nil: no limit
	rates *limit.Rates

	stripped atomic.Bool // said that fields were removed
	connsLog sparse
}

func (f *frontState) setUp(cfg *config.Config) (err error) {
	f.rules = new(proxy.Rules)
	if f.rules.Trust, err = proxy.ParseTrust(cfg.ForwardedAllowIPs); err != nil {
		return &config.UsageError{Message: err.Error()}
	}
	if f.senders, err = proxy.ParseTrust(cfg.ProxyAllowIPs); err != nil {
		return &config.UsageError{Message: err.Error()}
	}
	for _, name := range cfg.ForwardedHeaders {
		f.rules.Fields |= proxy.FieldNames[strings.ToLower(name)]
	}
	f.version = proxy.Versions[cfg.ProxyProtocol]
	if n := cfg.LimitAddressConnections; n > 0 {
		f.conns = limit.NewConnections(n)
	}
	if r := cfg.LimitAddressRate; r > 0 {
		f.rates = limit.NewRates(r, cfg.LimitAddressBurst)
	}
	return nil
}

// sparse lets a message through that clients can cause, once a minute.
type sparse struct{ next atomic.Int64 }

func (s *sparse) due(now int64) bool {
	next := s.next.Load()
	return now >= next && s.next.CompareAndSwap(next, now+int64(time.Minute))
}

// origin is the other end of a connection: the socket's peer, or the client that a PROXY header named.
type origin struct {
	addr   netip.Addr // invalid for unix sockets
	text   string     // of addr, when it came by a PROXY header
	port   uint16
	unix   bool
	hidden bool // the proxy would not say who it is: nobody to be trusted
	named  bool // by a PROXY header
}

// origin tells who the other end is; before an awaited PROXY header it is the proxy.
func (c *conn) origin() origin {
	if c.rare != nil && c.rare.from != nil {
		return *c.rare.from
	}
	addr := c.rc.Peer().Addr()
	return origin{addr: addr.WithZone(""), unix: !addr.IsValid()}
}

func (o origin) in(t *proxy.Trust) bool {
	switch {
	case o.hidden:
		return false
	case o.unix:
		return t.Unix()
	}
	return t.Contains(o.addr)
}

// named is whom a PROXY header named as the client, nil if none did.
func (c *conn) named() *origin {
	if r := c.rare; r != nil && r.from != nil && r.from.named {
		return r.from
	}
	return nil
}

// remote is the client of the connection, as far as the connection tells.
func (c *conn) remote() (host string, port int) {
	if o := c.named(); o != nil {
		return o.text, int(o.port)
	}
	return c.rc.RemoteAddr()
}

// remote is the same, for a request. Most come from the address that the one before came from.
func (x *exchange) remote(c *conn) (host string, port int) {
	if o := c.named(); o != nil {
		return o.text, int(o.port)
	}
	return c.rc.RemoteText(&x.peer)
}

// arrived decides about a new connection. False: it has been refused.
func (s *Server) arrived(c *conn) bool {
	if s.version != proxy.Off && c.origin().in(s.senders) {
		c.awaited = true // who it is will be seen then
		return true
	}
	if s.room(c) {
		return true
	}
	s.turnAway(c)
	return false
}

// room counts the connection, if its address may have another one. A trusted proxy has as many as it needs: its
// connections are those of many clients.
func (s *Server) room(c *conn) bool {
	if s.conns == nil {
		return true
	}
	o := c.origin()
	if !o.addr.IsValid() || o.hidden || !s.rules.Trust.Everybody() && o.in(s.rules.Trust) {
		return true
	}
	c.counted = s.conns.Enter(o.addr)
	if !c.counted && s.connsLog.due(s.loop.NowNanos()) {
		s.log.Warn("a client has too many connections; further ones are refused", "client", o.addr.String(),
			"limit", s.cfg.LimitAddressConnections)
	}
	return c.counted
}

// left is the end of a connection.
func (s *Server) left(c *conn) {
	if c.counted {
		c.counted = false
		s.conns.Leave(c.origin().addr)
	}
}

// turnAway answers a connection over the limit without waiting for a request, and closes it at once: while it lingered it
// would take the place of somebody else's. What has come by now is read, since unread input would turn the end into a
// reset that takes the answer with it.
func (s *Server) turnAway(c *conn) {
	scratch := reactor.GetBuffer()
	_, err := c.rc.Read(scratch)
	for range 3 {
		if err == nil {
			_, err = c.rc.Read(scratch)
		}
	}
	reactor.PutBuffer(scratch)
	c.phase = phaseClosing
	if err == nil { // still more
		c.rc.Abort()
		return
	}
	s.noteRefused(429, tooManyConns, "client", c.peer())
	c.rc.Send(reactor.Piece{Bytes: s.tooMany(nil, tooManyConns, time.Second, false)})
	c.close()
}

// tooMany appends a 429.
func (s *Server) tooMany(dst []byte, reason string, wait time.Duration, head bool) []byte {
	begin := len(dst)
	dst = httpparse.AppendErrorResponse(dst, 429, reason, s.date(), head, s.cfg.ServerHeader)
	line := begin + bytes.IndexByte(dst[begin:], '\n') + 1
	field := append([]byte("Retry-After: "), strconv.Itoa(int(math.Ceil(wait.Seconds())))...)
	field = append(field, "\r\n"...)
	dst = append(dst, field...)
	copy(dst[line+len(field):], dst[line:])
	copy(dst[line:], field)
	return dst
}

// proxyHeader reads the PROXY header that the connection has to begin with. False: it is not complete, or (done) it was
// refused.
func (t *thread) proxyHeader(c *conn) (done, ok bool) {
	h, n, err := proxy.ParseHeader(c.buf[c.r:c.w], t.s.version)
	if err != nil {
		t.s.log.Info("a connection is refused", "peer", c.peer(), "error", err)
		c.begun = true
		t.reject(c, 400, err.Error())
		return true, false
	}
	if n == 0 {
		if c.phase != phaseHead && c.r < c.w {
			c.enter(phaseHead, t.s.cfg.HeadTimeout)
		}
		return false, false
	}
	c.r += n
	c.awaited = false
	switch {
	case h.Local: // the proxy itself
	case h.Source.IsValid():
		a := h.Source.Addr()
		c.withRare().from = &origin{addr: a, text: a.String(), port: h.Source.Port(), named: true}
	case h.Unix:
		c.withRare().from = &origin{unix: true, named: true}
	default:
		o := c.origin()
		o.hidden = true
		c.withRare().from = &o
	}
	if !t.s.room(c) {
		c.begun = true
		t.out = t.s.tooMany(t.out[:0], tooManyConns, time.Second, false)
		t.refuse(c, 429, tooManyConns)
		return true, false
	}
	return true, true
}

// admit finds the client of a request whose head is complete, and takes it from the client's rate. False: the request has
// been answered.
func (t *thread) admit(c *conn, x *exchange) bool {
	s, h := t.s, &x.p.Request
	var client netip.Addr
	if proxy.Mentioned(h, x.req.Arena) {
		if !c.origin().in(s.rules.Trust) {
			proxy.Strip(h, x.req.Arena)
			if !s.stripped.Swap(true) {
				s.log.Warn("X-Forwarded-* or Forwarded fields of a peer that is not in --forwarded-allow-ips were removed; "+
					"add it there if it is your proxy", "peer", c.peer())
			}
		} else {
			said, err := s.rules.Apply(h, x.req.Arena)
			if err != nil {
				t.reject(c, 400, err.Error())
				return false
			}
			client = said.Client
			x.apply(c, &said)
		}
	}
	if s.rates == nil {
		return true
	}
	if o := c.origin(); !client.IsValid() && !o.hidden {
		client = o.addr
	}
	if !client.IsValid() { // a unix socket, or a proxy that would not say
		return true
	}
	if wait, ok := s.rates.Allow(client, time.Now()); !ok {
		t.box.sendHeld()
		t.out = s.tooMany(t.out[:0], tooManyRequests, wait, h.HeadMethod)
		t.refuse(c, 429, tooManyRequests)
		return false
	}
	return true
}

// apply makes x what trusted proxies say of it.
func (x *exchange) apply(c *conn, said *proxy.Result) {
	r, h := &x.req, &x.p.Request
	if said.Client.IsValid() {
		r.RemoteAddr, r.RemotePort = said.Client.String(), int(said.ClientPort)
	}
	if said.Host.Len > 0 {
		h.Host, r.HasHost = said.Host, true
	}
	r.ServerPort, r.ScriptName = said.Port, said.Prefix
	if said.Secure {
		r.Template = secureTemplate(c.tmpl)
	}
}
