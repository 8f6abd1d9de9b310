package reactor

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestWheelOrder runs a wheel in simulated time against a sorted list: nothing fires early, nothing later than the tick
// after its time, and the wheel never asks to sleep past an entry, nor to wake for nothing.
func TestWheelOrder(t *testing.T) {
	var w wheel
	rnd := rand.New(rand.NewPCG(1, 2))
	now := int64(time.Second)
	w.init(now)
	live := map[*timerNode]int64{}
	for range 500 {
		n := &timerNode{}
		at := now + rnd.Int64N(int64(3*time.Minute)) // several turns
		w.add(n, at)
		live[n] = at
	}
	removed := 0
	for n := range live {
		if removed++; removed > 100 {
			break
		}
		w.remove(n)
		w.remove(n) // twice does no harm
		delete(live, n)
	}
	needless := 0
	for len(live) > 0 {
		d := w.wait(now)
		if d < 0 {
			t.Fatalf("sleeps for ever with %d entries", len(live))
		}
		now += int64(d)
		fired := 0
		w.sweep(now, func(n *timerNode) {
			at, ok := live[n]
			if !ok {
				t.Fatal("fired a removed entry")
			}
			if at > now || now-at > tickNanos {
				t.Fatalf("fired %v after its time", time.Duration(now-at))
			}
			delete(live, n)
			fired++
		})
		for n, at := range live {
			if at < now-tickNanos {
				t.Fatalf("entry %p is late by %v", n, time.Duration(now-at))
			}
		}
		if fired == 0 {
			needless++
		}
	}
	if needless > removed {
		t.Errorf("%d needless wake-ups, for %d removed entries", needless, removed)
	}
	if w.count != 0 || w.wait(now) != -1 {
		t.Errorf("empty wheel: count %d, wait %v", w.count, w.wait(now))
	}
}

func TestWheelAfterALongPause(t *testing.T) {
	var w wheel
	w.init(0)
	var nodes [700]timerNode
	for i := range nodes {
		w.add(&nodes[i], int64(i+1)*tickNanos)
	}
	fired := 0
	w.sweep(5000*tickNanos, func(*timerNode) { fired++ })
	if fired != len(nodes) {
		t.Errorf("%d of %d fired after several turns", fired, len(nodes))
	}
	again := timerNode{}
	w.add(&again, 0) // long past: next tick
	w.sweep(5001*tickNanos, func(*timerNode) { fired++ })
	if fired != len(nodes)+1 {
		t.Error("an entry whose time had passed did not fire at the next tick")
	}
}

func TestAfter(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	var order []int
	start := time.Now()
	r.l.After(200*time.Millisecond, func() { order = append(order, 3) })
	stopped := r.l.After(100*time.Millisecond, func() { t.Error("a stopped timer fired") })
	r.l.After(10*time.Millisecond, func() {
		order = append(order, 1)
		r.l.After(0, func() { order = append(order, 2) })
		stopped.Stop()
	})
	// This one is stopped when it is in the ready queue already.
	var late *Timer
	r.l.After(300*time.Millisecond, func() { order = append(order, 4); late.Stop() })
	late = r.l.After(300*time.Millisecond, func() { order = append(order, 4); late.fn = nil })
	r.until("timers", func() bool { return len(order) == 4 })
	if d := time.Since(start); d < 300*time.Millisecond {
		t.Errorf("early: %v", d)
	}
	if !slices.Equal(order, []int{1, 2, 3, 4}) {
		t.Errorf("order %v", order)
	}
}

func TestDeadlines(t *testing.T) {
	var expired []*Conn
	r := newRig(t, &hooks{expired: func(c *Conn) { expired = append(expired, c) }}, Options{}, ListenOptions{})
	var cs []*Conn
	for range 4 {
		c, _ := r.connect()
		cs = append(cs, c)
	}
	now := r.l.clock()
	at := func(ms int) int64 { return now + int64(ms)*int64(time.Millisecond) }
	cs[0].SetDeadline(at(400))
	cs[1].SetDeadline(at(100)) // before the one above
	cs[2].SetDeadline(at(150))
	cs[2].SetDeadline(at(600)) // later: a field write
	cs[3].SetDeadline(at(120))
	cs[3].SetDeadline(0) // taken back
	for r.l.Poll(-1) == nil {
		for r.l.Dispatch() {
		}
		if len(expired) == 3 {
			break
		}
		if r.l.clock() > at(5000) {
			t.Fatalf("only %d expired", len(expired))
		}
	}
	if !slices.Equal(expired, []*Conn{cs[1], cs[0], cs[2]}) {
		t.Error("wrong order")
	}
	if d := time.Duration(r.l.clock() - at(600)); d < 0 || d > 500*time.Millisecond {
		t.Errorf("last expiry off by %v", d)
	}
	if r.l.wheel.count != 0 {
		t.Errorf("%d entries left", r.l.wheel.count)
	}
}

