package master

// A file of a worker's in its master's hands: what the worker says comes with it.

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// receiver reads what a link brings, and keeps the last file that came.
type receiver struct {
	link *net.UnixConn
	file *os.File
}

// Read implements io.Reader.
func (r *receiver) Read(p []byte) (int, error) {
	var rights [64]byte
	n, m, _, _, err := r.link.ReadMsgUnix(p, rights[:])
	if m > 0 {
		r.keep(rights[:m])
	}
	return max(n, 0), err // -1 with an error, which no Reader may return
}

func (r *receiver) keep(rights []byte) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return
	}
	for _, message := range messages {
		fds, err := unix.ParseUnixRights(&message)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			_ = r.take().Close()
			r.file = os.NewFile(uintptr(fd), "table of a worker")
		}
	}
}

// take returns the file that came, nil if none did.
func (r *receiver) take() *os.File {
	f := r.file
	r.file = nil
	return f
}
