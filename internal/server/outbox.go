package server

// The outbox: answers, and the beginning of one, that wait in memory to leave together with what comes behind them.

import (
	"sync"

	"github.com/gowsgi/gowsgi/reactor"
)

// outbox belongs to a thread. The monitor, or another thread of the app, sends what is in it while the thread is in a call.
//
// Its bytes are whole answers of other connections, which wait for the end of a round (see gather.go), and behind them what
// is held of one: the answers of a pipeline, or the blocks of a generator, that wait for more of the same connection.
type outbox struct {
	mu    sync.Mutex
	bytes []byte
	whole []answer
	from  int           // where what belongs to no whole answer begins
	held  *reactor.Conn // whom that is for; nil: nothing is held, and bytes[from:] is being written

	// The other half of bytes and whole, while that is not being sent.
	spareBytes []byte
	spareWhole []answer
}

// answer is bytes[from:to] of an outbox, for a connection that belongs to the thread until they are sent.
type answer struct {
	c        *conn
	from, to int
}

// open begins to write behind what is held, or anew. Until hold, keep or take the caller has the lock.
func (o *outbox) open() {
	o.mu.Lock()
	if o.held == nil && len(o.whole) == 0 {
		o.bytes, o.from = o.bytes[:0], 0
	}
}

// size is that of what is held or being written.
func (o *outbox) size() int { return len(o.bytes) - o.from }

// hold leaves what was written for more of the same connection.
func (o *outbox) hold(rc *reactor.Conn) {
	o.held = rc
	o.mu.Unlock()
}

// keep leaves what was written, and makes it a whole answer.
func (o *outbox) keep(c *conn) {
	o.whole = append(o.whole, answer{c, o.from, len(o.bytes)})
	o.from, o.held = len(o.bytes), nil
	o.mu.Unlock()
}

// take is what was written, valid until the next open. Only for the thread itself.
func (o *outbox) take() []byte {
	b := o.bytes[o.from:]
	o.bytes, o.held = o.bytes[:o.from], nil
	o.mu.Unlock()
	return b
}

// sendHeld sends what is held. The thread does so before it sends anything else on that connection; the monitor, or another
// thread of the app, while the thread is in the app.
func (o *outbox) sendHeld() {
	o.mu.Lock()
	if o.held != nil {
		o.held.SendBytes(o.bytes[o.from:])
		o.bytes, o.held = o.bytes[:o.from], nil
	}
	o.mu.Unlock()
}

// sendWhole sends the whole answers and gives sent each of their connections, without the lock: there may be many. By the
// thread, or by the monitor while the thread is in a call that has lost it the lead.
func (o *outbox) sendWhole(sent func(c *conn)) {
	o.mu.Lock()
	bytes, whole := o.bytes, o.whole
	if len(whole) == 0 {
		o.mu.Unlock()
		return
	}
	// What is held stays.
	o.bytes, o.whole = append(o.spareBytes[:0], bytes[o.from:]...), o.spareWhole
	o.from, o.spareBytes, o.spareWhole = 0, nil, nil
	o.mu.Unlock()
	for i := range whole {
		a := &whole[i]
		a.c.rc.SendBytes(bytes[a.from:a.to])
	}
	for i := range whole {
		sent(whole[i].c)
		whole[i].c = nil
	}
	o.mu.Lock()
	o.spareBytes, o.spareWhole = bytes[:0], whole[:0]
	o.mu.Unlock()
}
