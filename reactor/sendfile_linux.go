package reactor

// sendfile on Linux, with Conn.mu held. The call may wait for the disk, so the scheduler is told of it.

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// errNoSendFile: the kernel does not do it for this file; nothing was sent.
var errNoSendFile = errors.New("reactor: sendfile not supported")

// sendFile sends up to n bytes of file from off. 0 without error means that the file has no more. A socket that is full
// is a bare EAGAIN.
func sendFile(sock, file int, off, n int64) (int64, error) {
	for {
		sent, err := unix.Sendfile(sock, file, &off, int(min(n, 1<<30)))
		switch err {
		case nil:
			return int64(sent), nil
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return 0, syscall.EAGAIN
		case syscall.EINVAL, syscall.ENOSYS, syscall.EOPNOTSUPP, syscall.EOVERFLOW, syscall.ESPIPE, syscall.EPERM:
			return 0, errNoSendFile
		}
		return 0, os.NewSyscallError("sendfile", err)
	}
}
