package reactor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListenTCP(t *testing.T) {
	for _, tc := range []struct{ address, host, dial string }{
		{"127.0.0.1:0", "127.0.0.1", "127.0.0.1"},
		{"localhost:0", "127.0.0.1", "127.0.0.1"},
		{"0.0.0.0:0", "0.0.0.0", "127.0.0.1"},
		{"[::1]:0", "::1", "::1"},
		{"[::]:0", "::", "::1"},
		{":0", "::", "127.0.0.1"},
	} {
		t.Run(tc.address, func(t *testing.T) {
			ln, err := Listen("tcp", tc.address, ListenOptions{})
			if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			host, port := ln.Host(), ln.Port()
			if tc.address == ":0" && host == "0.0.0.0" {
				tc.host = host // a machine without IPv6
			}
			if tc.address == "localhost:0" && host == "::1" {
				tc.host, tc.dial = host, host
			}
			if host != tc.host || port == 0 || ln.Network() != "tcp" || ln.Path() != "" {
				t.Errorf("bound to %q port %d network %q path %q", host, port, ln.Network(), ln.Path())
			}
			if want := net.JoinHostPort(tc.host, fmt.Sprint(port)); ln.Addr() != want {
				t.Errorf("Addr %q, want %q", ln.Addr(), want)
			}
			r := newRigOn(t, ln, &hooks{}, Options{})
			nc, err := net.Dial("tcp", net.JoinHostPort(tc.dial, fmt.Sprint(port)))
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			r.until("accepted", func() bool { return len(r.conns) == 1 })
			c := r.conns[0]
			var last AddrText
			for range 2 {
				if h, p := c.RemoteText(&last); nc.LocalAddr().String() != net.JoinHostPort(h, fmt.Sprint(p)) {
					t.Errorf("RemoteText %s %d, want %s", h, p, nc.LocalAddr())
				}
				rh, rp := c.RemoteAddr()
				if nc.LocalAddr().String() != net.JoinHostPort(rh, fmt.Sprint(rp)) {
					t.Errorf("RemoteAddr %s %d, want %s", rh, rp, nc.LocalAddr())
				}
				if c.Peer().String() != nc.LocalAddr().String() {
					t.Errorf("Peer %v, want %s", c.Peer(), nc.LocalAddr())
				}
				lh, lp := c.LocalAddr()
				if lh != tc.dial || lp != port {
					t.Errorf("LocalAddr %s %d", lh, lp)
				}
			}
			if c.Listener() != ln || c.Loop() != r.l {
				t.Error("wrong Listener or Loop")
			}
			// Inherited from the listener, not set per connection.
			if v, err := unix.GetsockoptInt(c.FD(), unix.IPPROTO_TCP, unix.TCP_NODELAY); err != nil || v == 0 {
				t.Errorf("TCP_NODELAY %d, %v", v, err)
			}
			for _, fd := range []int{c.FD(), ln.FD()} {
				fl, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
				fdfl, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
				if fl&unix.O_NONBLOCK == 0 || fdfl&unix.FD_CLOEXEC == 0 {
					t.Errorf("descriptor %d is blocking or inheritable", fd)
				}
			}
		})
	}
}

