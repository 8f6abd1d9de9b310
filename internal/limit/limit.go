// Package limit bounds what one client address may take: connections open at a time (Connections) and requests per
// second (Rates). Both may be used from several threads at once.
//
// An IPv6 client usually has a /64 to itself, so that is what counts as one address there.
package limit

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// key is an address without the pointer that netip.Addr has, so that the maps are nothing to the garbage collector.
type key struct {
	bits uint64 // the /64, or the four bytes of IPv4
	six  bool
}

func keyOf(a netip.Addr) key {
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		return key{uint64(binary.BigEndian.Uint32(b[:])), false}
	}
	b := a.As16()
	return key{binary.BigEndian.Uint64(b[:8]), true}
}

// Connections counts the open connections of each address. Its memory is bounded by the connections there are.
type Connections struct {
	max  int
	mu   sync.Mutex
	open map[key]int
}

// NewConnections allows max connections to each address.
func NewConnections(max int) *Connections {
	return &Connections{max: max, open: map[key]int{}}
}

// Enter counts a connection, unless the address has all it may have. What has entered must Leave.
func (c *Connections) Enter(a netip.Addr) bool {
	k := keyOf(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.open[k]
	if n >= c.max {
		return false
	}
	c.open[k] = n + 1
	return true
}

// Leave is the end of a connection that has entered.
func (c *Connections) Leave(a netip.Addr) {
	k := keyOf(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.open[k]; n > 1 {
		c.open[k] = n - 1
	} else {
		delete(c.open, k)
	}
}

// MaxAddresses is how many addresses Rates remembers at the same time.
const MaxAddresses = 1 << 16

// Rates is a token bucket for each address.
//
// It forgets by generations: when the young one is full it becomes the old one, and what is used moves to the young one
// again. An address that is forgotten starts with a full bucket. Whoever holds more than MaxAddresses/2 addresses can
// bring that about, but is past any limit by address already.
type Rates struct {
	limit rate.Limit
	burst int
	half  int // addresses in a generation

	mu         sync.Mutex
	young, old map[key]*rate.Limiter
}

// NewRates allows perSecond requests to each address in the long run, and burst at once; at least one.
func NewRates(perSecond float64, burst int) *Rates {
	return &Rates{
		limit: rate.Limit(perSecond), burst: max(burst, 1), half: MaxAddresses / 2, young: map[key]*rate.Limiter{},
	}
}

// Allow takes one request of the address, or tells how long it should wait before the next one.
func (r *Rates) Allow(a netip.Addr, now time.Time) (wait time.Duration, ok bool) {
	l := r.limiter(keyOf(a))
	if l.AllowN(now, 1) {
		return 0, true
	}
	missing := 1 - l.TokensAt(now)
	return time.Duration(missing / float64(r.limit) * float64(time.Second)), false
}

func (r *Rates) limiter(k key) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.young[k]
	if l != nil {
		return l
	}
	if l = r.old[k]; l == nil {
		l = rate.NewLimiter(r.limit, r.burst)
	}
	if len(r.young) >= r.half {
		r.old, r.young = r.young, make(map[key]*rate.Limiter, r.half)
	}
	r.young[k] = l
	return l
}
