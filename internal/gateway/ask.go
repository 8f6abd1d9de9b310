package gateway

import (
	"time"

	"github.com/gowsgi/gowsgi/internal/mongrel2"
)

// askAfter is how long an answer waits for credits before Mongrel2 is asked whether the client is still there, and again.
//
// Mongrel2 (1.12.2) says nothing of a client that leaves while it is sending to it, if it is the sending that fails first: in half of
// all cases. But it does say so when it is told something about a client that it does not have.
var askAfter = time.Second

// ask begins that. With l.mu.
func (l *link) ask() {
	if l.asking {
		return
	}
	l.asking = true
	if l.asks == nil {
		l.asks = time.AfterFunc(askAfter, l.asked)
	} else {
		l.asks.Reset(askAfter)
	}
}

func (l *link) asked() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asking = l.needs; l.needs {
		l.g.send(l.key.of, mongrel2.AppendControl(nil, l.key.of.name, l.key.id, mongrel2.Control{}), false) // which changes nothing
		l.asks.Reset(askAfter)
	}
}
