package zeromq

import (
	"strings"
	"testing"
	"time"
)

// Each connection of a ROUTER's peer is told before anything comes by it, and what was queued for the peer may be dropped then.
func TestArrived(t *testing.T) {
	for name, keep := range map[string]time.Duration{"kept": within, "forgotten": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			in := newInbox()
			var router *Socket
			router = open(t, Router, Options{Receive: in.put, Keep: keep, Arrived: func(identity []byte) {
				in.put(Message{[]byte("arrived"), identity})
				router.Forget(identity)
			}})
			at := bind(t, router, anyPort)
			hello := func() *raw {
				r := dial(t, at)
				r.greet("DEALER", []byte("d"))
				r.write(appendMessage(nil, [][]byte{[]byte("hello")}))
				in.want(t, "arrived", "d")
				in.want(t, "d", "hello")
				return r
			}
			r := hello()
			_ = r.c.Close()
			until(t, "gone", func() bool { return len(router.sessions()) == 0 })
			if keep == within {
				send(t, router, "d", "for the one before")
			} else {
				until(t, "forgotten", func() bool { return len(*router.fan.Load()) == 0 })
			}
			r = hello()
			send(t, router, "d", "new")
			if got := r.message(); got != "new" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// A peer that was suspended may come back before its last connection was seen to end; two that do so in turn are a mistake.
func TestTwoPeersOfOneIdentityAreTold(t *testing.T) {
	in, lines := newInbox(), newInbox()
	router := open(t, Router, Options{Receive: in.put, Log: func(line string) { lines.put(Message{[]byte(line)}) }})
	at := bind(t, router, anyPort)
	var last *raw
	for i := 0; len(lines) == 0; i++ {
		if i == 1000 {
			t.Fatal("nobody is told")
		}
		r := dial(t, at)
		r.greet("DEALER", []byte("same"))
		r.write(appendMessage(nil, [][]byte{[]byte("hello")}))
		in.want(t, "same", "hello")
		if last != nil {
			last.ended()
		}
		last = r
	}
	if line := text(lines.get(t)); !strings.Contains(line, `two peers say that they are "same"`) {
		t.Error(line)
	}
}

func TestRivals(t *testing.T) {
	all := rivals{}
	now := time.Now()
	told := func(identity string, after time.Duration) bool {
		now = now.Add(after)
		return all.tookOver(identity, now)
	}
	for range 100 {
		if told("slow", 2*time.Second) {
			t.Fatal("told of one that comes back so now and then")
		}
	}
	count := func() (n int) {
		for range 200 {
			for _, identity := range []string{"a", "b"} {
				if told(identity, 50*time.Millisecond) {
					n++
				}
			}
		}
		return n
	}
	if n := count(); n != 2 {
		t.Errorf("told %d times of two", n)
	}
	if told("a", takeoversWithin+time.Second) || len(all) != 1 {
		t.Errorf("%d are remembered after a while", len(all))
	}
	if n := count(); n != 2 {
		t.Errorf("told %d times when they are at it again", n)
	}
}
