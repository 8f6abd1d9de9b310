package httpparse

// Heads that come again byte by byte, as those of health checks, of pages that poll, and of most programs that call one
// URL: to see that one is the same is a comparison, where taking it apart again looks at each byte several times.

import (
	"bytes"
	"sync/atomic"
)

const (
	recentHeads  = 4       // remembered
	recentSize   = 1 << 10 // bytes of the largest
	recentSample = 8       // one of so many unknown heads is remembered: most of them come once
)

// lastNumber is the number of the last head that was remembered, by whomever.
var lastNumber atomic.Uint64

// Recent remembers heads for one thread. The zero value is ready. What identifies a user (Cookie, Authorization) is not
// kept beyond its request, so a head with one of these is never remembered; neither is one that a body follows.
type Recent struct {
	heads   [recentHeads]recentHead
	known   int // how many of heads are in use
	clock   uint32
	unknown uint32
}

type recentHead struct {
	bytes  []byte
	number uint64
	used   uint32 // Recent.clock when it last came
	Request
}

// Find looks whether buf begins with a head it remembers. If so p.Request becomes what Parse would have made it, n is the
// length of the head, and number names it: two heads of the same number are the same, byte by byte. Else n is 0. Only at the
// start of a head, as after Reset.
func (r *Recent) Find(p *Parser, buf []byte) (n int, number uint64) {
	for i := range r.heads[:r.known] {
		h := &r.heads[i]
		if bytes.HasPrefix(buf, h.bytes) { // a head ends where it says itself
			r.clock++
			h.used = r.clock
			headers := append(p.Headers[:0], h.Headers...)
			p.Request = h.Request
			p.Headers = headers
			return len(h.bytes), h.number
		}
	}
	return 0, 0
}

// Note tells of a head that Parse has just taken from the start of buf, because Find did not know it.
func (r *Recent) Note(p *Parser, buf []byte) {
	if r.unknown++; r.unknown%recentSample != 0 || !p.repeatable(buf) {
		return
	}
	h := &r.heads[0]
	if r.known < recentHeads {
		h = &r.heads[r.known]
		r.known++
	} else {
		for i := range r.heads {
			if r.clock-r.heads[i].used > r.clock-h.used {
				h = &r.heads[i]
			}
		}
	}
	r.clock++
	headers := append(h.Headers[:0], p.Headers...)
	*h = recentHead{
		bytes: append(h.bytes[:0], buf[:p.HeadLen]...), number: lastNumber.Add(1), used: r.clock, Request: p.Request,
	}
	h.Headers = headers
}

// repeatable tells whether the head just parsed may be remembered.
func (p *Parser) repeatable(buf []byte) bool {
	if p.HeadLen > recentSize || p.HasBody() || p.ContentLength >= 0 || p.Expect100 || p.Upgrade {
		return false
	}
	for i := range p.Headers {
		if secret(p.Headers[i].Name.In(buf)) {
			return false
		}
	}
	return true
}

// secret tells whether a field of this name says who the user is.
func secret(name []byte) bool {
	switch len(name) {
	case len("Cookie"):
		return equalLower(name, "cookie")
	case len("Authorization"):
		return equalLower(name, "authorization")
	case len("Proxy-Authorization"):
		return equalLower(name, "proxy-authorization")
	}
	return false
}
