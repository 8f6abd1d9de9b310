package reactor

// Listeners: binding, unix socket paths, inherited descriptors. Used at start by any goroutine, afterwards by the leader.

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ListenOptions for Listen. The zero value means a backlog of 1024, no SO_REUSEPORT and the process's umask.
type ListenOptions struct {
	Backlog   int         // waiting connections; the kernel caps it
	ReusePort bool        // SO_REUSEPORT, for a listener per process
	UnixMode  int         // permissions of a unix socket's path; 0 or -1: as the process's umask has it
	Forked    func() bool // as in Options
	Defer     bool        // accept connections that have sent something, others after a second; only on Linux, only TCP
	SndBuf    int         // SO_SNDBUF of the connections; 0: the kernel's own tuning, which is nearly always better
}

// Listener is a listening socket.
type Listener struct {
	fd       int
	network  string // "tcp" or "unix"
	host     string
	port     int
	path     string // of a unix socket; abstract ones begin with '@'
	wildcard bool   // bound to all addresses
	own      bool   // made by Listen: nobody else accepts from it
	forked   func() bool
	shared   bool // other sockets have the port, too
	deferred bool // ListenOptions.Defer, where there is such a thing
	adopted  bool // own, but others have accepted from it
	left     bool // adopted, and there is no hurry

	// Last tells, of an inherited listener, whether what waits in its queue is lost, or found late, when this process closes
	// it: then it is accepted first. Asked by the leader when accepting ends; nil: no.
	Last func(fd int) bool

	made     bool // this process created path
	dev, ino uint64
	closed   bool
}

// Listen binds and listens. network is "tcp" (address "host:port"; an empty host means all interfaces, port 0 any port) or
// "unix" (address is a path; '@' or NUL in front makes it abstract). A path left behind by a process that is gone is
// replaced; one that somebody listens on is EADDRINUSE.
func Listen(network, address string, o ListenOptions) (*Listener, error) {
	if o.Backlog <= 0 {
		o.Backlog = 1024
	}
	var ln *Listener
	var err error
	switch network {
	case "tcp", "tcp4", "tcp6":
		ln, err = listenTCP(network, address, o)
	case "unix":
		ln, err = listenUnix(address, o)
	default:
		err = net.UnknownNetworkError(network)
	}
	if err != nil {
		return nil, fmt.Errorf("reactor: listen %s %s: %w", network, printable(address), err)
	}
	ln.own, ln.forked = true, o.Forked
	return ln, nil
}

func printable(address string) string {
	if strings.HasPrefix(address, "\x00") {
		return "@" + address[1:]
	}
	return address
}

func listenTCP(network, address string, o ListenOptions) (*Listener, error) {
	ta, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return nil, err
	}
	ap := ta.AddrPort()
	if len(ta.IP) == 0 { // all interfaces, of both kinds where there are both
		if network != "tcp4" {
			ap = netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(ta.Port))
			ln, err := bindTCP(ap, 0, o)
			if err == nil || network == "tcp6" || !errors.Is(err, syscall.EAFNOSUPPORT) && !errors.Is(err, syscall.EADDRNOTAVAIL) {
				return ln, err
			}
		}
		ap = netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(ta.Port))
	}
	zone := 0
	if ta.Zone != "" {
		if zone, err = strconv.Atoi(ta.Zone); err != nil {
			ifi, err := net.InterfaceByName(ta.Zone)
			if err != nil {
				return nil, err
			}
			zone = ifi.Index
		}
	}
	return bindTCP(netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port()), zone, o)
}

