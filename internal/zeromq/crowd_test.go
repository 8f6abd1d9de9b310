package zeromq

import (
	"strings"
	"testing"
	"time"
)

// subscriber is a peer of a PUB that has subscribed to topic.
func subscriber(t *testing.T, at, topic string) *raw {
	t.Helper()
	r := dial(t, at)
	r.greet("SUB", nil)
	r.write(appendCommand(nil, "SUBSCRIBE", []byte(topic)))
	return r
}

// A subscriber that reads nothing takes the room of its own messages, not of others', and is given up after a while.
func TestADeafSubscriberHoldsUpNobodyElse(t *testing.T) {
	in, lines := newInbox(), newInbox()
	pub := open(t, Pub, Options{Bound: 1 << 20, Stall: 300 * time.Millisecond, Log: func(s string) { lines.put(Message{[]byte(s)}) }})
	at := bind(t, pub, anyPort)
	subscriber(t, at, "deaf")
	sub := open(t, Sub, Options{Receive: in.put})
	sub.Subscribe([]byte("good"))
	connect(t, sub, at)
	until(t, "both are there", func() bool { return pub.has("deaf") && pub.has("good") })
	chunk := "deaf" + strings.Repeat("x", 1<<20)
	for n := 0; send(t, pub, chunk); n++ {
		if n == 4096 {
			t.Fatal("there is room for ever")
		}
	}
	if !send(t, pub, "good") || !pub.RoomFor([]byte("good"), nil) {
		t.Error("no room for others")
	}
	in.want(t, "good")
	until(t, "given up", func() bool {
		_, _ = pub.Send([]byte(chunk))
		return !pub.has("deaf")
	})
	if line := text(lines.get(t)); !strings.Contains(line, errDumb.Error()) {
		t.Errorf("%q", line)
	}
	if !pub.RoomFor([]byte("deaf"), nil) {
		t.Error("what waited for it is there still")
	}
}

// Of several subscribers that go the others' subscriptions stay, and the rest is told.
func TestWhoLeavesIsTold(t *testing.T) {
	left := newInbox()
	pub := open(t, Pub, Options{Left: func(topics [][]byte) { left.put(topics) }})
	at := bind(t, pub, anyPort)
	a, b := subscriber(t, at, "a"), subscriber(t, at, "b")
	until(t, "two are there", func() bool { return pub.has("a") && pub.has("b") })
	both := subscriber(t, at, "a")
	both.write(appendCommand(nil, "SUBSCRIBE", []byte("c")))
	until(t, "and one more", func() bool { return pub.has("c") })
	_ = both.c.Close()
	left.want(t, "c")
	_ = a.c.Close()
	left.want(t, "a")
	_ = b.c.Close()
	left.want(t, "b")
}
