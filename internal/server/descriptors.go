package server

// What a process may be short of: descriptors, which the application or too many clients may have used up, and address space.

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/reactor"
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

// held are descriptors that the server cannot be without, with what they are: its listeners, and Go's poller.
type held map[int]string

func holdsNow(listeners []*reactor.Listener) held {
	h := held{}
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && nameOf(fd) == "anon_inode:[eventpoll]" {
			h[fd] = nameOf(fd)
		}
	}
	for _, ln := range listeners {
		h[ln.FD()] = nameOf(ln.FD())
	}
	return h
}

func nameOf(fd int) string {
	name, _ := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	return name
}

// check ends the process if the application has closed one, without anything that would wait for Go's poller.
func (h held) check() {
	for fd, name := range h {
		if nameOf(fd) != name {
			_, _ = unix.Write(2, []byte("gowsgi: the application has closed descriptors of the server's, as os.closerange does\n"))
			unix.Exit(config.ExitBoot)
		}
	}
}

// spareDescriptors is what a server keeps: for its log files, which are opened again one by one while the old ones are open,
// and for Python's end, which may import something.
const spareDescriptors = 2

// Threads that are not Python's, of which Go has more where more may be in a call; and something to live on.
const (
	otherThreads = 8
	spaceToLive  = 16 << 20
)

// checkSpace says in one sentence why there is no address space for so many threads: Go ends the process when it cannot have
// one that it wants.
func checkSpace(threads int) error {
	var space, stack unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &space) != nil || unix.Getrlimit(unix.RLIMIT_STACK, &stack) != nil {
		return nil
	}
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil || space.Cur == unix.RLIM_INFINITY {
		return nil
	}
	first, _, _ := strings.Cut(string(statm), " ")
	pages, err := strconv.ParseUint(first, 10, 64)
	if err != nil {
		return nil
	}
	each := min(stack.Cur, 64<<20) // what glibc makes of a stack without limit is less
	more := threads + threads/2 + otherThreads
	if tasks, err := os.ReadDir("/proc/self/task"); err == nil {
		more = max(0, more-len(tasks))
	}
	need := pages*uint64(os.Getpagesize()) + uint64(more)*each + spaceToLive
	if need <= space.Cur {
		return nil
	}
	return fmt.Errorf("the address space of the process is limited to %d MB (ulimit -v), and with --threads %d some %d MB are needed",
		space.Cur>>20, threads, need>>20)
}

func closeFD(fd int) { _ = unix.Close(fd) }
