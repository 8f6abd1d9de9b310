package server

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/gateway"
	"github.com/gowsgi/gowsgi/internal/h1"
	"github.com/gowsgi/gowsgi/internal/request"
)

// behind is the sockets that requests of Mongrel2's come from, and the gateway between them and the crew.
type behind interface {
	begin(s *Server, plain uint8) // makes the gateway. Before anybody leads
	connect() error               // has requests come
	close()                       // when nobody runs a request any more
	// joined waits until requests can come.
	joined(done <-chan struct{})
}

// joinFor is how long a worker says that it is not ready while it is not connected: Mongrel2 may not be there.
const joinFor = time.Second

// serves calls started when requests can come: the worker that this one takes the place of ends then, and what Mongrel2 has nobody
// to give to it would give to one that ends. Only a worker waits for that.
func (s *Server) serves(started func()) {
	if s.mongrel2 == nil || s.worker == nil {
		started()
		return
	}
	go func() {
		done := make(chan struct{})
		timer := time.AfterFunc(joinFor, func() { close(done) })
		s.mongrel2.joined(done)
		timer.Stop()
		started()
	}()
}

func newBehind(cfg *config.Config, log *slog.Logger) (behind, error) {
	if cfg.Mongrel2Dispatcher != "" {
		return newDispatched(cfg, log)
	}
	return newMongrel2(cfg, log)
}

func newGateway(s *Server, plain uint8, in gateway.In, out gateway.Out) *gateway.Gateway {
	http := s.http
	return gateway.New(s.cfg, s.log, gateway.Server{
		Crew: s.crew, Requests: http.Requests(), Limits: http.Limits(), Lines: http.Lines, Wake: s.loop.Wake, Number: h1.NewNumber,
		Template: plain, Sockets: h1.SocketOptions(s.cfg), Spool: http.Spool(), Bodies: http.BodySpool(),
		Admit: func(r *request.Request, from netip.Addr, script []byte, secure uint32) (int, string, time.Duration) {
			a := http.Admit(r, from, script, secure)
			return a.Status, a.Reason, a.Retry
		},
	}, in, out)
}

// serving is where requests come from, in words: listening is the same for listeners, of which there are some if some is set.
func serving(cfg *config.Config, listening string, some bool) string {
	here := ""
	switch {
	case cfg.Mongrel2Dispatcher != "":
		at, _, _ := config.ParseDispatcher(cfg.Mongrel2Dispatcher)
		here = "serving Mongrel2's dispatcher at " + at.Endpoint
	case cfg.Mongrel2 != "":
		requests, _, _ := config.ParseMongrel2(cfg.Mongrel2)
		here = "serving Mongrel2 at " + requests.Endpoint
	default:
		return listening
	}
	if !some {
		return here
	}
	return listening + " and " + here
}
