package server

// --mongrel2: requests that come from Mongrel2 over ZeroMQ, beside those of listeners or alone.

import (
	"log/slog"
	"time"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/gateway"
	"github.com/gowsgi/gowsgi/internal/m2device"
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
	peer              *m2device.Peer
	gateway           *gateway.Gateway
}

// newMongrel2 makes the socket of the answers.
func newMongrel2(cfg *config.Config, log *slog.Logger) (m *mongrel2, err error) {
	m = &mongrel2{cfg: cfg, log: log}
	if m.requests, m.answers, err = config.ParseMongrel2(cfg.Mongrel2); err != nil {
		return nil, err
	}
	m.peer = &m2device.Peer{Gone: "Mongrel2 has gone, or the connection to it, and its clients with it; requests come again when it is back",
		Info: func(line string) { log.Info(line) }, Warn: m.say}
	m.peer.Here, m.peer.Missing = m2device.TakesAnswers(m.answers.Endpoint)
	m.pub = zeromq.New(zeromq.Pub, zeromq.Options{Identity: []byte(m.answers.Identity), Keep: -1, Subscribed: m.subscribed, Left: m.left,
		Log: m2device.Named(m.say, zeromq.Pub, m.answers.Endpoint, "Mongrel2's recv_spec")})
	return m, nil
}

// subscribed is called when Mongrel2 has begun to listen to answers, or ceased to: who pulled a request before would answer it
// into the void. One that was started anew counts its clients from the beginning, so what is meant for those of before would reach others:
// they are gone, and nothing that is on its way from or to them is believed.
func (m *mongrel2) subscribed(yes bool) {
	m.peer.Is(yes)
	if yes {
		m.pull.Start()
		return
	}
	m.pull.Pause()
	m.pull.Reset()
	m.gateway.Lost(nil)
}

// left is called when one of several has gone: what there is of its clients, whom the next one under its name does not have, is
// forgotten. The names of servers begin with what they subscribe to.
func (m *mongrel2) left(names [][]byte) {
	for _, name := range names {
		m.gateway.Lost(name)
	}
}

func (m *mongrel2) say(line string) { m.log.Warn(line) }

// Resume implements gateway.In.
func (m *mongrel2) Resume() { m.pull.Resume() }

// Drain implements gateway.In.
func (m *mongrel2) Drain() { m.pull.Drain(min(drainTime, m.cfg.GracefulTimeout)) }

// begin implements behind. Whoever leads reads what comes.
func (m *mongrel2) begin(s *Server, plain uint8) {
	m.gateway = newGateway(s, plain, m, m.pub)
	m.pull = zeromq.New(zeromq.Pull, zeromq.Options{Identity: []byte(m.requests.Identity), Paused: true, Loop: s.loop,
		Log:     m2device.Named(m.say, zeromq.Pull, m.requests.Endpoint, "Mongrel2's send_spec"),
		Receive: m.gateway.Receive, Full: m.gateway.Full})
	s.http.Host(m.gateway)
}

// connect has requests come. What may fail is first.
func (m *mongrel2) connect() error {
	if err := join(m.pull, m.requests); err != nil {
		return err
	}
	m.peer.Expect()
	return join(m.pub, m.answers)
}

// joined implements behind.
func (m *mongrel2) joined(done <-chan struct{}) { m.pull.Joined(done) }

func join(s *zeromq.Socket, spec config.Spec) error {
	if !spec.Bind {
		return s.Connect(spec.Endpoint)
	}
	_, err := s.Bind(spec.Endpoint)
	return err
}

// close ends it, when nobody runs a request any more.
func (m *mongrel2) close() {
	m.peer.End()
	m.pub.Close(lingerTime)
	if m.gateway != nil {
		m.pull.Close(0)
		m.gateway.Close()
	}
}
