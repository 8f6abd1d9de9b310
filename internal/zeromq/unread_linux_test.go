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
			got, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ)
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

// A PUB's connection does not wait for acknowledgements for ever, whoever made it; one of the others may stand still.
func TestUnacknowledgedDataEndsAConnectionOfAPub(t *testing.T) {
	timeout := func(s *Socket) (ms int) {
		t.Helper()
		until(t, "connected", func() bool { return len(s.sessions()) == 1 })
		err := s.sessions()[0].raw.Control(func(fd uintptr) {
			ms, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		})
		if err != nil {
			t.Fatal(err)
		}
		return ms
	}
	bound, connected := open(t, Pub, Options{}), open(t, Pub, Options{})
	first, second := open(t, Sub, Options{}), open(t, Sub, Options{})
	connect(t, first, bind(t, bound, anyPort))
	connect(t, connected, bind(t, second, anyPort))
	for _, s := range []*Socket{bound, connected} {
		if ms := timeout(s); ms != 60_000 {
			t.Errorf("PUB: %d ms", ms)
		}
	}
	if ms := timeout(first); ms != 0 {
		t.Errorf("SUB: %d ms", ms)
	}
}
