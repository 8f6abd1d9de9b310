package reactor

// System calls that never wait, on Linux. They go past the Go scheduler's bookkeeping (RawSyscall), which costs as much
// as a small send itself; a call that copies much, and so takes long enough to hold up a garbage collection, does not.

import (
	"encoding/binary"
	"math"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawLimit is the size from which a transfer is announced to the scheduler.
const rawLimit = 128 << 10

func recv(fd int, p []byte, flags int) (int, syscall.Errno) {
	for {
		var n uintptr
		var e syscall.Errno
		flags := uintptr(flags | unix.MSG_DONTWAIT)
		if len(p) <= rawLimit {
			n, _, e = syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
		} else {
			n, _, e = syscall.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
		}
		if e == syscall.EINTR {
			continue
		}
		if e != 0 {
			return 0, e
		}
		return int(n), 0
	}
}

func sendFlags(more bool) uintptr {
	flags := uintptr(unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL)
	if more {
		flags |= unix.MSG_MORE
	}
	return flags
}

func send(fd int, p []byte, more bool) (int, syscall.Errno) {
	for {
		var n uintptr
		var e syscall.Errno
		if len(p) <= rawLimit {
			n, _, e = syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), sendFlags(more), 0, 0)
		} else {
			n, _, e = syscall.Syscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), sendFlags(more), 0, 0)
		}
		if e == syscall.EINTR {
			continue
		}
		if e != 0 {
			return 0, e
		}
		return int(n), 0
	}
}

// sendVec sends size bytes in the given pieces.
func sendVec(fd int, iov []unix.Iovec, size int64, more bool) (int, syscall.Errno) {
	var msg unix.Msghdr
	msg.Iov = &iov[0]
	msg.SetIovlen(len(iov))
	for {
		var n uintptr
		var e syscall.Errno
		if size <= rawLimit {
			n, _, e = syscall.RawSyscall6(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), sendFlags(more), 0, 0, 0)
		} else {
			n, _, e = syscall.Syscall6(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), sendFlags(more), 0, 0, 0)
		}
		if e == syscall.EINTR {
			continue
		}
		if e != 0 {
			return 0, e
		}
		return int(n), 0
	}
}

// acceptConn takes one connection, non-blocking and close-on-exec.
func acceptConn(fd int, peer *rawAddr) (int, syscall.Errno) {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	n, _, e := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if e != 0 {
		return -1, e
	}
	peer.set(&sa)
	return int(n), 0
}

// deferAccept makes the kernel keep connections that have sent nothing for so many seconds (TCP_DEFER_ACCEPT).
func deferAccept(fd, seconds int) bool {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, seconds) == nil
}

func defersAccept(fd int) bool {
	seconds, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT)
	return err == nil && seconds > 0
}

// dropSYN makes the kernel drop the first packet of every new connection. Connections accepted from now on inherit the
// filter, and get no such packets.
func dropSYN(fd int) {
	const flags, syn = 13, 0x02 // of the TCP header, where the filter's data begin
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: syn, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: math.MaxUint32},
	}
	_ = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})
}

// localAddr asks for our end's address.
func localAddr(fd int, a *rawAddr) error {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	_, _, e := syscall.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)))
	if e != 0 {
		return sysErr("getsockname", e)
	}
	a.set(&sa)
	return nil
}

func (a *rawAddr) set(sa *unix.RawSockaddrAny) {
	switch sa.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		copy(a.ip[:], in.Addr[:])
		a.port, a.size = networkOrder(in.Port), 4
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		a.ip = in.Addr
		a.port, a.size, a.zone = networkOrder(in.Port), 16, in.Scope_id
	}
}

func networkOrder(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}

func streamSocket(family int) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	return fd, nil
}

// resetSocket makes the peer see a reset now, while the descriptor stays open: connecting a TCP socket to nothing
// disconnects it. A shutdown would look like a proper end to the peer. Unix sockets know no reset.
func resetSocket(fd int) {
	sa := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, e := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
	if e != 0 {
		setReset(fd)
		_ = unix.Shutdown(fd, unix.SHUT_RDWR)
	}
}

// alarmFDs are the ends of an Alarm, the one to read and the one to write: an eventfd is both.
func alarmFDs() ([2]int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	return [2]int{fd, fd}, os.NewSyscallError("eventfd", err)
}
