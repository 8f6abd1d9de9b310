package proxy

// The PROXY protocol, versions 1 and 2 (haproxy/doc/proxy-protocol.txt, numbers below are its sections): a header that a
// load balancer sends in front of the first bytes of a connection. Nothing is kept between calls, so that it cannot
// matter how the bytes were split.

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
)

// Version says which headers are understood.
type Version uint8

// The values of --proxy-protocol.
const (
	V1   Version = 1 << iota // the text form
	V2                       // the binary form
	Off  Version = 0
	Auto         = V1 | V2
)

// Versions are the names of Version in configurations.
var Versions = map[string]Version{"off": Off, "v1": V1, "v2": V2, "auto": Auto}

const (
	maxV1  = 107 // 2.1: the longest line, with CRLF
	headV2 = 16  // 2.2: what comes before the addresses
	// maxV2 bounds addresses and TLVs; the protocol allows 64 KiB, but what is sent are certificates' names at most.
	maxV2 = 2048 - headV2

	signature = "\r\n\r\n\x00\r\nQUIT\n"
)

// Header is a PROXY protocol header.
type Header struct {
	// Local: the proxy speaks for itself, as in health checks; the socket's peer is the client.
	Local bool
	// Unix: the client came to the proxy over a unix socket, and has no address.
	Unix bool
	// Source is invalid when the proxy did not say who the client is.
	Source, Dest netip.AddrPort

	kind string // of connection, in the words of version 1
}

// Text is the header as environ has it: the kind of connection and, where they are known, the address and the port that the
// client came to, with spaces between.
func (h *Header) Text() string {
	if !h.Dest.IsValid() {
		return h.kind
	}
	return h.kind + " " + h.Dest.Addr().String() + " " + strconv.Itoa(int(h.Dest.Port()))
}

// HeaderError is why a header was refused.
type HeaderError string

func (e HeaderError) Error() string { return "PROXY protocol: " + string(e) }

// The reasons.
const (
	errMissing   = HeaderError("no header of a version that is accepted here")
	errLong      = HeaderError("the header is too long")
	errMalformed = HeaderError("the header is malformed")
)

// ParseHeader looks for a header of a version in accept at the beginning of b. n is its length, and 0 when more bytes are
// needed. An error comes with the first byte that cannot be right, whatever follows.
func ParseHeader(b []byte, accept Version) (h Header, n int, err error) {
	if len(b) == 0 {
		return h, 0, nil
	}
	switch b[0] {
	case 'P':
		if accept&V1 != 0 {
			return parseV1(b)
		}
	case '\r':
		if accept&V2 != 0 {
			return parseV2(b)
		}
	}
	return h, 0, errMissing
}

// parseV1 reads 2.1: "PROXY TCP4 source destination port port" and CRLF, with single spaces.
func parseV1(b []byte) (h Header, n int, err error) {
	const start = "PROXY "
	if k := min(len(b), len(start)); string(b[:k]) != start[:k] {
		return h, 0, errMissing
	}
	end := bytes.IndexByte(b[:min(len(b), maxV1)], '\n')
	if end < 0 {
		if len(b) >= maxV1 {
			return h, 0, errLong
		}
		return h, 0, nil
	}
	if b[end-1] != '\r' {
		return h, 0, errMalformed
	}
	line := b[len(start) : end-1]
	if bytes.IndexByte(line, '\r') >= 0 {
		return h, 0, errMalformed
	}
	if string(line) == "UNKNOWN" || bytes.HasPrefix(line, []byte("UNKNOWN ")) {
		h.kind = "UNKNOWN"
		return h, end + 1, nil // 2.1: the receiver must ignore the rest
	}
	if !h.addressesV1(line) {
		return Header{}, 0, errMalformed
	}
	return h, end + 1, nil
}

