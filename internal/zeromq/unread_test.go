package zeromq

import (
	"testing"

	"golang.org/x/sys/unix"
)

// unread is how much has come for a socket's connections that was not read.
func unread(t *testing.T, s *Socket) (n int) {
	t.Helper()
	for _, x := range s.sessions() {
		err := x.raw.Control(func(fd uintptr) {
			got, err := unix.IoctlGetInt(int(fd), fionread)
			if err != nil {
				t.Fatal(err)
			}
			n += got
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}