func bindTCP(ap netip.AddrPort, zone int, o ListenOptions) (*Listener, error) {
	family := unix.AF_INET
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: int(ap.Port())}
	if ap.Addr().Is4() {
		sa.(*unix.SockaddrInet4).Addr = ap.Addr().As4()
	} else {
		family = unix.AF_INET6
		sa = &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16(), ZoneId: uint32(zone)}
	}
	fd, err := streamSocket(family)
	if err != nil {
		return nil, err
	}
	type option struct{ level, name, value int }
	options := []option{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		// Accepted sockets inherit it: no call per connection.
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
	}
	if family == unix.AF_INET6 {
		v6only := 1
		if ap.Addr().IsUnspecified() {
			v6only = 0
		}
		options = append(options, option{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v6only})
	}
	if o.ReusePort {
		options = append(options, option{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1})
	}
	if o.SndBuf > 0 {
		options = append(options, option{unix.SOL_SOCKET, unix.SO_SNDBUF, o.SndBuf})
	}
	for _, op := range options {
		if err := unix.SetsockoptInt(fd, op.level, op.name, op.value); err != nil {
			closeFD(fd)
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		closeFD(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(fd, o.Backlog); err != nil {
		closeFD(fd)
		return nil, os.NewSyscallError("listen", err)
	}
	ln := &Listener{fd: fd, shared: o.ReusePort, deferred: o.Defer && deferAccept(fd, 1)}
	if err := ln.describe(); err != nil {
		closeFD(fd)
		return nil, err
	}
	return ln, nil
}

func listenUnix(address string, o ListenOptions) (*Listener, error) {
	if address == "" {
		return nil, errors.New("empty path")
	}
	abstract := address[0] == '@' || address[0] == 0
	if abstract {
		address = "@" + address[1:] // x/sys turns the '@' into NUL
	} else if err := removeStale(address); err != nil {
		return nil, err
	}
	fd, err := streamSocket(unix.AF_UNIX)
	if err != nil {
		return nil, err
	}
	ln := &Listener{fd: fd}
	if o.SndBuf > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, o.SndBuf)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: address}); err != nil {
		closeFD(fd)
		if err == syscall.EINVAL {
			return nil, fmt.Errorf("path of %d bytes is too long for a socket: %w", len(address), os.NewSyscallError("bind", err))
		}
		return nil, os.NewSyscallError("bind", err)
	}
	if !abstract {
		var st unix.Stat_t
		if err := unix.Lstat(address, &st); err == nil {
			ln.path, ln.made, ln.dev, ln.ino = address, true, uint64(st.Dev), st.Ino
		}
		// Nobody can connect before listen, so there is no moment with the wrong permissions.
		if o.UnixMode > 0 {
			if err := unix.Chmod(address, uint32(o.UnixMode)&0o7777); err != nil {
				_ = ln.Close()
				return nil, os.NewSyscallError("chmod", err)
			}
		}
	}
	if err := unix.Listen(fd, o.Backlog); err != nil {
		_ = ln.Close()
		return nil, os.NewSyscallError("listen", err)
	}
	if err := ln.describe(); err != nil {
		_ = ln.Close()
		return nil, err
	}
	return ln, nil
}

// removeStale unlinks path if it is a socket nobody listens on.
func removeStale(path string) error {
	var st unix.Stat_t
	switch err := unix.Lstat(path, &st); {
	case err == syscall.ENOENT:
		return nil
	case err != nil:
		return os.NewSyscallError("lstat", err)
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return fmt.Errorf("exists and is not a socket: %w", os.NewSyscallError("bind", syscall.EADDRINUSE))
	}
	fd, err := streamSocket(unix.AF_UNIX)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err {
	case syscall.ECONNREFUSED:
		if err := unix.Unlink(path); err != nil && err != syscall.ENOENT {
			return os.NewSyscallError("unlink", err)
		}
		return nil
	case syscall.ENOENT:
		return nil
	default: // connected, or its queue is full, or not ours to ask
		return os.NewSyscallError("bind", syscall.EADDRINUSE)
	}
}

// ListenFD takes over a descriptor that is listening already (from a parent process, or systemd).
func ListenFD(fd int) (*Listener, error) {
	fail := func(format string, args ...any) (*Listener, error) {
		return nil, fmt.Errorf("reactor: inherited descriptor %d: %w", fd, fmt.Errorf(format, args...))
	}
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	switch {
	case err == syscall.EBADF:
		return fail("not open: %w", os.NewSyscallError("getsockopt", err))
	case err == syscall.ENOTSOCK:
		return fail("not a socket: %w", os.NewSyscallError("getsockopt", err))
	case err != nil:
		return fail("%w", os.NewSyscallError("getsockopt", err))
	case typ != unix.SOCK_STREAM:
		return fail("not a stream socket: %w", syscall.EPROTOTYPE)
	}
	accepting, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return fail("%w", os.NewSyscallError("getsockopt", err))
	}
	if accepting == 0 {
		return fail("not listening: %w", syscall.EINVAL)
	}
	ln := &Listener{fd: fd}
	if err := ln.describe(); err != nil {
		return fail("%w", err)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return fail("%w", os.NewSyscallError("fcntl", err))
	}
	if ln.network == "tcp" {
		ln.deferred = defersAccept(fd)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	return ln, nil
}

