package m2device

import "fmt"

// pull2xreq gives each request to a handler that has said that it is ready, m2wsgi 0.3's way: a handler says so with an
// empty message, each time, and leaves with an X, to which the answer is empty. Responses do not come through here.
// Its methods are called with a lock held.
type pull2xreq struct {
	out     output
	ready   []string // the longest-waiting first
	known   []string // have said something once: whoever was given nothing for longest first
	pending [][]byte
}

func (p *pull2xreq) full() bool { return len(p.pending) >= 64 }

func (p *pull2xreq) serverLost() { p.pending = nil }

func (p *pull2xreq) busy() int { return len(p.pending) }

func (p *pull2xreq) given() uint64 { return 0 }

func (p *pull2xreq) needs(uint64) bool { return false }

// arrived: who comes says so when it is ready, and what was queued for one before it is as good for it.
func (p *pull2xreq) arrived(string) {}

func (p *pull2xreq) fromServer(message []byte) {
	p.pending = append(p.pending, message)
	p.flush()
}

func (p *pull2xreq) fromHandler(id string, body []byte) {
	switch {
	case string(body) == "X":
		p.drop(id)
		p.out.log(fmt.Sprintf("handler %q leaves", id))
		p.out.toHandler(id, nil)
	case len(body) == 0:
		p.ready = append(without(p.ready, id), id)
		p.known = append(without(p.known, id), id)
		p.flush()
	}
}

func (p *pull2xreq) drop(id string) {
	p.ready = without(p.ready, id)
	p.known = without(p.known, id)
}

// flush gives what waits to handlers that are ready.
func (p *pull2xreq) flush() {
	for len(p.pending) > 0 && len(p.ready) > 0 {
		id := p.ready[0]
		p.ready = p.ready[1:]
		if !p.out.connected(id) {
			p.drop(id)
			continue
		}
		p.give(id)
	}
}

func (p *pull2xreq) give(id string) {
	p.out.toHandler(id, p.pending[0])
	p.pending[0] = nil
	p.pending = p.pending[1:]
	p.known = append(without(p.known, id), id)
}

// tick is called each interval. What waits still goes to handlers that have been here, as some say so only once.
func (p *pull2xreq) tick() {
	for _, id := range append([]string{}, p.known...) {
		if !p.out.connected(id) {
			p.drop(id)
			continue
		}
		if len(p.pending) > 0 {
			p.give(id)
		}
	}
}

func without(list []string, id string) []string {
	for i, other := range list {
		if other == id {
			return append(list[:i:i], list[i+1:]...)
		}
	}
	return list
}
