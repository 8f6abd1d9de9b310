package reactor

// Loop: options, polling, waking and posted work. Poll and everything marked so belongs to the leader; Wake, Post,
// PostConn, Now, NowNanos and Conns may be called from any goroutine.

import (
	"sync/atomic"
	"time"

	"github.com/gowsgi/gowsgi/internal/rules"
	"github.com/gowsgi/gowsgi/internal/spool"
)

// Handler is what the loop calls, always from Dispatch and thus on the leading thread. Each Dispatch makes one call at
// most, as the last thing it does.
type Handler interface {
	// Accepted: c is new and registered. The handler may set c.Owner and a deadline. Nothing need be read: if data is
	// there already, Ready follows.
	Accepted(c *Conn)
	// Ready: c is not owned and there is something to do: Readable, PeerGone or Broken, or somebody called PostConn. It
	// is not repeated for what the handler leaves unread: a handler that stops early calls PostConn later.
	Ready(c *Conn)
	// Drained: the out-queue of c, in which a flush had left something, became empty. c may be owned.
	Drained(c *Conn)
	// Progress: the leader flushed c, something was written and something is left. c may be owned.
	Progress(c *Conn)
	// Failed: a write failed or the peer reset the connection, and c is not owned. (An owned one gets Ready with Broken
	// set after its release.) The handler should call Abort.
	Failed(c *Conn, err error)
	// Expired: the deadline of c passed, and c is not owned. Not repeated until SetDeadline.
	Expired(c *Conn)
	// ExpiredOwned: the deadline of c passed while it is owned. Expired follows on release unless the deadline was moved.
	ExpiredOwned(c *Conn)
	// GoneOwned: the peer of c closed its write side, or reset, while c is owned and WatchGone was called.
	GoneOwned(c *Conn)
	// InputOwned: as Ready, and also after a write of the leader's that failed, while c is owned and WatchInput was called.
	InputOwned(c *Conn)
	// Closed: the descriptor is closed; the last call for c.
	Closed(c *Conn)
}

// Options of a Loop; the zero value of each field means its default.
type Options struct {
	MaxEvents   int           // events taken from the kernel at once; 256
	MaxConns    int           // so many open connections at most, see GiveWay; 0 is no limit
	AcceptBatch int           // connections accepted between two Polls, from each listener; 64
	Shared      bool          // others accept from the same listeners: they shall get their share
	LingerBytes int           // unread input thrown away at most by a graceful close; 1 MiB
	LingerTime  time.Duration // time a graceful close waits for the peer at most; 2 s

	// Output of a connection that has to wait waits in a file from Spool once SpoolAbove bytes of it are in memory. The reactor
	// closes it when what is in it has been sent. What gets no room, or cannot be written, waits in memory. Spool is called
	// with the connection's output lock held. nil: everything waits in memory.
	Spool      *spool.Source
	SpoolAbove int64

	// GiveWay is called on the leader when MaxConns are open and somebody wants to connect: true if it has asked for the end
	// of one that does nothing (CloseAfterFlush). Else nobody is accepted until one closes, or a moment has passed.
	GiveWay func() bool

	// Unhold is given the Hold of each Piece exactly once, when its bytes are not needed any more, on whatever thread
	// that is and with the connection's output lock held: it must not wait, nor call the connection.
	Unhold func(token uintptr)
	// Forked reports whether a child of this process may have duplicates of descriptors: then closing one would end nothing,
	// and it is shut down first. nil: none has. Any thread.
	Forked func() bool
	// BeforeFile is called on the leader before it writes output that lies in a file, which may take a disk's time.
	BeforeFile func()
	// Refusal is sent to who cannot be let in because descriptors are used up, for longer than a moment. nil: nobody is told.
	Refusal []byte
	// Log reports what is not an error of one connection (accept failures). nil: nothing is reported.
	Log func(format string, args ...any)
}

// Values of Loop.sleep.
const (
	awake    int32 = iota // nobody is blocked in Poll
	sleeping              // the leader is about to block, or blocks: a wake must write
	woken                 // a wake is on its way or asked for: the next Poll does not block
)

// Loop is one poller with its connections.
type Loop struct {
	h    Handler
	opt  Options
	poll poller

	// Leader only.
	ready     ring
	table     []*Conn // by descriptor
	unpolled  []*Conn // accepted since the last Poll
	listeners []*boundListener
	watches   []*watch
	gen       uint32
	wheel     wheel
	accepting acceptState
	peers     peersState
	spareFD   spareFD
	spare     []func() // the other half of tasks, swapped in by takePosted
	onFire    func(*timerNode)
	copyFiles bool // never use sendfile (tests)

	base     time.Time    // what NowNanos counts from
	nextSync int64        // when the wall clock is compared again
	nowNanos atomic.Int64 // refreshed by Poll
	wallDiff atomic.Int64 // wall clock minus nowNanos
	conns    atomic.Int64
	closed   atomic.Bool

	sleep      atomic.Int32
	wakeWrites atomic.Int64         // how often Wake made a system call
	posted     atomic.Pointer[Conn] // stack of posted connections, linked by Conn.postNext
	tasksMu    rules.Short
	tasks      []func()
	hasTasks   atomic.Bool
	awaits     awaits // any thread, see await.go
}

