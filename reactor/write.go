package reactor

// Output: Send and its relatives, and the flush. The owner, the leader and a third thread may use them at the same time;
// Conn.mu orders them. What the queue looks like inside is in queue.go.

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	maxIovec   = 64      // pieces given to one sendmsg
	flushShare = 2 << 20 // bytes one flush writes at most before others get a turn
)

// Piece is a part of the output: bytes, or a range of a file.
type Piece struct {
	// Bytes to send. If Hold is 0 they are valid until Send returns (Append: until Settle) and copied if they must stay
	// longer; otherwise they stay valid until Options.Unhold is called with Hold, which happens exactly once.
	Bytes []byte
	Hold  uintptr

	// With Bytes nil, and File or Len greater than 0: Len bytes of the descriptor File, beginning at Off. The queue owns
	// the descriptor and closes it.
	File     int
	Off, Len int64
}

func (p *Piece) isFile() bool { return p.Bytes == nil && (p.File > 0 || p.Len > 0) }

type flushResult int

const (
	flushDone    flushResult = iota // nothing is queued, nor was before
	flushDrained                    // nothing is queued any more
	flushPartial                    // something was written, something is left
	flushStuck                      // nothing was written
	flushAgain                      // the share is used up, the socket would take more
	flushFailed
	flushLeft // another thread has the lock
)

// Send queues ps and writes as much as the socket takes now. It returns how many bytes stay queued in memory. On an error
// the connection is Broken and everything queued, ps included, is dropped. It may wait, for the lock or for the disk of the
// spool.
func (c *Conn) Send(ps ...Piece) (queued int, err error) {
	c.mu.Lock()
	return c.putLocked(ps, true)
}

// TrySend is Send for who must not wait: false if another thread has the lock, or something of ps might have to be spooled;
// then nothing was done.
func (c *Conn) TrySend(ps ...Piece) bool { return c.TryPut(ps, true) }

// Put is Send that writes only if flush is set, or if there is enough in the queue to be worth it.
func (c *Conn) Put(ps []Piece, flush bool) {
	c.mu.Lock()
	c.putLocked(ps, flush)
}

// TryPut is Put as TrySend is Send.
func (c *Conn) TryPut(ps []Piece, flush bool) bool {
	if !c.mu.TryLock() {
		return false
	}
	if c.maySpool(ps) {
		c.unlock()
		return false
	}
	c.putLocked(ps, flush)
	return true
}

// putAbove is how much is queued before it is written without a flush.
const putAbove = 64 << 10

// putLocked unlocks c.
func (c *Conn) putLocked(ps []Piece, flush bool) (queued int, err error) {
	if err := c.refusal(); err != nil {
		c.discard(ps)
		c.unlock()
		return 0, err
	}
	r := flushDone
	if flush && c.out == nil && len(ps) <= directPieces {
		var done bool
		if done, r = c.sendDirect(ps); done {
			err = c.werr()
			c.unlock()
			c.announce(r)
			return 0, err
		}
	} else {
		c.enqueueLocked(ps)
		if mem, _ := c.queuedLocked(); flush || mem >= putAbove {
			r = c.flushLocked()
		}
	}
	return c.settleUnlock(r)
}

// maySpool tells whether ps might have to go to the disk. With c.mu.
func (c *Conn) maySpool(ps []Piece) bool {
	if c.bound.loop.opt.Spool == nil || c.Watched() {
		return false
	}
	size, _ := c.queuedLocked()
	for i := range ps {
		size += int64(len(ps[i].Bytes))
	}
	return size > c.bound.loop.opt.SpoolAbove
}

// settleUnlock ends a Send that came to r and may have left something in the queue.
func (c *Conn) settleUnlock(r flushResult) (queued int, err error) {
	c.settleLocked()
	mem, _ := c.queuedLocked()
	err = c.werr()
	c.unlock()
	c.announce(r)
	return int(mem), err
}

// SendBytes is Send of one piece of bytes, nearly always all that an answer is: no list, and no look at its kinds.
func (c *Conn) SendBytes(b []byte) error {
	c.mu.Lock()
	return c.sendBytesUnlock(b)
}

// TrySendBytes is SendBytes as TrySend is Send.
func (c *Conn) TrySendBytes(b []byte) bool {
	if !c.mu.TryLock() {
		return false
	}
	if c.out != nil || int64(len(b)) > c.bound.loop.opt.SpoolAbove { // what the socket leaves of it, if it takes only a part
		if ps := [1]Piece{{Bytes: b}}; c.maySpool(ps[:]) {
			c.unlock()
			return false
		}
	}
	_ = c.sendBytesUnlock(b)
	return true
}

