package cpy

import (
	"maps"
	"testing"
	"unsafe"
)

// TestLayout compares the Go mirrors of C structs with what the compiler made of them.
func TestLayout(t *testing.T) {
	request, piece, response := cSizes()
	for _, c := range []struct {
		name    string
		ours, c uintptr
	}{
		{"gw_request", unsafe.Sizeof(Request{}), request},
		{"gw_piece", unsafe.Sizeof(Piece{}), piece},
		{"gw_response", unsafe.Sizeof(Response{}), response},
	} {
		if c.ours != c.c {
			t.Errorf("%s: %d bytes in Go, %d in C", c.name, c.ours, c.c)
		}
	}
	places := cOffsets()
	maps.Copy(places, cWait())
	for name, pair := range places {
		if pair[0] != pair[1] {
			t.Errorf("%s: at %d in Go, at %d in C", name, pair[0], pair[1])
		}
	}
}
