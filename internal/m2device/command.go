package m2device

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/internal/zeromq"
)

// Command is the sub-command of both programs that starts a device.
const Command = "m2wsgi-device"

// Exit statuses, as the server's: a mistake in the arguments, and an address that cannot be had.
const (
	exitUsage = 2
	exitTaken = 3
)

var usage = map[string]string{
	"dispatcher": `usage: m2wsgi.device.dispatcher [options] send_spec [recv_spec] disp_spec [ping_spec]

Takes requests from Mongrel2 at send_spec and gives each to the handler with the fewest, which connect to disp_spec (gowsgi
--mongrel2-dispatcher DISP_SPEC,PING_SPEC, or m2wsgi --conn-type=Dispatcher). Without recv_spec answers go to send_spec's port - 1, without ping_spec handlers listen for pings at
disp_spec's port + 1. With three specs they are send_spec, recv_spec and disp_spec.

  --ping-interval=SECONDS  between two pings (default 1); who does not answer two gets nothing more, and if its connection has
                           ended, what it was running goes to others
  --sticky                 all requests of a connection go to the same handler
  --sticky-regex=RE        all requests go to the same handler in which the groups of RE match the same, in the message that
                           Mongrel2 sends (Go's syntax: no backreferences, no lookaround)
  --slots=N                requests that a handler gets at once that does not say itself how many (default 0: any number)
  --give-up=SECONDS        after how much silence a handler is dead although its connection stands (default 30)
`,
	"pull2xreq": `usage: m2wsgi.device.pull2xreq [options] in_spec out_spec

Takes requests from Mongrel2 at in_spec and gives each to a handler that is ready, at out_spec (m2wsgi 0.3, --send-type=XREQ).

  --in-ident=NAME    identity of the socket to Mongrel2
  --out-ident=NAME   identity of the socket to handlers (default: that of --in-ident)
`,
	"response": `usage: m2wsgi.device.response [options] send_spec [recv_spec]

Answers all requests alike. In headers and body %(NAME)s is the request's header NAME; Mongrel2's own are in upper case (PATH, QUERY,
PATTERN ...), PREFIX is PATTERN up to its first (, MATCH what PATH has behind that.

  --code=CODE        status code (default 200)
  --status=TEXT      reason phrase (default OK)
  --header-NAME=V    a header; may be repeated
  --body=TEXT        body (default empty)
`,
}

// arguments are a device's: m2wsgi's options, each --name=value or --name value, and specs.
type arguments struct {
	options map[string]string
	headers [][2]string
	specs   []string
}

// parseArguments reads them; of the options that are known the value says whether they have one.
func parseArguments(args []string, known map[string]bool) (a arguments, err error) {
	a.options = map[string]string{}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "--") {
			a.specs = append(a.specs, arg)
			continue
		}
		name, value, has := strings.Cut(arg[2:], "=")
		_, header := known["header-"]
		header = header && strings.HasPrefix(name, "header-")
		wants, ok := known[name]
		if !ok && !header {
			return a, fmt.Errorf("there is no option --%s", name)
		}
		if (wants || header) && !has {
			if i++; i == len(args) {
				return a, fmt.Errorf("--%s wants a value", name)
			}
			value = args[i]
		} else if !wants && !header && has {
			return a, fmt.Errorf("--%s has no value", name)
		}
		if header {
			a.headers = append(a.headers, [2]string{name[len("header-"):], value})
		} else {
			a.options[name] = value
		}
	}
	return a, nil
}

// number reads an option.
func (a arguments) number(name string, otherwise, least float64) (float64, error) {
	text, ok := a.options[name]
	if !ok {
		return otherwise, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= least) || n > 1e6 {
		return 0, fmt.Errorf("--%s=%s is not a number from %v to a million", name, text, least)
	}
	return n, nil
}

// Main runs the device that the first argument names, until a signal, and returns the exit status.
func Main(args []string) int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	return run(args, os.Stdout, os.Stderr, signals)
}

func run(args []string, out, errOut io.Writer, signals <-chan os.Signal) int {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	text, ok := usage[name]
	if name == "--help" || name == "-h" {
		for _, name := range slices.Sorted(maps.Keys(usage)) {
			_, _ = fmt.Fprintf(out, "%s\n", usage[name])
		}
		return 0
	}
	if !ok {
		_, _ = fmt.Fprintln(errOut, "gowsgi: the devices are dispatcher, pull2xreq and response")
		return exitUsage
	}
	for _, arg := range args[1:] {
		if arg == "--help" || arg == "-h" {
			_, _ = io.WriteString(out, text)
			return 0
		}
	}
	say := newSpeaker(name, errOut).say
	start := map[string]func([]string, func(string)) (device, error){
		"dispatcher": startDispatcher, "pull2xreq": startPull2xreq, "response": startResponse,
	}[name]
	d, err := start(args[1:], say)
	if err != nil {
		_, _ = fmt.Fprintf(errOut, "gowsgi: %s: %v\n", name, err)
		var taken syscall.Errno
		if errors.As(err, &taken) {
			return exitTaken
		}
		return exitUsage
	}
	say("running")
	d(signals)
	return 0
}

// device runs until a signal.
type device func(signals <-chan os.Signal)

