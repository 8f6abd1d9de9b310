package spread

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// New makes the file of the places, for a master to hand to its workers. None of them can make it shorter, which would kill the others.
func New() (*os.File, error) {
	fd, err := unix.MemfdCreate("connections", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "connections")
	if err := f.Truncate(fileSize); err != nil {
		_ = f.Close()
		return nil, err
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		_ = f.Close()
		return nil, os.NewSyscallError("fcntl", err)
	}
	return f, nil
}

// Open takes a place in the file behind fd, which it does not close.
//
// An error says that this process has to do without: it is no such file, or all places are taken.
func Open(fd int) (*Place, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if st.Size != fileSize {
		return nil, errors.New("there is no memory that workers share")
	}
	memory, err := unix.Mmap(fd, 0, fileSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	p := newPlace(memory, alive)
	if p == nil {
		_ = unix.Munmap(memory)
		return nil, errors.New("there are too many workers for all to share connections")
	}
	return p, nil
}

func alive(pid int32) bool { return unix.Kill(int(pid), 0) != unix.ESRCH }

const (
	futexWait = 0
	futexWake = 1
)

// wait returns when the number at addr may have changed from was.
func wait(addr *uint32, was uint32) {
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(addr)), futexWait, uintptr(was), 0, 0, 0)
}

func wake(addr *uint32) {
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(addr)), futexWake, 1, 0, 0, 0)
}
