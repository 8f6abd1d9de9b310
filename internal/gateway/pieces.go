package gateway

// Bodies in pieces (upload.stream): what comes, what is paid for, and what becomes of what nobody reads.

import (
	"time"

	"github.com/gowsgi/gowsgi/internal/mongrel2"
)

// more takes a message that goes on with a body.
func (g *Gateway) more(m *exchange) {
	defer g.recycle(m)
	g.mu.Lock()
	l := g.links[key{g.senders[string(m.message.Sender)], m.message.ID}]
	g.mu.Unlock()
	if l == nil { // it has been answered; or it is another handler's
		if g.said.uploads.due() {
			g.log.Warn("a piece of a body is of no request here: another handler may have that; upload.stream is for one handler, "+
				"or several behind a dispatcher", "client", m.message.ID)
		}
		return
	}
	l.mu.Lock()
	x := l.cur
	if n := len(l.waiting); n > 0 {
		x = l.waiting[n-1]
	}
	wrong, last, pays := false, false, int64(0)
	if x != nil && x.awaited {
		body := m.message.Body
		if wrong = m.offset != x.came; !wrong {
			switch x.came += int64(len(body)); {
			case x.discards:
				pays = int64(len(body))
				last = m.isLast
			case len(body) > 0:
				x.pieces = append(x.pieces, body)
			}
			x.awaited = !m.isLast
			l.signal()
		}
	}
	l.mu.Unlock()
	if wrong {
		x.complain("pieces of a body are missing: another handler may have got them; upload.stream is for one handler, "+
			"or several behind a dispatcher", "client", l.key.id)
		l.cut()
	}
	if last {
		x.endLinger(l, false)
	} else if pays > 0 {
		l.pay(pays)
	}
}

// lingers tells whether more of the body comes, which nobody wants, as the request has been answered: as on a socket it is
// thrown away for a while, so that the client comes to read the answer.
func (x *exchange) lingers() bool {
	l := x.l
	l.mu.Lock()
	if !x.awaited || l.gone {
		l.mu.Unlock()
		return false
	}
	x.discards = true
	owed := x.owed
	for _, p := range x.pieces {
		owed += int64(len(p))
	}
	x.pieces = nil
	l.push(true)
	x.linger = time.AfterFunc(x.g.cfg.LingerTimeout, func() { x.endLinger(l, true) })
	l.mu.Unlock()
	l.pay(owed)
	return true
}

// endLinger is called when that is over.
func (x *exchange) endLinger(l *link, hangUp bool) {
	l.mu.Lock()
	if l.cur != x || !x.discards {
		l.mu.Unlock()
		return
	}
	x.discards = false
	x.linger.Stop()
	hangUp = hangUp || !x.keep
	l.mu.Unlock()
	l.settle(hangUp)
}

// begin has a body in pieces come.
func (x *exchange) begin() {
	x.l.mu.Lock()
	pays := x.awaited && !x.paid
	x.paid = true
	x.l.mu.Unlock()
	if pays {
		x.l.pay(window)
	}
}

// owes is called when n bytes need no room any more, and returns for how many Mongrel2 is to be paid now. With link.mu.
func (x *exchange) owes(n int64) (pays int64) {
	x.owed += n
	if x.awaited && (x.owed >= window/2 || len(x.pieces) == 0) {
		pays, x.owed = x.owed, 0
	}
	return pays
}

// pay gives Mongrel2 credits for n more bytes.
func (l *link) pay(n int64) {
	l.g.send(l.key.of, mongrel2.AppendControl(nil, l.key.of.name, l.key.id, mongrel2.Control{Credits: n}), false)
}
