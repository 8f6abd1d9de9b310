package reactor

import "testing"

func TestBufferClasses(t *testing.T) {
	for _, tc := range []struct{ ask, get int }{
		{0, 16 << 10}, {1, 16 << 10}, {16 << 10, 16 << 10}, {16<<10 + 1, 32 << 10}, {100_000, 128 << 10},
		{1<<20 - 1, 1 << 20}, {1 << 20, 1 << 20}, {1<<20 + 1, 1<<20 + 1},
	} {
		before := BuffersInUse()
		b := GetBufferSize(tc.ask)
		if len(b) != tc.get || cap(b) != tc.get {
			t.Errorf("GetBufferSize(%d): %d of %d bytes, want %d", tc.ask, len(b), cap(b), tc.get)
		}
		if n := BuffersInUse() - before; n != 1 {
			t.Errorf("%d in use after one Get", n)
		}
		PutBuffer(b[:0])
		if n := BuffersInUse() - before; n != 0 {
			t.Errorf("%d in use after Put", n)
		}
	}
	PutBuffer(nil)
}

func TestBufferListsAreBounded(t *testing.T) {
	var bs [][]byte
	for range 10 {
		bs = append(bs, GetBufferSize(MaxBufferSize))
	}
	for _, b := range bs {
		PutBuffer(b)
	}
	k := classFor(MaxBufferSize)
	if n := len(freeLists[k].free); n != keptBuffers[k] {
		t.Errorf("%d of the largest blocks kept, want %d", n, keptBuffers[k])
	}
	// What was put back in full is handed out in full.
	if b := GetBufferSize(MaxBufferSize); len(b) != MaxBufferSize {
		t.Errorf("%d bytes", len(b))
	} else {
		PutBuffer(b)
	}
}
