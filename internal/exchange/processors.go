package exchange

import (
	"runtime"
	"sync"
)

// own are the threads of Go's that run beside Python's: who reads, who writes, who looks after time.
const own = 3

var growing sync.Mutex

// processors sees to it that so many of Python's threads, which are in Go for moments, leave processors for others. One that
// returns to Python keeps its processor, with whatever it has just made ready to run, until Go's monitor takes it away: some
// 5 ms for each request of a program that has one CPU. The server does the same (internal/server, serve).
func processors(threads int) {
	if runtime.GOMAXPROCS(0) >= threads+own {
		return
	}
	growing.Lock()
	defer growing.Unlock()
	if runtime.GOMAXPROCS(0) < threads+own {
		runtime.GOMAXPROCS(threads + own)
	}
}

// threads is how many wait.
func (x *exchange) threads() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.waiting)
}