func startDispatcher(args []string, say func(string)) (device, error) {
	a, err := parseArguments(args, map[string]bool{"ping-interval": true, "sticky": false, "sticky-regex": true, "slots": true,
		"give-up": true})
	if err != nil {
		return nil, err
	}
	if len(a.specs) < 2 || len(a.specs) > 4 {
		return nil, errors.New("the arguments are send_spec [recv_spec] disp_spec [ping_spec]")
	}
	if len(a.specs) == 2 {
		a.specs = []string{a.specs[0], "", a.specs[1]}
	}
	interval, err := a.number("ping-interval", 1, 0.001)
	if err != nil {
		return nil, err
	}
	giveUp, err := a.number("give-up", 30, 0)
	if err != nil {
		return nil, err
	}
	slots, err := a.number("slots", 0, 0)
	if err != nil {
		return nil, err
	}
	s := settings{giveUp: max(2, int(giveUp/interval)), slots: int(slots)}
	pattern, sticky := a.options["sticky-regex"]
	if _, ok := a.options["sticky"]; ok || sticky {
		if !sticky {
			pattern = `^[^\s]+ ([^\s]+ )` // the connection's id
		}
		if s.sticky, err = regexp.Compile(pattern); err != nil {
			return nil, fmt.Errorf("--sticky-regex: %w", err)
		}
	}
	send, recv, err := server(a.specs[0], a.specs[1])
	if err != nil {
		return nil, err
	}
	disp, err := parseSpec(a.specs[2], true)
	if err != nil {
		return nil, err
	}
	var ping spec
	if len(a.specs) == 4 {
		ping, err = parseSpec(a.specs[3], true)
	} else {
		ping, err = disp.shifted(1)
		ping.identity = ""
	}
	if err != nil {
		return nil, err
	}
	h := &hub{say: say, done: make(chan struct{}), room: make(chan struct{})}
	h.d = newDispatcher(s, h)
	h.mu.Lock() // nothing is decided before all sockets are there
	defer h.mu.Unlock()
	if h.router, err = disp.open(zeromq.Router, zeromq.Options{Log: say, Receive: h.heard, Arrived: h.arrived}); err != nil {
		return nil, err
	}
	if h.pings, err = ping.open(zeromq.Pub, zeromq.Options{Log: say, Lossy: true, Bound: 4 << 10}); err != nil {
		return nil, err
	}
	if h.pull, h.pub, h.peer, err = gated(send, recv, h.received, h.is, say); err != nil {
		return nil, err
	}
	return func(signals <-chan os.Signal) { h.run(time.Duration(interval*float64(time.Second)), signals) }, nil
}

// server reads where Mongrel2 is.
func server(sendText, recvText string) (send, recv spec, err error) {
	if send, err = parseSpec(sendText, false); err != nil {
		return send, recv, err
	}
	if recvText == "" {
		recv, err = send.shifted(-1)
	} else {
		recv, err = parseSpec(recvText, false)
	}
	if err == nil && recv.endpoint == send.endpoint {
		err = fmt.Errorf("send_spec and recv_spec are both %s: Mongrel2 has a place for each", send.endpoint)
	}
	return send, recv, err
}

func startPull2xreq(args []string, say func(string)) (device, error) {
	a, err := parseArguments(args, map[string]bool{"in-ident": true, "out-ident": true})
	if err != nil {
		return nil, err
	}
	if len(a.specs) != 2 {
		return nil, errors.New("the arguments are in_spec out_spec")
	}
	in, err := parseSpec(a.specs[0], false)
	if err != nil {
		return nil, err
	}
	out, err := parseSpec(a.specs[1], true)
	if err != nil {
		return nil, err
	}
	if name, ok := a.options["in-ident"]; ok {
		in.identity, out.identity = name, name
	}
	if name, ok := a.options["out-ident"]; ok {
		out.identity = name
	}
	h := &hub{say: say, done: make(chan struct{}), room: make(chan struct{})}
	h.d = &pull2xreq{out: h}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.router, err = out.open(zeromq.Router, zeromq.Options{Log: say, Receive: h.heard, Arrived: h.arrived}); err != nil {
		return nil, err
	}
	if h.pull, err = in.open(zeromq.Pull, zeromq.Options{Log: say, Receive: h.received}); err != nil {
		return nil, err
	}
	return func(signals <-chan os.Signal) { h.run(time.Second, signals) }, nil
}

func startResponse(args []string, say func(string)) (device, error) {
	a, err := parseArguments(args, map[string]bool{"code": true, "status": true, "header-": false, "body": true})
	if err != nil {
		return nil, err
	}
	if len(a.specs) < 1 || len(a.specs) > 2 {
		return nil, errors.New("the arguments are send_spec [recv_spec]")
	}
	code, err := a.number("code", 200, 0)
	if err != nil {
		return nil, err
	}
	c := canned{code: int(code), status: "OK", headers: a.headers, body: a.options["body"]}
	if text, ok := a.options["status"]; ok {
		c.status = text
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	send, recv, err := server(a.specs[0], append(a.specs, "")[1])
	if err != nil {
		return nil, err
	}
	var pub *zeromq.Socket
	done := make(chan struct{})
	ready := make(chan struct{}) // pub is there
	pull, pub, peer, err := gated(send, recv, func(m zeromq.Message) {
		<-ready
		answers, err := c.answer(m[0], time.Now())
		if err != nil {
			say(err.Error())
		}
		for _, a := range answers {
			if room, err := pub.Send(a); err == nil && !room {
				pub.Room(done)
			}
		}
	}, func(bool) {}, say)
	close(ready)
	if err != nil {
		return nil, err
	}
	return func(signals <-chan os.Signal) {
		<-signals
		pull.Drain(5 * time.Second)
		peer.End()
		pull.Close(0)
		pub.Close(5 * time.Second)
		close(done)
	}, nil
}
