package h1

// Sockets that the application takes (environ["gunicorn.socket"]): exchange as request.Client, and the server's list of them.

import (
	"errors"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/rules"
)

// socketState is the part of Server that this file is about.
type socketState struct {
	socketMu rules.Short
	// taken are the connections, all owned, whose sockets running requests have, with the number of the taking.
	taken map[*conn]uint64
	takes uint64
	// allTaken says that no thread is left for others.
	allTaken sync.Once
}

// lastsTaken is how long a socket is taken by who does more than look at it.
const lastsTaken = time.Second

// Socket implements request.Client: what was to leave before has left. Any thread.
func (x *exchange) Socket(wait bool) (fd int) {
	c := x.c
	if !x.t.box.push(wait) {
		return bridge.SocketAgain
	}
	if wait {
		if err := c.rc.WaitQueued(0, 0, c.s.cfg.WriteTimeout, &x.alarm); err != nil {
			return -int(syscall.EPIPE)
		}
	} else if !c.rc.TryFlush() || c.rc.Pending() {
		return bridge.SocketAgain
	}
	input, ok := x.behind(wait)
	if !ok {
		return bridge.SocketAgain
	}
	fd, err := c.handOut(input)
	if err != nil {
		errno := syscall.EIO
		_ = errors.As(err, &errno)
		return -int(errno)
	}
	x.t.Lasts()
	return fd
}

// behind is input behind the request that was read already.
func (x *exchange) behind(wait bool) (input []byte, ok bool) {
	c := x.c
	if x.Req.Body == bridge.BodyStream { // else nobody touches the input while the request runs
		if wait {
			x.reading.Lock()
		} else if !x.reading.TryLock() {
			return nil, false
		}
		defer x.reading.Unlock()
	}
	return c.buf[c.r:c.w], true
}

// handOut gives out a descriptor: of the connection or, if there is input, of a socket that has it.
func (c *conn) handOut(input []byte) (fd int, err error) {
	if len(input) == 0 {
		if fd, err = c.rc.Lend(); err == nil {
			r := c.withRare()
			if r.lent == 0 {
				r.before, _ = flowOf(fd)
			}
			r.lent = fd
		}
	} else {
		fd, err = c.carry(input)
	}
	if err != nil {
		return -1, err
	}
	s := c.s
	s.socketMu.Lock()
	if s.taken == nil {
		s.taken = map[*conn]uint64{}
	}
	s.takes++
	number := s.takes
	s.taken[c] = number
	all := len(s.taken) >= s.cfg.Threads
	s.socketMu.Unlock()
	if all && !bridge.Greenlets() {
		time.AfterFunc(lastsTaken, func() { s.lacksThreads(c, number) })
	}
	return fd, nil
}

// lacksThreads says that each thread has a socket, if c's is still that of this taking.
func (s *Server) lacksThreads(c *conn, number uint64) {
	s.socketMu.Lock()
	lasts := s.taken[c] == number && len(s.taken) >= s.cfg.Threads
	s.socketMu.Unlock()
	if !lasts || s.stopping.Load() {
		return
	}
	s.allTaken.Do(func() {
		s.log.Warn("the application has taken the sockets of as many connections as it has threads, and all other requests wait until one "+
			"of these ends: raise --threads, or let it wait without a thread (gowsgi.patch)", "threads", s.cfg.Threads)
	})
}

// carried returns how many bytes the application has read from its socket and written to it; in is -1 where nobody knows. What a
// thread of its own says in the second that it still has is not among them. c is owned.
func (c *conn) carried() (in, out int64) {
	switch r := c.rare; {
	case r == nil:
	case r.carrier != nil:
		return r.carrier.bytes()
	case r.lent > 0:
		if f, ok := flowOf(c.rc.FD()); ok {
			return f.since(r.before)
		}
	}
	return -1, 0
}

// takeBack is called at the end of the request: what Socket began is over. If there is something to be awaited before c, owned,
// may be closed, it returns what waits for that.
func (s *Server) takeBack(c *conn) (await func()) {
	if !c.x.Hijacked() {
		return nil
	}
	s.socketMu.Lock()
	delete(s.taken, c)
	s.socketMu.Unlock()
	switch r := c.rare; {
	case r == nil:
	case r.carrier != nil:
		await, r.carrier = r.carrier.end, nil
	case r.lent > 0 && c.has(r.lent):
		fd := r.lent
		await = func() { c.awaitLent(fd) }
	}
	return await
}

// handBack is how long the application may still have the socket when the request is over. simple-websocket has a thread of its
// own that reads, answers a close frame and closes: behind its back the request ends when that begins.
const handBack = time.Second

// awaitLent waits until the application has closed fd.
func (c *conn) awaitLent(fd int) {
	for pause, end := time.Millisecond, time.Now().Add(handBack); c.has(fd) && time.Now().Before(end); pause *= 2 {
		time.Sleep(min(pause, handBack/20))
	}
}

// has reports whether fd is a descriptor of c's socket still. c is owned, so that its own is.
func (c *conn) has(fd int) bool {
	var own, other unix.Stat_t
	return unix.Fstat(c.rc.FD(), &own) == nil && unix.Fstat(fd, &other) == nil && own.Ino == other.Ino && own.Dev == other.Dev
}

// EndSockets ends the connections whose sockets the application has, which finds its input at an end. How many these were.
// Any goroutine.
func (s *Server) EndSockets() int {
	s.socketMu.Lock()
	defer s.socketMu.Unlock()
	for c := range s.taken {
		c.rc.EndLent()
	}
	return len(s.taken)
}

// Sockets returns how many connections' sockets the application has. Any goroutine.
func (s *Server) Sockets() int {
	s.socketMu.Lock()
	defer s.socketMu.Unlock()
	return len(s.taken)
}
