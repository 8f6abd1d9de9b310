package zeromq

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// endpoint is a place to bind or to connect to, as package net has it.
type endpoint struct {
	text    string
	network string // tcp or unix
	address string
}

// parseEndpoint reads tcp://host:port and ipc://path. bind: the host may be * or a network interface, and the port * or
// 0.
func parseEndpoint(text string, bind bool) (endpoint, error) {
	e := endpoint{text: text}
	scheme, rest, ok := strings.Cut(text, "://")
	switch {
	case !ok:
		return e, fmt.Errorf("%q is no ZeroMQ endpoint: it begins with neither tcp:// nor ipc://", text)
	case scheme == "ipc":
		if rest == "" || rest == "@" || len(rest) > 107 {
			return e, fmt.Errorf("%q has no path that a unix socket could have (1 to 107 bytes)", text)
		}
		e.network, e.address = "unix", rest
		return e, nil
	case scheme != "tcp":
		return e, fmt.Errorf("%q is a kind of ZeroMQ endpoint that is not served here: tcp:// and ipc:// are", text)
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return e, fmt.Errorf("%q is not tcp://host:port", text)
	}
	if bind && port == "*" {
		port = "0"
	}
	number, err := net.LookupPort("tcp", port)
	if err != nil || number == 0 && !bind {
		return e, fmt.Errorf("%q has no port that one could connect to", text)
	}
	if bind {
		if host == "*" {
			host = ""
		}
		host = interfaceAddress(host)
	} else if host == "" || host == "*" {
		return e, fmt.Errorf("%q has no host that one could connect to", text)
	}
	e.network, e.address = "tcp", net.JoinHostPort(host, fmt.Sprint(number))
	return e, nil
}

// interfaceAddress is the first address of the network interface of that name, or the name if there is none.
func interfaceAddress(name string) string {
	if name == "" || net.ParseIP(name) != nil {
		return name
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return name
	}
	addresses, err := i.Addrs()
	if err != nil || len(addresses) == 0 {
		return name
	}
	if n, ok := addresses[0].(*net.IPNet); ok {
		return n.IP.String()
	}
	return name
}

// keepAlive finds out within a minute that a machine is gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3}

// listen binds. A unix socket that nobody listens at any more is replaced.
func (e endpoint) listen() (net.Listener, error) {
	if e.network == "unix" && e.address[0] != '@' {
		if c, err := net.Dial("unix", e.address); err == nil {
			_ = c.Close()
		} else if errors.Is(err, syscall.ECONNREFUSED) {
			_ = os.Remove(e.address)
		}
	}
	config := net.ListenConfig{KeepAliveConfig: keepAlive}
	l, err := config.Listen(background, e.network, e.address)
	if err != nil {
		return nil, fmt.Errorf("cannot bind %s: %w", e.text, reason(err))
	}
	return l, nil
}

// bound is the endpoint that others connect to.
func (e endpoint) bound(l net.Listener) string {
	if e.network == "unix" {
		return e.text
	}
	return "tcp://" + l.Addr().String()
}

// reason is an error of package net without the address, which its message has already.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		return call.Err
	}
	return err
}
