// Package inflight is the requests that a worker runs, in memory that outlives it: when it has died its master reads there what
// it was at.
//
// Each thread has a place of its own in a file in memory, and writes there without a system call, a lock or an allocation.
// The number in front of a place is odd while a request is there; it is changed after what is behind it has been written, and before
// that is written again. So who reads takes what lies between two looks at the same odd number, even if the writer runs on.
package inflight

import (
	"encoding/binary"
	"os"
	"sync/atomic"
	"time"
	"unsafe"
)

const (
	headSize  = 64
	placeSize = 256
	mostLine  = 180
	mostPeer  = 56 // an IPv6 address with a zone

	mark    = 0x67777369 // of the head; a file of another kind is none
	version = 1
)

// head is the beginning of the file.
type head struct {
	mark, version uint32
	places        uint32
	_             uint32
	began         int64 // Unix time in ns at which the clock of since would have been 0
	suspended     int64 // requests that are, and have no place
}

// place is a thread's.
type place struct {
	number uint32
	line   uint16 // bytes of the request line; more than there is room for: the rest is missing
	peer   uint16
	since  int64
	text   [mostLine]byte
	client [mostPeer]byte
	_      [placeSize - 16 - mostLine - mostPeer]byte
}

var (
	_ [headSize - unsafe.Sizeof(head{})]byte
	_ [placeSize]byte = [unsafe.Sizeof(place{})]byte{}
)

// Table is the writer's side.
type Table struct {
	file   *os.File
	memory []byte
	head   *head
	places []place
}

func fileSize(threads int) int { return headSize + threads*placeSize }

// lay makes a table of memory, which is zero.
func lay(memory []byte, threads int, began time.Time) *Table {
	t := &Table{memory: memory, head: (*head)(unsafe.Pointer(&memory[0]))}
	t.places = unsafe.Slice((*place)(unsafe.Pointer(&memory[headSize])), threads)
	t.head.version, t.head.places, t.head.began = version, uint32(threads), began.UnixNano()
	atomic.StoreUint32(&t.head.mark, mark)
	return t
}

// File is the file, for whoever is to read it later.
func (t *Table) File() *os.File { return t.file }

// Begin writes that thread runs the request whose line and client these are, since then. On the thread itself.
func (t *Table) Begin(thread int, line []byte, client string, since int64) {
	p := &t.places[thread]
	p.line, p.peer, p.since = uint16(min(len(line), 1<<16-1)), uint16(min(len(client), mostPeer)), since
	copy(p.text[:], line)
	copy(p.client[:], client)
	atomic.StoreUint32(&p.number, p.number|1)
}

// End writes that thread runs none. On the thread itself.
func (t *Table) End(thread int) {
	p := &t.places[thread]
	atomic.StoreUint32(&p.number, (p.number|1)+1)
}

// Suspended counts requests that are suspended. Any goroutine.
func (t *Table) Suspended(n int64) { atomic.AddInt64(&t.head.suspended, n) }

// Request is one that was running.
type Request struct {
	Line   string // method and path
	Client string
	Since  time.Time
}

// Read returns the requests that are in the table in f, and how many more were suspended. What another process has written there
// is not believed beyond that.
func Read(f *os.File) (running []Request, suspended int) {
	var b [headSize]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return nil, 0
	}
	h := (*head)(unsafe.Pointer(&b))
	if h.mark != mark || h.version != version || h.places > mostPlaces {
		return nil, 0
	}
	for i := range int64(h.places) {
		if r, ok := readPlace(f, headSize+i*placeSize, h.began); ok {
			running = append(running, r)
		}
	}
	return running, int(min(max(h.suspended, 0), 1<<31-1))
}

// mostPlaces is more than there are threads.
const mostPlaces = 1 << 16

// tries is how often a place is read whose writer runs on.
const tries = 4

func readPlace(f *os.File, offset, began int64) (Request, bool) {
	var b [placeSize]byte
	var again [4]byte
	for range tries {
		if _, err := f.ReadAt(b[:], offset); err != nil {
			return Request{}, false
		}
		p := (*place)(unsafe.Pointer(&b))
		if p.number&1 == 0 {
			return Request{}, false
		}
		if _, err := f.ReadAt(again[:], offset); err != nil || binary.NativeEndian.Uint32(again[:]) != p.number {
			continue
		}
		r := Request{
			Line: string(p.text[:min(int(p.line), mostLine)]), Client: string(p.client[:min(int(p.peer), mostPeer)]),
			Since: time.Unix(0, began+p.since),
		}
		if p.line > mostLine {
			r.Line += "..."
		}
		return r, true
	}
	return Request{}, false
}
