package reactor

// The timer wheel: connection deadlines and After timers, leader only. A hashed wheel with intrusive links, so that
// scheduling and cancelling cost the same with ten connections as with a hundred thousand, and that an idle connection
// costs nothing until its deadline comes.

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
	"unsafe"
)

const (
	tickShift  = 26 // a tick is 2^26 ns = 67.1 ms
	tickNanos  = int64(1) << tickShift
	wheelSlots = 512 // one turn is 34 s; later entries wait in their slot for their turn
	wheelMask  = wheelSlots - 1
	never      = int64(math.MaxInt64)
)

// timerNode is one entry: the one inside a Conn, or the head of a Timer.
type timerNode struct {
	next, prev *timerNode
	// tick at which the entry is looked at, 0 when it is not in the wheel. Written by the leader; the owner of a
	// connection reads it to find out whether the leader has to be told of a new deadline. 32 bits last for nine years.
	tick    atomic.Uint32
	isTimer bool // the node is that of a Timer, else that of a Conn
}

// Timer is a function to be called once by Dispatch.
type Timer struct {
	timerNode // must be first, see timer()
	loop      *Loop
	fn        func()
}

func (n *timerNode) timer() *Timer { return (*Timer)(unsafe.Pointer(n)) }

func (n *timerNode) conn() *Conn {
	return (*Conn)(unsafe.Add(unsafe.Pointer(n), -int(unsafe.Offsetof(Conn{}.timer))))
}

// wheel holds the entries by tick modulo wheelSlots. earliest and nearest are lower bounds: removing an entry leaves
// them, which costs at most one needless look.
type wheel struct {
	now      int64 // last tick swept
	nearest  int64 // no entry is due before this tick; never when the wheel is empty
	count    int
	used     [wheelSlots / 64]uint64 // bitmap of slots that are not empty
	earliest [wheelSlots]int64       // per slot
	slots    [wheelSlots]*timerNode
}

func (w *wheel) init(nowNanos int64) {
	w.now = nowNanos >> tickShift
	w.nearest = never
}

// tickFor rounds up: an entry is never looked at before its time.
func tickFor(nanos int64) int64 { return (nanos + tickNanos - 1) >> tickShift }

func (w *wheel) add(n *timerNode, nanos int64) {
	t := tickFor(nanos)
	if t <= w.now {
		t = w.now + 1
	}
	i := t & wheelMask
	head := w.slots[i]
	n.next, n.prev = head, nil
	if head != nil {
		head.prev = n
		w.earliest[i] = min(w.earliest[i], t)
	} else {
		w.used[i>>6] |= 1 << (i & 63)
		w.earliest[i] = t
	}
	w.slots[i] = n
	w.count++
	w.nearest = min(w.nearest, t)
	n.tick.Store(uint32(t))
}

func (w *wheel) remove(n *timerNode) {
	t := n.tick.Load()
	if t == 0 {
		return
	}
	i := t & wheelMask
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		w.slots[i] = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	}
	n.next, n.prev = nil, nil
	if w.slots[i] == nil {
		w.used[i>>6] &^= 1 << (i & 63)
	}
	w.count--
	if w.count == 0 {
		w.nearest = never
	}
	n.tick.Store(0)
}

// sweep takes out every entry due by nanos and calls fire with it. fire may add entries.
func (w *wheel) sweep(nanos int64, fire func(*timerNode)) {
	now := nanos >> tickShift
	if now <= w.now {
		return
	}
	first := w.now + 1
	w.now = now
	if w.nearest > now {
		return
	}
	first = max(first, w.nearest, now-wheelSlots+1) // one turn meets every slot
	for t := first; t <= now; t++ {
		i := t & wheelMask
		if w.used[i>>6]&(1<<(i&63)) == 0 || w.earliest[i] > now {
			continue
		}
		w.sweepSlot(i, now, fire)
	}
	w.findNearest()
}

