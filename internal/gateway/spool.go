package gateway

// What a client has no credits for, and memory no room: it waits in a file, as on a socket. A link has three parts then, in
// this order: what leaves next, in memory; the file, with what is on its way there; and what has come since, in memory.
//
// Who writes to the file is a thread with an answer, without the GIL and the link's lock, one at a time. Who reads is a
// goroutine, which there is as long as the file.

import (
	"bytes"

	"github.com/gowsgi/gowsgi/internal/spool"
)

// spooled is the part of link that this file is about. Under link.mu, but for the file, of which who writes needs no more.
type spooled struct {
	file     spool.File
	from, to int64  // what waits in it
	moving   []byte // on its way to the file; nil: nothing is
	tail     []byte // behind it
	back     int    // out[:back] has been in it
	reads    bool   // the goroutine is there
}

// behind tells whether anything waits behind what is in out. With link.mu.
func (s *spooled) behind() bool { return s.from < s.to || s.moving != nil || len(s.tail) > 0 }

// memory is how much waits in memory, but for what is back from the file: a piece. With l.mu.
func (l *link) memory() int { return len(l.out) - max(l.at, l.back) + len(l.moving) + len(l.tail) }

// inFile is how much waits in the file, or is back from it. With l.mu.
func (l *link) inFile() int64 { return l.to - l.from + int64(max(0, l.back-l.at)) }

// shift moves out to the beginning of its memory. With l.mu.
func (l *link) shift() {
	l.out = l.out[:copy(l.out, l.out[l.at:])]
	l.at, l.back = 0, max(0, l.back-l.at)
}

// crams tells whether n bytes more might have to go to the file.
func (l *link) crams(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tracked && l.g.srv.Spool != nil && l.memory()+n > l.g.cfg.ResponseBuffer
}

// queued is how much waits in memory and in the file.
func (l *link) queued() (memory, spooled int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(l.memory()), l.inFile()
}

// empty tells whether nothing waits at all. With l.mu.
func (l *link) empty() bool { return l.at == len(l.out) && !l.behind() }

// spill moves to the file what waits in memory, if it is more than the buffer and there is room. Without the GIL.
func (l *link) spill() {
	source, buffer := l.g.srv.Spool, l.g.cfg.ResponseBuffer
	if source == nil {
		return
	}
	l.mu.Lock()
	if !l.gone {
		l.push(true)
	}
	if l.gone || l.moving != nil || l.memory() <= buffer {
		l.mu.Unlock()
		return
	}
	if l.behind() {
		l.moving, l.tail = l.tail, nil
	} else { // enough stays for the client not to wait for the disk, and for the next time to be worth it
		l.shift()
		stay := max(l.back, min(buffer/2, 4*creditPiece))
		l.out, l.moving = bytes.Clone(l.out[:stay]), l.out[stay:]
	}
	moving := l.moving
	l.mu.Unlock()
	_, ok := l.file.Append(source, moving)
	l.mu.Lock()
	l.moving = nil
	switch {
	case ok:
		l.to += int64(len(moving))
		if l.tail == nil {
			l.tail = moving[:0] // its memory is for what comes next
		}
		if !l.reads {
			l.reads = true
			go l.unspool()
		}
	case l.gone:
	default:
		l.tail = append(moving, l.tail...)
		l.rejoin()
	}
	l.signal()
	l.mu.Unlock()
}

// rejoin has what came behind the file follow, if that has been read. With l.mu.
func (l *link) rejoin() {
	if l.from == l.to && l.moving == nil && !l.gone {
		l.shift()
		l.out, l.tail = append(l.out, l.tail...), nil
		l.push(true)
	}
}

// unspool brings back what is in the file, as the client takes what is before it.
func (l *link) unspool() {
	for {
		l.mu.Lock()
		switch {
		case l.moving == nil && (l.gone || l.from == l.to):
			file := l.file.Detach()
			l.from, l.to, l.reads = 0, 0, false
			l.rejoin()
			l.next()
			file.Drop()
			return
		case l.at == len(l.out) && l.from < l.to && !l.gone:
			off, piece := l.from, make([]byte, min(l.to-l.from, 2*creditPiece))
			l.mu.Unlock()
			if _, err := l.file.ReadAt(piece, off); err != nil {
				l.g.log.Error("a temporary file cannot be read: a client's connection is cut", "client", l.key.id, "error", err)
				l.cut()
				continue
			}
			l.mu.Lock()
			if !l.gone {
				l.from += int64(len(piece))
				l.out, l.at, l.back = piece, 0, len(piece)
				l.push(true)
				l.signal()
			}
			l.mu.Unlock()
			continue
		}
		changed := l.change()
		l.mu.Unlock()
		<-changed
	}
}
