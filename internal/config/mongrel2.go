package config

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// Spec is a ZeroMQ socket's place: PROTO://[IDENTITY@]ENDPOINT[#bind or #connect].
type Spec struct {
	Identity string
	Endpoint string // tcp://host:port or ipc://path
	Bind     bool   // else it connects
}

const specForm = "give tcp://HOST:PORT or ipc://PATH, with IDENTITY@ before the host and #bind or #connect behind, where wanted"

// ParseSpec reads one. The error is one sentence without the name of the option.
func ParseSpec(s string) (Spec, error) {
	var spec Spec
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != "tcp" && scheme != "ipc" {
		return spec, usagef("%q is no place of a ZeroMQ socket: %s", s, specForm)
	}
	if i := strings.LastIndexByte(rest, '#'); i >= 0 {
		switch strings.ToLower(rest[i+1:]) {
		case "bind":
			spec.Bind = true
		case "connect":
		default:
			return spec, usagef("%q has %q at its end: #bind and #connect are known", s, rest[i:])
		}
		rest = rest[:i]
	}
	if i := strings.IndexByte(rest, '@'); i > 0 || i == 0 && scheme == "tcp" {
		if spec.Identity, rest = rest[:i], rest[i+1:]; spec.Identity == "" || len(spec.Identity) > 255 {
			return spec, usagef("%q has an identity of %d bytes before its @: 1 to 255 are possible", s, len(spec.Identity))
		}
	}
	if rest == "" || strings.ContainsAny(rest, "\x00\r\n") {
		return spec, usagef("%q has no endpoint: %s", s, specForm)
	}
	spec.Endpoint = scheme + "://" + rest
	if scheme == "ipc" {
		if len(rest) > maxUnixPath {
			return spec, usagef("the path in %q has %d bytes, and the system takes no more than %d: choose a shorter one", s, len(rest), maxUnixPath)
		}
		return spec, nil
	}
	host, port, err := net.SplitHostPort(rest)
	switch {
	case err != nil && strings.Count(rest, ":") > 1 && !strings.HasPrefix(rest, "["):
		return spec, usagef("%q has colons in its host: an IPv6 address goes in brackets, as in tcp://[::1]:9997", s)
	case err == nil && host == "*" && !spec.Bind:
		return spec, usagef("%q has no host that one could connect to: * is for #bind, give the address of the other end", s)
	case err != nil || host == "":
		return spec, usagef("%q has no host and port that one could connect to: %s", s, specForm)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || !isDigits(port) {
		return spec, usagef("%q has the port %q: give a number from 1 to 65535", s, port)
	}
	return spec, nil
}

// String is the text of a spec.
func (s Spec) String() string {
	text := s.Endpoint
	if s.Identity != "" {
		text = strings.Replace(text, "://", "://"+s.Identity+"@", 1)
	}
	if s.Bind {
		text += "#bind"
	}
	return text
}

// fromStart is the spec with a path as it was meant at the start: --chdir comes later, and the application may go elsewhere.
func (s Spec) fromStart() Spec {
	path, is := strings.CutPrefix(s.Endpoint, "ipc://")
	if whole := fromStart(path); is && path[0] != '@' && len(whole) <= maxUnixPath {
		s.Endpoint = "ipc://" + whole
	}
	return s
}

func fromStart(path string) string {
	whole, err := filepath.Abs(filepath.Join(startedIn, path))
	if filepath.IsAbs(path) || err != nil {
		return path
	}
	return whole
}

// ParseMongrel2 reads SEND_SPEC[,RECV_SPEC]: where requests come from, and where answers go.
func ParseMongrel2(s string) (requests, answers Spec, err error) {
	requests, answers, err = specs(s, -1)
	if err == nil && answers.Endpoint == "" {
		err = usagef("%q does not say where answers go: give Mongrel2's recv_spec behind a comma", s)
	}
	return requests, answers, err
}

// ParseDispatcher reads DISP_SPEC[,PING_SPEC]: where requests come from and answers go, and where pings come from.
func ParseDispatcher(s string) (requests, pings Spec, err error) {
	requests, pings, err = specs(s, 1)
	if err == nil && pings.Endpoint == "" {
		err = usagef("%q does not say where pings come from: give the dispatcher's ping_spec behind a comma", s)
	}
	return requests, pings, err
}

// specs reads one or two. The second is by default that of the port so far away from the first one's; without an endpoint if there is none.
func specs(s string, away int) (one, other Spec, err error) {
	first, second, two := strings.Cut(s, ",")
	if one, err = ParseSpec(strings.TrimSpace(first)); err != nil {
		return one, other, err
	}
	if two {
		other, err = ParseSpec(strings.TrimSpace(second))
		if err == nil && one.Endpoint == other.Endpoint {
			err = usagef("%q names one place twice: requests and what goes back have a port, or a path, each", s)
		}
		return one, other, err
	}
	other = one
	other.Endpoint = ""
	if place, tcp := strings.CutPrefix(one.Endpoint, "tcp://"); tcp {
		host, port, _ := net.SplitHostPort(place)
		n, _ := strconv.Atoi(port)
		if n += away; 1 <= n && n <= 65535 {
			other.Endpoint = "tcp://" + net.JoinHostPort(host, strconv.Itoa(n))
		}
	}
	return one, other, nil
}

func mongrel2Specs(s string) string   { return complaint(s, ParseMongrel2) }
func dispatcherSpecs(s string) string { return complaint(s, ParseDispatcher) }

func complaint(s string, parse func(string) (Spec, Spec, error)) string {
	if s == "" {
		return ""
	}
	if _, _, err := parse(s); err != nil {
		return err.Error()
	}
	return ""
}

// BehindMongrel2 tells whether requests come from Mongrel2, or its dispatcher.
func (c *Config) BehindMongrel2() bool { return c.Mongrel2 != "" || c.Mongrel2Dispatcher != "" }

// finishMongrel2 leaves out the default address where requests come from Mongrel2.
func (c *Config) finishMongrel2() error {
	if !c.BehindMongrel2() {
		if c.Mongrel2Chroot != "" {
			return usagef("--mongrel2-chroot is for --mongrel2 and --mongrel2-dispatcher: give one of them, or leave it out")
		}
		return nil
	}
	if c.origins[keywords["bind"]] == "" {
		c.Bind = nil
	}
	if c.Mongrel2Chroot != "" {
		c.Mongrel2Chroot = fromStart(c.Mongrel2Chroot)
	}
	option, parse, text := "--mongrel2", ParseMongrel2, &c.Mongrel2
	switch {
	case c.Mongrel2Dispatcher == "":
	case c.Mongrel2 != "":
		return usagef("--mongrel2 and --mongrel2-dispatcher exclude each other: behind a dispatcher give the second alone")
	default:
		option, parse, text = "--mongrel2-dispatcher", ParseDispatcher, &c.Mongrel2Dispatcher
	}
	one, other, err := parse(*text)
	if err != nil {
		return err
	}
	*text = one.fromStart().String() + "," + other.fromStart().String()
	switch {
	case c.WorkerCount() > 1 && (one.Bind || other.Bind):
		return usagef("%s has #bind, which only one process can do: leave it out, or --workers", option)
	case c.WorkerCount() > 1 && c.Mongrel2Dispatcher != "" && one.Identity != "":
		return usagef("%s has an identity, which only one process can have: leave it out, or --workers", option)
	case c.Warmup != "" && len(c.Bind) == 0 && !c.SocketActivated:
		return usagef("--warmup asks by HTTP, and %s alone listens nowhere: give --bind as well, or leave --warmup out", option)
	}
	return nil
}
