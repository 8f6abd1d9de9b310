package zeromq

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/internal/pythontest"
)

// theirs is a socket of libzmq's in another process.
type theirs struct {
	t   *testing.T
	to  io.WriteCloser
	out *bufio.Reader
	cmd *exec.Cmd
}

func libzmq(t *testing.T, kind string, options string) *theirs {
	t.Helper()
	var z *theirs
	select {
	case z = <-idle:
		z.t = t
	default:
		z = startLibzmq(t)
	}
	t.Cleanup(func() {
		if t.Failed() {
			z.kill()
			return
		}
		z.do(`["reset"]`)
		idle <- z
	})
	z.do(fmt.Sprintf(`["socket", %q, {%s}]`, kind, options))
	return z
}

// idle are processes that the next test takes.
var idle = make(chan *theirs, 100)

func TestMain(m *testing.M) {
	status := m.Run()
	for {
		select {
		case z := <-idle:
			z.kill()
		default:
			os.Exit(status)
		}
	}
}

func startLibzmq(t *testing.T) *theirs {
	t.Helper()
	cmd := exec.Command(pythontest.With(t, "zmq"), "testdata/libzmq.py")
	to, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &theirs{t, to, bufio.NewReader(out), cmd}
}

func (z *theirs) kill() {
	_ = z.cmd.Process.Kill()
	_ = z.cmd.Wait()
}

// order has it do something; answer waits until it has.
func (z *theirs) order(order string) {
	z.t.Helper()
	if _, err := fmt.Fprintln(z.to, order); err != nil {
		z.t.Fatal(err)
	}
}

func (z *theirs) answer() string {
	z.t.Helper()
	stop := time.AfterFunc(within, func() { _ = z.cmd.Process.Kill() })
	defer stop.Stop()
	line, err := z.out.ReadString('\n')
	if err != nil {
		z.t.Fatal("libzmq's side has not answered: ", err)
	}
	return strings.TrimSpace(line)
}

func (z *theirs) do(order string) string {
	z.t.Helper()
	z.order(order)
	return z.answer()
}

func (z *theirs) bind(at string) string {
	z.t.Helper()
	return strings.Trim(z.do(fmt.Sprintf(`["bind", %q]`, at)), `"`)
}

func (z *theirs) connect(at string) {
	z.t.Helper()
	z.do(fmt.Sprintf(`["connect", %q]`, at))
}

func (z *theirs) send(parts ...string) {
	z.t.Helper()
	for i, p := range parts {
		parts[i] = hex.EncodeToString([]byte(p))
	}
	b, _ := json.Marshal([]any{"send", parts})
	z.do(string(b))
}

func (z *theirs) want(parts ...string) {
	z.t.Helper()
	var got []string
	if err := json.Unmarshal([]byte(z.do(`["recv"]`)), &got); err != nil {
		z.t.Fatal(err)
	}
	for i, p := range got {
		b, _ := hex.DecodeString(p)
		got[i] = string(b)
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", parts) {
		z.t.Fatalf("libzmq got %.200q, want %.200q", got, parts)
	}
}

// pair connects a socket of ours and one of libzmq's; ours binds or theirs.
func pair(t *testing.T, s *Socket, z *theirs, oursBinds bool, place string) {
	t.Helper()
	if oursBinds {
		z.connect(local(bind(t, s, place)))
	} else {
		connect(t, s, z.bind(place))
	}
}

// everyWay runs a test with either side binding, one over tcp, the other over ipc.
func everyWay(t *testing.T, test func(t *testing.T, oursBinds bool, place string)) {
	pythontest.With(t, "zmq")
	t.Run("ours binds tcp", func(t *testing.T) { test(t, true, anyPort) })
	t.Run("libzmq binds ipc", func(t *testing.T) { test(t, false, "ipc://"+filepath.Join(t.TempDir(), "s")) })
}

var large = strings.Repeat("0123456789", 300_000)

func TestLibzmqPushesToOurs(t *testing.T) {
	everyWay(t, func(t *testing.T, oursBinds bool, place string) {
		in := newInbox()
		z := libzmq(t, "PUSH", "")
		pair(t, open(t, Pull, Options{Receive: in.put}), z, oursBinds, place)
		z.send("one")
		z.send("", "two", "")
		z.send(large, "x", large)
		in.want(t, "one")
		in.want(t, "", "two", "")
		in.want(t, large, "x", large)
	})
}

func TestLibzmqPullsFromOurs(t *testing.T) {
	everyWay(t, func(t *testing.T, oursBinds bool, place string) {
		z := libzmq(t, "PULL", "")
		push := open(t, Push, Options{})
		pair(t, push, z, oursBinds, place)
		send(t, push, "one")
		send(t, push, "", "two", "")
		send(t, push, large, "x", large)
		z.want("one")
		z.want("", "two", "")
		z.want(large, "x", large)
	})
}

func TestLibzmqSubscribesToOurs(t *testing.T) {
	everyWay(t, func(t *testing.T, oursBinds bool, place string) {
		z := libzmq(t, "SUB", `"SUBSCRIBE": "a"`)
		pub := open(t, Pub, Options{})
		pair(t, pub, z, oursBinds, place)
		if !oursBinds {
			send(t, pub, "a0") // before it can know of the subscription
		}
		until(t, "subscribed", pub.Subscribed)
		send(t, pub, "b1")
		send(t, pub, "a1", large)
		if !oursBinds {
			z.want("a0")
		}
		z.want("a1", large)
	})
}

