package m2device

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gowsgi/gowsgi/internal/zeromq"
)

// spec is m2wsgi's text for a socket: protocol://[identity@]endpoint[#bind or #connect].
type spec struct {
	endpoint string
	identity string
	bind     bool
}

// parseSpec reads a spec; bind is what holds without a #.
func parseSpec(text string, bind bool) (spec, error) {
	s := spec{bind: bind}
	protocol, rest, ok := strings.Cut(text, "://")
	if !ok || protocol == "" {
		return s, fmt.Errorf("%q is no socket: they are written protocol://[identity@]endpoint[#bind or #connect]", text)
	}
	if strings.Contains(rest, ",") && strings.Contains(rest, "://") {
		return s, fmt.Errorf("%q is more than one socket: here each is an argument, with no comma between", text)
	}
	rest, mode, _ := strings.Cut(rest, "#")
	switch strings.ToLower(mode) {
	case "":
	case "bind":
		s.bind = true
	case "connect":
		s.bind = false
	default:
		return s, fmt.Errorf("%q ends in #%s: #bind and #connect are known", text, mode)
	}
	if identity, endpoint, ok := strings.Cut(rest, "@"); ok {
		s.identity, rest = identity, endpoint
		if len(identity) > 255 || strings.HasPrefix(identity, "\x00") {
			return s, fmt.Errorf("%.60q has an identity of more than 255 bytes, or whose first byte is 0", text)
		}
	}
	s.endpoint = protocol + "://" + rest
	return s, nil
}

// shifted is the same place, by ports away. It is of use for tcp only.
func (s spec) shifted(by int) (spec, error) {
	i := strings.LastIndexByte(s.endpoint, ':')
	port, err := strconv.Atoi(s.endpoint[i+1:])
	if err != nil || port+by < 1 || port+by > 65535 {
		return s, fmt.Errorf("the socket that belongs to %s has no port to be derived from it: name it as well", s.endpoint)
	}
	s.endpoint = s.endpoint[:i+1] + strconv.Itoa(port+by)
	return s, nil
}

// open makes the socket.
func (s spec) open(kind zeromq.Type, o zeromq.Options) (*zeromq.Socket, error) {
	o.Identity = []byte(s.identity)
	socket := zeromq.New(kind, o)
	return socket, s.attach(socket)
}

func (s spec) attach(socket *zeromq.Socket) error {
	if s.bind {
		_, err := socket.Bind(s.endpoint)
		return err
	}
	return socket.Connect(s.endpoint)
}
