package request

import "testing"

// TestBeforeHead: what belongs before the head is sent before it, or not at all, and with the GIL nobody waits to find out.
func TestBeforeHead(t *testing.T) {
	var r Request
	sent := 0
	send := func() bool { sent++; return true }
	if !r.BeforeHead(true, send) || sent != 1 {
		t.Fatal("not sent")
	}
	r.mu.Lock() // the head is on its way
	if r.BeforeHead(false, send) || sent != 1 {
		t.Fatal("sent while the head is on its way")
	}
	r.head = true
	r.mu.Unlock()
	if !r.BeforeHead(false, send) || sent != 1 {
		t.Fatal("sent behind the head")
	}
}
