package m2device

import (
	"testing"

	"github.com/gowsgi/gowsgi/internal/zeromq"
)

// counted is a decider that counts the requests it gets.
type counted struct {
	decider
	requests int
}

func (c *counted) fromServer([]byte) { c.requests++ }
func (c *counted) serverLost()       { c.requests = 0 }
func (c *counted) full() bool        { return false }

// What was being read when the connection to a Mongrel2 was reset is not taken for a request of the next one.
func TestWhatIsLateIsOfAMongrel2ThatHasGone(t *testing.T) {
	d := &counted{}
	h := &hub{d: d, room: make(chan struct{}), done: make(chan struct{})}
	for _, c := range []struct {
		change func()
		want   int
	}{{func() {}, 1}, {func() { h.is(false) }, 0}, {func() { h.is(true) }, 1}} {
		c.change()
		h.received(zeromq.Message{[]byte("x")})
		if d.requests != c.want {
			t.Errorf("%d requests, want %d", d.requests, c.want)
		}
	}
}