func TestListenErrors(t *testing.T) {
	taken, err := Listen("tcp", "127.0.0.1:0", ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	for _, tc := range []struct {
		network, address, want string
		is                     error
	}{
		{"tcp", taken.Addr(), "bind", syscall.EADDRINUSE},
		{"tcp", "127.0.0.1", "missing port", nil},
		{"tcp", "127.0.0.1:99999", "invalid port", nil},
		{"tcp", "192.0.2.1:0", "bind", syscall.EADDRNOTAVAIL},
		{"udp", "127.0.0.1:0", "unknown network", nil},
		{"unix", "", "empty path", nil},
		{"unix", file, "not a socket", syscall.EADDRINUSE},
		{"unix", "/nonexistent/dir/s", "bind", syscall.ENOENT},
		{"unix", "/tmp/" + strings.Repeat("x", 200), "too long", nil},
	} {
		ln, err := Listen(tc.network, tc.address, ListenOptions{})
		if err == nil {
			ln.Close()
			t.Errorf("%s %q: no error", tc.network, tc.address)
			continue
		}
		if !strings.Contains(err.Error(), tc.want) || tc.is != nil && !errors.Is(err, tc.is) {
			t.Errorf("%s %q: %v, want %q", tc.network, tc.address, err, tc.want)
		}
	}
}

func TestReusePort(t *testing.T) {
	a, err := Listen("tcp", "127.0.0.1:0", ListenOptions{ReusePort: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := Listen("tcp", a.Addr(), ListenOptions{ReusePort: true})
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	if err := b.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// socketDir is short enough for a socket's path.
func socketDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "gw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestListenUnix(t *testing.T) {
	path := filepath.Join(socketDir(t), "s")
	ln, err := Listen("unix", path, ListenOptions{UnixMode: 0o660})
	if err != nil {
		t.Fatal(err)
	}
	if ln.Addr() != "unix:"+path || ln.Network() != "unix" || ln.Path() != path || ln.Host() != "" || ln.Port() != 0 {
		t.Errorf("Addr %q Network %q Path %q Host %q Port %d", ln.Addr(), ln.Network(), ln.Path(), ln.Host(), ln.Port())
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o660 {
		t.Errorf("permissions %v, %v", st.Mode(), err)
	}
	// Somebody listens there.
	if _, err := Listen("unix", path, ListenOptions{}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a live path: %v", err)
	}
	h := &hooks{}
	h.ready = echo
	r := newRigOn(t, ln, h, Options{})
	c, nc := r.connect()
	last := AddrText{raw: rawAddr{ip: [16]byte{192, 0, 2, 1}, size: 4}, text: "192.0.2.1"} // another client's
	if host, port := c.RemoteText(&last); host != "" || port != 0 {
		t.Errorf("RemoteText %q %d", host, port)
	}
	if c.Peer().IsValid() {
		t.Errorf("Peer %v", c.Peer())
	}
	if host, port := c.RemoteAddr(); host != "" || port != 0 {
		t.Errorf("RemoteAddr %q %d", host, port)
	}
	if host, port := c.LocalAddr(); host != "" || port != 0 {
		t.Errorf("LocalAddr %q %d", host, port)
	}
	nc.Write([]byte("hello"))
	nc.(*net.UnixConn).CloseWrite()
	in := readAll(nc)
	r.until("echoed", in.finished)
	if in.got.String() != "hello" || in.err != nil {
		t.Errorf("got %q, %v", in.got.String(), in.err)
	}
	// A peer that sends and leaves at once: what it sent is still read.
	var got string
	h.ready = func(c *Conn) {
		b := make([]byte, 100)
		if n, _ := c.Read(b); n > 0 {
			got += string(b[:n])
		}
		c.CloseAfterFlush()
	}
	nc = r.dial()
	nc.Write([]byte("and away"))
	nc.Close()
	r.until("read", func() bool { return got == "and away" })
	r.l.StopAccepting()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the path is still there: %v", err)
	}
}

func TestStaleUnixPath(t *testing.T) {
	path := filepath.Join(socketDir(t), "s")
	// As left behind by a process that was killed: bound, but not open any more.
	fd, err := streamSocket(unix.AF_UNIX)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	closeFD(fd)
	ln, err := Listen("unix", path, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// A path that meanwhile belongs to somebody else stays.
	os.Remove(path)
	other, err := Listen("unix", path, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("Close removed another's path: %v", err)
	}
	// And an inherited one is not ours to remove.
	dup, _ := dupCloexec(other.FD())
	inherited, err := ListenFD(dup)
	if err != nil {
		t.Fatal(err)
	}
	if inherited.Addr() != "unix:"+path {
		t.Errorf("Addr %q", inherited.Addr())
	}
	inherited.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("Close of an inherited listener removed the path: %v", err)
	}
	other.Close()
	if _, err := os.Lstat(path); err == nil {
		t.Error("Close left its path")
	}
}

func TestAbstractUnix(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux only")
	}
	name := fmt.Sprintf("gowsgi-reactor-test-%d", os.Getpid())
	for _, address := range []string{"@" + name, "\x00" + name} {
		ln, err := Listen("unix", address, ListenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if ln.Addr() != "unix:@"+name {
			t.Errorf("Addr %q", ln.Addr())
		}
		if _, err := Listen("unix", "@"+name, ListenOptions{}); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("twice: %v", err)
		}
		nc, err := net.Dial("unix", "@"+name)
		if err != nil {
			t.Error(err)
		} else {
			nc.Close()
		}
		ln.Close()
	}
}

func TestListenFD(t *testing.T) {
	ln, err := Listen("tcp", "127.0.0.1:0", ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	fd, _ := dupCloexec(ln.FD())
	ln.Close()
	unix.SetNonblock(fd, false)
	inherited, err := ListenFD(fd)
	if err != nil {
		t.Fatal(err)
	}
	if inherited.Addr() != ln.Addr() {
		t.Errorf("Addr %q, want %q", inherited.Addr(), ln.Addr())
	}
	r := newRigOn(t, inherited, &hooks{}, Options{})
	r.connect()

	pr, _ := pipe(t)
	plain, _ := streamSocket(unix.AF_INET)
	datagram, _ := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	closed, _ := unix.Dup(plain)
	closeFD(closed)
	defer closeFD(plain)
	defer closeFD(datagram)
	for _, tc := range []struct {
		fd   int
		want string
	}{
		{int(pr.Fd()), "not a socket"},
		{plain, "not listening"},
		{datagram, "not a stream socket"},
		{closed, "not open"},
	} {
		if _, err := ListenFD(tc.fd); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v, want %q", err, tc.want)
		} else if !strings.Contains(err.Error(), fmt.Sprintf("descriptor %d:", tc.fd)) {
			t.Errorf("%v does not name the descriptor", err)
		}
	}
}