// NewLoop returns a loop without listeners.
func NewLoop(h Handler, o Options) (*Loop, error) {
	if o.MaxEvents <= 0 {
		o.MaxEvents = 256
	}
	if o.AcceptBatch <= 0 {
		o.AcceptBatch = 64
	}
	if o.LingerBytes <= 0 {
		o.LingerBytes = 1 << 20
	}
	if o.LingerTime <= 0 {
		o.LingerTime = 2 * time.Second
	}
	if o.Unhold == nil {
		o.Unhold = func(uintptr) {}
	}
	if o.GiveWay == nil {
		o.GiveWay = func() bool { return false }
	}
	if o.BeforeFile == nil {
		o.BeforeFile = func() {}
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	l := &Loop{h: h, opt: o, base: time.Now(), spareFD: -1, peers: peersState{told: -1}}
	if err := l.poll.open(o.MaxEvents); err != nil {
		return nil, err
	}
	l.spareFD.take()
	l.onFire = l.fired
	// Where the number of connections has a limit, so has the table, nearly: made at once it leaves no outgrown ones
	// behind, and the system gives it memory only where it is used.
	l.table = make([]*Conn, min(o.MaxConns, 1<<16)+64)
	l.refresh()
	l.wheel.init(l.nowNanos.Load())
	return l, nil
}

// clock reads the monotonic clock. It starts at one second, so that no time is 0, which stands for "no deadline".
func (l *Loop) clock() int64 { return int64(time.Since(l.base)) + int64(time.Second) }

// Clock reads the clock of NowNanos. Any goroutine.
func (l *Loop) Clock() int64 { return l.clock() }

// Busy reports whether there is more to dispatch before the next Poll. Leader only.
func (l *Loop) Busy() bool { return l.ready.n > 0 }

// Waiting is how much there is to dispatch; a listener counts as one, however many wait to be accepted. Leader only.
func (l *Loop) Waiting() int { return l.ready.n }

func (l *Loop) refresh() int64 {
	now := l.clock()
	l.nowNanos.Store(now)
	if now >= l.nextSync {
		// The wall clock may be stepped under us; nobody minds following it a second late.
		l.nextSync = now + int64(time.Second)
		l.wallDiff.Store(time.Now().UnixNano() - now)
	}
	return now
}

// NowNanos returns the monotonic clock as of the last return of Poll. Any goroutine.
func (l *Loop) NowNanos() int64 { return l.nowNanos.Load() }

// Now returns the wall clock as of the last return of Poll. Any goroutine.
func (l *Loop) Now() time.Time { return time.Unix(0, l.nowNanos.Load()+l.wallDiff.Load()) }

// Conns returns the number of open connections. Any goroutine.
func (l *Loop) Conns() int { return int(l.conns.Load()) }

// Each calls fn for every open connection. fn may mark connections for closing. Leader only.
func (l *Loop) Each(fn func(c *Conn)) {
	for _, c := range l.table {
		if c != nil {
			fn(c)
		}
	}
}

// Poll collects events, posted work and expired deadlines into the ready queue. It waits up to timeout for something to
// do, or without limit if timeout is negative, but never beyond the nearest deadline. It does not wait while the ready
// queue holds anything. A signal may end the wait early. Leader only.
func (l *Loop) Poll(timeout time.Duration) error {
	if l.closed.Load() {
		return ErrClosed
	}
	if len(l.unpolled) > 0 {
		l.register()
	}
	l.tellPeers()
	if l.ready.n > 0 {
		timeout = 0
	} else if timeout != 0 {
		if l.sleep.CompareAndSwap(awake, sleeping) {
			// Whoever posts from here on finds "sleeping" and writes; whoever posted before left "woken".
			if l.wheel.nearest != never {
				if d := l.wheel.wait(l.clock()); timeout < 0 || d < timeout {
					timeout = d
				}
			}
		} else {
			timeout = 0
		}
	}
	if timeout != 0 {
		rules.Waits("for events")
	}
	n, err := l.poll.wait(timeout)
	l.sleep.Store(awake)
	now := l.refresh()
	for i := range n {
		fd, gen, bits := l.poll.event(i)
		l.note(fd, gen, bits)
	}
	l.takePosted()
	l.wheel.sweep(now, l.onFire)
	return err
}

// Sleep is for a leader that waits in place of Poll, until fd is readable; Poll follows. Not ok: there is something to do, and Poll is
// to be called at once. Deadlines of connections and timers are not waited for. Leader only.
func (l *Loop) Sleep() (fd int, ok bool) {
	if l.closed.Load() || l.ready.n > 0 || len(l.unpolled) > 0 || !l.sleep.CompareAndSwap(awake, sleeping) {
		return -1, false
	}
	return l.poll.fd(), true
}

// Event bits, the same for every poller.
const (
	evRead  = 1 << iota
	evWrite // takes output
	evGone  // the peer's write side is closed
	evErr   // reset
)

// note turns one event into notes of the connection it is for, or tells those who await the descriptor.
func (l *Loop) note(fd int, gen, bits uint32) {
	if gen == 0 {
		l.noteOther(fd)
		return
	}
	if fd >= len(l.table) {
		l.noteAwaited(fd, gen, bits)
		return
	}
	c := l.table[fd]
	if c == nil || c.gen != gen && gen != anyGen {
		l.noteAwaited(fd, gen, bits)
		return
	}
	var s uint32
	if bits&evWrite != 0 {
		s = stWritable
	}
	if bits&evRead != 0 {
		s |= stReadable
	}
	if bits&evGone != 0 {
		s |= stGone | stReadable // readable: the end of the stream is there to be read
	}
	if bits&evErr != 0 {
		s |= stBroken | stFailed | stGone | stReadable
	}
	c.event = c.event || s&stReadable != 0
	c.state.Or(s)
	if s == stWritable && !c.Pending() {
		return // stays noted: who queues output looks at it, see finishFlush
	}
	l.enqueue(c)
}

// noteOther is note for what is no connection: listeners and watched descriptors.
func (l *Loop) noteOther(fd int) {
	for _, b := range l.listeners {
		if b.ln.fd == fd {
			if !b.queued {
				b.queued = true
				l.ready.push(item{accept: b})
			}
			return
		}
	}
	for _, w := range l.watches {
		if w.fd == fd {
			if !w.queued {
				w.queued = true
				l.ready.push(item{watch: w})
			}
			return
		}
	}
}

// enqueue puts c into the ready queue if it is not there. Leader only.
func (l *Loop) enqueue(c *Conn) {
	if !c.inReady {
		c.inReady = true
		l.ready.push(item{conn: c})
	}
}

// Wake makes the current or the next Poll return at once. It costs a system call only if a leader is blocked in Poll and
// nobody has woken it yet. Any goroutine.
func (l *Loop) Wake() {
	if l.sleep.Load() == woken {
		return
	}
	if l.sleep.Swap(woken) == sleeping && !l.closed.Load() {
		l.wakeWrites.Add(1)
		l.poll.wake()
	}
}

// Post makes Dispatch call fn. Any goroutine.
func (l *Loop) Post(fn func()) {
	l.tasksMu.Lock()
	l.tasks = append(l.tasks, fn)
	l.hasTasks.Store(true)
	l.tasksMu.Unlock()
	l.Wake()
}

// PostConn makes Dispatch call Ready(c), or nothing if c is closed by then. If c is owned, Ready follows its release, or
// InputOwned comes.
// Several calls may lead to one Ready. Any goroutine.
func (l *Loop) PostConn(c *Conn) { c.post(stKick) }

// takePosted moves what other goroutines posted to the ready queue.
func (l *Loop) takePosted() {
	if l.posted.Load() != nil {
		// The stack has the latest on top: turn it round.
		var first *Conn
		for c := l.posted.Swap(nil); c != nil; {
			next := c.postNext
			c.postNext = first
			first = c
			c = next
		}
		for c := first; c != nil; {
			next := c.postNext
			c.postNext = nil
			c.state.And(^uint32(stPosted)) // from here on it may be posted again, which uses postNext
			l.enqueue(c)
			c = next
		}
	}
	if l.hasTasks.Load() {
		l.tasksMu.Lock()
		tasks := l.tasks
		l.tasks = l.spare
		l.hasTasks.Store(false)
		l.tasksMu.Unlock()
		for i, fn := range tasks {
			l.ready.push(item{fn: fn})
			tasks[i] = nil
		}
		l.spare = tasks[:0]
	}
}

// watch is a descriptor that belongs to somebody else.
type watch struct {
	fd      int
	fn      func()
	queued  bool
	removed bool
}

// WatchFD makes Dispatch call fn whenever fd is readable (level-triggered: fn should read it). Leader only.
func (l *Loop) WatchFD(fd int, fn func()) error {
	if err := l.claim(fd, func() error { return l.poll.addWatch(fd) }); err != nil {
		return err
	}
	l.watches = append(l.watches, &watch{fd: fd, fn: fn})
	return nil
}

// UnwatchFD ends WatchFD; call it before closing fd. Leader only.
func (l *Loop) UnwatchFD(fd int) error {
	for i, w := range l.watches {
		if w.fd == fd {
			w.removed = true
			l.watches = append(l.watches[:i], l.watches[i+1:]...)
			return l.poll.remove(fd, false)
		}
	}
	return nil
}

// Close closes listeners, connections and the poller, without calling the Handler. An owned connection is reset now and
// its descriptor closed when its owner releases it. Awaiters are called, with 0. The last thing a leader does; nobody may be in Poll or Dispatch.
func (l *Loop) Close() error {
	if l.closed.Load() {
		return nil
	}
	l.closeListeners()
	l.closed.Store(true) // from here on Release closes itself, see Conn.orphaned
	for _, c := range l.table {
		if c == nil {
			continue
		}
		c.state.Or(stAbort)
		c.orphaned()
	}
	l.closeAwaits()
	l.table, l.unpolled = nil, nil
	l.ready = ring{}
	l.spareFD.give()
	return l.poll.close()
}
