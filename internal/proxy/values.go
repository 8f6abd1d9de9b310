package proxy

// The grammar of single values.

import (
	"bytes"
	"net/netip"

	"github.com/gowsgi/gowsgi/httpparse"
)

// maxNode is the longest address with brackets and a port: an IPv6 address of 45 bytes.
const maxNode = 45 + len("[]:65535")

// parseNode reads an address: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1], [2001:db8::1]:80. The port may be a
// made-up name, RFC 7239 6.2, and is 0 then. Anything else, "unknown" and made-up names among it, is no address.
func parseNode(b []byte) (addr netip.Addr, port uint16, ok bool) {
	if len(b) == 0 || len(b) > maxNode {
		return netip.Addr{}, 0, false
	}
	host, rest := b, []byte(nil)
	bracket := b[0] == '['
	if bracket {
		end := bytes.IndexByte(b, ']')
		if end < 0 {
			return netip.Addr{}, 0, false
		}
		host, rest = b[1:end], b[end+1:]
	} else if i := bytes.IndexByte(b, ':'); i >= 0 && bytes.IndexByte(b[i+1:], ':') < 0 {
		host, rest = b[:i], b[i:]
	}
	addr, err := netip.ParseAddr(string(host))
	if err != nil || addr.Zone() != "" || bracket && !addr.Is6() {
		return netip.Addr{}, 0, false
	}
	if len(rest) > 0 {
		if rest[0] != ':' {
			return netip.Addr{}, 0, false
		}
		if port, ok = parsePort(rest[1:]); !ok && !obfuscated(rest[1:]) {
			return netip.Addr{}, 0, false
		}
	}
	return addr.Unmap(), port, true
}

// obfuscated tells whether b is an obfport, RFC 7239 6.3.
func obfuscated(b []byte) bool {
	if len(b) < 2 || b[0] != '_' {
		return false
	}
	for _, c := range b {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			if (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
				return false
			}
		}
	}
	return true
}

