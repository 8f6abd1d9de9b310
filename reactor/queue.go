package reactor

// The out-queue of one connection: ordered segments of memory and of files. Everything here runs with Conn.mu held.

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/spool"
)

// keepHeld is the size from which held bytes that have to wait are kept by reference. Smaller ones are copied: a reference
// costs its holder more than the copy.
const keepHeld = 16 << 10

type segKind uint8

const (
	segLoose segKind = iota // bytes the caller may take away at Settle
	segHeld                 // bytes kept by reference
	segBlock                // bytes copied into a block
	segFile                 // a range of a file whose descriptor belongs to the segment
	segSpool                // a range of the queue's temporary file
)

type segment struct {
	b     []byte // memory: not sent yet
	block []byte // the block b lies in
	hold  uintptr
	off   int64 // file: not sent yet
	n     int64
	file  int
	kind  segKind
	copy  bool // sendfile does not work for this file
}

func (s *segment) inFile() bool { return s.kind >= segFile }

// outQueue is there while something is queued, and for good when nothing more goes out.
type outQueue struct {
	segs  []segment
	head  int  // segs before it are done
	loose int  // how many are segLoose
	stuck bool // a flush left something

	mem, spooled int64 // bytes queued in memory and in the spool
	spool        spool.File

	err error // why nothing more goes out; the queue is empty then
}

// closedQueue is that of all connections which simply were closed.
var closedQueue = &outQueue{err: ErrClosed}

var queues = sync.Pool{New: func() any { return new(outQueue) }}

// free gives back an empty queue.
func (q *outQueue) free() {
	q.spool.Reset()
	q.head, q.loose, q.stuck, q.mem, q.spooled = 0, 0, false, 0, 0
	if cap(q.segs) > 1024 {
		return // it was an exception; do not keep its memory
	}
	q.segs = q.segs[:0]
	queues.Put(q)
}

func (q *outQueue) push(s segment) {
	if len(q.segs) == cap(q.segs) && q.head > 0 {
		n := copy(q.segs, q.segs[q.head:])
		clear(q.segs[n:])
		q.segs, q.head = q.segs[:n], 0
	}
	q.segs = append(q.segs, s)
}

// pop ends the first segment, sent or not.
func (q *outQueue) pop(c *Conn) {
	s := &q.segs[q.head]
	if s.block != nil {
		PutBuffer(s.block)
	}
	if s.hold != 0 {
		c.bound.loop.opt.Unhold(s.hold)
	}
	switch s.kind {
	case segLoose:
		q.loose--
	case segFile:
		closeFD(s.file)
	}
	*s = segment{}
	q.head++
}

// enqueueLocked appends ps as they are.
func (c *Conn) enqueueLocked(ps []Piece) {
	q := c.out
	if q == nil {
		q = queues.Get().(*outQueue)
		c.out = q
	}
	for i := range ps {
		p := &ps[i]
		switch {
		case p.isFile():
			if p.Len <= 0 {
				closeFD(p.File)
				continue
			}
			q.push(segment{kind: segFile, file: p.File, off: p.Off, n: p.Len, copy: c.bound.loop.copyFiles})
		case len(p.Bytes) == 0:
			if p.Hold != 0 {
				c.bound.loop.opt.Unhold(p.Hold)
			}
			continue
		default:
			q.push(segment{kind: segLoose, b: p.Bytes, hold: p.Hold})
			q.loose++
			q.mem += int64(len(p.Bytes))
		}
		c.state.Or(stPending)
	}
	if q.head == len(q.segs) {
		c.emptiedLocked()
	}
}

// skip takes n bytes, which are sent, from the memory segments at the head.
func (q *outQueue) skip(c *Conn, n int) {
	for n > 0 {
		s := &q.segs[q.head]
		if n < len(s.b) {
			s.b = s.b[n:]
			return
		}
		n -= len(s.b)
		q.pop(c)
	}
}

// corkBelow is the size up to which a file shares its first packet with the bytes before it. Before a larger one they go
// at once: the peer is awake then, and its acknowledgements draw the file out of the socket. Held back with MSG_MORE, the
// whole file came out of sendfile, which woke the peer for every 64 KB: 1 MiB over loopback cost 550 µs instead of 110,
// and took twice as long (bbr, cubic and reno alike; up to 64 KB holding back is 5 % better).
const corkBelow = 64 << 10

