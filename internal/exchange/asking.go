package exchange

import (
	"time"

	"github.com/gowsgi/gowsgi/bridge"
)

// The device pull2xreq of m2wsgi 0.3 gives a handler one request for each empty message. It is sent when somebody waits for a request and
// none has come, so that others get what this one has no time for.

// askAgain is after how long an empty message is sent once more: a device that is started anew does not know of the first.
const askAgain = time.Second

// wanted tells whether an empty message is to be sent, and says that it is. With x.mu.
func (x *exchange) wanted() bool {
	if !x.asks || x.asked || x.leaving || x.hears && !x.heard {
		return false
	}
	for _, a := range x.waiting {
		if a.what == bridge.AwaitRequest && !a.woken {
			x.asked = true
			return true
		}
	}
	return false
}

// ask sends it, if it is wanted, and once more if nothing comes of it.
func (x *exchange) ask(wanted bool) {
	if !wanted {
		return
	}
	_, _ = x.requests.Send(nil, nil)
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.closed:
	case x.asking == nil:
		x.asking = time.AfterFunc(askAgain, x.again)
	default:
		x.asking.Reset(askAgain)
	}
}

func (x *exchange) again() {
	x.mu.Lock()
	again := x.asked && !x.leaving
	x.asked = false
	again = again && x.wanted()
	x.mu.Unlock()
	x.ask(again)
}
