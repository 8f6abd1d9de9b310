package reactor

// Awaiting any descriptor once: Await, Forget and CancelFD from any goroutine, with the GIL or without it, as they never
// wait; the leader calls back. A descriptor is registered with the loop's own poller, armed for one event
// (EPOLLONESHOT), and armed again by the next Await: one system call per wait, and an event that nobody awaits any more
// comes once at most. What the table remembers of a descriptor is 16 bytes, also when nobody awaits it.
//
// Descriptors belong to the application, which may close them, or have a library close them, unseen. The kernel forgets
// a registration when the last duplicate is closed, so whether a number still means what it meant is found out when it
// is armed. Each arming has a generation of its own; events of others are for nobody.

import (
	"errors"
	"math"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/rules"
)

// Events are what a descriptor can be awaited for.
type Events uint8

const (
	Readable Events = 1 << iota
	Writable
)

// Awaiter waits for one descriptor at a time, again and again.
type Awaiter struct {
	// Fn is called once for each Await that is not forgotten: with those of its events that have come, or with 0 if they
	// never will, because the descriptor was found closed, or became the loop's own, or the loop was closed. The end of
	// the stream and errors count as both events; one may come too early, as with poll. Fn runs on the leader, within
	// Poll (or Close), without a lock: it must not wait, nor poll or dispatch, and may call everything that any
	// goroutine may, Await with its own Awaiter as well.
	Fn func(got Events)

	next, prev *Awaiter // the ring of its descriptor; once due, next alone
	fd         int32
	events     Events // awaited; once due, what Fn is told
	state      atomic.Uint32
}

// Values of Awaiter.state. All changes are made with awaits.mu held, but for that from due to idle.
const (
	awIdle    uint32 = iota
	awWaiting        // in the ring of its descriptor
	awDue            // taken out, Fn is about to be called
)

var (
	// ErrAlwaysReady is returned by Await for what cannot be waited for, as it never makes anybody wait: files, directories.
	ErrAlwaysReady = errors.New("reactor: the descriptor is always ready")
	// ErrAwaiting is returned by Await for an Awaiter that waits, or whose Fn is about to be called.
	ErrAwaiting = errors.New("reactor: the Awaiter waits already")
)

// awaitGen is set in the generations of awaited descriptors, and not in those of connections.
const awaitGen = uint32(1) << 31

// awaited is what is known of one descriptor.
type awaited struct {
	first *Awaiter // a ring, the one that has waited longest first
	gen   uint32   // of the last arming; 0 if what has the number is not registered
	stale bool     // the number is, or was, registered for what had it before
	mask  Events   // what is armed if somebody waits: all that they wait for, and maybe what one did who was forgotten
}

// awaitPage holds the descriptors of 256 numbers in a row. Pages stay where they are.
type awaitPage [256]awaited

type awaits struct {
	used   atomic.Bool // whether there are pages
	open   atomic.Int64
	mu     rules.Short
	closed bool
	gen    uint32
	pages  []*awaitPage
	lost   *Awaiter // due, to be given back by the leader
}

// Await makes a.Fn be called when fd becomes, or is, one of events. Errors: EBADF; ErrAlwaysReady; EEXIST for what the loop
// polls for itself (a client's connection, a listener); ErrAwaiting; ErrClosed; others of epoll_ctl, for want of memory or
// registrations. After an error a does not wait. Any goroutine.
func (l *Loop) Await(fd int, events Events, a *Awaiter) error {
	w := &l.awaits
	events &= Readable | Writable
	if events == 0 {
		return syscall.EINVAL
	}
	w.mu.Lock()
	e := w.at(fd)
	if e == nil {
		w.mu.Unlock()
		if err := w.grow(fd); err != nil {
			return err
		}
		w.mu.Lock()
		e = w.at(fd)
	}
	if w.closed {
		w.mu.Unlock()
		return ErrClosed
	}
	if a.state.Load() != awIdle {
		w.mu.Unlock()
		return ErrAwaiting
	}
	fresh, err := l.arm(fd, e, e.mask|events)
	lost := (fresh || err != nil) && e.first != nil
	if lost { // they meant what is closed by now
		w.lost = chain(e.take(0), w.lost)
	}
	if err == nil {
		a.fd, a.events = int32(fd), events
		a.state.Store(awWaiting)
		e.push(a)
		w.open.Add(1)
	}
	w.mu.Unlock()
	if lost {
		l.Post(l.giveBack)
	}
	return err
}

