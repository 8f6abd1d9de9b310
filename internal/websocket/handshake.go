package websocket

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 wants it
	"encoding/base64"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws/wsflate"
)

const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// Accept is Sec-WebSocket-Accept for a Sec-WebSocket-Key.
func Accept(key []byte) string {
	sum := sha1.Sum(append(append([]byte(nil), key...), guid...))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Deflate is what was agreed on for permessage-deflate; the zero value is none.
type Deflate struct {
	On             bool
	inBits, inKeep int // window of what comes: its largest size, 0 if each message begins anew
	outBits        int
	outKeep        bool // each message may refer to those before
	answer         []byte
}

// Windows, RFC 7692 7.1.2. A client that lets us choose its window gets a small one: it is kept between messages for as long as the
// connection lasts. Messages to the client refer to as much.
const (
	fullBits  = 15
	smallBits = 11
)

// Negotiate chooses from the offers of a Sec-WebSocket-Extensions field, all its lines joined by commas.
func Negotiate(offers []byte) (d Deflate) {
	options, ok := httphead.ParseOptions(offers, nil)
	if !ok {
		return d // malformed: as if there were none
	}
	for _, o := range options {
		var p wsflate.Parameters
		if string(o.Name) != wsflate.ExtensionName || p.Parse(o) != nil {
			continue // declined, RFC 7692 7.1
		}
		d = Deflate{On: true, inBits: fullBits, outBits: fullBits, outKeep: !p.ServerNoContextTakeover}
		if p.ServerMaxWindowBits != 0 {
			d.outBits = int(p.ServerMaxWindowBits)
		}
		if p.ClientMaxWindowBits != 0 { // 1: without a number
			d.inBits = smallBits
			if p.ClientMaxWindowBits > 1 {
				d.inBits = min(d.inBits, int(p.ClientMaxWindowBits))
			}
			p.ClientMaxWindowBits = wsflate.WindowBits(d.inBits)
		}
		d.inKeep = 1 << d.inBits
		if p.ClientNoContextTakeover {
			d.inKeep = 0
		}
		d.answer = appendOption(nil, p)
		return d
	}
	return d
}

func appendOption(dst []byte, p wsflate.Parameters) []byte {
	dst = append(dst, wsflate.ExtensionName...)
	o := p.Option()
	o.Parameters.ForEach(func(key, value []byte) bool {
		dst = append(append(dst, "; "...), key...)
		if len(value) > 0 {
			dst = append(append(dst, '='), value...)
		}
		return true
	})
	return dst
}

// AppendAnswer appends the fields of a 101 for the key, and the empty line. protocol: that was chosen, or none. fields: more lines.
func AppendAnswer(dst, key, protocol []byte, d Deflate, fields []byte) []byte {
	dst = append(dst, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = append(append(dst, Accept(key)...), "\r\n"...)
	if len(protocol) > 0 {
		dst = append(append(append(dst, "Sec-WebSocket-Protocol: "...), protocol...), "\r\n"...)
	}
	if d.On {
		dst = append(append(append(dst, "Sec-WebSocket-Extensions: "...), d.answer...), "\r\n"...)
	}
	return append(append(dst, fields...), "\r\n"...)
}