// describe fills in what is really bound.
func (ln *Listener) describe() error {
	sa, err := unix.Getsockname(ln.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	var ip netip.Addr
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		ip, ln.port = netip.AddrFrom4(sa.Addr), sa.Port
	case *unix.SockaddrInet6:
		ip, ln.port = netip.AddrFrom16(sa.Addr), sa.Port
		if sa.ZoneId != 0 {
			ip = ip.WithZone(strconv.Itoa(int(sa.ZoneId)))
		}
	case *unix.SockaddrUnix:
		ln.network, ln.path = "unix", sa.Name
		return nil
	default:
		return fmt.Errorf("neither TCP nor unix: %w", syscall.EAFNOSUPPORT)
	}
	ln.network, ln.host, ln.wildcard = "tcp", ip.String(), ip.IsUnspecified()
	return nil
}

// Addr returns the address really bound: "127.0.0.1:8000", "[::1]:8000", "unix:/path", "unix:@abstract".
func (ln *Listener) Addr() string {
	if ln.network == "unix" {
		return "unix:" + ln.path
	}
	return net.JoinHostPort(ln.host, strconv.Itoa(ln.port))
}

// URL is the address for a client: "http://127.0.0.1:8000", "http+unix:/path".
func (ln *Listener) URL() string {
	if ln.network == "unix" {
		return "http+" + ln.Addr()
	}
	return "http://" + ln.Addr()
}

// Network returns "tcp" or "unix".
func (ln *Listener) Network() string { return ln.network }

// Host returns the IP address without brackets, "" for a unix socket.
func (ln *Listener) Host() string { return ln.host }

// Port returns the port, 0 for a unix socket.
func (ln *Listener) Port() int { return ln.port }

// Path returns the path of a unix socket, "" for TCP.
func (ln *Listener) Path() string { return ln.path }

// Adopt makes an inherited listener's queue this process's own: the other holders end, too. Leader only.
func (ln *Listener) Adopt() { ln.own, ln.adopted = true, true }

// Leave is Adopt for an address that is given up while its clients have others to go to: there is no hurry. Leader only.
func (ln *Listener) Leave() {
	ln.Adopt()
	ln.left = true
}

// Take makes an inherited listener this process's own, and its unix path this process's to unlink.
func (ln *Listener) Take() {
	ln.own = true
	var st unix.Stat_t
	if ln.network == "unix" && ln.path != "" && ln.path[0] != '@' && unix.Lstat(ln.path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		ln.made, ln.dev, ln.ino = true, uint64(st.Dev), st.Ino
	}
}

// Own reports whether it is this process's own, and not one that it has from somebody else.
func (ln *Listener) Own() bool { return ln.own }

// Give leaves it, and its unix path, to whoever has the listener as well.
func (ln *Listener) Give() { ln.own, ln.made = false, false }

// Shutdown ends it for all processes that have it, if it is this one's own: those that the application has forked would keep the
// address, and clients waiting.
func (ln *Listener) Shutdown() {
	if ln.own {
		_ = unix.Shutdown(ln.fd, unix.SHUT_RDWR)
	}
}

// FD returns the descriptor.
func (ln *Listener) FD() int { return ln.fd }

// admitNobody lets the connections that clients have begun come into the queue, data or not, and no others: a path is
// unlinked, and a SYN dropped, so that its sender tries again a second later. It is not, where other sockets share the port
// and would have taken it.
func (ln *Listener) admitNobody() {
	ln.unlink()
	if ln.deferred {
		deferAccept(ln.fd, 0)
	}
	if ln.network == "tcp" && !ln.shared {
		dropSYN(ln.fd)
	}
}

// unlink removes the unix path if this Listener made it and nobody has put another there.
func (ln *Listener) unlink() {
	if !ln.made {
		return
	}
	ln.made = false
	var st unix.Stat_t
	if err := unix.Lstat(ln.path, &st); err == nil && uint64(st.Dev) == ln.dev && st.Ino == ln.ino {
		_ = unix.Unlink(ln.path)
	}
}

// Close closes the socket, and unlinks the unix path.
func (ln *Listener) Close() error {
	if ln.closed {
		return nil
	}
	ln.closed = true
	ln.unlink()
	if ln.forked != nil && ln.forked() {
		ln.Shutdown()
	}
	return os.NewSyscallError("close", unix.Close(ln.fd))
}