// write makes one attempt to send what is at the head, of files max bytes. full: the socket takes no more now.
func (q *outQueue) write(c *Conn, max int64) (full bool, err error) {
	s := &q.segs[q.head]
	if s.inFile() {
		return q.writeFile(c, s, max)
	}
	var iov [maxIovec]unix.Iovec
	var total int64
	k, i := 0, q.head
	for ; i < len(q.segs) && k < maxIovec && !q.segs[i].inFile(); i++ {
		b := q.segs[i].b
		iov[k].Base = &b[0]
		iov[k].SetLen(len(b))
		total += int64(len(b))
		k++
	}
	more := i < len(q.segs) && q.segs[i].n <= corkBelow
	var n int
	var errno syscall.Errno
	call := "sendmsg"
	if k == 1 {
		call = "send"
		n, errno = send(int(c.fd), s.b, more)
	} else {
		n, errno = sendVec(int(c.fd), iov[:k], total, more)
	}
	if errno == syscall.EAGAIN {
		return true, nil
	}
	if errno != 0 {
		return false, sysErr(call, errno)
	}
	q.mem -= int64(n)
	c.sent.Add(uint32(n))
	q.skip(c, n)
	return int64(n) < total, nil
}

// writeFile sends a part of a file segment.
func (q *outQueue) writeFile(c *Conn, s *segment, max int64) (full bool, err error) {
	var n int64
	want := min(s.n, max)
	if !s.copy {
		n, err = sendFile(int(c.fd), s.file, s.off, want)
		if err == errNoSendFile {
			s.copy = true
		}
	}
	if s.copy {
		n, full, err = copyFile(int(c.fd), s.file, s.off, want, want < s.n || q.head+1 < len(q.segs))
	}
	if err == syscall.EAGAIN {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if n == 0 {
		return false, ErrFileShort
	}
	s.off += n
	s.n -= n
	c.sent.Add(uint32(n))
	done := s.n == 0
	if s.kind == segSpool {
		q.spooled -= n
		if done {
			q.pop(c)
			if q.spooled == 0 {
				// Not rewound: pages of the file may be on their way to the network still.
				q.spool.Drop()
			}
			return full, nil
		}
	}
	if done {
		q.pop(c)
	}
	return full, nil
}

// copyFile is sendfile by hand, one block at a time. full: the socket took less than it was given.
func copyFile(sock, file int, off, want int64, more bool) (n int64, full bool, err error) {
	b := GetBufferSize(int(min(want, 4*BufferSize)))
	defer PutBuffer(b)
	b = b[:min(want, int64(len(b)))]
	got, err := pread(file, b, off)
	if err != nil {
		return 0, false, os.NewSyscallError("pread", err)
	}
	if got == 0 {
		return 0, false, nil
	}
	sent, errno := send(sock, b[:got], more || int64(got) < want)
	if errno == syscall.EAGAIN {
		return 0, true, errno
	}
	if errno != 0 {
		return 0, false, sysErr("send", errno)
	}
	return int64(sent), sent < got, nil
}

func pread(fd int, b []byte, off int64) (int, error) {
	for {
		n, err := unix.Pread(fd, b, off)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// settleLocked makes the queue independent of the caller's bytes: each loose segment is kept by reference if it is held
// and big, else copied behind the segment before it or into a block; beyond the spool limit it goes to the file, if that has
// room.
func (c *Conn) settleLocked() {
	q := c.out
	if q == nil || q.loose == 0 {
		return
	}
	inMemory := int64(0) // settled so far
	w := q.head          // segments are moved together: w never overtakes r by more than the one in hand
	for r := q.head; r < len(q.segs); r++ {
		s := q.segs[r]
		if s.kind != segLoose {
			inMemory += int64(len(s.b))
			q.segs[w] = s
			w++
			continue
		}
		size := int64(len(s.b))
		off, spooled := int64(0), false
		if o := &c.bound.loop.opt; o.Spool != nil && !c.Watched() && inMemory+size > o.SpoolAbove {
			off, spooled = q.spool.Append(o.Spool, s.b)
		}
		if !spooled && s.hold != 0 && len(s.b) >= keepHeld {
			q.loose--
			inMemory += size
			s.kind = segHeld
			q.segs[w] = s
			w++
			continue
		}
		var last *segment
		if w > q.head {
			last = &q.segs[w-1]
		}
		rest := segment{}
		if spooled {
			q.mem -= size
			q.spooled += size
			if last != nil && last.kind == segSpool {
				last.n += size
			} else {
				rest = segment{kind: segSpool, file: q.spool.FD(), off: off, n: size, copy: c.bound.loop.copyFiles}
			}
		} else {
			inMemory += size
			b := s.b
			if last != nil && last.kind == segBlock {
				room := min(cap(last.b)-len(last.b), len(b))
				last.b = append(last.b, b[:room]...)
				b = b[room:]
			}
			if len(b) > 0 {
				block := GetBufferSize(len(b))
				rest = segment{kind: segBlock, block: block, b: block[:copy(block, b)]}
			}
		}
		q.loose--
		if s.hold != 0 {
			c.bound.loop.opt.Unhold(s.hold)
		}
		if rest.kind != segLoose {
			q.segs[w] = rest
			w++
		}
	}
	clear(q.segs[w:])
	q.segs = q.segs[:w]
}
