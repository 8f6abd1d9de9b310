package config

import (
	"net"
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
		switch rest[i+1:] {
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
	if err != nil || host == "" || host == "*" && !spec.Bind {
		return spec, usagef("%q has no host and port that one could connect to: %s", s, specForm)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || !isDigits(port) {
		return spec, usagef("%q has the port %q: give a number from 1 to 65535", s, port)
	}
	return spec, nil
}

// ParseMongrel2 reads SEND_SPEC[,RECV_SPEC]: where requests come from, and where answers go.
func ParseMongrel2(s string) (requests, answers Spec, err error) {
	first, second, two := strings.Cut(s, ",")
	if requests, err = ParseSpec(strings.TrimSpace(first)); err != nil {
		return requests, answers, err
	}
	if two {
		answers, err = ParseSpec(strings.TrimSpace(second))
		return requests, answers, err
	}
	answers = requests
	host, port, err := net.SplitHostPort(strings.TrimPrefix(requests.Endpoint, "tcp://"))
	n, _ := strconv.Atoi(port)
	if err != nil || n < 2 {
		return requests, answers, usagef("%q does not say where answers go: give Mongrel2's recv_spec behind a comma", s)
	}
	answers.Endpoint = "tcp://" + net.JoinHostPort(host, strconv.Itoa(n-1))
	return requests, answers, nil
}

func mongrel2Specs(s string) string {
	if s == "" {
		return ""
	}
	if _, _, err := ParseMongrel2(s); err != nil {
		return err.Error()
	}
	return ""
}

// finishMongrel2 leaves out the default address where requests come from Mongrel2.
func (c *Config) finishMongrel2() error {
	if c.Mongrel2 == "" {
		return nil
	}
	if c.origins[keywords["bind"]] == "" {
		c.Bind = nil
	}
	requests, answers, err := ParseMongrel2(c.Mongrel2)
	switch {
	case err != nil:
		return err
	case c.WorkerCount() > 1 && (requests.Bind || answers.Bind):
		return usagef("--mongrel2 has #bind, which only one process can do: leave it out, or --workers")
	case c.Warmup != "" && len(c.Bind) == 0 && !c.SocketActivated:
		return usagef("--warmup asks by HTTP, and --mongrel2 alone listens nowhere: give --bind as well, or leave --warmup out")
	}
	return nil
}
