package httpparse

import "bytes"

// Request targets (RFC 9112 3.2) and the host in them and in the Host field (RFC 9110 4.2, RFC 3986 3.2).

// target takes a request target apart. Control bytes, DEL and SP are not in it: scanHead and the split saw to that.
// Bytes from 0x80 on are let through as they are, because apps expect raw Latin-1 and UTF-8 paths to work.
func (p *Parser) target(buf []byte, t Span) fault {
	r := &p.Request
	r.Target = t
	b := t.In(buf)
	if len(b) == 0 { // version has refused it already
		return fault{CodeRequestLine, int(t.Off)}
	}
	if i := bytes.IndexByte(b, '#'); i >= 0 { // RFC 9110 7.1: the fragment is not part of a target
		return fault{CodeTarget, int(t.Off) + i}
	}
	switch {
	case b[0] == '/': // RFC 9112 3.2.1
		r.Form = Origin
		r.pathQuery(b, t)
		return fault{}
	case b[0] == '*' && len(b) == 1: // RFC 9112 3.2.4: a server-wide OPTIONS
		if string(r.Method.In(buf)) != "OPTIONS" {
			return fault{CodeTarget, int(t.Off)}
		}
		r.Form = Asterisk
		r.Path, r.Query = Span{t.Off, 0}, Span{t.End(), 0}
		return fault{}
	}
	return r.absolute(b, t, string(r.Method.In(buf)) == "OPTIONS")
}

// pathQuery splits at the first '?', RFC 3986 3.3 and 3.4.
func (r *Request) pathQuery(b []byte, s Span) {
	r.Path, r.Query = s, Span{s.End(), 0}
	if i := bytes.IndexByte(b, '?'); i >= 0 {
		r.Path.Len = uint32(i)
		r.Query = Span{s.Off + uint32(i) + 1, uint32(len(b) - i - 1)}
		r.HasQuery = true
	}
}

// absolute reads RFC 9112 3.2.2: a URI of the schemes RFC 9110 4.2 defines.
func (r *Request) absolute(b []byte, t Span, options bool) fault {
	skip := 0
	switch {
	case hasScheme(b, "http://"):
		skip = len("http://")
	case hasScheme(b, "https://"):
		skip = len("https://")
	default:
		return fault{CodeTarget, int(t.Off)}
	}
	r.Form = Absolute
	auth, n := b[skip:], len(b)-skip
	for i, c := range auth {
		if c == '/' || c == '?' {
			n = i
			break
		}
	}
	auth = auth[:n]
	r.Authority = Span{t.Off + uint32(skip), uint32(n)}
	// RFC 9110 4.2.1: an empty host is invalid; 4.2.4: userinfo is a sign of an attack, and '@' is no host byte.
	if host, _, ok := splitHost(auth); !ok || len(host) == 0 {
		return fault{CodeAuthority, int(r.Authority.Off)}
	}
	rest := Span{r.Authority.End(), uint32(len(b) - skip - n)}
	r.pathQuery(b[skip+n:], rest)
	// RFC 9110 4.2.3: an empty path is "/", for which one of the scheme's slashes stands. RFC 9112 3.2.4: to OPTIONS it is "*".
	if r.Path.Len == 0 && (r.HasQuery || !options) {
		r.Path = Span{r.Authority.Off - 1, 1}
	}
	return fault{}
}

func hasScheme(b []byte, prefix string) bool {
	if len(b) < len(prefix) {
		return false
	}
	for i := range len(prefix) { // RFC 3986 3.1: schemes have no case
		if lower(b[i]) != prefix[i] {
			return false
		}
	}
	return true
}

// ValidHost tells whether b may be the value of a Host field.
func ValidHost(b []byte) bool {
	_, _, ok := splitHost(b)
	return ok
}

// splitHost reads uri-host [ ":" port ], RFC 9110 7.2. The host may be empty, so may the port after its colon; a port
// is at most 65535.
func splitHost(b []byte) (host []byte, port int, ok bool) {
	i := 0
	if len(b) > 0 && b[0] == '[' {
		i = bytes.IndexByte(b, ']')
		if i < 0 || !validIPv6(b[1:i]) {
			return nil, 0, false
		}
		i++
	} else {
		for i < len(b) && class[b[i]]&isHost != 0 || isPercent(b, i) {
			i++
		}
	}
	host, port = b[:i], -1
	if i == len(b) {
		return host, port, true
	}
	if b[i] != ':' {
		return nil, 0, false
	}
	for i++; i < len(b); i++ {
		if class[b[i]]&isDigit == 0 {
			return nil, 0, false
		}
		port = max(port, 0)*10 + int(b[i]-'0')
		if port > 65535 {
			return nil, 0, false
		}
	}
	return host, port, true
}

// isPercent tells whether b[i] is the '%' of pct-encoded, RFC 3986 2.1. Its digits are host bytes on their own.
func isPercent(b []byte, i int) bool {
	return i+2 < len(b) && b[i] == '%' && class[b[i+1]]&isHex != 0 && class[b[i+2]]&isHex != 0
}

// validIPv6 reads IPv6address, RFC 3986 3.2.2: eight groups, or fewer around one "::"; the last two may be an IPv4
// address. Zones and future versions are refused: nobody has a use for them in Host.
func validIPv6(b []byte) bool {
	groups, gap := 0, false
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		b, gap = b[2:], true
	}
	for len(b) > 0 {
		n := 0
		for n < len(b) && class[b[n]]&isHex != 0 {
			n++
		}
		if n < len(b) && b[n] == '.' {
			return validIPv4(b) && (groups == 6 && !gap || groups < 6 && gap)
		}
		if n == 0 || n > 4 || groups == 8 {
			return false
		}
		groups++
		b = b[n:]
		if len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return false
		}
		b = b[1:]
		if b[0] == ':' {
			if gap {
				return false
			}
			b, gap = b[1:], true
		}
	}
	return groups == 8 && !gap || groups < 8 && gap
}

// validIPv4 reads IPv4address, RFC 3986 3.2.2.
func validIPv4(b []byte) bool {
	for part := 0; ; part++ {
		v, n := 0, 0
		for n < len(b) && n < 4 && class[b[n]]&isDigit != 0 {
			v = v*10 + int(b[n]-'0')
			n++
		}
		if n == 0 || v > 255 || n > 1 && b[0] == '0' {
			return false
		}
		b = b[n:]
		if part == 3 {
			return len(b) == 0
		}
		if len(b) == 0 || b[0] != '.' {
			return false
		}
		b = b[1:]
	}
}

// sameAuthority compares Host with a target's authority: without case, and with the scheme's default port filled in
// (RFC 9110 4.2.3). Both have passed splitHost.
func sameAuthority(a, b []byte, https bool) bool {
	def := 80
	if https {
		def = 443
	}
	ha, pa, _ := splitHost(a)
	hb, pb, _ := splitHost(b)
	if pa < 0 {
		pa = def
	}
	if pb < 0 {
		pb = def
	}
	return pa == pb && equalFold(ha, hb)
}
