package master

import (
	"bufio"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// A worker that ends without having read what it was told resets the link, and that is the link's end.
func TestALinkThatIsReset(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	mine := os.NewFile(uintptr(fds[0]), "link")
	conn, err := net.FileConn(mine)
	mine.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("unread\n")); err != nil {
		t.Fatal(err)
	}
	unix.Close(fds[1])
	if text, err := bufio.NewReader(&receiver{link: conn.(*net.UnixConn)}).ReadString('\n'); err == nil {
		t.Errorf("it has brought %q", text)
	}
}
