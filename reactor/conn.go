package reactor

// Conn: the state word, ownership and reading. The state word is shared by all threads; each method says who may call it.

import (
	"io"
	"net/netip"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/gowsgi/gowsgi/internal/rules"
)

// Bits of Conn.state. The leader sets what it sees, the owner what it wants; both with atomic operations, so that
// "release, unless something was noted" is one step.
const (
	stOwned     uint32 = 1 << iota // belongs to a thread that runs its request
	stReadable                     // input, or its end, may be there
	stGone                         // the peer's write side is closed, or more
	stBroken                       // reset, or a write failed
	stEOF                          // the end of the input was read
	stWritable                     // the socket became writable and nobody has flushed since
	stKick                         // PostConn
	stDrained                      // Drained is due
	stFailed                       // Failed is due
	stFire                         // Expired or ExpiredOwned is due
	stExpired                      // the deadline passed and was not moved since
	stResched                      // the leader is to look at the deadline
	stClose                        // CloseAfterFlush
	stAbort                        // Abort
	stLinger                       // Linger
	stLingering                    // write side shut down, throwing input away
	stPosted                       // on the stack of posted connections
	stShared                       // the descriptor was duplicated
	stLent                         // for somebody who is to lose it with c
	stClosed                       // the descriptor is closed
	stMissed                       // the leader found mu taken and left the flush to whoever has it
	stPending                      // something is queued; changed under mu
	stTell                         // WatchGone
	stWatch                        // WatchInput

	// stInput makes a released connection Ready.
	stInput = stReadable | stGone | stBroken | stKick
	// stNoted makes Release hand the connection to the leader.
	stNoted = stInput | stClose | stAbort | stExpired
	// stDue is what dispatchConn may have to call the Handler for.
	stDue = stKick | stDrained | stFailed | stFire | stExpired | stClose | stAbort
)

// Conn is one accepted connection. There may be very many, nearly all of them idle: what is needed only while something
// happens is elsewhere, as the out-queue is, and TestConnSize watches over the rest.
type Conn struct {
	// Owner is for the Handler; the reactor does not look at it.
	Owner any

	bound *boundListener // where it was accepted
	fd    int32
	gen   uint32
	state atomic.Uint32
	sent  atomic.Uint32 // bytes that the socket has taken; written under mu

	deadline atomic.Int64
	timer    timerNode // leader only, except for the tick
	postNext *Conn     // while stPosted

	// Output, see write.go.
	mu  rules.Mutex
	out *outQueue // nil when nothing is queued

	peer       rawAddr
	lingerLeft int32 // leader only, like inReady
	inReady    bool  // in the ready queue
	event      bool  // an input event Ready has not been called for; leader only
}

// rawAddr is a peer's address as the kernel gave it.
type rawAddr struct {
	ip   [16]byte
	zone uint32
	port uint16
	size uint8 // 4, 16, or 0 for what has no address
}

// addr returns the IP address; not a valid one if there is none.
func (a *rawAddr) addr() (ip netip.Addr) {
	switch a.size {
	case 4:
		return netip.AddrFrom4([4]byte(a.ip[:4]))
	case 16:
		ip = netip.AddrFrom16(a.ip).Unmap() // an IPv4 peer of a socket that takes both
		if a.zone != 0 && ip.Is6() {
			ip = ip.WithZone(strconv.Itoa(int(a.zone)))
		}
	}
	return ip
}

// FD returns the descriptor, which stays open as long as the caller owns or leads.
func (c *Conn) FD() int { return int(c.fd) }

// Loop returns the loop c belongs to.
func (c *Conn) Loop() *Loop { return c.bound.loop }

// Listener returns the listener c was accepted from.
func (c *Conn) Listener() *Listener { return c.bound.ln }

// Peer returns the peer's address, one that is not valid for a unix socket. Any thread.
func (c *Conn) Peer() netip.AddrPort { return netip.AddrPortFrom(c.peer.addr(), c.peer.port) }

// RemoteAddr returns the same as text, "" and 0 for a unix socket. It makes a string each time.
func (c *Conn) RemoteAddr() (host string, port int) {
	if c.peer.size == 0 {
		return "", 0
	}
	return c.peer.addr().String(), int(c.peer.port)
}

// AddrText is an address and its text.
type AddrText struct {
	raw  rawAddr
	text string
}

// RemoteText is RemoteAddr that makes no string if the last address it gave out, in last, was the same.
func (c *Conn) RemoteText(last *AddrText) (host string, port int) {
	a, b := &c.peer, &last.raw
	if a.ip != b.ip || a.size != b.size || a.zone != b.zone {
		last.raw = *a
		last.text, _ = c.RemoteAddr()
	}
	return last.text, int(a.port)
}

// LocalAddr returns our end's address: for a listener on one address that one, else the one this peer used. Owner or
// leader.
func (c *Conn) LocalAddr() (host string, port int) {
	ln := c.bound.ln
	if ln.wildcard {
		var a rawAddr
		if err := localAddr(int(c.fd), &a); err == nil {
			return a.addr().String(), int(a.port)
		}
	}
	return ln.host, ln.port
}

// Acquire marks c as owned: from now on its request runs, perhaps on this thread, and the leader keeps off. Leader only.
func (c *Conn) Acquire() { c.state.Or(stOwned) }

// Release ends the ownership. If something was noted meanwhile, c is posted to the loop. Owner, on any thread; it must not
// touch c afterwards.
func (c *Conn) Release() {
	s := c.disown()
	if s&stNoted == 0 {
		return
	}
	if c.bound.loop.closed.Load() {
		c.orphaned()
		return
	}
	bits := uint32(0)
	if s&stInput != 0 {
		bits = stKick
	}
	c.post(bits)
}

