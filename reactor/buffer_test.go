package reactor

import "testing"

func TestBufferClasses(t *testing.T) {
	for _, tc := range []struct{ ask, get int }{
		{0, 16 << 10}, {1, 16 << 10}, {16 << 10, 16 << 10}, {16<<10 + 1, 32 << 10}, {100_000, 128 << 10},
		{1<<20 - 1, 1 << 20}, {1 << 20, 1 << 20}, {1<<20 + 1, 2 << 20}, {2<<20 + 1, 2<<20 + 1},
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

func TestSmallBufferListsAreBounded(t *testing.T) {
	k := smallClasses - 1
	size := BufferSize << k
	var bs [][]byte
	for range keptBuffers[k] + 3 {
		bs = append(bs, GetBufferSize(size))
	}
	for _, b := range bs {
		PutBuffer(b)
	}
	if n := len(freeLists[k].free); n != keptBuffers[k] {
		t.Errorf("%d blocks kept, want %d", n, keptBuffers[k])
	}
}

// TestBuffersComeBackWhole: what was put back cut is handed out in full, small and large.
func TestBuffersComeBackWhole(t *testing.T) {
	for size := BufferSize; size <= MaxBufferSize; size *= 2 {
		PutBuffer(GetBufferSize(size)[:1])
		b := GetBufferSize(size)
		if len(b) != size {
			t.Errorf("%d bytes, want %d", len(b), size)
		}
		PutBuffer(b)
	}
}