func (c *Conn) sendBytesUnlock(b []byte) error {
	if c.out != nil || c.state.Load()&(stAbort|stClosed) != 0 {
		ps := [1]Piece{{Bytes: b}}
		_, err := c.putLocked(ps[:], true)
		return err
	}
	n, errno := send(int(c.fd), b, false)
	c.sent.Add(uint32(n))
	if errno == 0 && n == len(b) {
		c.unlock()
		return nil
	}
	ps := [1]Piece{{Bytes: b}}
	_, r := c.restDirect(ps[:], n, errno, "send")
	_, err := c.settleUnlock(r)
	return err
}

// directPieces is how many pieces Send tries to write without a queue.
const directPieces = 8

// sendDirect writes ps, with nothing queued before them, in one system call. If that did not write all, it queues the rest
// and returns false.
func (c *Conn) sendDirect(ps []Piece) (done bool, r flushResult) {
	var total int64
	var iov [directPieces]unix.Iovec
	k := 0
	for i := range ps {
		p := &ps[i]
		if p.isFile() {
			c.enqueueLocked(ps)
			return false, c.flushLocked()
		}
		if len(p.Bytes) > 0 {
			iov[k].Base = &p.Bytes[0]
			iov[k].SetLen(len(p.Bytes))
			total += int64(len(p.Bytes))
			k++
		}
	}
	var n int
	var errno syscall.Errno
	call := "sendmsg"
	switch {
	case k == 0:
	case k == 1:
		call = "send"
		for i := range ps {
			if b := ps[i].Bytes; len(b) > 0 {
				n, errno = send(int(c.fd), b, false)
			}
		}
	default:
		n, errno = sendVec(int(c.fd), iov[:k], total, false)
	}
	c.sent.Add(uint32(n))
	if errno == 0 && int64(n) == total {
		for i := range ps {
			if h := ps[i].Hold; h != 0 {
				c.bound.loop.opt.Unhold(h)
			}
		}
		return true, flushDone
	}
	return c.restDirect(ps, n, errno, call)
}

// restDirect queues ps, of which the socket has taken n bytes, or drops them when the call has failed: then it is done.
func (c *Conn) restDirect(ps []Piece, n int, errno syscall.Errno, call string) (done bool, r flushResult) {
	if errno != 0 && errno != syscall.EAGAIN {
		c.discard(ps)
		c.breakLocked(sysErr(call, errno))
		return true, flushFailed
	}
	c.enqueueLocked(ps)
	c.out.mem -= int64(n)
	c.out.skip(c, n)
	r = c.stayLocked(n > 0)
	if r == flushAgain { // it became writable again meanwhile
		r = c.flushLocked()
	}
	return false, r
}

// Append queues ps without writing and without copying: bytes without Hold must stay valid until Settle, or until a flush
// has emptied the queue. Whoever may Send may Append.
func (c *Conn) Append(ps []Piece) {
	c.mu.Lock()
	if c.refusal() != nil {
		c.discard(ps)
	} else {
		c.enqueueLocked(ps)
	}
	c.unlock()
}

// Settle ends the validity of the bytes given to Append: what is still queued of them is copied, or kept if held.
func (c *Conn) Settle() error {
	c.mu.Lock()
	c.settleLocked()
	err := c.werr()
	c.unlock()
	return err
}

// Flush writes as much of the queue as the socket takes now, and returns how many bytes stay queued in memory. Any thread.
func (c *Conn) Flush() (queued int64, err error) {
	c.mu.Lock()
	r := c.flushLocked()
	queued, _ = c.queuedLocked()
	err = c.werr()
	c.unlock()
	c.announce(r)
	return queued, err
}

// TryFlush is Flush for who must not wait: false if another thread has the lock, and will flush itself.
func (c *Conn) TryFlush() bool {
	if !c.mu.TryLock() {
		return false
	}
	r := c.flushLocked()
	c.unlock()
	c.announce(r)
	return true
}

// QueuedBytes returns how many bytes are queued in memory. Any thread, like the next three.
func (c *Conn) QueuedBytes() int64 {
	if !c.Pending() {
		return 0 // the usual answer: inlined
	}
	return c.queuedBytes()
}

//go:noinline
func (c *Conn) queuedBytes() int64 {
	mem, _ := c.queued()
	return mem
}

// SpooledBytes returns how many bytes are queued in the temporary file of Options.Spool.
func (c *Conn) SpooledBytes() int64 {
	_, spooled := c.queued()
	return spooled
}

// TryQueued is QueuedBytes and SpooledBytes for who must not wait: not ok if another thread has the lock.
func (c *Conn) TryQueued() (mem, spooled int64, ok bool) {
	if !c.mu.TryLock() {
		return 0, 0, false
	}
	mem, spooled = c.queuedLocked()
	c.unlock()
	return mem, spooled, true
}

func (c *Conn) queued() (mem, spooled int64) {
	c.mu.Lock()
	mem, spooled = c.queuedLocked()
	c.unlock()
	return mem, spooled
}

func (c *Conn) queuedLocked() (mem, spooled int64) {
	if q := c.out; q != nil {
		return q.mem, q.spooled
	}
	return 0, 0
}

