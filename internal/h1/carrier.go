package h1

// A socket that the application takes has to have the input first that was read behind its request, and nobody can give that
// back to the kernel. So it gets one end of a pair, and two goroutines carry bytes between the other end and the connection.

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/rules"
	"github.com/gowsgi/gowsgi/reactor"
)

type carrier struct {
	c           *conn
	peer        net.Conn // a duplicate of c's
	app         *net.UnixConn
	read, wrote chan struct{} // closed when nothing more comes from the client, from the application

	in  atomic.Int64 // bytes for the application
	mu  rules.Short
	out int64 // bytes that have been taken from it
}

// carry begins to carry, from input on. fd: the application's end, the caller's.
func (c *conn) carry(input []byte) (fd int, err error) {
	if c.withRare().carrier != nil {
		return -1, syscall.EBUSY
	}
	lent, err := c.rc.Lend()
	if err != nil {
		return -1, err
	}
	peer, err := fileConn(lent)
	if err != nil {
		return -1, err
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		_ = peer.Close()
		return -1, err
	}
	n, _ := unix.Write(ends[1], input) // all of it, nearly always; the application may look at once
	input = append([]byte(nil), input[max(n, 0):]...)
	app, err := fileConn(ends[1])
	if err != nil {
		_ = peer.Close()
		closeFD(ends[0])
		return -1, err
	}
	r := &carrier{c: c, peer: peer, app: app.(*net.UnixConn), read: make(chan struct{}), wrote: make(chan struct{})}
	r.in.Store(int64(max(n, 0) + len(input)))
	c.rare.carrier = r
	go func() {
		defer close(r.read)
		if _, err := r.app.Write(input); err == nil {
			pass(r.app, r.fromPeer)
		}
		_ = r.app.CloseWrite()
	}()
	go func() {
		defer close(r.wrote)
		pass(r.peer, r.fromApp)
		_ = r.app.CloseRead() // who sends still is told
	}()
	return ends[0], nil
}

// fileConn takes fd.
func fileConn(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "")
	defer f.Close() // it has a duplicate
	return net.FileConn(f)
}

// pass carries what read gives until that or the other end has ended. (io.Copy would hold a pipe open all the time, for splice.)
func pass(to net.Conn, read func([]byte) (int, error)) {
	buf := reactor.GetBuffer()
	defer reactor.PutBuffer(buf)
	for {
		n, err := read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// fromPeer counts before the application has it.
func (r *carrier) fromPeer(buf []byte) (n int, err error) {
	n, err = r.peer.Read(buf)
	r.in.Add(int64(n))
	return n, err
}

// fromApp counts what it takes while nobody else can ask how much is there.
func (r *carrier) fromApp(buf []byte) (n int, err error) {
	raw, err := r.app.SyscallConn()
	if err != nil {
		return 0, err
	}
	closed := raw.Read(func(fd uintptr) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for {
			if n, err = unix.Read(int(fd), buf); err != unix.EINTR {
				break
			}
		}
		r.out += int64(max(n, 0))
		return err != unix.EAGAIN
	})
	switch {
	case closed != nil:
		return 0, closed
	case err == nil && n == 0:
		return 0, io.EOF
	}
	return max(n, 0), err
}

// bytes returns how many the application has got, or will when it reads, and how many it has written.
func (r *carrier) bytes() (in, out int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out = r.out
	if raw, err := r.app.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { out += int64(inQueue(int(fd))) })
	}
	return r.in.Load(), out
}

// end is called when the request has ended, and waits until the client has what the application has sent, if it takes it in
// time.
func (r *carrier) end() {
	select {
	case <-r.wrote:
	case <-time.After(handBack):
		_ = r.app.CloseRead() // what is in the pair comes still, and nothing more, whoever has the other end
	}
	if t := r.c.s.cfg.WriteTimeout; t > 0 {
		_ = r.peer.SetWriteDeadline(time.Now().Add(t))
	}
	<-r.wrote
	_ = r.peer.SetReadDeadline(time.Unix(1, 0))
	_ = r.app.SetWriteDeadline(time.Unix(1, 0))
	<-r.read
	_ = r.app.Close()
	_ = r.peer.Close()
}
