package h1

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/internal/crew"
)

// TestOutbox: whole answers, what is held and what is sent do not get mixed up, whoever sends them.
func TestOutbox(t *testing.T) {
	var o outbox
	th := crew.New(1, nil).Standby() // never has the GIL
	var conns [4]*conn
	var clients [4]net.Conn
	for i := range conns {
		rc, client := accepted(t)
		conns[i], clients[i] = &conn{rc: rc}, client
	}
	var sent []*conn
	note := func(c *conn) { sent = append(sent, c) }
	for round := range 3 {
		o.keep(th, conns[0], []byte("one"))
		o.hold(th, conns[1].rc, []byte("tw"), flushAbove)
		if n := o.heldSize(th); n != 2 || !o.Waits() {
			t.Fatalf("round %d: %d bytes are held", round, n)
		}
		if n := o.keep(th, conns[1], []byte("o")); n != 2 {
			t.Fatalf("round %d: %d answers", round, n)
		}
		if answers, size := o.waiting(); answers != 2 || size != 6 || o.Waits() {
			t.Fatalf("round %d: %d answers of %d bytes, something is held: %v", round, answers, size, o.Waits())
		}
		o.hold(th, conns[3].rc, []byte("fo"), flushAbove)
		o.send(th, conns[3].rc, []byte("ur"))
		o.hold(th, conns[2].rc, []byte("thr"), flushAbove)
		if round == 1 {
			o.sendWhole(nil, note) // as the monitor does; what is held stays
		} else {
			o.sendWhole(th, note)
		}
		o.hold(th, conns[2].rc, []byte("ee"), flushAbove)
		switch round {
		case 0:
			o.sendHeld(th)
			o.sendHeld(th) // nothing is left
		case 1:
			o.late()
		case 2:
			if !o.push(true) {
				t.Fatal("not sent by another thread")
			}
		}
		o.sendWhole(th, note)
		if len(sent) != 2 || sent[0] != conns[0] || sent[1] != conns[1] {
			t.Fatalf("round %d: sent %v", round, sent)
		}
		sent = nil
		for i, want := range []string{"one", "two", "three", "four"} {
			got := make([]byte, len(want))
			clients[i].SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.ReadFull(clients[i], got); err != nil || string(got) != want {
				t.Fatalf("round %d: client %d got %q instead of %q: %v", round, i, got, want, err)
			}
		}
	}
	if answers, size := o.waiting(); len(o.bytes) != 0 || answers != 0 || size != 0 || o.held != nil || o.Waits() {
		t.Fatalf("left: %q, %d, %v", o.bytes, answers, o.held)
	}
}

// With the GIL nobody waits for the lock of an outbox: another thread of the application is told to come again.
func TestOutboxIsNotWaitedFor(t *testing.T) {
	var o outbox
	rc, _ := accepted(t)
	o.hold(crew.New(1, nil).Standby(), rc, []byte("x"), flushAbove)
	o.mu.Lock()
	if o.push(false) {
		t.Error("sent with the lock in other hands")
	}
	o.late() // the monitor neither
	o.mu.Unlock()
	if !o.push(false) || o.Waits() {
		t.Error("not sent")
	}
}
