package zeromq

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Type is what a socket is.
type Type uint8

// The types there are. Dealer was called XREQ, and Router XREP.
const (
	Pull Type = iota + 1
	Push
	Pub
	Sub
	Dealer
	Router
	Req
)

// types are their names, and those of the peers that each may have; the numbers are ZMTP 2.0's.
var types = map[Type]struct {
	name   string
	number byte
	peers  []string
}{
	Pull:   {"PULL", 7, []string{"PUSH"}},
	Push:   {"PUSH", 8, []string{"PULL"}},
	Pub:    {"PUB", 1, []string{"SUB", "XSUB"}},
	Sub:    {"SUB", 2, []string{"PUB", "XPUB"}},
	Dealer: {"DEALER", 5, []string{"ROUTER", "DEALER", "REP"}},
	Router: {"ROUTER", 6, []string{"DEALER", "REQ", "ROUTER"}},
	Req:    {"REQ", 3, []string{"ROUTER", "REP"}},
}

// String is the type's name in ZMTP.
func (t Type) String() string { return types[t].name }

// numbered are ZMTP 2.0's numbers of types.
var numbered = []string{"PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB"}

var (
	errOld       = errors.New("it speaks ZMTP 1.0, or no ZeroMQ")
	errIdentity  = errors.New("an identity longer than 255 bytes, or whose first byte is 0")
	errHandshake = errors.New("something else than READY in the handshake")
	errReady     = errors.New("a malformed READY")
)

// peer is what the other end has said of itself.
type peer struct {
	version  byte // 1 to 3; ZMTP 2.0 says 1
	minor    byte
	kind     string
	identity []byte
}

// signature begins each greeting. It is that of a frame of 2.0 whose head has a length, which is what older ones want.
var signature = []byte{0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f}

const version = 3

// greet does the handshake. It sends as much as any peer may be sent before it has said its version.
func greet(rw io.Writer, d *decoder, t Type, identity []byte) (peer, error) {
	var p peer
	if _, err := rw.Write(append(append([]byte{}, signature...), version)); err != nil {
		return p, err
	}
	b, err := d.take(len(signature))
	if err != nil {
		return p, err
	}
	if b[0] != 0xff || b[9]&1 == 0 {
		return p, errOld
	}
	if b, err = d.take(1); err != nil {
		return p, err
	}
	p.version = b[0]
	switch {
	case p.version == 0:
		return p, errOld
	case p.version < 3:
		err = greet2(rw, d, t, identity, &p)
	default:
		err = greet3(rw, d, t, identity, &p)
	}
	if err == nil {
		err = p.check(t)
	}
	return p, err
}

// greet2 is the rest of ZMTP 2.0's: type and identity.
func greet2(rw io.Writer, d *decoder, t Type, identity []byte, p *peer) error {
	out := append(header([]byte{types[t].number}, 0, len(identity)), identity...)
	if _, err := rw.Write(out); err != nil {
		return err
	}
	b, err := d.take(1)
	if err != nil {
		return err
	}
	if int(b[0]) >= len(numbered) {
		return fmt.Errorf("an unknown socket type, %d", b[0])
	}
	p.kind = numbered[b[0]]
	m, _, err := d.next()
	if err != nil {
		return err
	}
	if len(m) != 1 {
		return errHandshake
	}
	p.identity = m[0]
	return nil
}

// greet3 is the rest of ZMTP 3's: version, mechanism, and READY.
func greet3(rw io.Writer, d *decoder, t Type, identity []byte, p *peer) error {
	rest := make([]byte, 53)
	rest[0] = 1
	copy(rest[1:], "NULL")
	if _, err := rw.Write(rest); err != nil {
		return err
	}
	b, err := d.take(len(rest))
	if err != nil {
		return err
	}
	p.minor = b[0]
	if mechanism := string(bytes.TrimRight(b[1:21], "\x00")); mechanism != "NULL" {
		return fmt.Errorf("it wants the security mechanism %.20q, and there is NULL only", mechanism)
	}
	if _, err := rw.Write(appendCommand(nil, "READY", properties(t, identity))); err != nil {
		return err
	}
	_, command, err := d.next()
	if err != nil {
		return err
	}
	name, body, ok := splitCommand(command)
	if ok && name == "ERROR" {
		reason := body[min(1, len(body)):]
		return fmt.Errorf("it says ERROR %.100q", reason)
	}
	if !ok || name != "READY" {
		return errHandshake
	}
	return p.ready(body)
}

// check tells what is wrong with the peer for a socket of type t.
func (p *peer) check(t Type) error {
	if len(p.identity) > 255 || len(p.identity) > 0 && p.identity[0] == 0 {
		return errIdentity
	}
	for _, kind := range types[t].peers {
		if kind == p.kind {
			return nil
		}
	}
	return fmt.Errorf("it is a %.20q, which a %s cannot talk to", p.kind, t)
}

// properties are the metadata of READY.
func properties(t Type, identity []byte) []byte {
	out := property(nil, "Socket-Type", []byte(t.String()))
	if t == Dealer || t == Router || t == Req {
		out = property(out, "Identity", identity)
	}
	return out
}

func property(to []byte, name string, value []byte) []byte {
	to = append(append(to, byte(len(name))), name...)
	to = binary.BigEndian.AppendUint32(to, uint32(len(value)))
	return append(to, value...)
}

// ready reads the metadata of READY. Names are without regard to case.
func (p *peer) ready(b []byte) error {
	for len(b) > 0 {
		n := int(b[0])
		if len(b) < 1+n+4 {
			return errReady
		}
		name := b[1 : 1+n]
		size := binary.BigEndian.Uint32(b[1+n:])
		b = b[1+n+4:]
		if uint64(size) > uint64(len(b)) {
			return errReady
		}
		value := b[:size]
		b = b[size:]
		switch {
		case bytes.EqualFold(name, []byte("Socket-Type")):
			p.kind = string(value)
		case bytes.EqualFold(name, []byte("Identity")):
			p.identity = append([]byte{}, value...)
		}
	}
	return nil
}

// splitCommand takes a command's name off its body.
func splitCommand(b []byte) (name string, body []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return "", nil, false
	}
	return string(b[1 : 1+b[0]]), b[1+int(b[0]):], true
}
