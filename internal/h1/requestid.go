package h1

// X-Request-Id, by option: a request has one from here on, whatever its client sent, so that environ, both logs and the
// application's own can be put together. On the thread that parses.

import (
	"bytes"
	"math/rand/v2"

	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/request"
)

const requestIDField = request.IDField

// identify gives x its id, where each request has one.
func (s *Server) identify(x *exchange) {
	h, arena := &x.p.Request, x.Req.Arena
	if s.cfg.RequestID == "take" {
		var found []httpparse.Header
		for _, f := range h.Headers {
			if isRequestID(f.Name.In(arena)) {
				found = append(found, f)
			}
		}
		if len(found) == 1 && goodRequestID(found[0].Value.In(arena)) {
			return
		}
	}
	kept := h.Headers[:0]
	for _, f := range h.Headers {
		if !isRequestID(f.Name.In(arena)) {
			kept = append(kept, f)
		}
	}
	// Behind the head may be the next request, so it moves, as one that is staged does.
	var to []byte
	if len(arena) <= ownHead {
		to = x.own[:0]
	}
	to = append(to, arena...)
	name := httpparse.Span{Off: uint32(len(to)), Len: uint32(len(requestIDField))}
	to = append(to, requestIDField...)
	value := httpparse.Span{Off: uint32(len(to))}
	to = appendHex(appendHex(to, rand.Uint64()), rand.Uint64())
	value.Len = uint32(len(to)) - value.Off
	if len(arena) <= ownHead {
		x.own = to
	}
	h.Headers = append(kept, httpparse.Header{Name: name, Value: value})
	x.Req.Arena, x.Req.Number = to, 0 // it is like no other
}

// isRequestID also knows the spelling that environ does not tell from the right one.
func isRequestID(name []byte) bool {
	return len(name) == len(requestIDField) &&
		bytes.EqualFold(bytes.ReplaceAll(name, []byte("_"), []byte("-")), []byte(requestIDField))
}

// goodRequestID tells whether an id can stand anywhere: in a log, a header, a shell's quotation marks.
func goodRequestID(id []byte) bool {
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
