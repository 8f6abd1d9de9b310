//go:build !linux

package reactor

// System calls that never wait, where they have no cheaper form than x/sys offers. Descriptors are non-blocking and, where
// that exists, set not to raise SIGPIPE.

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if e, ok := err.(syscall.Errno); ok {
		return e
	}
	return syscall.EIO
}

func recv(fd int, p []byte, flags int) (int, syscall.Errno) {
	for {
		var n int
		var err error
		if flags == 0 {
			n, err = unix.Read(fd, p)
		} else {
			n, _, err = unix.Recvfrom(fd, p, flags|unix.MSG_DONTWAIT)
		}
		if err == syscall.EINTR {
			continue
		}
		return max(n, 0), errnoOf(err)
	}
}

func send(fd int, p []byte, more bool) (int, syscall.Errno) {
	for {
		n, err := unix.Write(fd, p)
		if err == syscall.EINTR {
			continue
		}
		return max(n, 0), errnoOf(err)
	}
}

func sendVec(fd int, iov []unix.Iovec, size int64, more bool) (int, syscall.Errno) {
	bufs := make([][]byte, len(iov))
	for i := range iov {
		bufs[i] = unsafe.Slice(iov[i].Base, int(iov[i].Len))
	}
	for {
		n, err := unix.SendmsgBuffers(fd, bufs, nil, nil, unix.MSG_DONTWAIT)
		if err == syscall.EINTR {
			continue
		}
		return max(n, 0), errnoOf(err)
	}
}

func acceptConn(fd int, peer *rawAddr) (int, syscall.Errno) {
	syscall.ForkLock.RLock()
	n, sa, err := unix.Accept(fd)
	if err == nil {
		unix.CloseOnExec(n)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, errnoOf(err)
	}
	_ = unix.SetNonblock(n, true)
	_ = unix.SetsockoptInt(n, unix.SOL_SOCKET, unix.SO_NOSIGPIPE, 1)
	peer.set(sa)
	return n, 0
}

func deferAccept(fd, seconds int) bool { return false }

func defersAccept(fd int) bool { return false }

func dropSYN(fd int) {}

func localAddr(fd int, a *rawAddr) error {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	a.set(sa)
	return nil
}

func (a *rawAddr) set(sa unix.Sockaddr) {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		copy(a.ip[:], sa.Addr[:])
		a.port, a.size = uint16(sa.Port), 4
	case *unix.SockaddrInet6:
		a.ip = sa.Addr
		a.port, a.size, a.zone = uint16(sa.Port), 16, sa.ZoneId
	}
}

func streamSocket(family int) (int, error) {
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		closeFD(fd)
		return -1, os.NewSyscallError("fcntl", err)
	}
	return fd, nil
}

// resetSocket ends both directions; without Linux's disconnect the peer sees an end, and the reset only at the close.
func resetSocket(fd int) {
	setReset(fd)
	_ = unix.Shutdown(fd, unix.SHUT_RDWR)
}

// alarmFDs are the ends of an Alarm, the one to read and the one to write.
func alarmFDs() (fds [2]int, err error) {
	if err = unix.Pipe(fds[:]); err != nil {
		return fds, os.NewSyscallError("pipe", err)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		_ = unix.SetNonblock(fd, true)
	}
	return fds, nil
}
