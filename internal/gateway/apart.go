package gateway

import "sync/atomic"

// apart counts requests that run and need no thread now: suspended, or with an answer that leaves as its client takes it. Who gives this
// process no more requests than it has threads may give it so many more.
type apart struct {
	n    atomic.Int64
	told func(n int64) // it is more, or fewer; nil: nobody wants to know. With a link's lock: it does not wait
}

// setApart is with link.mu, or when nobody else knows the exchange.
func (x *exchange) setApart(yes bool) {
	yes = yes && !x.Upgraded() // a WebSocket is no request any more
	if x.apart == yes {
		return
	}
	x.apart = yes
	by := int64(1)
	if !yes {
		by = -1
	}
	n := x.g.apart.n.Add(by)
	if x.g.apart.told != nil {
		x.g.apart.told(n)
	}
}

// TellApart has told called, whenever it changes, with the number of requests that run and need no thread: it must not wait. Before the
// first message.
func (g *Gateway) TellApart(told func(n int64)) { g.apart.told = told }

// Apart is that number now.
func (g *Gateway) Apart() int64 { return g.apart.n.Load() }