// TestDeadlineOfOwned: the owner's thread sets it, the leader reports it, once while owned and once after release.
func TestDeadlineOfOwned(t *testing.T) {
	var owned, plain int
	r := newRig(t, &hooks{
		expired:      func(*Conn) { plain++ },
		expiredOwned: func(*Conn) { owned++ },
	}, Options{}, ListenOptions{})
	c, _ := r.connect()
	c.Acquire()
	done := make(chan struct{})
	go func() {
		c.SetDeadline(r.l.NowNanos() + int64(80*time.Millisecond))
		close(done)
	}()
	<-done
	r.until("ExpiredOwned", func() bool { return owned == 1 })
	r.l.Poll(100 * time.Millisecond)
	for r.l.Dispatch() {
	}
	if owned != 1 || plain != 0 {
		t.Fatalf("owned %d, plain %d", owned, plain)
	}
	go c.Release()
	r.until("Expired after release", func() bool { return plain == 1 })

	// Moved in time by the owner: no Expired.
	c.Acquire()
	c.SetDeadline(r.l.NowNanos() + 1)
	r.until("ExpiredOwned again", func() bool { return owned == 2 })
	c.SetDeadline(r.l.NowNanos() + int64(time.Hour))
	c.Release()
	r.until("posts", func() bool { return r.l.posted.Load() == nil && r.l.ready.n == 0 })
	if plain != 1 {
		t.Error("Expired although the owner moved the deadline")
	}
	if c.timer.tick.Load() == 0 {
		t.Error("the moved deadline is not scheduled")
	}
}

// TestDeadlinesAreTicks: a deadline is never early, and at most a tick late; moving it within a tick changes nothing.
func TestDeadlinesAreTicks(t *testing.T) {
	r := newRig(t, &hooks{}, Options{}, ListenOptions{})
	c, _ := r.connect()
	now := r.l.NowNanos()
	for _, nanos := range []int64{now + 1, now + tickNanos, now + 75*int64(time.Second)} {
		c.SetDeadline(nanos)
		d := c.Deadline()
		if d < nanos || d >= nanos+tickNanos {
			t.Fatalf("%d became %d", nanos, d)
		}
		c.SetDeadline(d - 1)
		if c.Deadline() != d {
			t.Fatalf("%d became %d, %d %d", nanos, d, d-1, c.Deadline())
		}
		c.SetDeadline(d + 1)
		if c.Deadline() != d+tickNanos {
			t.Fatalf("%d became %d", d+1, c.Deadline())
		}
	}
	if c.SetDeadline(0); c.Deadline() != 0 {
		t.Fatal("no deadline became one")
	}
}

// TestDeadlineCostDoesNotGrow: with many idle connections, moving deadlines later touches no wheel, and a sweep looks at
// nothing that is not due.
func TestDeadlineCostDoesNotGrow(t *testing.T) {
	l := idleLoop(t, 10_000)
	nearest, count := l.wheel.nearest, l.wheel.count
	for _, c := range l.table {
		tick := c.timer.tick.Load()
		c.SetDeadline(c.Deadline() + int64(10*time.Second))
		if c.timer.tick.Load() != tick {
			t.Fatal("moving a deadline later moved its entry")
		}
	}
	if l.wheel.nearest != nearest || l.wheel.count != count {
		t.Error("the wheel changed")
	}
	looked := 0
	l.wheel.sweep((nearest-1)<<tickShift, func(*timerNode) { looked++ })
	if looked != 0 {
		t.Errorf("%d entries fired before the first was due", looked)
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, c := range l.table[:50] {
			c.SetDeadline(l.NowNanos() + int64(time.Second))
			c.SetDeadline(l.NowNanos() + int64(time.Minute))
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// idleLoop has n connections that exist in the table and the wheel only.
func idleLoop(t testing.TB, n int) *Loop {
	l, err := NewLoop(&hooks{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := &boundListener{loop: l}
	l.table = nil
	for i := range n {
		c := &Conn{bound: b, fd: -1}
		l.table = append(l.table, c)
		c.SetDeadline(l.NowNanos() + int64(60*time.Second) + int64(i)*int64(time.Millisecond))
	}
	t.Cleanup(func() { l.table = nil; l.Close() })
	return l
}

func BenchmarkSetDeadline(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(map[int]string{1: "1", 10_000: "10000idle"}[n], func(b *testing.B) {
			l := idleLoop(b, n)
			c := l.table[0]
			b.ReportAllocs()
			for b.Loop() {
				c.SetDeadline(l.NowNanos() + int64(5*time.Second)) // keep-alive: earlier than below, so it is moved
				c.SetDeadline(l.NowNanos() + int64(75*time.Second))
				l.wheel.sweep(l.NowNanos(), l.onFire)
			}
		})
	}
}
