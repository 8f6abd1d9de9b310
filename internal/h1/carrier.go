package h1

// A socket that the application takes has to have the input first that was read behind its request, and nobody can give that
// back to the kernel. So it gets one end of a pair, and two goroutines carry bytes between the other end and the connection.

import (
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/reactor"
)

type carrier struct {
	c           *conn
	peer        net.Conn // a duplicate of c's
	app         *net.UnixConn
	read, wrote chan struct{} // closed when nothing more comes from the client, from the application
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
	c.rare.carrier = r
	go func() {
		defer close(r.read)
		if _, err := r.app.Write(input); err == nil {
			pass(r.app, r.peer)
		}
		_ = r.app.CloseWrite()
	}()
	go func() {
		defer close(r.wrote)
		pass(r.peer, r.app)
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

// pass carries from one to the other until one of them ends. (io.Copy would hold a pipe open all the time, for splice.)
func pass(to, from net.Conn) {
	buf := reactor.GetBuffer()
	defer reactor.PutBuffer(buf)
	for {
		n, err := from.Read(buf)
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
