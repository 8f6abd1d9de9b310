// Package server is where reactor, httpparse and bridge meet: the life of a server from its first listener to its last
// response.
//
//	server.go    Server, start and end of its threads
//	lead.go      which thread drives the reactor, and how that changes
//	jobs.go      how requests and other work reach the other Python threads
//	conn.go      a connection between requests
//	body.go      request bodies gathered before the app runs
//	proxy.go     who the client is behind proxies, limits by address
//	exchange.go  one request and its response
//	stream.go    what a running request may ask for
//	signals.go   how signals come, and what they mean
//	stop.go      graceful stop, forced end
//	descriptors.go  what a process may be short of
//	pidfile.go   the pid file
//	command.go   the command line and the module functions on top of it
package server

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/accesslog"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/reactor"
)

// Software is SERVER_SOFTWARE.
const Software = "gowsgi/" + config.Version

// Server serves one application. It runs once.
type Server struct {
	leadState
	stopState
	signalState
	frontState

	cfg    *config.Config
	limits httpparse.Limits
	loop   *reactor.Loop
	log    *slog.Logger

	listeners []*reactor.Listener
	templates map[*reactor.Listener]uint8

	threads []*thread // of Python; 0 is the one that called Serve
	standby *thread
	joined  sync.WaitGroup

	spare     reserve
	exchanges sync.Pool
	clock     atomic.Pointer[dateLine]

	access *accesslog.Writer
	format *accesslog.Format

	bodyMemory atomic.Int64 // of large bodies, see body.go
}

// dateLine is what a response head says in this second.
type dateLine struct {
	second       int64
	text         []byte // RFC 9110 5.6.7
	server, date []byte // whole lines; no server line if the header is off
}

