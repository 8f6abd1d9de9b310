package reactor

// When descriptors are used up. Who wants to connect waits in the listener's queue, as the shortage may be over soon. After
// refuseAfter the leader gives up a descriptor that it has kept for this, takes what waits, one after the other, and tells
// each that it is refused: nobody hangs until his own patience ends. Leader only.

import (
	"time"

	"golang.org/x/sys/unix"
)

// refuseAfter is how long a shortage lasts before connections are refused.
const refuseAfter = time.Second

// refuseDrain is how much of a refused connection's input is read: to close with input unread resets it.
const refuseDrain = 64 << 10

// spareFD is a descriptor that is kept for a shortage; -1 if there is none.
type spareFD int

func (s *spareFD) take() {
	if *s < 0 {
		if fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
			*s = spareFD(fd)
		}
	}
}

func (s *spareFD) give() {
	if *s >= 0 {
		closeFD(int(*s))
		*s = -1
	}
}

// short is called when accept failed for want of descriptors. If that lasts, who waits is refused.
func (l *Loop) short() {
	now := l.nowNanos.Load()
	if l.accepting.since == 0 {
		l.accepting.since = now
	}
	if now-l.accepting.since < int64(refuseAfter) {
		return
	}
	for _, b := range l.listeners {
		l.refuseWaiting(b)
	}
	if !l.accepting.refused {
		l.accepting.refused = true
		l.opt.Log("reactor: no descriptors for %v: connections are refused until there are some", refuseAfter)
	}
}

// refuseWaiting refuses who waits at b, some of them if they are many.
func (l *Loop) refuseWaiting(b *boundListener) {
	for n := 0; n < l.opt.AcceptBatch && l.opt.Refusal != nil; n++ {
		l.spareFD.give()
		var peer rawAddr
		fd, errno := acceptConn(b.ln.fd, &peer)
		if errno == 0 {
			l.refuse(fd)
		}
		l.spareFD.take()
		if errno != 0 {
			return
		}
	}
}

func (l *Loop) refuse(fd int) {
	scratch := GetBuffer()
	defer PutBuffer(scratch)
	drain := func() {
		for left := refuseDrain; left > 0; {
			n, errno := recv(fd, scratch, 0)
			if errno != 0 || n == 0 {
				return
			}
			left -= n
		}
	}
	drain()
	_, _ = send(fd, l.opt.Refusal, false)
	shutdownWrite(fd)
	drain()
	closeFD(fd)
}
