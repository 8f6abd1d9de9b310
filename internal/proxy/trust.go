// Package proxy reads what proxies in front of the server say about the client: the X-Forwarded-* fields and Forwarded
// (forwarded.go), and the PROXY protocol (proxyproto.go). It knows no sockets; whom to believe is a Trust.
//
// What is at stake: an address or a host that a client can make up gets around everything that is built on it. So every
// rule here is about who may have written a value, and what is not certain is treated as the client's own words.
package proxy

import (
	"fmt"
	"net/netip"
	"slices"
)

// Trust is a set of peers. It is only read once it is made.
type Trust struct {
	all, unix bool
	addrs     []netip.Addr
	nets      []netip.Prefix
}

// ParseTrust reads a list of addresses, networks in CIDR form, "unix" for peers on unix sockets, and "*" for everybody.
func ParseTrust(list []string) (*Trust, error) {
	t := new(Trust)
	for _, s := range list {
		switch s {
		case "*":
			t.all, t.unix = true, true
			continue
		case "unix":
			t.unix = true
			continue
		}
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			t.addrs = append(t.addrs, a.Unmap())
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("proxy: %q is neither an address nor a network", s)
		}
		t.nets = append(t.nets, p.Masked())
	}
	return t, nil
}

// Contains tells whether the peer with address a is in the set; the zero Addr is in none.
func (t *Trust) Contains(a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	if t.all {
		return true
	}
	a = a.Unmap()
	if slices.Contains(t.addrs, a) {
		return true
	}
	for _, p := range t.nets {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Unix tells whether peers on unix sockets are in the set.
func (t *Trust) Unix() bool { return t.unix }

// Everybody tells whether the set is "*".
func (t *Trust) Everybody() bool { return t.all }