// New makes a server that logs to log. Listen and Serve follow.
func New(cfg *config.Config, log *slog.Logger) (*Server, error) {
	s := &Server{cfg: cfg, log: log, templates: map[*reactor.Listener]uint8{}}
	s.limits = httpparse.DefaultLimits()
	s.limits.RequestLine = cfg.LimitRequestLine
	s.limits.Fields = cfg.LimitRequestFields
	s.limits.FieldSize = cfg.LimitRequestFieldSize
	s.limits.Head = cfg.LimitRequestHead
	switch cfg.HeaderMap {
	case "refuse":
		s.limits.HeaderMap = httpparse.HeaderMapRefuse
	case "dangerous":
		s.limits.HeaderMap = httpparse.HeaderMapDangerous
	}
	if err := s.setUp(cfg); err != nil {
		return nil, err
	}
	s.standbyDone = make(chan struct{})
	s.stopped = make(chan struct{})
	s.forced = make(chan struct{})
	loop, err := reactor.NewLoop(s, reactor.Options{
		MaxConns:   cfg.WorkerConnections,
		LingerTime: cfg.LingerTimeout,
		Spool:      s.tempFile,
		SpoolAbove: int64(cfg.ResponseBuffer),
		Unhold:     bridge.Unhold,
		Refusal:    []byte("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
		Log:        func(f string, a ...any) { log.Warn(fmt.Sprintf(f, a...)) },
	})
	if err != nil {
		return nil, err
	}
	s.loop = loop
	if !s.spare.take(spareDescriptors) {
		return nil, noDescriptors()
	}
	return s, s.openAccessLog()
}

// Listen binds every address of the configuration.
func (s *Server) Listen() error {
	for _, b := range s.cfg.Bind {
		var ln *reactor.Listener
		var err error
		if b.Network == "fd" {
			ln, err = reactor.ListenFD(b.FD)
		} else {
			o := reactor.ListenOptions{Backlog: s.cfg.Backlog, ReusePort: s.cfg.ReusePort, Defer: true}
			ln, err = reactor.Listen(b.Network, b.Address, o)
		}
		if err != nil {
			s.closeListeners()
			return bindError(b, err)
		}
		s.listeners = append(s.listeners, ln)
	}
	return nil
}

func (s *Server) closeListeners() {
	for _, ln := range s.listeners {
		ln.Close()
	}
}

// Addresses are the bound addresses as URLs.
func (s *Server) Addresses() []string {
	var a []string
	for _, ln := range s.listeners {
		if ln.Network() == "unix" {
			a = append(a, "http+"+ln.Addr())
		} else {
			a = append(a, "http://"+ln.Addr())
		}
	}
	return a
}

// addTemplates makes the environ template of each listener.
func (s *Server) addTemplates() error {
	for _, ln := range s.listeners {
		name, port := ln.Host(), strconv.Itoa(ln.Port())
		if ln.Network() == "unix" {
			name, port = "localhost", ""
		}
		t := bridge.Template{
			ServerName: name, ServerPort: port, Software: Software, Scheme: "http",
			Multithread: s.cfg.Threads > 1,
		}
		index, err := bridge.AddTemplate(t)
		if err != nil {
			return err
		}
		s.templates[ln] = uint8(index) // there are 64 at most
		t.Scheme = "https"             // secureTemplate
		if _, err := bridge.AddTemplate(t); err != nil {
			return err
		}
	}
	return nil
}

// dropTemplates gives them back: a process may run one server after the other.
func (s *Server) dropTemplates() {
	for _, plain := range s.templates {
		bridge.DropTemplate(secureTemplate(plain))
		bridge.DropTemplate(uint32(plain))
	}
	clear(s.templates)
}

// secureTemplate is the template for requests that a trusted proxy got by TLS; it stands behind the plain one.
func secureTemplate(plain uint8) uint32 { return uint32(plain) + 1 }

func (s *Server) templateOf(ln *reactor.Listener) uint8 { return s.templates[ln] }

// Serve runs the server on the calling thread, which Python knows with the state saved, and on the others that it starts,
// until it is stopped. started is called when everything is up. Python and the application are there.
func (s *Server) Serve(saved bridge.State, started func()) error {
	if err := checkSpace(s.cfg.Threads); err != nil {
		return err
	}
	defer s.dropTemplates()
	if err := s.addTemplates(); err != nil {
		return err
	}
	defer punctual()() // and the monitor, which this thread starts
	bridge.SetSendfile(s.cfg.Sendfile)
	tick := s.cfg.HandoverAfter
	if tick <= 0 {
		tick = time.Millisecond
	}
	var err error
	if s.watch, err = bridge.StartWatch(s.cfg.Threads, tick, pooledFor, s.callBlocked); err != nil {
		return err
	}
	main := s.newThread(0)
	py, err := bridge.NewThread(0, saved)
	if err != nil {
		return err
	}
	s.watch.ThisThread(0)
	main.py, main.isMain, main.leading = py, true, true
	s.threads = []*thread{main}
	if err := s.startThreads(); err != nil {
		return err
	}
	s.standby = s.newThread(-1)
	s.cur = main
	for _, ln := range s.listeners {
		if err := s.loop.AddListener(ln); err != nil {
			return err
		}
	}
	if err := s.takeSignals(); err != nil {
		return err
	}
	if err := s.watchSignals(); err != nil {
		return err
	}
	go s.standbyLoop()
	if started != nil {
		started()
	}
	main.work()
	s.finish()
	return nil
}

// startThreads starts the other Python threads and waits until they are there.
func (s *Server) startThreads() error {
	up := make(chan error)
	for i := 1; i < s.cfg.Threads; i++ {
		t := s.newThread(i)
		s.threads = append(s.threads, t)
		s.joined.Add(1)
		go func() {
			defer s.joined.Done()
			py, err := bridge.NewThread(i, 0) // locked from here on: the OS thread ends with the goroutine
			t.py = py
			s.watch.ThisThread(i)
			up <- err
			if err == nil {
				punctual() // for life
				t.work()
				py.Close()
			}
		}()
	}
	var failed error
	for i := 1; i < s.cfg.Threads; i++ {
		if err := <-up; err != nil {
			failed = err
		}
	}
	return failed
}

// finish ends what Serve began. The calling thread is out of work.
func (s *Server) finish() {
	s.guardEnd()
	joined := make(chan struct{})
	go func() {
		s.joined.Wait()
		close(joined)
	}()
	close(s.stopped)
	s.watch.Stop()
	s.standby.notify()
	<-s.standbyDone
	select {
	case <-joined:
	case <-s.forced:
		if s.cut.Load() && !s.embedded {
			select {} // graceOver ends the process
		}
		select {
		case <-joined:
		case <-time.After(cutLimit): // threads are still in the application, and will find the server gone
		}
	}
	s.threads[0].py.Close()
	if s.embedded {
		s.releaseSignals()
	}
	s.loop.Close()
	s.closeListeners()
	s.closeAccessLog()
}

// discard gives back what a server has that did not come to serve.
func (s *Server) discard() {
	s.closeListeners()
	s.loop.Close()
	s.spare.give()
	s.closeAccessLog()
}

// idleWork is what a leader does before it waits.
func (s *Server) idleWork() {
	if s.access != nil {
		s.access.Flush()
	}
	if s.cur == s.standby && bridge.UnholdWaiting() {
		s.wakeIdle() // it lets go of the objects, for which the standby has no GIL
	}
}

func (s *Server) fatal(err error) {
	s.log.Error("the reactor failed; the server cannot go on", "error", err)
	os.Exit(config.ExitBoot)
}

// date is the value of the Date field, made once a second.
func (s *Server) date() []byte { return s.ownLines().text }

func (s *Server) ownLines() *dateLine {
	now := s.loop.Now()
	d := s.clock.Load()
	if d == nil || d.second != now.Unix() {
		text := now.UTC().Format(http.TimeFormat)
		d = &dateLine{second: now.Unix(), text: []byte(text), date: []byte("Date: " + text + "\r\n")}
		if s.cfg.ServerHeader != "" {
			d.server = []byte("Server: " + s.cfg.ServerHeader + "\r\n")
		}
		s.clock.Store(d)
	}
	return d
}

// nextExchange is the one for the next request; t.fresh holds it until it is taken.
func (t *thread) nextExchange() *exchange {
	if len(t.fresh) == 0 {
		x, ok := t.s.exchanges.Get().(*exchange)
		if !ok {
			x = newExchange(t.s.limits)
		}
		t.fresh = append(t.fresh, x)
	}
	return t.fresh[len(t.fresh)-1]
}

// recycle takes back an exchange whose request is answered. Those of a pool's requests are the standby's, who takes them
// from Server.exchanges.
func (t *thread) recycle(x *exchange) {
	if !t.leading || len(t.fresh) >= spareExchanges {
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

// line is "METHOD target" for the error log.
func (x *exchange) line() string {
	h := &x.p.Request
	text := func(s httpparse.Span) string { return string(x.req.Arena[s.Off : s.Off+s.Len]) }
	return text(h.Method) + " " + text(h.Target)
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

// startLine is the one line that tells that the server is up.
func (s *Server) startLine(p bridge.PythonInfo, took time.Duration) string {
	threads := "1 thread"
	if s.cfg.Threads > 1 {
		threads = strconv.Itoa(s.cfg.Threads) + " threads"
	}
	return fmt.Sprintf("gowsgi %s listening on %s (%s, %s, pid %d, started in %.2f s)", config.Version,
		strings.Join(s.Addresses(), ", "), p, threads, os.Getpid(), took.Seconds())
}
