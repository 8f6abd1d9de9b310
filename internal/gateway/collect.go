package gateway

// Bodies in pieces, complete before the application is called, as on a socket: in memory, then in a temporary file, so that a slow
// upload holds no thread. A goroutine of its own writes that, as who receives may not wait for a disk, and pays for what it has
// written: so no more than a window of a body waits for it.

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/request"
	"github.com/gowsgi/gowsgi/internal/spool"
)

// collecting is the part of uploading that this file is about. What is there are first the bytes in temp, then those in memory.
type collecting struct {
	memory request.BodyMemory
	temp   spool.File
	stored int64 // bytes in it
}

// collects tells whether the body is to be complete before the application is called.
func (x *exchange) collects() bool {
	return x.inPieces && !x.isLast && !x.g.cfg.BodyStreaming && x.refusal == 0
}

// collect waits until the body is complete, and offers the request then. Its own goroutine.
func (x *exchange) collect() {
	x.begin()
	x.g.need(1)
	here := x.collected()
	x.g.need(-1)
	if here {
		x.ready((*crew.Crew).Offer)
	} else {
		x.l.settle(true) // the application never gets to see it
	}
}

// collected gathers the body. False: the client has gone. What it cannot have is refused.
func (x *exchange) collected() bool {
	l, cfg := x.l, x.g.cfg
	begun, last, heard := time.Now(), int64(-1), time.Now()
	for {
		l.mu.Lock()
		pieces, came, awaited, gone, changed := x.pieces, x.came, x.awaited, l.gone, l.change()
		x.pieces = nil
		l.mu.Unlock()
		if gone {
			return false
		}
		if came > last {
			last, heard = came, time.Now()
		}
		switch {
		case cfg.LimitRequestBody > 0 && came > cfg.LimitRequestBody:
			x.deny(413, "the request body is too large")
		case awaited && len(pieces) > 0 && cfg.BodyTooSlow(came, time.Since(begun)):
			x.deny(408, "the request body comes too slowly")
		case awaited && cfg.BodyTimeout > 0 && time.Since(heard) >= cfg.BodyTimeout:
			x.deny(408, "the request body took too long")
		}
		if x.refusal != 0 {
			x.unread(pieces)
			return true
		}
		size := lengthOf(pieces)
		rest := x.stash(pieces)
		if len(rest) > 0 {
			x.unread(rest)
			x.payFor(size - lengthOf(rest))
			x.memory.Settle()
			if x.size < 0 { // most applications take a body without a CONTENT_LENGTH for none
				x.deny(503, "there is no room for a body of unknown length")
			}
			return true // else it reads what comes yet as it comes
		}
		if !awaited {
			x.complete(came)
			return true
		}
		if len(pieces) > 0 {
			x.payFor(size)
			continue
		}
		x.memory.Settle()
		awaitPiece(changed, cfg.BodyTimeout, heard)
	}
}

// awaitPiece waits for a change, until there has been none for limit.
func awaitPiece(changed <-chan struct{}, limit time.Duration, since time.Time) {
	if limit == 0 {
		<-changed
		return
	}
	timer := time.NewTimer(time.Until(since.Add(limit)))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

// unread puts pieces back that the application reads, or that are thrown away.
func (x *exchange) unread(pieces [][]byte) {
	x.l.mu.Lock()
	x.pieces = append(slices.Clip(pieces), x.pieces...)
	x.l.mu.Unlock()
}

func lengthOf(pieces [][]byte) (n int64) {
	for _, p := range pieces {
		n += int64(len(p))
	}
	return n
}

// payFor has Mongrel2 paid for n bytes that are stored.
func (x *exchange) payFor(n int64) {
	x.l.mu.Lock()
	pays := x.owes(n)
	x.l.mu.Unlock()
	if pays > 0 {
		x.l.pay(pays)
	}
}

// stash stores pieces, and returns what there is no room for. It changes none of them.
func (x *exchange) stash(pieces [][]byte) (rest [][]byte) {
	for i, p := range pieces {
		if x.stored == 0 {
			p = x.memory.Append(x.g.cfg.BodyBuffer, x.size, p)
		}
		if len(p) > 0 && !(x.store(x.memory.Bytes) && x.store(p)) {
			return append([][]byte{p}, pieces[i+1:]...)
		}
	}
	return nil
}

// store appends data to the temporary file; if it is what was in memory it is not there any more.
func (x *exchange) store(data []byte) bool {
	if len(data) == 0 {
		return true
	}
	if _, ok := x.temp.Append(x.g.srv.Bodies, data); !ok {
		return false
	}
	x.stored += int64(len(data))
	x.memory.Drop()
	return true
}

// complete hands the whole body, of so many bytes, to the request.
func (x *exchange) complete(size int64) {
	x.Req.BodyLen = size
	switch {
	case x.stored > 0:
		x.Req.Body, x.Req.BodyFD = bridge.BodyFile, -1 // see openCollected
	case x.memory.Bytes != nil:
		x.Req.Body, x.Req.Block = bridge.BodyBlock, x.memory.Take()
	default:
		x.Req.Body = bridge.BodyMemory
	}
}

// openCollected gives the file to the bridge, which closes what it gets. False: it is refused.
func (x *exchange) openCollected() bool {
	if x.Req.Body != bridge.BodyFile {
		return true
	}
	fd, err := unix.FcntlInt(uintptr(x.temp.FD()), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		x.deny(503, "")
		x.retry = time.Second
		x.complain("an upload cannot be opened", "error", err)
		return false
	}
	x.Req.BodyFD = fd
	return true
}

// readCollected reads of what was there before the rest had to be left to the application. 0: nothing was, or it has been read.
func (x *exchange) readCollected(dst []byte) int64 {
	var n int
	switch memory := x.memory.Bytes; {
	case x.read < x.stored:
		var err error
		if n, err = x.temp.ReadAt(dst[:min(int64(len(dst)), x.stored-x.read)], x.read); n == 0 && err != nil {
			x.g.log.Error("a temporary file cannot be read", "error", err)
			return bridge.ReadBadFrame
		}
	case x.read < x.stored+int64(len(memory)):
		n = copy(dst, memory[x.read-x.stored:])
	}
	x.read += int64(n)
	return int64(n)
}

// closeCollected lets go of it.
func (x *exchange) closeCollected() {
	x.memory.Drop()
	x.DropBlock()
	if x.stored > 0 {
		x.stored = 0
		temp := x.temp.Detach()
		go temp.Drop() // which may wait for the disk
	}
	x.temp.Another()
}
