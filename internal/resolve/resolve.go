// Package resolve looks up host names for sockets that give their thread back: with Go's own resolver, which waits on
// goroutines and honours the hosts file, resolv.conf with its search domains, and nsswitch.conf as far as it names these.
// Addresses come in the order of RFC 6724, as from getaddrinfo, and errors are getaddrinfo's. What needs no look-up (no
// host, a numeric one in one of inet_aton's forms, services, flags) is the caller's.
package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"

	"github.com/gowsgi/gowsgi/internal/rules"
)

// Limit is how many look-ups Shared makes at once.
const Limit = 64

// Shared asks the system's name servers.
var Shared = New(nil, Limit)

// Resolver looks names up, a bounded number of them at once; the others wait.
type Resolver struct {
	net   net.Resolver
	slots chan struct{}
}

// New returns a Resolver for so many look-ups at once. dial connects to a name server, as net.Resolver.Dial does; nil: in
// the usual way.
func New(dial func(ctx context.Context, network, address string) (net.Conn, error), limit int) *Resolver {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	r := &Resolver{slots: make(chan struct{}, limit)}
	r.net.PreferGo = true
	r.net.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err == nil {
			// When our caller gives up, net returns at once, but what it has begun waits for the server, five seconds or so,
			// outside the bound. After net's own timeout, or the answer, there is nothing to be done.
			context.AfterFunc(ctx, func() {
				if ctx.Err() == context.Canceled {
					_ = c.Close()
				}
			})
		}
		return c, err
	}
	return r
}

// Lookup returns the addresses of host of a family (syscall.AF_UNSPEC: of both, AF_INET, AF_INET6), one at least. It fails
// with an *Error, or with ctx's when that is done first. Any goroutine, without the GIL.
func (r *Resolver) Lookup(ctx context.Context, host string, family int) ([]netip.Addr, error) {
	rules.Waits("for a name")
	network := ""
	switch family {
	case syscall.AF_UNSPEC:
		network = "ip"
	case syscall.AF_INET:
		network = "ip4"
	case syscall.AF_INET6:
		network = "ip6"
	default:
		return nil, &Error{Code: Family}
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if network == "ip" || a.Is4() == (network == "ip4") {
			return []netip.Addr{a}, nil
		}
		return nil, &Error{Code: AddrFamily}
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	addrs, err := r.lookup(ctx, network, host)
	if err == nil {
		return addrs, nil
	}
	code := codeOf(err)
	if code == NoData {
		// net does not tell a name that has no such address from one that does not exist.
		other := map[string]string{"ip4": "ip6", "ip6": "ip4"}[network]
		if other == "" {
			code = NoName
		} else if _, err := r.lookup(ctx, other, host); err != nil {
			code = NoName
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, &Error{Code: code, Err: err}
}

func (r *Resolver) lookup(ctx context.Context, network, host string) (addrs []netip.Addr, err error) {
	if network != "ip" {
		addrs, err = r.net.LookupNetIP(ctx, network, host)
	}
	if network == "ip" || err == nil && scoped(addrs) {
		var all []net.IPAddr
		all, err = r.net.LookupIPAddr(ctx, host)
		addrs = addrs[:0]
		for _, ip := range all {
			if a, ok := netip.AddrFromSlice(ip.IP); ok && (network == "ip" || a.Unmap().Is6()) {
				addrs = append(addrs, a.WithZone(ip.Zone))
			}
		}
	}
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Name: host, Err: "no address", IsNotFound: true}
	}
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	return addrs, err
}

// scoped tells whether addrs need a zone, which the hosts file may have, and LookupNetIP does not return.
func scoped(addrs []netip.Addr) bool {
	for _, a := range addrs {
		if a.Is6() && a.IsLinkLocalUnicast() {
			return true
		}
	}
	return false
}

// codeOf says NoData where it may be NoName. Servers that refuse, answer nonsense or nothing are Again, as with glibc.
func codeOf(err error) Code {
	var dns *net.DNSError
	var addr *net.AddrError
	switch {
	case errors.As(err, &addr): // the hosts file has it, with the other family only
		return NoName
	case !errors.As(err, &dns):
		return Fail
	case dns.IsNotFound:
		return NoData
	}
	return Again
}
