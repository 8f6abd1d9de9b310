package zeromq

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/rules"
	"github.com/gowsgi/gowsgi/reactor"
)

// A driven connection has no goroutine that reads: whoever leads Options.Loop reads it when something has come. So who
// runs a request has it from the kernel itself. With a goroutine in between each of the two wakes the other.

const maxReads = 8 // before others have their turn

// lookFor is how long one look takes for room, or for what comes.
var lookFor = 5 * time.Second

// errAgain ends a turn of reading: nothing more has come, or others have their turn.
var errAgain = errors.New("nothing has come")

// driven is a connection as Loop has it: a descriptor of its own, which Go's runtime, that would be told of each byte as
// well, knows nothing of.
type driven struct {
	net.Conn // for its addresses: it is closed
	x        *session
	fd       int
	wait     reactor.Awaiter
	reads    int  // in this turn
	dry      bool // the last of them got less than it could

	turn rules.Mutex // of who reads, for Reset

	mu     rules.Short
	state  drivenState
	again  bool // Resume was called meanwhile
	rests  bool // nobody may lead any more: what still comes is read by a goroutine, see rest
	closed bool
	err    error         // why it ended
	ended  chan struct{} // closed then
}

type drivenState uint8

const (
	waiting drivenState = iota // for input
	reading
	paused // nobody takes messages
	over
)

// drive has x driven from here on, if its socket has a loop.
func (x *session) drive() error {
	if x.s.o.Loop == nil || x.s.kind != Pull && x.s.kind != Dealer {
		return nil
	}
	fd := -1
	err := x.raw.Control(func(own uintptr) { fd, _ = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		return err
	}
	if fd < 0 {
		return syscall.EMFILE
	}
	_ = x.conn.Close() // fd is the connection's only one now
	d := &driven{Conn: x.conn, x: x, fd: fd, ended: make(chan struct{}), state: paused}
	d.wait.Fn = d.ready
	x.conn, x.raw, x.d.from, x.driven = d, rawFD(fd), d, d
	return nil
}

// run reads until the end.
func (d *driven) run() error {
	d.resume()
	<-d.ended
	return d.err
}

// ready reads. On the leader, within Poll.
func (d *driven) ready(got reactor.Events) {
	d.mu.Lock()
	d.state, d.again = reading, false
	d.mu.Unlock()
	err := d.read(got)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		d.end(net.ErrClosed)
	case err == errAgain:
		d.arm(reactor.Readable)
	case err != nil:
		d.end(err)
	case d.again || d.rests:
		d.arm(reactor.Readable | reactor.Writable)
	default:
		d.state = paused
	}
}

// read reads until nothing has come, others have their turn, or nobody takes messages.
func (d *driven) read(got reactor.Events) (err error) {
	if got == 0 { // the loop is closed
		return net.ErrClosed
	}
	d.turn.Lock()
	defer d.turn.Unlock()
	d.reads, d.dry = 0, false
	for err == nil && !d.x.s.blocked() {
		err = d.x.step()
	}
	return err
}

// arm has ready called: when it is readable, or, if it is writable, at once. With mu.
func (d *driven) arm(events reactor.Events) {
	if d.rests {
		d.state = reading
		go d.rest()
		return
	}
	d.state = waiting
	if err := d.x.s.o.Loop.Await(d.fd, events, &d.wait); err != nil {
		d.end(err)
	}
}

// end is the end. With mu.
func (d *driven) end(err error) {
	if d.state != over {
		d.state, d.err = over, err
		close(d.ended)
	}
}

// resume goes on if nobody took messages.
func (d *driven) resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch d.state {
	case paused:
		d.arm(reactor.Readable | reactor.Writable)
	case reading:
		d.again = true
	}
}

// still waits until nothing is being delivered.
func (d *driven) still() {
	d.turn.Lock()
	defer d.turn.Unlock()
}

// leave has what still comes read to the end, and thrown away, whether somebody leads or not.
func (d *driven) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rests || d.state == over {
		return
	}
	d.rests = true
	if d.state == paused || d.state == waiting && d.x.s.o.Loop.Forget(d.fd, &d.wait) {
		d.arm(0)
	} // else ready does, or is about to be called: by whoever leads, or by the end of the loop
}

// rest is the goroutine of leave.
func (d *driven) rest() {
	b := make([]byte, readSize)
	var err error
	for err == nil && !d.isClosed() {
		d.reads, d.dry = 0, false
		if _, err = d.Read(b); err == errAgain {
			err = nil
			d.look(unix.POLLIN)
		}
	}
	if err == nil {
		err = net.ErrClosed
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end(err)
}

// look waits for events, a while.
func (d *driven) look(events int16) {
	rules.Waits("for a ZeroMQ peer")
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(d.fd), Events: events}}, int(lookFor/time.Millisecond))
}

// Close implements net.Conn. The descriptor is closed by release, later: until then whoever waits in it, or a process that
// has inherited it, is to see the end.
func (d *driven) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	d.closed = true
	_ = unix.Shutdown(d.fd, unix.SHUT_RDWR)
	if d.state == paused || d.state == waiting && d.x.s.o.Loop.Forget(d.fd, &d.wait) {
		d.end(net.ErrClosed)
	}
	return nil
}

// release closes the descriptor, when nobody reads or writes any more.
func (d *driven) release() {
	d.x.s.o.Loop.CancelFD(d.fd)
	_ = unix.Close(d.fd)
}

// Read implements io.Reader. It never waits: errAgain.
func (d *driven) Read(b []byte) (int, error) {
	if d.dry || d.reads == maxReads {
		return 0, errAgain
	}
	for {
		n, err := unix.Read(d.fd, b)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return 0, errAgain
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		}
		d.reads++
		d.dry = n < len(b)
		return n, nil
	}
}

// Write implements io.Writer. On the session's writer.
func (d *driven) Write(b []byte) (n int, err error) {
	for n < len(b) {
		if d.isClosed() {
			return n, net.ErrClosed
		}
		got, err := unix.Write(d.fd, b[n:])
		switch {
		case err == unix.EAGAIN:
			d.look(unix.POLLOUT)
		case err == unix.EINTR:
		case err != nil:
			return n, os.NewSyscallError("write", err)
		default:
			n += got
		}
	}
	return n, nil
}

func (d *driven) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed || d.state == over
}

// CloseWrite half-closes it.
func (d *driven) CloseWrite() error {
	return os.NewSyscallError("shutdown", unix.Shutdown(d.fd, unix.SHUT_WR))
}

// rawFD is a descriptor as syscall.RawConn, as far as tryWrite needs one.
type rawFD int

// Control implements syscall.RawConn.
func (fd rawFD) Control(f func(uintptr)) error {
	f(uintptr(fd))
	return nil
}

// Read implements syscall.RawConn.
func (fd rawFD) Read(func(uintptr) bool) error { return errors.ErrUnsupported }

// Write implements syscall.RawConn: once, without waiting.
func (fd rawFD) Write(f func(uintptr) bool) error {
	f(uintptr(fd))
	return nil
}
