package reactor

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/internal/spool"
)

// The Handler hears of a watched connection while it is owned: input, its end, a reset, room for output, deadlines, posts.
func TestWatchInput(t *testing.T) {
	var input, ready, drained, expired, gone int
	h := &hooks{inputOwned: func(c *Conn) {
		input++
		for {
			if _, err := c.Read(make([]byte, 10)); err != nil {
				break
			}
		}
	}, ready: func(*Conn) { ready++ }, drained: func(*Conn) { drained++ }, expiredOwned: func(*Conn) { expired++ },
		goneOwned: func(*Conn) { gone++ }}
	r := newRig(t, h, Options{}, ListenOptions{})
	c, nc := r.connect()
	c.Acquire()
	if c.Watched() {
		t.Error("watched")
	}
	c.WatchInput()
	if _, err := nc.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	r.until("input", func() bool { return input == 1 })
	r.l.PostConn(c)
	r.until("the post", func() bool { return input == 2 })
	c.MoveDeadline(r.l.NowNanos() + time.Millisecond.Nanoseconds())
	r.until("the deadline", func() bool { return expired == 1 })
	for c.QueuedBytes() < 1<<20 {
		if _, err := c.Send(Piece{Bytes: make([]byte, 1<<20)}); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		for b := make([]byte, 1<<16); ; {
			if _, err := nc.Read(b); err != nil {
				return
			}
		}
	}()
	r.until("room", func() bool { return drained == 1 })
	c.WatchGone(true)
	nc.(*net.TCPConn).CloseWrite()
	r.until("the end", func() bool { return input == 3 && gone == 1 })
	if ready != 0 {
		t.Error("Ready while owned")
	}
	c.Release()
	r.l.PostConn(c)
	r.until("Ready", func() bool { return ready > 0 })
}

func TestWatchedReset(t *testing.T) {
	broken := false
	r := newRig(t, &hooks{inputOwned: func(c *Conn) { broken = c.Broken() }}, Options{}, ListenOptions{})
	c, nc := r.connect()
	c.Acquire()
	c.WatchInput()
	nc.(*net.TCPConn).SetLinger(0)
	nc.Close()
	r.until("the reset", func() bool { return broken })
	c.Release()
}

// Output of a watched connection waits in memory, whatever there is for others.
func TestWatchedIsNotSpooled(t *testing.T) {
	r := newRig(t, &hooks{}, Options{SpoolAbove: 1000, Spool: &spool.Source{Open: func() (*os.File, error) { return tempFile(t), nil }}}, ListenOptions{})
	c, _ := r.connect()
	c.Acquire()
	c.WatchInput()
	for c.QueuedBytes() < 1<<20 {
		if !c.TrySend(Piece{Bytes: make([]byte, 1<<19)}) {
			t.Fatal("it might have to wait")
		}
	}
	if c.SpooledBytes() != 0 {
		t.Error("spooled: ", c.SpooledBytes())
	}
	c.Release()
}