// parsePort reads a port from 1 to 65535 without zeros in front.
func parsePort(b []byte) (uint16, bool) {
	if len(b) == 0 || len(b) > 5 || b[0] == '0' {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return uint16(n), n <= 65535
}

// PortOf is the port at the end of a valid host; empty when it has none.
func PortOf(host httpparse.Span, arena []byte) httpparse.Span {
	b := host.In(arena)
	i := bytes.LastIndexByte(b, ':')
	if i < 0 || bytes.IndexByte(b[i:], ']') >= 0 {
		return httpparse.Span{}
	}
	if _, ok := parsePort(b[i+1:]); !ok {
		return httpparse.Span{}
	}
	return httpparse.Span{Off: host.Off + uint32(i) + 1, Len: uint32(len(b) - i - 1)}
}

// NameOf is a valid host without its port; it may be empty.
func NameOf(host httpparse.Span, arena []byte) httpparse.Span {
	b := host.In(arena)
	if i := bytes.LastIndexByte(b, ':'); i >= 0 && bytes.IndexByte(b[i:], ']') < 0 {
		host.Len = uint32(i)
	}
	return host
}

// validPrefix tells whether b can be SCRIPT_NAME: a path of visible ASCII from the root. "//host" would become another
// host in a redirect, and "." and ".." segments another path; escapes must not hide any of these.
func validPrefix(b []byte) bool {
	if len(b) == 0 || b[0] != '/' {
		return false
	}
	segment := 0 // where it begins
	for i := 0; i <= len(b); i++ {
		if i == len(b) || b[i] == '/' {
			switch s := b[segment:i]; {
			case string(s) == "." || string(s) == "..":
				return false
			case len(s) == 0 && i > 0 && i < len(b):
				return false // "//"
			}
			segment = i + 1
			continue
		}
		switch c := b[i]; {
		case c <= ' ' || c >= 0x7f || c == '?' || c == '#' || c == '\\' || c == '"' || c == '<' || c == '>':
			return false
		case c == '%':
			if i+2 >= len(b) {
				return false
			}
			hi, lo := hexValue(b[i+1]), hexValue(b[i+2])
			if hi < 0 || lo < 0 {
				return false
			}
			if d := hi<<4 | lo; d <= ' ' || d == 0x7f || d == '/' || d == '\\' || d == '.' || d == '%' || d == '?' || d == '#' {
				return false
			}
		}
	}
	return true
}

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// trim moves both ends of b[lo:hi] over OWS, RFC 9110 5.6.3.
func trim(b []byte, lo, hi int) (int, int) {
	for lo < hi && (b[lo] == ' ' || b[lo] == '\t') {
		lo++
	}
	for lo < hi && (b[hi-1] == ' ' || b[hi-1] == '\t') {
		hi--
	}
	return lo, hi
}

// element is one forwarded-element of RFC 7239 4. The spans are empty for parameters that it does not have.
type element struct {
	empty             bool
	node, proto, host httpparse.Span
}

func (e *element) shift(off uint32) {
	for _, s := range []*httpparse.Span{&e.node, &e.proto, &e.host} {
		if s.Len > 0 {
			s.Off += off
		}
	}
}

// nextElement reads the element that begins at pos and returns where the next one does. White space is allowed around
// commas and semicolons, though the RFC has it only around the former. An escape in a quoted value stays what it is,
// and makes it nothing that we know.
func nextElement(b []byte, pos int) (e element, next int, ok bool) {
	pos = skipSpace(b, pos)
	e.empty = true
	for {
		pos = skipSpace(b, pos)
		if pos == len(b) || b[pos] == ',' {
			return e, pos + 1, true
		}
		if b[pos] == ';' {
			pos++
			continue
		}
		from := pos
		for pos < len(b) && isToken(b[pos]) {
			pos++
		}
		name := b[from:pos]
		if len(name) == 0 || pos == len(b) || b[pos] != '=' {
			return e, 0, false
		}
		var v httpparse.Span
		if v, pos, ok = parameter(b, pos+1); !ok {
			return e, 0, false
		}
		e.empty = false
		if !e.take(name, v) {
			return e, 0, false
		}
		if pos = skipSpace(b, pos); pos < len(b) && b[pos] != ';' && b[pos] != ',' {
			return e, 0, false
		}
	}
}

// take notes a parameter; one of them twice is malformed, RFC 7239 4.
func (e *element) take(name []byte, v httpparse.Span) bool {
	var s *httpparse.Span
	switch {
	case len(name) == 3 && matches(name, "for"):
		s = &e.node
	case len(name) == 4 && matches(name, "host"):
		s = &e.host
	case len(name) == 5 && matches(name, "proto"):
		s = &e.proto
	default:
		return true // by, and extensions
	}
	if s.Len > 0 || v.Len == 0 {
		return false
	}
	*s = v
	return true
}

// parameter reads a token or a quoted-string, whose quotes are not part of the value.
func parameter(b []byte, pos int) (v httpparse.Span, end int, ok bool) {
	if pos < len(b) && b[pos] == '"' {
		for i := pos + 1; i < len(b); i++ {
			switch b[i] {
			case '\\':
				i++
			case '"':
				return httpparse.Span{Off: uint32(pos + 1), Len: uint32(i - pos - 1)}, i + 1, true
			}
		}
		return v, 0, false
	}
	from := pos
	// RFC 7239 4 wants quotes around a colon or brackets; some proxies leave them out, and no other reading exists.
	for pos < len(b) && (isToken(b[pos]) || b[pos] == ':' || b[pos] == '[' || b[pos] == ']') {
		pos++
	}
	return httpparse.Span{Off: uint32(from), Len: uint32(pos - from)}, pos, pos > from
}

func skipSpace(b []byte, pos int) int {
	for pos < len(b) && (b[pos] == ' ' || b[pos] == '\t') {
		pos++
	}
	return pos
}

// isToken is tchar, RFC 9110 5.6.2.
func isToken(c byte) bool {
	if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' {
		return true
	}
	return bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0
}