func (w *wheel) sweepSlot(i, now int64, fire func(*timerNode)) {
	// Unlink everything due first: fire may put entries into this very slot.
	var due *timerNode
	rest := never
	for n := w.slots[i]; n != nil; {
		next := n.next
		if t := int64(n.tick.Load()); t <= now {
			w.remove(n)
			n.next = due
			due = n
		} else {
			rest = min(rest, t)
		}
		n = next
	}
	w.earliest[i] = rest
	for due != nil {
		n := due
		due = n.next
		n.next = nil
		fire(n)
	}
}

func (w *wheel) findNearest() {
	near := never
	for k, word := range w.used {
		for word != 0 {
			i := k<<6 + bits.TrailingZeros64(word)
			near = min(near, w.earliest[i])
			word &= word - 1
		}
	}
	w.nearest = near
}

// wait returns how long to sleep at most: until the nearest tick, or -1 when nothing is scheduled.
func (w *wheel) wait(nanos int64) time.Duration {
	if w.nearest == never {
		return -1
	}
	return time.Duration(max(w.nearest<<tickShift-nanos, 0))
}

// After makes Dispatch call fn once, d from now (rounded up to a tick). Leader only.
func (l *Loop) After(d time.Duration, fn func()) *Timer {
	t := &Timer{timerNode: timerNode{isTimer: true}, loop: l, fn: fn}
	l.wheel.add(&t.timerNode, l.clock()+int64(max(d, 0)))
	return t
}

// Stop cancels the timer, also when it is due but Dispatch has not come to it yet. Leader only.
func (t *Timer) Stop() {
	t.loop.wheel.remove(&t.timerNode)
	t.fn = nil
}

// fired is called by the sweep, in Poll, for each entry whose tick has come.
func (l *Loop) fired(n *timerNode) {
	if n.isTimer {
		l.ready.push(item{timer: n.timer()})
		return
	}
	c := n.conn()
	// The tick is already 0 here: an owner that moves the deadline from now on sees that and posts. So either it sees
	// the 0, or we see its deadline.
	d := c.deadline.Load()
	switch {
	case d == 0:
	case d > l.nowNanos.Load():
		l.wheel.add(n, d) // it was moved later
	default:
		c.state.Or(stFire | stExpired)
		l.enqueue(c)
	}
}

// SetDeadline sets the absolute deadline on the clock of NowNanos, 0 for none. By the owner, or by the leader when the
// connection is not owned. It is rounded up to a tick, when it is looked at in any case; so moving it often, as requests
// do, is mostly nothing at all. Moving it later, or away, is a field write.
func (c *Conn) SetDeadline(nanos int64) {
	if nanos != 0 {
		nanos = tickFor(nanos) << tickShift
	}
	s := c.state.Load()
	if c.deadline.Load() != nanos {
		c.deadline.Store(nanos)
	} else if s&stExpired == 0 {
		return
	}
	if s&stExpired != 0 {
		c.state.And(^uint32(stExpired | stFire))
	}
	if nanos == 0 {
		return
	}
	if t := int64(c.timer.tick.Load()); t != 0 && tickFor(nanos) >= t {
		return
	}
	if s&stOwned != 0 {
		c.post(stResched)
		return
	}
	c.bound.loop.schedule(c)
}

// MoveDeadline is SetDeadline for any goroutine; calls for one connection must not overlap.
func (c *Conn) MoveDeadline(nanos int64) {
	if nanos != 0 {
		nanos = tickFor(nanos) << tickShift
	}
	c.deadline.Store(nanos)
	if c.state.Load()&stExpired != 0 {
		c.state.And(^uint32(stExpired | stFire))
	}
	if nanos == 0 {
		return
	}
	if t := int64(c.timer.tick.Load()); t == 0 || tickFor(nanos) < t {
		c.post(stResched)
	}
}

// Deadline returns what SetDeadline set. Any thread.
func (c *Conn) Deadline() int64 { return c.deadline.Load() }

// schedule puts c where its deadline says. Leader only.
func (l *Loop) schedule(c *Conn) {
	if c.state.Load()&stClosed != 0 {
		return
	}
	d := c.deadline.Load()
	if d == 0 {
		return
	}
	if t := int64(c.timer.tick.Load()); t != 0 {
		if t <= tickFor(d) {
			return
		}
		l.wheel.remove(&c.timer)
	}
	l.wheel.add(&c.timer, d)
}
