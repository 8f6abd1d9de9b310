package h1

// Who the client is, behind proxies or not, and what one address may take. The rules are in internal/proxy and
// internal/limit; here they meet connections and requests. On the leader for what concerns connections, on the thread
// that parses for requests.

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"net/netip"
	"slices"
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

	strict bool   // fields of others than trusted proxies are dropped
	unix   bool   // there are unix sockets
	mount  []byte // the script name of all requests; a trusted proxy may name another one

	foreign      atomic.Bool // said that fields came from somebody who is not trusted
	connsLog     sparse
	ignoredLog   sparse
	unmountedLog sparse
}

func (f *frontState) setUp(cfg *config.Config) (err error) {
	trust, err := proxy.ParseTrust(cfg.ForwardedAllowIPs)
	if err != nil {
		return &config.UsageError{Message: err.Error()}
	}
	if f.senders, err = proxy.ParseTrust(cfg.ProxyAllowIPs); err != nil {
		return &config.UsageError{Message: err.Error()}
	}
	var fields proxy.Fields
	for _, name := range cfg.ForwardedHeaders {
		fields |= proxy.FieldNames[strings.ToLower(name)]
	}
	f.rules = proxy.NewRules(trust, fields, proxy.ParseScheme(cfg.SecureSchemeHeaders), cfg.ForwarderHeaders)
	f.strict = cfg.ForwardedUntrusted == "drop"
	f.mount = []byte(cfg.Mount)
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
	proxy  string     // the PROXY header for environ, see bridge.Request
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
	s.requests.NoteRefused(429, tooManyConns, "client", c.peer())
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
	o := c.origin()
	switch {
	case h.Local: // the proxy itself
	case h.Source.IsValid():
		a := h.Source.Addr()
		o = origin{addr: a, text: a.String(), port: h.Source.Port(), named: true}
	case h.Unix:
		o = origin{unix: true, named: true}
	default:
		o.hidden = true
	}
	o.proxy = h.Text()
	c.withRare().from = &o
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
	var said proxy.Result
	if s.rules.Mentioned(h, x.Req.Arena) || h.Forwarder {
		trusted := c.origin().in(s.rules.Trust)
		s.rules.Unpose(h, x.Req.Arena, trusted)
		if !trusted {
			if !t.untrusted(c, x) {
				return false
			}
		} else {
			var err error
			if said, err = s.rules.Apply(h, x.Req.Arena); err != nil {
				t.reject(c, 400, err.Error())
				return false
			}
			if said.Ignored != nil && s.ignoredLog.due(s.loop.NowNanos()) {
				s.log.Warn("the field Forwarded of a request was ignored; name in --forwarded-headers what your proxy writes",
					"reason", said.Ignored, "peer", c.peer())
			}
			x.apply(c, &said)
		}
	}
	x.Req.Proxy = ""
	if c.rare != nil && c.rare.from != nil {
		x.Req.Proxy = c.rare.from.proxy
	}
	if script := s.script(&said, x); len(script) > 0 && h.Form != httpparse.Asterisk && !t.mounted(c, x, script) {
		return false
	}
	if s.unix && x.Req.ServerPort.Len == 0 && c.rc.Listener().Network() == "unix" {
		x.Req.ServerPort = proxy.PortOf(h.Host, x.Req.Arena)
	}
	if s.rates == nil {
		return true
	}
	client := said.Client
	if o := c.origin(); !client.IsValid() && !o.hidden {
		client = o.addr
	}
	if !client.IsValid() { // a unix socket, or a proxy that would not say
		return true
	}
	if wait, ok := s.rates.Allow(client, time.Now()); !ok {
		t.box.sendHeld(t.Thread)
		t.out = s.tooMany(t.out[:0], tooManyRequests, wait, h.HeadMethod)
		t.refuse(c, 429, tooManyRequests)
		return false
	}
	return true
}

// untrusted decides about what somebody sent as if he were a proxy. False: the request has been refused.
func (t *thread) untrusted(c *conn, x *exchange) bool {
	s, h := t.s, &x.p.Request
	if h.Forwarder {
		switch s.limits.HeaderMap {
		case httpparse.HeaderMapRefuse:
			t.reject(c, 400, "underscore in header name")
			return false
		case httpparse.HeaderMapDrop:
			proxy.DropUnderscores(h, x.Req.Arena)
		}
	}
	if !s.rules.Mentioned(h, x.Req.Arena) {
		return true
	}
	become, level := "not applied", slog.LevelInfo
	if s.strict {
		s.rules.Strip(h, x.Req.Arena)
		become, level = "removed", slog.LevelWarn
	}
	if !s.foreign.Swap(true) {
		s.log.Log(context.Background(), level, "X-Forwarded-* or Forwarded fields of a peer that is not in --forwarded-allow-ips "+
			"were "+become+"; add it there if it is your proxy", "peer", c.peer())
	}
	return true
}

// apply makes x what trusted proxies say of it.
func (x *exchange) apply(c *conn, said *proxy.Result) {
	r, h := &x.Req, &x.p.Request
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

// script is the script name that the path of x has to begin with.
func (f *frontState) script(said *proxy.Result, x *exchange) []byte {
	if said.HasScript {
		return said.Script.In(x.Req.Arena)
	}
	return f.mount
}

// mounted takes the script name off the path. False: the request has been refused, as the path does not begin with it.
func (t *thread) mounted(c *conn, x *exchange, script []byte) bool {
	r, h := &x.Req, &x.p.Request
	name, rest, ok := proxy.Mount(h.Path, r.Arena, script)
	if !ok {
		if t.s.unmountedLog.due(t.s.loop.NowNanos()) {
			t.s.log.Warn("a request's path does not begin with SCRIPT_NAME, where the application is mounted",
				"request", x.Line(), "script_name", string(script))
		}
		t.reject(c, 404, "the path does not begin with the application's")
		return false
	}
	h.Path = rest
	if prefix := r.ScriptName; prefix.Len > 0 { // what a proxy has taken off stood before it
		both := httpparse.Span{Off: uint32(len(r.Arena)), Len: prefix.Len + name.Len}
		r.Arena = slices.Concat(r.Arena, prefix.In(r.Arena), name.In(r.Arena))
		name = both
	}
	r.ScriptName = name
	return true
}

// AdviseOnProxies says at the start what an operator should decide about fields of proxies.
func (s *Server) AdviseOnProxies() {
	plain := config.Default()
	if s.strict || s.version != proxy.Off || !slices.Equal(s.cfg.ForwardedAllowIPs, plain.ForwardedAllowIPs) {
		return // it is decided
	}
	for ln := range s.templates {
		if a, err := netip.ParseAddr(ln.Host()); err == nil && !a.IsLoopback() {
			s.log.Info("no proxy is named, and others than this machine can connect: if there is one in front name it in " +
				"--forwarded-allow-ips, else --forwarded-untrusted drop keeps made-up X-Forwarded-* fields from the application")
			return
		}
	}
}
