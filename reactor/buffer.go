package reactor

// Pooled blocks for reading and for queued output. Any goroutine; nothing is allocated once the lists are warm. The lists
// are bounded, so that a burst does not stay in memory for ever.

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	// BufferSize is the size of the smallest pooled block, the one GetBuffer returns.
	BufferSize = 16 << 10
	// MaxBufferSize is the largest size that is pooled.
	MaxBufferSize = 1 << 20

	minBufferShift = 14
	bufferClasses  = 7 // 16K, 32K, ... 1M
)

// keptBuffers is how many free blocks each class keeps: 4 MiB of the smallest, 1 or 2 MiB of each other.
var keptBuffers = [bufferClasses]int{256, 32, 16, 8, 4, 2, 2}

type freeList struct {
	mu   sync.Mutex
	free [][]byte
	_    [32]byte // two classes on one cache line would make their users wait for each other
}

var (
	freeLists    [bufferClasses]freeList
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
	f := &freeLists[k]
	f.mu.Lock()
	if len(f.free) < keptBuffers[k] {
		f.free = append(f.free, b[:c])
	}
	f.mu.Unlock()
}

// BuffersInUse returns how many blocks are out: taken and not put back. For leak tests.
func BuffersInUse() int64 { return buffersInUse.Load() }
