package reactor

import (
	"testing"
	"unsafe"
)

// TestConnSize: a server may hold a hundred thousand idle connections. 128 bytes are a size of Go's allocator; one field
// more would take 144.
func TestConnSize(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 128 {
		t.Errorf("an idle connection takes %d bytes", n)
	}
}
