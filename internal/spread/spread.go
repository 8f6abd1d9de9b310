// Package spread is how many connections each worker of a master has, in memory that they share, so that none takes more than
// its part of a crowd.
//
// The kernel wakes one worker for each connection, whoever has waited for longest (EPOLLEXCLUSIVE). That is fair as long as
// connections come one by one; of a crowd the one that runs already takes nearly all: 64 clients were spread 60:4 on average. So a
// worker that is ahead of the others leaves the listener alone for a moment, and calls the one that has fewest.
//
// A worker has a place of its own, with the number of its process, and writes there without a system call. Each place has a bell, a
// number that others count up and its worker brings its own count to; a thread of the system waits for it (futex). Nothing
// is believed of a worker that does not come when it is called: it is left out until it has.
package spread

import (
	"os"
	"sync/atomic"
	"unsafe"
)

const (
	places    = 1023
	placeSize = 64 // a cache line of its own
	fileSize  = placeSize + places*placeSize
)

// file is what workers share.
type file struct {
	used   uint32 // places from the first on; the others were never taken
	_      [placeSize - 4]byte
	places [places]place
}

// place is a worker's.
type place struct {
	pid   int32
	conns int32  // that it has; -1: it accepts none
	bell  uint32 // counted up by who calls it
	heard uint32 // bell, as of when it came last
	_     [placeSize - 16]byte
}

var _ [fileSize]byte = [unsafe.Sizeof(file{})]byte{}

// Place is that of this process, until it ends: whoever comes next may take it. Its methods are the leader's, but Listen.
type Place struct {
	file   *file
	mine   *place
	pid    int32
	called int            // whom Ahead would call
	vain   map[int]inVain // who were called and did not come
	alive  func(pid int32) bool
}

// inVain is how often somebody was waited for who was called.
type inVain struct {
	bell  uint32
	times int
}

// patience is how often that is done, for a millisecond each time; a worker that has no CPU for so long may have none for longer.
const patience = 20

// claim takes a place that is free, or whose process has ended; false: there is none.
func (p *Place) claim() bool {
	for i := range p.file.places {
		at := &p.file.places[i]
		old := atomic.LoadInt32(&at.pid)
		if old != 0 && (old == p.pid || p.alive(old)) {
			continue
		}
		if atomic.CompareAndSwapInt32(&at.pid, old, p.pid) {
			p.mine = at
			atomic.StoreInt32(&at.conns, -1)
			for used := atomic.LoadUint32(&p.file.used); used <= uint32(i); used = atomic.LoadUint32(&p.file.used) {
				atomic.CompareAndSwapUint32(&p.file.used, used, uint32(i)+1)
			}
			return true
		}
	}
	return false
}

// Set says how many connections the process has, or that it accepts none.
func (p *Place) Set(conns int, accepts bool) {
	if !accepts {
		conns = -1
	}
	atomic.StoreInt32(&p.mine.conns, int32(conns))
}

// Ahead reports whether the process has so many more connections than others that these shall have the next: two, and a
// sixteenth, above the average of all that accept.
func (p *Place) Ahead() bool {
	own := int(atomic.LoadInt32(&p.mine.conns))
	if own <= 2 {
		return false // one by one, or short ones: no look at the others
	}
	for {
		sum, n, least, at := own, 1, own, -1
		for i := range min(atomic.LoadUint32(&p.file.used), places) {
			o := &p.file.places[i]
			if o == p.mine || atomic.LoadInt32(&o.pid) == 0 {
				continue
			}
			conns := int(atomic.LoadInt32(&o.conns))
			if conns < 0 || p.deaf(int(i)) {
				continue
			}
			sum += conns
			n++
			if conns < least {
				least, at = conns, int(i)
			}
		}
		average := sum / n
		if at < 0 || own <= average+2+average/16 {
			return false
		}
		if pid := atomic.LoadInt32(&p.file.places[at].pid); pid != 0 && !p.alive(pid) {
			atomic.CompareAndSwapInt32(&p.file.places[at].pid, pid, 0)
			continue
		}
		p.called = at
		return true
	}
}

// deaf reports whether a worker was called in vain, and has not come since.
func (p *Place) deaf(i int) bool {
	v, called := p.vain[i]
	if !called {
		return false
	}
	o := &p.file.places[i]
	if atomic.LoadUint32(&o.heard) == v.bell || atomic.LoadUint32(&o.bell) != v.bell {
		delete(p.vain, i)
		return false
	}
	return v.times >= patience
}

// Call has the one accept that Ahead found to have fewest.
func (p *Place) Call() {
	o := &p.file.places[p.called]
	heard := atomic.LoadUint32(&o.heard)
	if atomic.CompareAndSwapUint32(&o.bell, heard, heard+1) {
		wake(&o.bell)
	} // else somebody has called it already
}

// Waited says that the process has waited for whom it called.
func (p *Place) Waited() {
	o := &p.file.places[p.called]
	bell := atomic.LoadUint32(&o.bell)
	if atomic.LoadUint32(&o.heard) == bell {
		return
	}
	v := p.vain[p.called]
	if v.bell != bell {
		v = inVain{bell: bell}
	}
	v.times++
	p.vain[p.called] = v
}

// Comes is said when the process looks for connections, called or not.
func (p *Place) Comes() { atomic.StoreUint32(&p.mine.heard, atomic.LoadUint32(&p.mine.bell)) }

// Listen calls fn, on a goroutine, whenever the process is called. It does not return.
func (p *Place) Listen(fn func()) {
	for last := atomic.LoadUint32(&p.mine.heard); ; {
		bell := atomic.LoadUint32(&p.mine.bell)
		if bell == last {
			wait(&p.mine.bell, bell)
			continue
		}
		last = bell
		fn()
	}
}

func newPlace(memory []byte, alive func(int32) bool) *Place {
	p := &Place{file: (*file)(unsafe.Pointer(unsafe.SliceData(memory))), pid: int32(os.Getpid()), vain: map[int]inVain{}, alive: alive}
	if !p.claim() {
		return nil
	}
	return p
}
