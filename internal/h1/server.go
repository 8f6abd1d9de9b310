package h1

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/aside"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/inflight"
	"github.com/gowsgi/gowsgi/internal/request"
	"github.com/gowsgi/gowsgi/internal/websocket"
	"github.com/gowsgi/gowsgi/reactor"
)

// Server serves HTTP/1 on the connections of one loop.
type Server struct {
	frontState
	spaceState
	suspendState
	socketState

	cfg      *config.Config
	limits   httpparse.Limits
	loop     *reactor.Loop
	crew     *crew.Crew
	log      *slog.Logger
	requests request.Service
	sockets  websocket.Options

	templates map[*reactor.Listener]uint8
	threads   []*thread // of Python
	standby   *thread
	shares    bool // other processes have the same listeners

	cur    *thread          // who leads; leader only
	staged crew.Fifo[*conn] // wait for the leader itself, see gather.go; leader only, and empty before it polls

	leaving  atomic.Bool // answers end their connections
	stopping atomic.Bool
	patience atomic.Int64 // how long an idle connection may wait for one more request when it stops; ns
	over     atomic.Bool  // nothing is waited for any more
	alone    func()       // see WithoutListener
	guest    Guest        // nil: there is none

	exchanges sync.Pool
	clock     atomic.Pointer[request.Lines]

	heads headMemory
}

// thread is what a thread of the crew has for HTTP/1.
type thread struct {
	*crew.Thread
	s *Server

	gathering           // see gather.go
	turn      crew.Turn // of the connection it works for

	box     outbox
	out     []byte            // what goes out next
	pieces  []reactor.Piece   // the same, with large blocks left where they are
	recent  *httpparse.Recent // nil: heads are not remembered
	fresh   []*exchange       // spare, so that a request takes none from the pool
	unread  *unread           // spare, with its block, so that reading takes none from the pools
	scratch []byte            // for body bytes on their way to a file

	local request.Local
}

// keepOut is how much of thread.out is kept from one answer to the next.
const keepOut = 256 << 10