// ReleaseLocal is Release by the leader itself, while it leads. It returns true if the caller is to go on with c as in
// Ready; closing and expiry, which are the loop's to act on, are left to Dispatch.
func (c *Conn) ReleaseLocal() bool {
	s := c.disown()
	switch {
	case s&stNoted == 0:
		return false
	case s&(stClose|stAbort|stExpired) != 0:
		if s&stInput != 0 {
			c.state.Or(stKick)
		}
		c.bound.loop.enqueue(c)
		return false
	}
	if s&stKick != 0 {
		c.state.And(^uint32(stKick))
	}
	return true
}

// disown clears stOwned and returns the notes as they were at that instant. Notes set later find c unowned.
func (c *Conn) disown() uint32 { return c.state.And(^stOwned) }

// Owned reports whether c is between Acquire and Release. Any thread, like the next three.
func (c *Conn) Owned() bool { return c.state.Load()&stOwned != 0 }

// WatchGone has the Handler told (GoneOwned) when the peer closes or resets c from now on, while c is owned; once. Owner.
func (c *Conn) WatchGone(on bool) {
	if on {
		c.state.Or(stTell)
	} else {
		c.state.And(^stTell)
	}
}

// WatchInput has the Handler told of input (InputOwned) from now on while c is owned, until c is closed. Its
// output waits in memory only, owned or not. Owner.
func (c *Conn) WatchInput() { c.state.Or(stWatch) }

// Watched reports whether WatchInput was called. Any thread.
func (c *Conn) Watched() bool { return c.state.Load()&stWatch != 0 }

// Readable reports that there may be something to read (data or its end).
func (c *Conn) Readable() bool { return c.state.Load()&stReadable != 0 }

// PeerGone reports that the peer has closed its write side, or everything. Data may still be there to be read.
func (c *Conn) PeerGone() bool { return c.state.Load()&stGone != 0 }

// Broken reports that the peer reset the connection or that a write failed: nothing can be sent any more.
func (c *Conn) Broken() bool { return c.state.Load()&stBroken != 0 }

// post sets bits and puts c on the stack the leader takes in Poll. Any goroutine, no allocation.
func (c *Conn) post(bits uint32) {
	if c.state.Or(bits|stPosted)&(stPosted|stClosed) != 0 {
		return // whoever set stPosted wakes the leader, which looks at the bits after clearing it
	}
	l := c.bound.loop
	for {
		top := l.posted.Load()
		c.postNext = top
		if l.posted.CompareAndSwap(top, c) {
			break
		}
	}
	l.Wake()
}

// Read reads what is there, without waiting: ErrWouldBlock when nothing is, io.EOF at the end. The note Readable is
// cleared unless more may be there (p was filled, or the peer is gone and its end of stream not read yet). By the owner,
// or by the leader when c is not owned.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	// The order matters: clear the note, then read. An event that comes in between sets it again, at worst for nothing;
	// the other way round it would be lost.
	if c.state.Load()&stReadable != 0 {
		c.state.And(^stReadable)
	}
	n, errno := recv(int(c.fd), p, 0)
	switch {
	case errno == 0 && n > 0:
		if n == len(p) || c.state.Load()&stGone != 0 {
			c.state.Or(stReadable)
		}
		return n, nil
	case errno == 0:
		c.state.Or(stGone | stEOF)
		return 0, io.EOF
	case errno == syscall.EAGAIN:
		return 0, ErrWouldBlock
	}
	c.state.Or(stGone | stBroken)
	return 0, sysErr("recv", errno)
}

// Peek reports whether the peer has closed or reset, with nothing left to read. Any thread; it never waits, and says false
// while another thread writes.
func (c *Conn) Peek() (gone bool) {
	if !c.mu.TryLock() { // the lock keeps the leader from closing the descriptor meanwhile
		return false
	}
	defer c.unlock()
	if c.state.Load()&(stClosed|stBroken) != 0 {
		return true
	}
	var one [1]byte
	n, errno := recv(int(c.fd), one[:], syscall.MSG_PEEK)
	return errno == 0 && n == 0 || errno != 0 && errno != syscall.EAGAIN
}

// Look reports whether input is here that nobody has read, and notes it. By the owner, or by the leader when c is not owned.
func (c *Conn) Look() bool {
	var one [1]byte
	n, errno := recv(int(c.fd), one[:], syscall.MSG_PEEK)
	if errno != 0 || n == 0 {
		return false
	}
	c.state.Or(stReadable)
	return true
}

// Lend returns a second descriptor for the socket, close-on-exec: when c is closed the connection ends for who has it as
// well. Owner.
func (c *Conn) Lend() (int, error) {
	fd, err := dupCloexec(int(c.fd))
	if err == nil {
		c.state.Or(stShared | stLent)
	}
	return fd, err
}

// EndLent ends the connection for whoever it was lent to, who finds its input at an end. Any thread, while c is owned.
func (c *Conn) EndLent() {
	if c.state.Load()&stLent != 0 {
		_ = syscall.Shutdown(int(c.fd), syscall.SHUT_RDWR)
	}
}

// Dup returns a second descriptor for the socket, close-on-exec. Owner or leader.
func (c *Conn) Dup() (int, error) {
	fd, err := dupCloexec(int(c.fd))
	if err == nil {
		c.state.Or(stShared)
	}
	return fd, err
}
