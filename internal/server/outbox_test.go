package server

import (
	"io"
	"net"
	"testing"
	"time"
)

func write(o *outbox, text string) {
	o.open()
	o.bytes = append(o.bytes, text...)
}

// TestOutbox: whole answers, what is held and what is taken do not get mixed up, whoever sends them.
func TestOutbox(t *testing.T) {
	var o outbox
	var conns [3]*conn
	var clients [3]net.Conn
	for i := range conns {
		rc, client := accepted(t)
		conns[i], clients[i] = &conn{rc: rc}, client
	}
	var sent []*conn
	note := func(c *conn) { sent = append(sent, c) }
	for round := range 3 {
		write(&o, "one")
		o.keep(conns[0])
		write(&o, "tw")
		o.hold(conns[1].rc)
		write(&o, "o")
		if n := o.size(); n != 3 {
			t.Fatalf("round %d: %d bytes are held", round, n)
		}
		o.keep(conns[1])
		write(&o, "taken")
		if b := string(o.take()); b != "taken" {
			t.Fatalf("round %d: took %q", round, b)
		}
		write(&o, "thr")
		o.hold(conns[2].rc)
		o.sendWhole(note) // what is held stays
		write(&o, "ee")
		o.hold(conns[2].rc)
		o.sendHeld()
		o.sendHeld() // nothing is left
		o.sendWhole(note)
		if len(sent) != 2 || sent[0] != conns[0] || sent[1] != conns[1] {
			t.Fatalf("round %d: sent %v", round, sent)
		}
		sent = nil
		for i, want := range []string{"one", "two", "three"} {
			got := make([]byte, len(want))
			clients[i].SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.ReadFull(clients[i], got); err != nil || string(got) != want {
				t.Fatalf("round %d: client %d got %q instead of %q: %v", round, i, got, want, err)
			}
		}
	}
	if len(o.bytes) != 0 || len(o.whole) != 0 || o.held != nil {
		t.Fatalf("left: %q, %v, %v", o.bytes, o.whole, o.held)
	}
}