// Forget ends the wait of a for fd. It reports whether a was still waiting; then Fn will not be called. Else it was, or
// is about to be, and a must not be used before. Any goroutine.
func (l *Loop) Forget(fd int, a *Awaiter) bool {
	w := &l.awaits
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.state.Load() != awWaiting || int(a.fd) != fd {
		return false
	}
	w.at(fd).remove(a) // the descriptor stays armed: that costs an event at most, which finds nobody
	a.state.Store(awIdle)
	w.open.Add(-1)
	return true
}

// CancelFD ends all waits for fd, which is about to be closed, and returns who waited: their Fn will not be called. It
// also takes fd from the poller, where a duplicate would keep it. Any goroutine.
func (l *Loop) CancelFD(fd int) []*Awaiter {
	w := &l.awaits
	if !w.used.Load() {
		return nil
	}
	w.mu.Lock()
	var due *Awaiter
	if e := w.at(fd); e != nil && e.gen != 0 {
		due = l.evict(fd, e)
	}
	w.mu.Unlock()
	var all []*Awaiter
	for due != nil {
		a := due
		due, a.next = a.next, nil
		w.open.Add(-1)
		a.state.Store(awIdle)
		all = append(all, a)
	}
	return all
}

// Awaiting is how many wait: their Fn is to be called, or they are to be forgotten. Any goroutine.
func (l *Loop) Awaiting() int { return int(l.awaits.open.Load()) }

// at is nil if fd has no page.
func (w *awaits) at(fd int) *awaited {
	if i := fd >> 8; uint(i) < uint(len(w.pages)) && w.pages[i] != nil {
		return &w.pages[i][fd&0xff]
	}
	return nil
}

