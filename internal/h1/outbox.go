package h1

// The outbox: answers, and the beginning of one, that wait in memory to leave together with what comes behind them.

import (
	"sync/atomic"

	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/rules"
	"github.com/gowsgi/gowsgi/reactor"
)

// outbox belongs to a thread. The monitor, or another thread of the app, sends what is in it while the thread is in a call.
//
// Its bytes are whole answers of other connections, which wait for the end of a round (see gather.go), and behind them what
// is held of one: the answers of a pipeline, or the blocks of a generator, that wait for more of the same connection.
// Nothing is held of a connection with a queue; what waits for more in a queue is only noted.
type outbox struct {
	some    atomic.Bool // something is held, or noted
	answers atomic.Int32
	size    atomic.Int32 // of the answers, bytes

	mu     rules.Mutex
	bytes  []byte
	whole  []answer
	from   int           // where what is held begins
	held   *reactor.Conn // whom that is for; nil: nothing is held
	queued *reactor.Conn // whose queue waits for more

	// The other half of bytes and whole, while that is not being sent.
	spareBytes []byte
	spareWhole []answer
}

// answer is bytes[from:to] of an outbox, for a connection that belongs to the thread until they are sent.
type answer struct {
	c        *conn
	from, to int
}

// lock waits for the lock only without the GIL; pieces stay.
func (o *outbox) lock(t *crew.Thread) {
	if o.mu.TryLock() {
		return
	}
	if t.Py == nil {
		o.mu.Lock()
		return
	}
	t.Py.Pause()
	t.Blocking(o.mu.Lock)
}

// hold leaves b, behind what is held, for more of the same connection. False: with it that would be most or more. By the
// thread.
func (o *outbox) hold(t *crew.Thread, rc *reactor.Conn, b []byte, most int) bool {
	o.lock(t)
	room := len(o.bytes)-o.from+len(b) < most
	if room {
		o.bytes = append(o.bytes, b...)
		o.held = rc
		if !o.some.Load() {
			o.some.Store(true)
		}
	}
	o.mu.Unlock()
	return room
}

// note says that the queue of rc waits for more. By the thread.
func (o *outbox) note(t *crew.Thread, rc *reactor.Conn) {
	o.lock(t)
	o.queued = rc
	o.some.Store(true)
	o.mu.Unlock()
}

// forget undoes it, and is for the end of a request that holds nothing. By the thread.
func (o *outbox) forget(t *crew.Thread) {
	if o.some.Load() {
		o.lock(t)
		o.queued = nil
		o.some.Store(o.held != nil)
		o.mu.Unlock()
	}
}

// heldSize is how much is held. By the thread: the monitor can only make it less.
func (o *outbox) heldSize(t *crew.Thread) int {
	if !o.some.Load() {
		return 0
	}
	o.lock(t)
	defer o.mu.Unlock()
	return len(o.bytes) - o.from
}

// keep leaves b, behind what is held of c, as a whole answer, and returns how many there are. By the thread.
func (o *outbox) keep(t *crew.Thread, c *conn, b []byte) int {
	o.lock(t)
	o.bytes = append(o.bytes, b...)
	o.whole = append(o.whole, answer{c, o.from, len(o.bytes)})
	o.from, o.held, o.queued = len(o.bytes), nil, nil
	n := len(o.whole)
	o.count()
	o.mu.Unlock()
	return n
}

// count is called with o.mu held.
func (o *outbox) count() {
	o.answers.Store(int32(len(o.whole)))
	o.size.Store(int32(o.from))
	o.some.Store(o.held != nil || o.queued != nil)
}

// waiting is how many whole answers there are, and their bytes. Any goroutine.
func (o *outbox) waiting() (answers, size int) { return int(o.answers.Load()), int(o.size.Load()) }

