package proxy

// Names with an underscore, which environ cannot tell from those with a dash. --header-map says what becomes of them, but for
// those that trusted proxies are known to send: gunicorn's forwarder_headers. One of them means something to the server,
// SCRIPT_NAME: where the application is mounted, as the part of the path that the proxy has left there.

import (
	"bytes"
	"slices"

	"github.com/gowsgi/gowsgi/httpparse"
)

const scriptName = "SCRIPT_NAME"

// forwards tells whether a trusted proxy may send a field of this name, which has an underscore.
func (r *Rules) forwards(name []byte) bool {
	for _, n := range r.forwarder {
		if n == "*" || same(name, n) {
			return true
		}
	}
	return false
}

// Unpose removes fields whose names have underscores and become those of known fields of proxies in environ, where they would
// be joined to those. Of a trusted peer those stay that it may send.
func (r *Rules) Unpose(h *httpparse.Request, arena []byte, trusted bool) {
	h.Headers = slices.DeleteFunc(h.Headers, func(f httpparse.Header) bool {
		name := f.Name.In(arena)
		return kindOf(name) == kindPosed && !(trusted && r.forwards(name))
	})
}

// DropUnderscores removes fields with underscores in their names.
func DropUnderscores(h *httpparse.Request, arena []byte) {
	h.Headers = slices.DeleteFunc(h.Headers, func(f httpparse.Header) bool {
		return bytes.IndexByte(f.Name.In(arena), '_') >= 0
	})
}

// Mount takes a script name off the front of a path; it ends where a segment does. ok: the path begins with it.
func Mount(path httpparse.Span, arena, script []byte) (name, rest httpparse.Span, ok bool) {
	b, n := path.In(arena), len(script)
	if !bytes.HasPrefix(b, script) || len(b) > n && b[n] != '/' {
		return httpparse.Span{}, path, false
	}
	return httpparse.Span{Off: path.Off, Len: uint32(n)}, httpparse.Span{Off: path.Off + uint32(n), Len: path.Len - uint32(n)}, true
}
