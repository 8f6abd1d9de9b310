package limit

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestConnections(t *testing.T) {
	c := NewConnections(2)
	a, b := addr("192.0.2.1"), addr("192.0.2.2")
	for i, want := range []bool{true, true, false, false} {
		if got := c.Enter(a); got != want {
			t.Errorf("connection %d: %v", i, got)
		}
	}
	if !c.Enter(b) {
		t.Error("another address is limited too")
	}
	c.Leave(a)
	if !c.Enter(a) || c.Enter(a) {
		t.Error("one that left makes room for exactly one")
	}
	c.Leave(a)
	c.Leave(a)
	c.Leave(b)
	if len(c.open) != 0 {
		t.Errorf("%d addresses are remembered without a connection", len(c.open))
	}
}

func TestOneAddress(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:1", true},
		{"2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"0.0.0.1", "::1", false},
		{"0.0.0.0", "::", false},
	} {
		if same := keyOf(addr(test.a)) == keyOf(addr(test.b)); same != test.same {
			t.Errorf("%s and %s: %v", test.a, test.b, same)
		}
	}
}

func TestRates(t *testing.T) {
	r := NewRates(2, 3)
	a, now := addr("192.0.2.1"), time.Unix(1000, 0)
	for i := range 3 {
		if _, ok := r.Allow(a, now); !ok {
			t.Fatalf("request %d of the burst is refused", i)
		}
	}
	wait, ok := r.Allow(a, now)
	if ok || wait != 500*time.Millisecond {
		t.Errorf("beyond the burst: %v, %v", wait, ok)
	}
	if _, ok := r.Allow(addr("192.0.2.2"), now); !ok {
		t.Error("another address is limited too")
	}
	if _, ok := r.Allow(a, now.Add(wait)); !ok {
		t.Error("refused after the wait it was told")
	}
	if wait, ok := r.Allow(a, now.Add(wait)); ok || wait <= 0 {
		t.Errorf("two after one wait: %v, %v", wait, ok)
	}
}

func TestRatesBelowOne(t *testing.T) {
	r := NewRates(0.1, 0)
	now := time.Unix(1000, 0)
	if _, ok := r.Allow(addr("192.0.2.1"), now); !ok {
		t.Error("the first one is refused")
	}
	if wait, ok := r.Allow(addr("192.0.2.1"), now); ok || wait < 9*time.Second || wait > 11*time.Second {
		t.Errorf("%v, %v", wait, ok)
	}
}

func TestRatesForget(t *testing.T) {
	r := NewRates(1, 1)
	r.half = 8
	now := time.Unix(1000, 0)
	kept := addr("192.0.2.1")
	r.Allow(kept, now)
	for i := range 1000 {
		r.Allow(addr(fmt.Sprintf("198.51.%d.%d", i/250, i%250)), now)
		if n := len(r.young) + len(r.old); n > 16 {
			t.Fatalf("%d addresses after %d", n, i)
		}
		if _, ok := r.Allow(kept, now); ok {
			t.Fatalf("an address in use was forgotten after %d", i)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	r, c := NewRates(1, 100), NewConnections(1000)
	now := time.Unix(1000, 0)
	var all sync.WaitGroup
	var mu sync.Mutex
	allowed := 0
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 50 {
				c.Enter(addr("192.0.2.1"))
				if _, ok := r.Allow(addr("192.0.2.1"), now); ok {
					mu.Lock()
					allowed++
					mu.Unlock()
				}
				c.Leave(addr("192.0.2.1"))
			}
		}()
	}
	all.Wait()
	if allowed != 100 || len(c.open) != 0 {
		t.Errorf("%d of 100 were allowed, %d connections are left", allowed, len(c.open))
	}
}

func BenchmarkAllow(b *testing.B) {
	r := NewRates(1e9, 1000)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		r.Allow(addr4, now)
	}
}

var addr4 = netip.MustParseAddr("192.0.2.1")
