package inflight

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// New makes a table for so many threads. began is when the clock of their times was at 0.
func New(threads int, began time.Time) (*Table, error) {
	fd, err := unix.MemfdCreate("requests", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "requests")
	if err := f.Truncate(int64(fileSize(threads))); err != nil {
		_ = f.Close()
		return nil, err
	}
	memory, err := unix.Mmap(fd, 0, fileSize(threads), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		_ = f.Close()
		return nil, os.NewSyscallError("mmap", err)
	}
	t := lay(memory, threads, began)
	t.file = f
	return t, nil
}