// grow makes the page of fd, if fd is open: numbers that were never given out have none.
func (w *awaits) grow(fd int) error {
	if fd < 0 || fd > math.MaxInt32 {
		return sysErr("fcntl", syscall.EBADF)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	page := new(awaitPage) // without the lock
	w.mu.Lock()
	defer w.mu.Unlock()
	i := fd >> 8
	if i >= len(w.pages) {
		pages := make([]*awaitPage, i+1, max(i+1, 2*len(w.pages)))
		copy(pages, w.pages)
		w.pages = pages
	}
	if w.pages[i] == nil {
		w.pages[i] = page
	}
	w.used.Store(true)
	return nil
}

// arm has fd watched for events, with a generation of its own. fresh: it was registered, but has been closed since. With
// w.mu held.
func (l *Loop) arm(fd int, e *awaited, events Events) (fresh bool, err error) {
	w := &l.awaits
	if w.gen = (w.gen + 1) &^ awaitGen; w.gen|awaitGen == anyGen {
		w.gen = 0
	}
	gen, known := w.gen|awaitGen, e.gen != 0 || e.stale
	fresh, err = l.poll.arm(fd, events, e.mask, gen, known)
	if err != nil {
		gen = 0
	}
	e.gen, e.stale = gen, e.stale || known && (fresh || err != nil)
	return fresh, err
}

// evict takes fd from the poller and all who wait for it out of their ring, due. With w.mu held.
func (l *Loop) evict(fd int, e *awaited) *Awaiter {
	e.stale = !l.poll.disarm(fd) || e.stale
	e.gen = 0
	return e.take(0)
}

// noteAwaited is note for descriptors that are neither the loop's nor connections. Leader only.
func (l *Loop) noteAwaited(fd int, gen, bits uint32) {
	if gen < awaitGen {
		return // for an earlier connection on this descriptor
	}
	var ready Events
	if bits&(evRead|evGone|evErr) != 0 {
		ready |= Readable
	}
	if bits&(evWrite|evGone|evErr) != 0 {
		ready |= Writable
	}
	w := &l.awaits
	w.mu.Lock()
	e := w.at(fd)
	if e == nil || e.first == nil || e.gen != gen && gen != anyGen {
		w.mu.Unlock()
		return
	}
	due := e.take(ready)
	if e.first != nil {
		if fresh, err := l.arm(fd, e, e.mask); fresh || err != nil {
			due = chain(due, e.take(0))
		}
	}
	w.mu.Unlock()
	w.call(due)
}

// claim registers fd for the loop itself by calling add: accept or somebody else has given it this number, so who awaits
// it has not noticed that what he meant is closed. Leader only.
func (l *Loop) claim(fd int, add func() error) error {
	w := &l.awaits
	w.mu.Lock()
	var due *Awaiter
	e := w.at(fd)
	if e != nil && e.gen != 0 {
		due = l.evict(fd, e)
	}
	if e != nil {
		e.stale = false // to arm it would take it from the loop
	}
	err := add()
	w.mu.Unlock()
	w.call(due)
	return err
}

// addConn registers a connection with the poller. Leader only.
func (l *Loop) addConn(fd int, gen uint32) error {
	if !l.awaits.used.Load() {
		if err := l.poll.addConn(fd, gen); !errors.Is(err, syscall.EEXIST) {
			return err
		} // else it has become used meanwhile, by somebody who awaits this number
	}
	return l.claim(fd, func() error { return l.poll.addConn(fd, gen) })
}

func (l *Loop) addListener(fd int) error {
	return l.claim(fd, func() error { return l.poll.addListener(fd) })
}

// giveBack tells those who lost their descriptor. Leader only.
func (l *Loop) giveBack() {
	w := &l.awaits
	w.mu.Lock()
	due := w.lost
	w.lost = nil
	w.mu.Unlock()
	w.call(due)
}

// closeAwaits is the end of all waits. The poller is not used for others after it.
func (l *Loop) closeAwaits() {
	w := &l.awaits
	w.mu.Lock()
	w.closed = true
	due := w.lost
	for _, page := range w.pages {
		for i := 0; page != nil && i < len(page); i++ {
			due = chain(page[i].take(0), due)
		}
	}
	w.pages, w.lost = nil, nil
	w.mu.Unlock()
	w.call(due)
}

// call calls the Fn of all in a chain. Without the lock.
func (w *awaits) call(due *Awaiter) {
	for due != nil {
		a := due
		due, a.next = a.next, nil
		fn, got := a.Fn, a.events
		w.open.Add(-1)
		a.state.Store(awIdle) // from here on it may wait again
		fn(got)
	}
}

// push puts a behind all others.
func (e *awaited) push(a *Awaiter) {
	if e.first == nil {
		a.next, a.prev = a, a
		e.first, e.mask = a, a.events
		return
	}
	last := e.first.prev
	a.prev, a.next = last, e.first
	last.next, e.first.prev = a, a
	e.mask |= a.events
}

func (e *awaited) remove(a *Awaiter) {
	if a.next == a {
		e.first, e.mask = nil, 0
	} else {
		a.prev.next, a.next.prev = a.next, a.prev
		if e.first == a {
			e.first = a.next
		}
	}
	a.next, a.prev = nil, nil
}

// take takes out those who wait for one of ready, or all of them, for nothing, if that is 0, and returns them as a chain.
// It leaves the mask of the others.
func (e *awaited) take(ready Events) *Awaiter {
	var due, last *Awaiter
	rest := e.first
	e.first, e.mask = nil, 0
	if rest == nil {
		return nil
	}
	rest.prev.next = nil // opens the ring
	for rest != nil {
		a := rest
		rest = a.next
		if ready != 0 && a.events&ready == 0 {
			e.push(a)
			continue
		}
		a.events &= ready
		a.state.Store(awDue)
		a.next, a.prev = nil, nil
		if last == nil {
			due = a
		} else {
			last.next = a
		}
		last = a
	}
	return due
}

// chain appends one chain to another, in the time that the first takes.
func chain(a, b *Awaiter) *Awaiter {
	if a == nil {
		return b
	}
	last := a
	for last.next != nil {
		last = last.next
	}
	last.next = b
	return a
}