func (h *Header) addressesV1(line []byte) bool {
	var field [5][]byte
	for i := range field {
		var found bool
		field[i], line, found = bytes.Cut(line, []byte{' '})
		if found != (i < len(field)-1) {
			return false
		}
	}
	var ok [2]bool
	h.kind = string(field[0])
	h.Source, ok[0] = endpointV1(field[0], field[1], field[3])
	h.Dest, ok[1] = endpointV1(field[0], field[2], field[4])
	return ok[0] && ok[1]
}

func endpointV1(family, addr, port []byte) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(string(addr))
	if err != nil || a.Zone() != "" {
		return netip.AddrPort{}, false
	}
	switch string(family) {
	case "TCP4":
		if !a.Is4() {
			return netip.AddrPort{}, false
		}
	case "TCP6":
		if !a.Is6() {
			return netip.AddrPort{}, false
		}
	default:
		return netip.AddrPort{}, false
	}
	n, err := strconv.ParseUint(string(port), 10, 16)
	if err != nil || strconv.Itoa(int(n)) != string(port) {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), true
}

// Numbers of 2.2.
const (
	cmdLocal    = 0x20 // version 2 in the upper half
	cmdProxy    = 0x21
	familyInet  = 1
	familyInet6 = 2
	familyUnix  = 3
	sizeInet    = 12
	sizeInet6   = 36
	sizeUnix    = 216
)

// parseV2 reads 2.2: the signature, version and command, family and protocol, a length, addresses and TLVs.
func parseV2(b []byte) (h Header, n int, err error) {
	if k := min(len(b), len(signature)); string(b[:k]) != signature[:k] {
		return h, 0, errMissing
	}
	if len(b) > 12 && b[12] != cmdLocal && b[12] != cmdProxy {
		return h, 0, errMalformed
	}
	if len(b) > 13 && (b[13]>>4 > familyUnix || b[13]&15 > 2) {
		return h, 0, errMalformed
	}
	if len(b) < headV2 {
		return h, 0, nil
	}
	size := int(binary.BigEndian.Uint16(b[14:]))
	if size > maxV2 {
		return h, 0, errLong
	}
	if len(b) < headV2+size {
		return h, 0, nil
	}
	h.Local = b[12] == cmdLocal
	h.kind = "LOCAL"
	if !h.Local && !h.addressesV2(b[13], b[headV2:headV2+size]) {
		return Header{}, 0, errMalformed
	}
	return h, headV2 + size, nil // 2.2: of LOCAL, addresses and all else must be ignored
}

func (h *Header) addressesV2(family byte, b []byte) bool {
	h.kind = "UNSPEC"
	switch family >> 4 {
	case familyInet:
		if len(b) < sizeInet {
			return false
		}
		h.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), binary.BigEndian.Uint16(b[8:]))
		h.Dest = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:])), binary.BigEndian.Uint16(b[10:]))
		h.kind = "TCP4"
		b = b[sizeInet:]
	case familyInet6:
		if len(b) < sizeInet6 {
			return false
		}
		h.Source = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b)).Unmap(), binary.BigEndian.Uint16(b[32:]))
		h.Dest = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[16:])).Unmap(), binary.BigEndian.Uint16(b[34:]))
		h.kind = "TCP6"
		b = b[sizeInet6:]
	case familyUnix:
		if len(b) < sizeUnix {
			return false
		}
		h.Unix = true
		h.kind = "UNIX"
		b = b[sizeUnix:]
	default:
		return true // UNSPEC: what follows has no known form
	}
	if family&15 != 1 { // not a stream: it cannot be about this connection
		*h = Header{kind: "UNSPEC"}
	}
	return validTLVs(b)
}

// validTLVs tells whether the TLVs (2.2.1 to 2.2.7) fill what is there; their contents are of no interest here.
func validTLVs(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 3 {
			return false
		}
		n := 3 + int(binary.BigEndian.Uint16(b[1:]))
		if len(b) < n {
			return false
		}
		b = b[n:]
	}
	return true
}
