package server

// --mongrel2: requests that come from Mongrel2 over ZeroMQ, beside those of listeners or alone.

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/gateway"
	"github.com/gowsgi/gowsgi/internal/h1"
	"github.com/gowsgi/gowsgi/internal/request"
	"github.com/gowsgi/gowsgi/internal/zeromq"
)

const (
	drainTime  = 2 * time.Second // for messages that are on their way when the server stops
	lingerTime = 5 * time.Second // for answers that Mongrel2 has not taken by the end
)

// mongrel2 is the sockets and the gateway between them and the crew.
type mongrel2 struct {
	cfg               *config.Config
	log               *slog.Logger
	requests, answers config.Spec
	pull, pub         *zeromq.Socket
	gateway           *gateway.Gateway
}

// newMongrel2 makes the socket of the answers.
func newMongrel2(cfg *config.Config, log *slog.Logger) (m *mongrel2, err error) {
	m = &mongrel2{cfg: cfg, log: log}
	if m.requests, m.answers, err = config.ParseMongrel2(cfg.Mongrel2); err != nil {
		return nil, err
	}
	m.pub = zeromq.New(zeromq.Pub, zeromq.Options{Identity: []byte(m.answers.Identity), Log: m.say, Subscribed: m.subscribed, Keep: -1})
	return m, nil
}

// subscribed is called when Mongrel2 has begun to listen to answers, or ceased to: who pulled a request before would answer it
// into the void. One that was started anew counts its clients from the beginning, so what is meant for those of before would reach others:
// they are gone, and nothing that is on its way from or to them is believed.
func (m *mongrel2) subscribed(yes bool) {
	if yes {
		m.pull.Start()
		return
	}
	m.pull.Pause()
	m.pull.Reset()
	m.gateway.Lost()
}

// serving is where requests come from, in words: listening is the same for listeners, of which there are some if some is set.
func serving(cfg *config.Config, listening string, some bool) string {
	if cfg.Mongrel2 == "" {
		return listening
	}
	requests, _, _ := config.ParseMongrel2(cfg.Mongrel2)
	here := "serving Mongrel2 at " + requests.Endpoint
	if !some {
		return here
	}
	return listening + " and " + here
}

func (m *mongrel2) say(line string) { m.log.Warn(line) }

// Resume implements gateway.In.
func (m *mongrel2) Resume() { m.pull.Resume() }

// Drain implements gateway.In.
func (m *mongrel2) Drain() { m.pull.Drain(min(drainTime, m.cfg.GracefulTimeout)) }

// begin makes the gateway and the socket of the requests, which whoever leads reads. Before anybody leads.
func (m *mongrel2) begin(s *Server, plain uint8) {
	http := s.http
	m.gateway = gateway.New(m.cfg, m.log, gateway.Server{
		Crew: s.crew, Requests: http.Requests(), Limits: http.Limits(), Lines: http.Lines, Wake: s.loop.Wake, Number: h1.NewNumber,
		Template: plain, Sockets: h1.SocketOptions(m.cfg),
		Admit: func(r *request.Request, from netip.Addr, script []byte, secure uint32) (int, string, time.Duration) {
			a := http.Admit(r, from, script, secure)
			return a.Status, a.Reason, a.Retry
		},
	}, m, m.pub)
	m.pull = zeromq.New(zeromq.Pull, zeromq.Options{Identity: []byte(m.requests.Identity), Log: m.say, Paused: true, Loop: s.loop,
		Receive: m.gateway.Receive, Full: m.gateway.Full})
	http.Host(m.gateway)
}

// connect has requests come.
func (m *mongrel2) connect() error {
	if err := join(m.pub, m.answers); err != nil {
		return err
	}
	return join(m.pull, m.requests)
}

func join(s *zeromq.Socket, spec config.Spec) error {
	if !spec.Bind {
		return s.Connect(spec.Endpoint)
	}
	if _, err := s.Bind(spec.Endpoint); err != nil {
		return fmt.Errorf("cannot bind the ZeroMQ socket %s of --mongrel2: %w", spec.Endpoint, err)
	}
	return nil
}

// close ends it, when nobody runs a request any more.
func (m *mongrel2) close() {
	m.pub.Close(lingerTime)
	if m.gateway != nil {
		m.pull.Close(0)
		m.gateway.Close()
	}
}
