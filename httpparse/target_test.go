package httpparse

import (
	"net/netip"
	"strings"
	"testing"
)

// Hosts and authorities, against net/netip where it knows better.

func TestIPv6(t *testing.T) {
	// Every sequence of up to seven of these pieces.
	pieces := []string{":", "::", "1", "abcd", "12345", "1.2.3.4", "1:2:3:4:5", "256.1.1.1", "01.1.1.1"}
	var try func(s string, depth int)
	try = func(s string, depth int) {
		a, err := netip.ParseAddr(s)
		if want := err == nil && a.Is6() && a.Zone() == ""; validIPv6([]byte(s)) != want {
			t.Errorf("%q: %v, net/netip %v, %v", s, !want, a, err)
		}
		if depth > 0 {
			for _, p := range pieces {
				try(s+p, depth-1)
			}
		}
	}
	try("", 5)
	for _, s := range []string{
		"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "::1:2:3:4:5:6:7:8",
		"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "::1:2:3:4:5:1.2.3.4", "::1:2:3:4:5:6:1.2.3.4",
		"1.2.3.4", "::1.2.3", "::1.2.3.4.5",
		"::1.2.3.4:5", "fe80::1%eth0", "::g", ":1", "1:", "::ffff:00.0.0.0", "::1.2.3.", "::.1.2.3",
	} {
		try(s, 0)
	}
}

func TestSplitHost(t *testing.T) {
	for _, c := range []struct {
		in, host string
		port     int
		ok       bool
	}{
		{"", "", -1, true},
		{"a", "a", -1, true},
		{"a.b-c_d~e", "a.b-c_d~e", -1, true},
		{"!$&'()*+,;=", "!$&'()*+,;=", -1, true},
		{"a:", "a", -1, true},
		{"a:0", "a", 0, true},
		{"a:00080", "a", 80, true},
		{":80", "", 80, true},
		{"%41b", "%41b", -1, true},
		{"a%4", "", 0, false},
		{"a%", "", 0, false},
		{"a%4g", "", 0, false},
		{"a:65536", "", 0, false},
		{"a:99999999999999999999999999", "", 0, false},
		{"a:8 0", "", 0, false},
		{"a:80:80", "", 0, false},
		{"[::1]", "[::1]", -1, true},
		{"[::1]:8080", "[::1]", 8080, true},
		{"[::1]8080", "", 0, false},
		{"[]", "", 0, false},
		{"[", "", 0, false},
		{"a[::1]", "", 0, false},
	} {
		host, port, ok := splitHost([]byte(c.in))
		if string(host) != c.host || port != c.port || ok != c.ok {
			t.Errorf("%q: %q %d %v", c.in, host, port, ok)
		}
	}
	const hostBytes = "-._~!$&'()*+,;=0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for c := range 256 {
		_, _, ok := splitHost([]byte{'a', byte(c)})
		if want := strings.IndexByte(hostBytes, byte(c)) >= 0 || c == ':'; ok != want {
			t.Errorf("%q in a host: %v", byte(c), ok)
		}
	}
}

func TestSameAuthority(t *testing.T) {
	for _, c := range []struct {
		a, b        string
		http, https bool
	}{
		{"a", "A", true, true},
		{"a", "a:80", true, false},
		{"a:443", "a:", false, true},
		{"a:8080", "a:08080", true, true},
		{"a", "b", false, false},
		{"a.", "a", false, false},
		{"", "a", false, false},
		{"[::1]", "[::1]:80", true, false},
		{"[", "{", false, false}, // differ in 0x20 only, but are no letters
	} {
		for _, https := range []bool{false, true} {
			want := c.http
			if https {
				want = c.https
			}
			if c.a == "[" { // not an authority: straight to the comparison
				if equalFold([]byte(c.a), []byte(c.b)) {
					t.Error("[ equals {")
				}
				continue
			}
			if got := sameAuthority([]byte(c.a), []byte(c.b), https); got != want {
				t.Errorf("%q %q https %v: %v", c.a, c.b, https, got)
			}
		}
	}
}
