package h1

import (
	"cmp"
	"os"

	"golang.org/x/sys/unix"
)

// openNameless makes the file without a name from the start: one system call. False where the file system cannot, or if it
// fails; the usual way then says why.
func openNameless(dir string) (fd int, ok bool) {
	fd, err := unix.Open(cmp.Or(dir, os.TempDir()), unix.O_TMPFILE|unix.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	return fd, err == nil
}
