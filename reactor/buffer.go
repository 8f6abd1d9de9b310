package reactor

// Pooled blocks for reading and for queued output. Any goroutine; nothing is allocated once the lists are warm. The lists
// of small blocks are bounded and the garbage collector empties those of large ones, so that a burst does not stay in
// memory for ever.

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"
)

const (
	// BufferSize is the size of the smallest pooled block, the one GetBuffer returns.
	BufferSize = 16 << 10
	// MaxBufferSize is the largest size that is pooled.
	MaxBufferSize = 2 << 20

	minBufferShift = 14
	bufferClasses  = 8 // 16K, 32K, ... 2M
	smallClasses   = 4 // up to 128K
)

// keptBuffers is how many free blocks each small class keeps: 4 MiB of the smallest, 1 MiB of each other.
var keptBuffers = [smallClasses]int{256, 32, 16, 8}

type freeList struct {
	mu   sync.Mutex
	free [][]byte
	_    [32]byte // two classes on one cache line would make their users wait for each other
}

var (
	freeLists    [smallClasses]freeList
	largeLists   [bufferClasses - smallClasses]sync.Pool // of *byte, the block's first
	buffersInUse atomic.Int64
)

// GetBuffer returns a block of BufferSize bytes. Its content is whatever was there before.
func GetBuffer() []byte { return getClass(0) }

// GetBufferSize returns a block of at least n bytes, its length being the whole block. More than MaxBufferSize is not
// pooled: PutBuffer leaves such a block to the garbage collector.
func GetBufferSize(n int) []byte {
	if n > MaxBufferSize {
		buffersInUse.Add(1)
		return make([]byte, n)
	}
	return getClass(classFor(n))
}

// classFor returns the smallest class whose blocks hold n bytes.
func classFor(n int) int {
	if n <= BufferSize {
		return 0
	}
	return bits.Len(uint(n-1)) - minBufferShift
}

func getClass(k int) []byte {
	buffersInUse.Add(1)
	if k >= smallClasses {
		if first, ok := largeLists[k-smallClasses].Get().(*byte); ok {
			return unsafe.Slice(first, BufferSize<<k)
		}
		return make([]byte, BufferSize<<k)
	}
	f := &freeLists[k]
	f.mu.Lock()
	if n := len(f.free); n > 0 {
		b := f.free[n-1]
		f.free[n-1] = nil
		f.free = f.free[:n-1]
		f.mu.Unlock()
		return b
	}
	f.mu.Unlock()
	return make([]byte, BufferSize<<k)
}

// PutBuffer gives back a block from GetBuffer or GetBufferSize, whatever its length was cut to; it must start where the
// block started. nil is ignored.
func PutBuffer(b []byte) {
	c := cap(b)
	if c == 0 {
		return
	}
	buffersInUse.Add(-1)
	k := classFor(c)
	if k >= bufferClasses || c != BufferSize<<k {
		return // not a pooled size
	}
	if k >= smallClasses {
		largeLists[k-smallClasses].Put(unsafe.SliceData(b))
		return
	}
	f := &freeLists[k]
	f.mu.Lock()
	if len(f.free) < keptBuffers[k] {
		f.free = append(f.free, b[:c])
	}
	f.mu.Unlock()
}

// BuffersInUse returns how many blocks are out: taken and not put back. For leak tests.
func BuffersInUse() int64 { return buffersInUse.Load() }
