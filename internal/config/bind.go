package config

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// DefaultPort is used when an address names a host only.
const DefaultPort = 8000

// maxUnixPath is what sockaddr_un takes on Linux with its final NUL. Other systems take four less and refuse the bind.
const maxUnixPath = 107

// Bind is one place to listen on.
type Bind struct {
	Network string // tcp, unix or fd
	Address string // host:port; path, or @name in the abstract namespace; the number of the descriptor
	FD      int    // for fd
}

// String returns the form that ParseBind reads.
func (b Bind) String() string {
	switch b.Network {
	case "unix":
		return "unix:" + b.Address
	case "fd":
		return "fd://" + strconv.Itoa(b.FD)
	}
	return b.Address
}

// Inherited is an open descriptor as an address.
func Inherited(fd int) Bind { return fdBind(fd) }

func fdBind(fd int) Bind { return Bind{Network: "fd", Address: strconv.Itoa(fd), FD: fd} }

// ParseBind reads gunicorn's forms of an address: HOST, HOST:PORT, :PORT, [v6], [v6]:PORT, tcp:// in front of those,
// unix:PATH, unix://PATH, unix:@name and fd://N. The error is one sentence without the name of the option.
func ParseBind(s string) (Bind, error) {
	switch {
	case s == "":
		return Bind{}, usagef("the address is empty: give HOST:PORT, unix:PATH or fd://N")
	case strings.ContainsAny(s, "\x00\r\n"):
		return Bind{}, usagef("%q holds a control character: give HOST:PORT, unix:PATH or fd://N", s)
	}
	if rest, ok := strings.CutPrefix(s, "unix:"); ok {
		return parseUnix(s, strings.TrimPrefix(rest, "//"))
	}
	if rest, ok := strings.CutPrefix(s, "fd://"); ok {
		n, err := strconv.ParseUint(rest, 10, 31)
		if err != nil {
			return Bind{}, usagef("%q names no descriptor: give its number, as in fd://3", s)
		}
		return fdBind(int(n)), nil
	}
	rest := strings.TrimPrefix(s, "tcp://")
	if scheme, after, found := strings.Cut(rest, "://"); found {
		return Bind{}, usagef("%q is not an address to listen on: gowsgi knows tcp://, unix: and fd://, not %s://; "+
			"give HOST:PORT, for instance %s", s, scheme, strings.TrimSuffix(after, "/"))
	}
	if strings.Contains(rest, "/") {
		return Bind{}, usagef("%q is not an address to listen on: for a unix socket write unix:%s", s, rest)
	}
	return parseTCP(s, rest)
}

func parseUnix(s, path string) (Bind, error) {
	switch {
	case path == "" || path == "@":
		return Bind{}, usagef("%q has no path: give one, as in unix:/run/app.sock", s)
	case len(path) > maxUnixPath:
		return Bind{}, usagef("the path of the unix socket %q has %d bytes, and the system takes no more than %d: "+
			"choose a shorter one", path, len(path), maxUnixPath)
	}
	return Bind{Network: "unix", Address: path}, nil
}

func parseTCP(s, rest string) (Bind, error) {
	host, port := rest, ""
	if strings.HasPrefix(rest, "[") {
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return Bind{}, usagef("%q has no closing bracket: write [ADDRESS]:PORT", s)
		}
		host = rest[1:end]
		if ip, err := netip.ParseAddr(host); err != nil || !ip.Is6() {
			return Bind{}, usagef("%q does not hold an IPv6 address between its brackets: write [::1]:8000, for instance", s)
		}
		after := rest[end+1:]
		if after != "" && after[0] != ':' {
			return Bind{}, usagef("%q has something else than a port behind the bracket: write [%s]:PORT", s, host)
		}
		port = strings.TrimPrefix(after, ":")
		if after == ":" {
			return Bind{}, noPort(s)
		}
	} else {
		if strings.Count(rest, ":") > 1 {
			if ip, err := netip.ParseAddr(rest); err == nil {
				return Bind{}, usagef("%q is an IPv6 address without brackets: write [%s]:%d", s, ip, DefaultPort)
			}
			return Bind{}, usagef("%q has more than one colon: write HOST:PORT, or [ADDRESS]:PORT for IPv6", s)
		}
		var colon bool
		host, port, colon = strings.Cut(rest, ":")
		if colon && port == "" {
			return Bind{}, noPort(s)
		}
		if !colon && isDigits(host) {
			return Bind{}, usagef("%q is a port without a colon: write :%s for every interface, or 127.0.0.1:%s", s, host, host)
		}
		if host == "" {
			host = "0.0.0.0"
		}
		if !isHostName(host) {
			return Bind{}, usagef("%q does not name a host: give HOST:PORT, unix:PATH or fd://N", s)
		}
		host = strings.ToLower(host)
	}
	n := uint64(DefaultPort)
	if port != "" {
		var err error
		if n, err = strconv.ParseUint(port, 10, 16); err != nil || !isDigits(port) {
			return Bind{}, usagef("%q has the port %q: give a number from 0 to 65535, 0 to have the system choose one", s, port)
		}
	}
	return Bind{Network: "tcp", Address: net.JoinHostPort(host, fmt.Sprint(n))}, nil
}

func noPort(s string) error {
	return usagef("%q has a colon and no port: give a number from 0 to 65535 behind it", s)
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func isHostName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_' {
			continue
		}
		return false
	}
	return len(s) <= 255
}

// fromPort is the default address where a platform hands the port over in PORT.
func fromPort(port string) (Bind, error) {
	if !isDigits(port) {
		return Bind{}, usagef("the environment variable PORT is %q: give a port number, or --bind instead", port)
	}
	b, err := ParseBind("0.0.0.0:" + port)
	if err != nil {
		return Bind{}, usagef("the environment variable PORT is %q: give a number from 0 to 65535, or --bind instead", port)
	}
	return b, nil
}

// FromSystemd returns the descriptors that systemd opened for this process, none when they are for another one.
// The protocol is that of sd_listen_fds(3): LISTEN_FDS descriptors from number 3 on, meant for process LISTEN_PID.
func FromSystemd(env func(string) string, pid int) ([]Bind, error) {
	if env("LISTEN_PID") != strconv.Itoa(pid) {
		return nil, nil
	}
	n, err := strconv.ParseUint(env("LISTEN_FDS"), 10, 15)
	if err != nil {
		return nil, usagef("the environment variable LISTEN_FDS is %q: unset LISTEN_PID and LISTEN_FDS, or start the "+
			"server by its systemd socket unit", env("LISTEN_FDS"))
	}
	var binds []Bind
	for i := 0; i < int(n); i++ {
		binds = append(binds, fdBind(3+i))
	}
	return binds, nil
}

// startedAs is the process that systemd has started: this one, or process 1 of a container, which has started this one in its
// place (server.Init).
func startedAs(env func(string) string) int {
	if env("LISTEN_PID") == "1" && os.Getppid() == 1 {
		return 1
	}
	return os.Getpid()
}