func TestLibzmqPublishesToOurs(t *testing.T) {
	everyWay(t, func(t *testing.T, oursBinds bool, place string) {
		in := newInbox()
		z := libzmq(t, "XPUB", "")
		sub := open(t, Sub, Options{Receive: in.put})
		sub.Subscribe([]byte("a"))
		pair(t, sub, z, oursBinds, place)
		z.want("\x01a")
		sub.Subscribe([]byte("c"))
		z.want("\x01c")
		sub.Unsubscribe([]byte("c"))
		z.want("\x00c")
		z.send("b1")
		z.send("c1")
		z.send("a1", large)
		in.want(t, "a1", large)
	})
}

func TestLibzmqDealerAndOurRouter(t *testing.T) {
	everyWay(t, func(t *testing.T, oursBinds bool, place string) {
		in := newInbox()
		z := libzmq(t, "DEALER", `"IDENTITY": "z"`)
		router := open(t, Router, Options{Receive: in.put})
		pair(t, router, z, oursBinds, place)
		z.send("", "hello")
		in.want(t, "z", "", "hello")
		send(t, router, "z", "", large)
		z.want("", large)
	})
}

func TestLibzmqRouterAndOurDealer(t *testing.T) {
	everyWay(t, func(t *testing.T, oursBinds bool, place string) {
		in := newInbox()
		z := libzmq(t, "ROUTER", "")
		dealer := open(t, Dealer, Options{Identity: []byte("me"), Receive: in.put})
		pair(t, dealer, z, oursBinds, place)
		send(t, dealer, "", "hello")
		z.want("me", "", "hello")
		z.send("me", "", large)
		in.want(t, "", large)
	})
}

func TestLibzmqRepAndOurReq(t *testing.T) {
	everyWay(t, func(t *testing.T, oursBinds bool, place string) {
		in := newInbox()
		z := libzmq(t, "REP", "")
		req := open(t, Req, Options{Receive: in.put})
		pair(t, req, z, oursBinds, place)
		send(t, req, "status", "tasks")
		z.want("status", "tasks")
		z.send("fine")
		in.want(t, "fine")
	})
}

// Heartbeats of libzmq's, which ends a connection whose peer does not answer them.
func TestLibzmqHeartbeats(t *testing.T) {
	lines := newInbox()
	in := newInbox()
	z := libzmq(t, "XPUB", `"HEARTBEAT_IVL": 10, "HEARTBEAT_TIMEOUT": 5000, "HEARTBEAT_TTL": 5000`)
	sub := open(t, Sub, Options{Receive: in.put, Log: func(s string) { lines.put(Message{[]byte(s)}) }})
	sub.Subscribe(nil)
	connect(t, sub, z.bind(anyPort))
	z.want("\x01")
	pongs := func() (n int) {
		for _, x := range sub.sessions() {
			n += int(x.pongs.Load())
		}
		return n
	}
	until(t, "ten heartbeats were answered", func() bool { return pongs() > 10 })
	z.send("still")
	in.want(t, "still")
	if len(lines) > 0 {
		t.Errorf("logged: %q", text(<-lines))
	}
}

// A peer that goes and comes back has what was sent in between, once it has subscribed.
func TestLibzmqSubscriberComesBack(t *testing.T) {
	z := libzmq(t, "SUB", `"SUBSCRIBE": "a"`)
	place := "ipc://" + filepath.Join(t.TempDir(), "s")
	pub := open(t, Pub, Options{Keep: within})
	connect(t, pub, z.bind(place))
	until(t, "subscribed", pub.Subscribed)
	send(t, pub, "a1")
	z.want("a1")
	z.do(`["close"]`)
	until(t, "gone", func() bool { return !pub.Subscribed() })
	for i := range 50 {
		send(t, pub, fmt.Sprint("a", i))
		send(t, pub, fmt.Sprint("b", i))
	}
	z.do(`["socket", "SUB", {"SUBSCRIBE": "a"}]`)
	z.bind(place)
	for i := range 50 {
		z.want(fmt.Sprint("a", i))
	}
	if !pub.Subscribed() {
		t.Error("not subscribed")
	}
}

// Drain loses nothing that a PUSH has sent.
func TestLibzmqPushIsDrained(t *testing.T) {
	const n = 400
	z := libzmq(t, "PUSH", "")
	first := make(chan struct{}, n)
	hold := make(chan struct{})
	in := newInbox()
	pull := open(t, Pull, Options{Receive: func(m Message) {
		first <- struct{}{}
		<-hold
		in.put(m)
	}})
	connect(t, pull, z.bind(anyPort))
	z.do(fmt.Sprintf(`["many", "%0200d", %d]`, 0, n))
	<-first
	sent := 10*(2+1+2+100) + 90*(2+2+2+100) + 300*(2+3+2+100)
	until(t, "all is sent", func() bool { return unread(t, pull) >= sent-readSize })
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		pull.Drain(within)
	}()
	close(hold)
	<-drained
	if len(in) != n {
		t.Errorf("%d messages of %d", len(in), n)
	}
}