// SentBytes returns how many bytes the socket has taken since the connection was accepted, modulo 4 GiB.
func (c *Conn) SentBytes() uint32 { return c.sent.Load() }

// Pending reports whether anything is queued, in memory or in files.
func (c *Conn) Pending() bool { return c.state.Load()&stPending != 0 }

// announce lets the leader know what a flush that was not its own did. Without c.mu.
func (c *Conn) announce(r flushResult) {
	switch r {
	case flushDrained:
		c.post(stDrained)
	case flushAgain:
		c.post(stWritable)
	case flushFailed:
		if c.state.Load()&stOwned == 0 { // else Release sees stBroken
			c.post(stFailed)
		}
	}
}

// flushForLeader does not wait for the lock: who has it may be waiting for a disk, and with the leader everybody would.
func (c *Conn) flushForLeader() flushResult {
	c.bound.loop.opt.BeforeFile() // what is queued after all may be in memory; a leader seldom comes here
	if !c.mu.TryLock() {
		c.state.Or(stMissed)
		if !c.mu.TryLock() {
			return flushLeft // has not been released since: unlock will see the note
		}
		c.state.And(^uint32(stMissed))
	}
	r := c.flushLocked()
	c.mu.Unlock()
	return r
}

// unlock ends what c.mu.Lock began, and has the leader come again if it was here meanwhile.
func (c *Conn) unlock() {
	c.mu.Unlock()
	if c.state.Load()&stMissed != 0 {
		c.state.And(^uint32(stMissed))
		c.post(stWritable)
	}
}

// flushLocked writes until the queue is empty, the socket full, or the share used up.
func (c *Conn) flushLocked() flushResult {
	q := c.out
	if q == nil || q.err != nil {
		return flushDone
	}
	start := c.sent.Load()
	for {
		if q.head == len(q.segs) {
			return c.emptiedLocked()
		}
		wrote := int64(c.sent.Load() - start)
		if wrote >= flushShare {
			q.stuck = true
			c.state.Or(stPending)
			return flushAgain
		}
		full, err := q.write(c, flushShare-wrote)
		if err != nil {
			c.breakLocked(err)
			return flushFailed
		}
		if !full {
			continue
		}
		if r := c.stayLocked(c.sent.Load() != start); r != flushAgain {
			return r
		}
	}
}

// stayLocked is called when the socket is full and something is left. flushAgain means that it is not full any more.
func (c *Conn) stayLocked(wrote bool) flushResult {
	c.out.stuck = true
	// The order matters: first pending, then the look at the note. The leader does it the other way round, so that one
	// of the two sees the other, and no edge is lost.
	c.state.Or(stPending)
	if c.state.Load()&stWritable != 0 {
		c.state.And(^uint32(stWritable))
		return flushAgain
	}
	if wrote {
		return flushPartial
	}
	return flushStuck
}

// emptiedLocked gives the queue back.
func (c *Conn) emptiedLocked() flushResult {
	stuck := c.out.stuck
	c.out.free()
	c.out = nil
	c.state.And(^uint32(stPending))
	if stuck {
		return flushDrained
	}
	return flushDone
}

// werr is why c broke, or was closed; nil if it was not. With c.mu.
func (c *Conn) werr() error {
	if q := c.out; q != nil {
		return q.err
	}
	return nil
}

// refusal returns why c takes no output any more, nil if it does. With c.mu.
func (c *Conn) refusal() error {
	if err := c.werr(); err != nil {
		return err
	}
	if c.state.Load()&(stAbort|stClosed) != 0 {
		return ErrClosed
	}
	return nil
}

// discard drops pieces that never got into the queue.
func (c *Conn) discard(ps []Piece) {
	for i := range ps {
		p := &ps[i]
		if p.Hold != 0 {
			c.bound.loop.opt.Unhold(p.Hold)
		}
		if p.isFile() {
			closeFD(p.File)
		}
	}
}

// breakLocked notes that nothing can be sent any more.
func (c *Conn) breakLocked(err error) {
	c.dropLocked(err)
	c.state.Or(stBroken)
}

// dropLocked empties the queue without sending it; err is what later calls return, unless there was an error before.
func (c *Conn) dropLocked(err error) {
	if c.werr() != nil {
		return
	}
	if q := c.out; q != nil {
		for q.head < len(q.segs) {
			q.pop(c)
		}
		q.free()
	}
	c.out = closedQueue
	if err != ErrClosed {
		c.out = &outQueue{err: err}
	}
	c.state.And(^uint32(stPending))
}

// failure returns why c is broken, and drops its queue. Leader.
func (c *Conn) failure() error {
	c.mu.Lock()
	defer c.unlock()
	if c.werr() == nil {
		err := socketError(int(c.fd))
		if err == nil {
			err = sysErr("socket", syscall.ECONNRESET)
		}
		c.dropLocked(err)
	}
	return c.werr()
}
