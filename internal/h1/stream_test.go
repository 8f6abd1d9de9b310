package h1

import (
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/config"
)

// streamed is a request whose body the application reads as it comes.
func (r *wireRig) streamed(c *conn, length int64) *exchange {
	x := newExchange(r.s)
	x.c, x.p.ContentLength = c, length
	limits := httpparse.DefaultLimits()
	x.body.Init(&x.p.Request, &limits)
	x.Req.Body = bridge.BodyStream
	r.t.Cleanup(func() { x.alarm.Close() })
	return x
}

// TestStreamedBodyMinimumRate: a body that is waited for has to come with a minimum rate, after a grace. Only time that
// was waited counts: an application that takes its own reads on as it likes.
func TestStreamedBodyMinimumRate(t *testing.T) {
	const rate, grace = 240, config.BodyMinRateGrace
	rig := newWireRig(t, "--body-timeout", "1")
	client, conn := rig.connect()
	rig.send(client, "x") // so that no wait is long; nobody takes it
	for _, c := range []struct {
		name   string
		rate   int
		waited time.Duration
		size   int64
		want   int64
	}{
		{"in the grace", rate, grace - time.Second, 0, 0},
		{"too few", rate, 2 * grace, rate * int64(grace/time.Second), bridge.ReadStalled},
		{"enough", rate, 2 * grace, 2 * rate * int64(grace/time.Second), 0},
		{"no limit", 0, 2 * grace, 0, 0},
	} {
		rig.s.cfg.BodyMinRate = c.rate
		x := rig.streamed(conn, 1<<20)
		x.waited, x.size = c.waited, c.size
		if got := x.awaitBody(); got != c.want || x.waited <= c.waited {
			t.Errorf("%s: %d, waited %v", c.name, got, x.waited)
		}
		if c.want == 0 {
			continue
		}
		// Whatever comes now, it is over.
		if got := x.Read(make([]byte, 10), true); got != bridge.ReadBadFrame {
			t.Errorf("%s, and then: %d", c.name, got)
		}
	}
}

// TestStreamedBodyWaits: what ends a wait for the body, and what a call that may not wait says.
func TestStreamedBodyWaits(t *testing.T) {
	rig := newWireRig(t, "--body-timeout", "0.05")
	client, conn := rig.connect()
	x, dst := rig.streamed(conn, 10), make([]byte, 100)
	if got := x.Read(dst, false); got != bridge.ReadNothing {
		t.Error("nothing is there: ", got)
	}
	if got := x.Read(dst, true); got != bridge.ReadStalled {
		t.Error("nothing comes: ", got)
	}
	x.reading.Lock()
	if got := x.Read(dst, false); got != bridge.ReadNothing {
		t.Error("another thread reads: ", got)
	}
	x.reading.Unlock()
	rig.send(client, "01234")
	if got := x.Read(dst, true); got != 5 || string(dst[:5]) != "01234" {
		t.Error("half of it: ", got)
	}
	x.c.s.cfg.BodyTimeout = 0
	ended := make(chan int64)
	go func() { ended <- x.Read(dst, true) }()
	x.Over()
	if got := <-ended; got != bridge.ReadOver {
		t.Error("the request is over: ", got)
	}
}
