package request

// X-Request-Id, by option: a request has one from here on, whatever its client sent, so that environ, both logs and the
// application's own can be put together. On the thread that parses.

import (
	"bytes"
	"math/rand/v2"

	"github.com/gowsgi/gowsgi/httpparse"
)

// Identify gives r its id: the one that it brings, if take is set and there is one, else a new one. Then its head moves to a
// place of its own, in room if that has it, which is returned; else nil is.
func (r *Request) Identify(take bool, room []byte) []byte {
	h, arena := r.Req.Head, r.Req.Arena
	if take {
		var found []httpparse.Header
		for _, f := range h.Headers {
			if isID(f.Name.In(arena)) {
				found = append(found, f)
			}
		}
		if len(found) == 1 && goodID(found[0].Value.In(arena)) {
			return nil
		}
	}
	kept := h.Headers[:0]
	for _, f := range h.Headers {
		if !isID(f.Name.In(arena)) {
			kept = append(kept, f)
		}
	}
	to := append(room, arena...)
	name := httpparse.Span{Off: uint32(len(to)), Len: uint32(len(IDField))}
	to = append(to, IDField...)
	value := httpparse.Span{Off: uint32(len(to))}
	to = appendHex(appendHex(to, rand.Uint64()), rand.Uint64())
	value.Len = uint32(len(to)) - value.Off
	h.Headers = append(kept, httpparse.Header{Name: name, Value: value})
	r.Req.Arena, r.Req.Number = to, 0 // it is like no other
	return to
}

// isID also knows the spelling that environ does not tell from the right one.
func isID(name []byte) bool {
	return len(name) == len(IDField) &&
		bytes.EqualFold(bytes.ReplaceAll(name, []byte("_"), []byte("-")), []byte(IDField))
}

// goodID tells whether an id can stand anywhere: in a log, a header, a shell's quotation marks.
func goodID(id []byte) bool {
	for _, c := range id {
		if c <= ' ' || c > '~' || c == '"' || c == '\'' || c == '\\' || c == '`' || c == '$' {
			return false
		}
	}
	return 0 < len(id) && len(id) <= 128
}

func appendHex(dst []byte, n uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[n>>shift&15])
	}
	return dst
}
