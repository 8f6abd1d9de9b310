package server

// Descriptors: what must work when the application, or too many clients, have used up all that the process may have.

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// InitPoller makes Go's own poller, which its timers and files need, while there are descriptors for it: made later, with none
// left, it would end the process. An error is one sentence. Any thread, before the first timer.
func InitPoller() error {
	var reserve reserve
	if !reserve.take(pollerNeeds) {
		reserve.give()
		return noDescriptors()
	}
	reserve.give()
	time.AfterFunc(time.Hour, func() {}).Stop()
	return nil
}

// pollerNeeds: epoll and an eventfd, and one to spare.
const pollerNeeds = 3

func noDescriptors() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	return fmt.Errorf("there are not enough file descriptors: the limit of the process is %d (ulimit -n)", limit.Cur)
}

// reserve is descriptors that are kept for a moment when others are used up. Any goroutine.
type reserve struct {
	mu  sync.Mutex
	fds []int
}

// take fills it up to n; false if that many are not to be had.
func (r *reserve) take(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.fds) < n {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return false
		}
		r.fds = append(r.fds, fd)
	}
	return true
}

// give closes what is in it, for whoever opens something next.
func (r *reserve) give() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, fd := range r.fds {
		closeFD(fd)
	}
	r.fds = nil
}

// spareDescriptors is what a server keeps: for its log files, which are opened again one by one while the old ones are open,
// and for Python's end, which may import something.
const spareDescriptors = 2
