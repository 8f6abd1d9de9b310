package master

import (
	"os"

	"golang.org/x/sys/unix"
)

// memoryFile is a file of data that is in no directory.
func memoryFile(data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("gowsgi", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "memory")
	if _, err := f.Write(data); err != nil {
		_ = f.Close()
		return nil, err
	}
	if _, err := f.Seek(0, 0); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