// New makes a server of so many Python threads that logs to log.
func New(cfg *config.Config, log *slog.Logger) (*Server, error) {
	s := &Server{cfg: cfg, log: log, templates: map[*reactor.Listener]uint8{}, sockets: SocketOptions(cfg)}
	s.limits = httpparse.DefaultLimits()
	s.limits.RequestLine = cfg.LimitRequestLine
	s.limits.Fields = cfg.LimitRequestFields
	s.limits.FieldSize = cfg.LimitRequestFieldSize
	s.limits.Head = cfg.LimitRequestHead
	s.limits.Forwarder = cfg.ForwarderHeaders
	switch cfg.HeaderMap {
	case "refuse":
		s.limits.HeaderMap = httpparse.HeaderMapRefuse
	case "dangerous":
		s.limits.HeaderMap = httpparse.HeaderMapDangerous
	}
	if err := s.setUp(cfg); err != nil {
		return nil, err
	}
	batch := 0
	if s.shares = cfg.WorkerCount() > 0; s.shares {
		batch = sharedBatch
	}
	loop, err := reactor.NewLoop(s, reactor.Options{
		MaxConns: cfg.WorkerConnections,
		Shared:   s.shares, AcceptBatch: batch,
		LingerTime: cfg.LingerTimeout,
		Spool:      s.Spool(),
		SpoolAbove: int64(cfg.ResponseBuffer),
		GiveWay:    s.giveWay,
		Unhold:     bridge.Unhold,
		Refusal:    []byte("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
		Forked:     bridge.Forked,
		BeforeFile: s.beforeFile,
		Log:        func(f string, a ...any) { log.Warn(fmt.Sprintf(f, a...)) },
	})
	if err != nil {
		return nil, err
	}
	s.loop = loop
	s.requests.Log, s.requests.Clock = log, loop.Clock
	s.requests.Identifies = cfg.RequestID == "take" || cfg.RequestID == "make"
	s.crew = crew.New(cfg.Threads, host{s})
	for _, t := range s.crew.Threads() {
		s.threads = append(s.threads, s.newThread(t))
	}
	s.standby = s.newThread(s.crew.Standby())
	s.requests.Aside = aside.NewHub(s.crew, loop)
	s.requests.Aside.Patient = cfg.Meinheld
	s.cur = s.threads[0]
	return s, s.requests.OpenAccessLog(cfg)
}

func (s *Server) newThread(ct *crew.Thread) *thread {
	t := &thread{Thread: ct, s: s}
	ct.Late = late{t}
	if os.Getenv("GOWSGI_COLD") == "" { // see gw_cold in shim_int.h
		t.recent = new(httpparse.Recent)
	}
	return t
}

// thread is ours for the crew's.
func (s *Server) thread(ct *crew.Thread) *thread {
	if i := ct.Index(); i >= 0 {
		return s.threads[i]
	}
	return s.standby
}

// late is the output of a thread that the monitor sends.
type late struct{ t *thread }

// Waits implements crew.Late.
func (l late) Waits() bool { return l.t.box.Waits() }

// SendLate implements crew.Late.
func (l late) SendLate(lost bool) {
	l.t.box.late()
	if lost {
		l.t.box.sendWhole(nil, l.t.answered)
		if guest := l.t.s.guest; guest != nil {
			guest.Flush()
		}
	}
}

// beforeFile is called on the leader before it writes from a file, whose disk may be slow.
func (s *Server) beforeFile() {
	if py := s.cur.Py; py != nil {
		py.Release()
	}
}

// Loop is where the connections are.
func (s *Server) Loop() *reactor.Loop { return s.loop }

// Aside is where its suspended requests are.
func (s *Server) Aside() *aside.Hub { return s.requests.Aside }

// Crew is who works for them.
func (s *Server) Crew() *crew.Crew { return s.crew }

// AddListener accepts connections of ln, whose requests have this environ template and, if a proxy got them by TLS, the
// one behind it. Leader, or before anybody leads.
func (s *Server) AddListener(ln *reactor.Listener, template uint8) error {
	s.SetTemplate(ln, template)
	return s.loop.AddListener(ln)
}

// SetTemplate tells the template of a listener that is added later.
func (s *Server) SetTemplate(ln *reactor.Listener, template uint8) {
	s.templates[ln] = template
	s.unix = s.unix || ln.Network() == "unix"
}

// Serve serves what comes on fd, a connected socket that does not block, as if it came by ln, whose template is set. It is the
// server's own connection: no PROXY header comes first, and it has no limit. Leader, or before anybody leads.
func (s *Server) Serve(ln *reactor.Listener, fd int) {
	c := &conn{rc: s.loop.Take(ln, fd), s: s, unread: nothing, tmpl: s.templateOf(ln), number: lastConn.Add(1)}
	c.rc.Owner = c
	c.phase = phaseNew
	c.expireIn(s.cfg.HeadTimeout)
}

// SetTemplates tells what the environ templates are, by number.
func (s *Server) SetTemplates(all []bridge.Template) { s.requests.Templates = all }

// secureTemplate is the template for requests that a trusted proxy got by TLS; it stands behind the plain one.
func secureTemplate(plain uint8) uint32 { return uint32(plain) + 1 }

func (s *Server) templateOf(ln *reactor.Listener) uint8 { return s.templates[ln] }

// WithoutListener says that no connections will come; none is called, by the leader, when nothing that was spawned or scheduled
// is left. Before anybody leads.
func (s *Server) WithoutListener(none func()) { s.alone = none }

// Guest brings requests by another way than connections of this server, to the same crew.
type Guest interface {
	// Idle reports that it has none under way, and will have none once the server stops. Any goroutine.
	Idle() bool
	// Flush sends what waits for more to be sent with it. The leader, before it waits, or the monitor, when it has lost the lead.
	Flush()
	// BeginStop is called when the server begins to stop: nothing new is to come. Leader; it must not wait.
	BeginStop()
	// Over is called when nothing is waited for any more, once or twice. Any goroutine.
	Over()
}

// Host has the server work for g as well: it does not end before that is idle, and is to be woken when it has become so. Before
// anybody leads.
func (s *Server) Host(g Guest) { s.guest = g }

// Requests is what the requests of the server have in common.
func (s *Server) Requests() *request.Service { return &s.requests }

// Lines are what response heads say in this second. Any goroutine.
func (s *Server) Lines() *request.Lines { return s.ownLines() }

// NewNumber is a number for a connection which no other one of the process has.
func NewNumber() uint32 { return lastConn.Add(1) }

// Limits are those of request heads.
func (s *Server) Limits() httpparse.Limits { return s.limits }

// Note has the requests that run written down in t. Before anybody leads.
func (s *Server) Note(t *inflight.Table) { s.requests.Running, s.requests.Now = t, s.loop.NowNanos }

// OnLast has last called when the application is called for the n-th request, 0: for none. Before anybody leads.
func (s *Server) OnLast(n int64, last func()) { s.requests.Most, s.requests.Last = n, last }

// Over ends what is still there: the leader waits for nothing more. Any goroutine.
func (s *Server) Over() {
	s.over.Store(true)
	if s.guest != nil {
		s.guest.Over()
	}
	s.loop.Wake()
}

// FlushLog writes the access log's last lines. Any goroutine.
func (s *Server) FlushLog() { s.requests.FlushLog() }

// FollowStream goes on in standard output as it is now, if the access log goes there. Any goroutine.
func (s *Server) FollowStream() error {
	if s.requests.Access == nil {
		return nil
	}
	return s.requests.Access.Follow()
}

// ReopenLog goes on in a file of the access log's name. Any goroutine.
func (s *Server) ReopenLog() error {
	if s.requests.Access == nil {
		return nil
	}
	return s.requests.Access.Reopen()
}

// Close ends what New began, when nobody leads any more.
func (s *Server) Close() {
	s.loop.Close()
	s.requests.CloseLog()
}

// date is the value of the Date field, made once a second.
func (s *Server) date() []byte { return s.ownLines().Text }

func (s *Server) ownLines() *request.Lines {
	now := s.loop.Now()
	d := s.clock.Load()
	if d == nil || d.Second != now.Unix() {
		d = request.MakeLines(now, s.cfg.ServerHeader)
		s.clock.Store(d)
	}
	return d
}

// nextExchange is the one for the next request; t.fresh holds it until it is taken.
func (t *thread) nextExchange() *exchange {
	if len(t.fresh) == 0 {
		x, ok := t.s.exchanges.Get().(*exchange)
		if !ok {
			x = newExchange(t.s)
		}
		t.fresh = append(t.fresh, x)
	}
	return t.fresh[len(t.fresh)-1]
}

// recycle takes back an exchange whose request is answered. Those of a pool's requests are the standby's, who takes them
// from Server.exchanges.
func (t *thread) recycle(x *exchange) {
	if !t.Leads() || len(t.fresh) >= spareExchanges {
		t.s.putExchange(x)
		return
	}
	x.reset()
	t.fresh = append(t.fresh, x)
}

func (s *Server) putExchange(x *exchange) {
	x.reset()
	s.exchanges.Put(x)
}

func (c *conn) peer() string {
	host, port := c.remote()
	if host == "" {
		return "unix"
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

func appendChunk(dst, data []byte) []byte {
	dst = httpparse.AppendChunkHead(dst, len(data))
	dst = append(dst, data...)
	return append(dst, httpparse.ChunkEnd...)
}

func closeFD(fd int) { _ = unix.Close(fd) }

// bytesText is a size as people write it.
func bytesText(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, " GiB"}, {1 << 20, " MiB"}, {1 << 10, " KiB"}} {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + " bytes"
}

// logReject logs t.out, an answer that the application had no part in.
func (t *thread) logReject(c *conn, status int, reason string) {
	s := t.s
	host, _ := c.remote()
	var r *request.Request
	var head []byte
	if c.x != nil {
		r = &c.x.Request
		host = r.Req.RemoteAddr
	} else {
		head = c.buf[c.r:c.w]
	}
	s.requests.LogReject(&t.local, request.Refusal{Request: r, Head: head, Host: host, Status: status, Reason: reason, Answer: t.out})
}

// fatal is for what cannot go on.
func (s *Server) fatal(err error) {
	s.log.Error("the reactor failed; the server cannot go on", "error", err)
	os.Exit(config.ExitBoot)
}
