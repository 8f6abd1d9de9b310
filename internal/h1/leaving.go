package h1

// Connections that are kept, when the server stops or soon will: they end between two requests, and not with one unread
// (RFC 9112, section 9.6).

import (
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/reactor"
)

// firstRequest is how long a stopping server waits for the first request of a new connection, counted from its beginning:
// it may be on its way. For one that was seen to be here it is plenty.
const firstRequest = time.Second

// Drain has every answer end its connection from now on, and changes nothing else: the server will stop soon. Any goroutine.
func (s *Server) Drain() { s.leaving.Store(true) }

// Stop begins the end: no new connections, no further request on those that are there, but that one which comes within
// patience on a connection that is kept. The first call says true. Any goroutine; BeginStop has to follow on the leader.
func (s *Server) Stop(patience time.Duration) bool {
	s.patience.Store(int64(patience))
	s.leaving.Store(true)
	return s.stopping.CompareAndSwap(false, true)
}

// BeginStop closes what is idle. Leader.
func (s *Server) BeginStop() {
	s.loop.StopAccepting()
	s.loop.Each(func(rc *reactor.Conn) {
		// Without an owner it has only just been accepted; its first request is still served.
		if c, ok := rc.Owner.(*conn); ok && !rc.Owned() {
			c.stop()
		}
	})
	s.closeSockets()
	if s.guest != nil {
		s.guest.BeginStop()
	}
}

// Stopping reports whether Stop was called. Any goroutine.
func (s *Server) Stopping() bool { return s.stopping.Load() }

// rest leaves c between two requests. Owner, or leader of a connection that nobody owns; so are the following.
func (c *conn) rest() {
	c.enterIdle(c.s.cfg.KeepAlive)
	if c.s.stopping.Load() {
		c.stop()
	}
}

// stop is called when the server has begun to stop.
func (c *conn) stop() {
	deadline := c.rc.Deadline()
	left := time.Duration(deadline - c.s.loop.NowNanos())
	switch c.phase {
	case phaseIdle:
		switch patience := time.Duration(c.s.patience.Load()); {
		case patience == 0:
			c.closeIdle()
		case deadline == 0 || left > patience:
			c.expireIn(patience)
		}
	case phaseNew:
		limit := c.s.cfg.HeadTimeout
		switch {
		case deadline > 0 && left < 2*firstRequest: // it has this one already, or one that is as near
		case deadline > 0 && limit-left > firstRequest: // it has been silent for long
			c.closeIdle()
		default:
			c.expireIn(firstRequest)
		}
	}
}

// closeIdle ends c, unless a request is here that nobody has seen yet.
func (c *conn) closeIdle() {
	if !c.rc.Look() {
		c.close()
		return
	}
	c.expireIn(firstRequest)
	c.s.loop.PostConn(c.rc)
}

// closeAnswered ends c after its answer. A client that has sent more, before it could know, would not read the answer if that
// were met by a reset.
func (c *conn) closeAnswered() {
	if c.s.leaving.Load() && c.rc.Look() {
		c.rc.Linger()
	}
	c.close()
}

// last tells whether the answer is to end its connection as the server is leaving: those of a pipeline that have been read are
// answered first.
func (x *exchange) last() bool {
	return x.c.s.leaving.Load() && (x.c.r == x.c.w || x.Req.Body == bridge.BodyStream)
}