// send sends b behind what is held of the same connection. By the thread.
func (o *outbox) send(t *crew.Thread, rc *reactor.Conn, b []byte) {
	if !o.some.Load() {
		sendBytes(t, rc, b)
		return
	}
	o.lock(t)
	if o.held != nil {
		o.bytes = append(o.bytes, b...)
		b = o.bytes[o.from:]
	}
	sendBytes(t, rc, b)
	o.bytes, o.held = o.bytes[:o.from], nil
	o.count()
	o.mu.Unlock()
}

// sendHeld sends what is held. The thread does so before it sends anything else on that connection.
func (o *outbox) sendHeld(t *crew.Thread) {
	if !o.some.Load() {
		return
	}
	o.lock(t)
	if o.held != nil {
		sendBytes(t, o.held, o.bytes[o.from:])
		o.bytes, o.held = o.bytes[:o.from], nil
		o.count()
	}
	o.mu.Unlock()
}

// push is sendHeld by another thread of the app, or by this one in a call. False: it would have to wait, and may not.
func (o *outbox) push(wait bool) bool {
	if !o.some.Load() {
		return true
	}
	if wait {
		o.mu.Lock()
	} else if !o.mu.TryLock() {
		return false
	}
	defer o.mu.Unlock()
	if o.held != nil {
		if b := o.bytes[o.from:]; wait {
			_ = o.held.SendBytes(b)
		} else if !o.held.TrySendBytes(b) {
			return false
		}
		o.bytes, o.held = o.bytes[:o.from], nil
		o.count()
	}
	return true
}

// Waits implements crew.Late.
func (o *outbox) Waits() bool { return o.some.Load() }

// late sends what is held, and flushes what is noted. On the monitor, which waits for nobody: who has one of the locks is
// sending.
func (o *outbox) late() {
	if !o.push(false) || !o.mu.TryLock() {
		return
	}
	if o.queued != nil {
		o.queued.TryFlush()
	}
	o.mu.Unlock()
}

// sendWhole sends the whole answers and gives sent each of their connections, without the lock: there may be many. By the
// thread t, or (nil) by the monitor while the thread is in a call that has lost it the lead.
func (o *outbox) sendWhole(t *crew.Thread, sent func(c *conn)) {
	if t != nil {
		o.lock(t)
	} else {
		o.mu.Lock()
	}
	bytes, whole := o.bytes, o.whole
	if len(whole) == 0 {
		o.mu.Unlock()
		return
	}
	// What is held stays.
	o.bytes, o.whole = append(o.spareBytes[:0], bytes[o.from:]...), o.spareWhole
	o.from, o.spareBytes, o.spareWhole = 0, nil, nil
	o.count()
	o.mu.Unlock()
	for i := range whole {
		a := &whole[i]
		if b := bytes[a.from:a.to]; t != nil {
			sendBytes(t, a.c.rc, b)
		} else {
			_ = a.c.rc.SendBytes(b)
		}
	}
	for i := range whole {
		sent(whole[i].c)
		whole[i].c = nil
	}
	if t != nil {
		o.lock(t)
	} else {
		o.mu.Lock()
	}
	o.spareBytes, o.spareWhole = bytes[:0], whole[:0]
	o.mu.Unlock()
}

// sendOn sends b on c between its requests. While nobody owns it nobody else sends on it, and the lead must not be lost.
func (t *thread) sendOn(c *conn, b []byte) {
	if c.rc.Owned() {
		sendBytes(t.Thread, c.rc, b)
	} else {
		_ = c.rc.SendBytes(b)
	}
}

// sendBytes sends b on a connection that t owns, or leads. It waits only without the GIL.
func sendBytes(t *crew.Thread, rc *reactor.Conn, b []byte) {
	if len(b) == 0 || rc.TrySendBytes(b) {
		return
	}
	if t.Py == nil {
		_ = rc.SendBytes(b)
		return
	}
	t.Py.Pause()
	t.Blocking(func() { _ = rc.SendBytes(b) })
}
