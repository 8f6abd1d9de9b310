package m2device

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/internal/mongrel2"
	"github.com/gowsgi/gowsgi/internal/pythontest"
	"github.com/gowsgi/gowsgi/internal/zeromq"
)

// A live test has a device as its command line starts it, Mongrel2's sockets, and handlers that are processes of their
// own: this program, run again.

const within = 60 * time.Second

func TestMain(m *testing.M) {
	if at := os.Getenv("TEST_HANDLER"); at != "" {
		handle(at)
		return
	}
	os.Exit(m.Run())
}

// handle is a handler: it answers each request with its pid, one at a time, and leaves when its standard input ends. A
// request for /wait it answers when a line comes.
func handle(at string) {
	requests := make(chan []byte, 1<<16)
	disp, ping, _ := strings.Cut(at, " ")
	var dealer *zeromq.Socket
	say := func(body string) { _, _ = dealer.Send(nil, []byte(body)) }
	dealer = zeromq.New(zeromq.Dealer, zeromq.Options{Receive: func(m zeromq.Message) {
		if string(m[1]) == "N" {
			say("N4")
			return
		}
		requests <- m[1]
	}})
	pings := zeromq.New(zeromq.Sub, zeromq.Options{Receive: func(zeromq.Message) { say("T4") }})
	pings.Subscribe(nil)
	if dealer.Connect(disp) != nil || pings.Connect(ping) != nil {
		panic("bad endpoints")
	}
	say("T4")
	lines := make(chan struct{})
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			lines <- struct{}{}
		}
		say("X")
	}()
	log, err := os.OpenFile(os.Getenv("TEST_LOG"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	for message := range requests {
		if string(message) == "X" {
			break
		}
		r, err := parseRequest(message)
		if err != nil {
			panic(err)
		}
		if r.notice() {
			continue
		}
		fmt.Fprintf(log, "%d %d\n", os.Getpid(), r.ID)
		if string(r.Path) == "/wait" {
			<-lines
		}
		body := strconv.Itoa(os.Getpid())
		say(string(r.answer(
			fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))))
	}
	dealer.Close(within)
}

// stage is a device between Mongrel2 and handlers.
type stage struct {
	t       *testing.T
	in      func(name string) string // the endpoint of that name
	push    *zeromq.Socket
	sub     *zeromq.Socket
	answers chan [2]string // client and body
	disp    string
	log     string
	stop    func()
}

// freePort is a port that was free a moment ago, as is the next.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		a, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := a.Addr().(*net.TCPAddr).Port
		b, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		_ = a.Close()
		if err == nil {
			_ = b.Close()
			return port
		}
	}
	t.Fatal("no two free ports")
	return 0
}

// newStage starts a device with these options; its specs are unix sockets.
func newStage(t *testing.T, name string, options ...string) *stage {
	dir := t.TempDir()
	s := &stage{t: t, answers: make(chan [2]string, 1<<16), log: filepath.Join(dir, "log")}
	if err := os.WriteFile(s.log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return "ipc://" + filepath.Join(dir, name) }
	s.in = in
	s.mongrel2()
	args := append([]string{name}, options...)
	switch name {
	case "dispatcher":
		s.disp = in("disp") + " " + in("ping")
		args = append(args, in("send"), in("recv"), in("disp"), in("ping"))
	case "response":
		args = append(args, in("send"), in("recv"))
	}
	signals := make(chan os.Signal, 2)
	ended := make(chan int, 1)
	says, w := io.Pipe()
	go func() {
		ended <- run(args, io.Discard, w, signals)
		_ = w.Close()
	}()
	go func() { _, _ = io.Copy(io.Discard, says) }()
	var once sync.Once
	s.stop = func() {
		once.Do(func() {
			signals <- syscall.SIGTERM
			select {
			case status := <-ended:
				if status != 0 {
					t.Errorf("the device ended with %d", status)
				}
			case <-time.After(within):
				t.Error("the device does not end")
			}
		})
	}
	t.Cleanup(func() {
		s.stop()
		s.push.Close(0)
		s.sub.Close(0)
	})
	return s
}

// mongrel2 has the sockets of one.
func (s *stage) mongrel2() {
	s.t.Helper()
	s.push = zeromq.New(zeromq.Push, zeromq.Options{})
	s.sub = zeromq.New(zeromq.Sub, zeromq.Options{Receive: func(m zeromq.Message) {
		a, err := mongrel2.ParseAnswer(m[0])
		if err != nil {
			s.t.Errorf("Mongrel2 got %q", m[0])
			return
		}
		_, body, found := bytes.Cut(a.Data, []byte("\r\n\r\n"))
		if !found {
			body = a.Data
		}
		for _, id := range a.IDs {
			s.answers <- [2]string{string(id), string(body)}
		}
	}})
	s.sub.Subscribe(nil)
	for socket, name := range map[*zeromq.Socket]string{s.push: "send", s.sub: "recv"} {
		if _, err := socket.Bind(s.in(name)); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *stage) request(client int, path string) {
	s.t.Helper()
	if _, err := s.push.Send([]byte(message(client, path, "GET", ""))); err != nil {
		s.t.Fatal(err)
	}
}

// waitLog waits until what handlers have logged ends so.
func (s *stage) waitLog(end string) {
	s.t.Helper()
	for limit := time.Now().Add(within); ; time.Sleep(time.Millisecond) {
		b, err := os.ReadFile(s.log)
		if err != nil {
			s.t.Fatal(err)
		}
		if bytes.HasSuffix(b, []byte(end)) {
			return
		}
		if time.Now().After(limit) {
			s.t.Fatalf("the handlers' log never ended in %q", end)
		}
	}
}

// answer is the next one.
func (s *stage) answer() (client int, body string) {
	s.t.Helper()
	select {
	case a := <-s.answers:
		client, _ = strconv.Atoi(a[0])
		return client, a[1]
	case <-time.After(within):
		s.t.Fatal("no answer comes")
		return 0, ""
	}
}

// worker is a handler's process.
type worker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	pid string
}

func (s *stage) worker() *worker { return s.start(exec.Command(os.Args[0])) }

func (s *stage) start(cmd *exec.Cmd) *worker {
	s.t.Helper()
	cmd.Env = append(os.Environ(), "TEST_HANDLER="+s.disp, "TEST_LOG="+s.log)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	w := &worker{cmd, in, strconv.Itoa(cmd.Process.Pid)}
	s.t.Cleanup(w.kill)
	return w
}

func (w *worker) kill() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

// leave has it say that it leaves, and waits until it has ended.
func (w *worker) leave(t *testing.T) {
	_ = w.in.Close()
	timer := time.AfterFunc(within, func() { _ = w.cmd.Process.Kill() })
	defer timer.Stop()
	if err := w.cmd.Wait(); err != nil {
		t.Errorf("a handler that left: %v", err)
	}
}

// Handlers die, leave and join under load. Each request is answered once, and only what a dead one had was run again.
func TestHandlersComeAndGoUnderLoad(t *testing.T) {
	const n, window = 1200, 24
	s := newStage(t, "dispatcher", "--ping-interval", "0.02")
	workers := []*worker{s.worker(), s.worker(), s.worker()}
	dead := map[string]bool{}
	answered := map[int]string{}
	var leaving sync.WaitGroup
	sent := 0
	for ; sent < window; sent++ {
		s.request(sent, "/")
	}
	for len(answered) < n {
		client, pid := s.answer()
		if pid == "" && answered[client] != "" { // it was run again, and hung up on
			continue
		}
		if answered[client] != "" {
			t.Fatalf("client %d is answered twice", client)
		}
		answered[client] = pid
		if sent < n {
			s.request(sent, "/")
			sent++
		}
		switch len(answered) % 200 {
		case 50:
			workers = append(workers, s.worker())
		case 100:
			workers[0].kill()
			dead[workers[0].pid] = true
			workers = workers[1:]
		case 150:
			first := workers[0]
			leaving.Go(func() { first.leave(t) })
			workers = append(workers[1:], s.worker())
		}
		if len(workers) < 2 {
			workers = append(workers, s.worker())
		}
	}
	leaving.Wait()
	runs := map[string][]string{}
	b, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Fields(strings.ReplaceAll(string(b), " ", ":")) {
		pid, client, _ := strings.Cut(line, ":")
		runs[client] = append(runs[client], pid)
	}
	again := 0
	for client, pids := range runs {
		for _, pid := range pids[:len(pids)-1] {
			again++
			if !dead[pid] {
				t.Errorf("client %s was run by %v, of which %s lives", client, pids, pid)
			}
		}
	}
	if len(runs) != n || again > 4*len(dead) {
		t.Errorf("%d of %d were run, %d of them again after %d deaths", len(runs), n, again, len(dead))
	}
}

// A slow handler gets no second request while another is idle.
func TestSlowHandlerGetsNoSecondRequest(t *testing.T) {
	s := newStage(t, "dispatcher", "--ping-interval", "60")
	workers := map[string]*worker{}
	for range 2 {
		w := s.worker()
		workers[w.pid] = w
	}
	seen := map[string]bool{}
	i := 0
	for ; len(seen) < 2; i++ { // until both are here
		s.request(i, "/")
		_, pid := s.answer()
		seen[pid] = true
	}
	s.request(1000, "/wait")
	quick := ""
	for ; i < 100; i++ {
		s.request(i, "/")
		client, pid := s.answer()
		if client != i || quick != "" && pid != quick {
			t.Fatalf("client %d was answered by %s, and %s is the idle one", client, pid, quick)
		}
		quick = pid
	}
	for pid, w := range workers {
		if pid != quick {
			_, _ = io.WriteString(w.in, "go\n")
			if client, by := s.answer(); client != 1000 || by != pid {
				t.Errorf("client %d was answered by %s", client, by)
			}
		}
	}
}

// A download that is under way gets its credits while more than enough requests wait behind it, and when the device was told
// to stop.
func TestCreditsComeThrough(t *testing.T) {
	s := newStage(t, "dispatcher", "--ping-interval", "0.02", "--slots", "1")
	disp, _, _ := strings.Cut(s.disp, " ")
	got := make(chan string, 1000)
	dealer := zeromq.New(zeromq.Dealer, zeromq.Options{Receive: func(m zeromq.Message) { got <- string(m[1]) }})
	defer dealer.Close(0)
	say := func(body string) { _, _ = dealer.Send(nil, []byte(body)) }
	want := func(message string) {
		t.Helper()
		select {
		case m := <-got:
			if m != message {
				t.Fatalf("the handler got %q, want %q", m, message)
			}
		case <-time.After(within):
			t.Fatalf("the handler never got %q", message)
		}
	}
	push := func(message string) {
		if _, err := s.push.Send([]byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	if err := dealer.Connect(disp); err != nil {
		t.Fatal(err)
	}
	say("")
	const credits = `srv 1 @* 17:{"METHOD":"JSON"},18:{"type":"credits"},`
	first := get(1, `,"DOWNLOAD_CREDITS":"102400"`)
	push(first)
	want(first)
	say(answerTo(1, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na"))
	if client, body := s.answer(); client != 1 || body != "a" {
		t.Fatalf("client %d got %q", client, body)
	}
	for i := range 2 * enough {
		push(get(100+i, ""))
	}
	push(credits)
	want(credits)
	say(answerTo(1, "b"))
	s.answer()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.stop()
	}()
	for range 3 {
		s.wantPing(t)
	}
	push(credits)
	want(credits)
	say(answerTo(1, "c"))
	for i := range 2 * enough {
		want(get(100+i, ""))
		say(answerTo(100+i, ok))
	}
	<-ended
}

// A handler as m2wsgi 0.5's DispatcherConnection has it, on libzmq: one thread, which answers a ping between two requests.
func TestHandlerOfM2wsgi(t *testing.T) {
	python := pythontest.With(t, "zmq")
	s := newStage(t, "dispatcher", "--ping-interval", "0.02")
	w := s.start(exec.Command(python, append([]string{"../../pytests/mongrel2/plain_handler.py"},
		strings.Fields(s.disp)...)...))
	for i := range 50 {
		s.request(i, "/")
		if client, pid := s.answer(); client != i || pid != w.pid {
			t.Fatalf("client %d was answered by %s", client, pid)
		}
	}
	// It is busy for many pings, and loses nothing by it.
	s.request(100, "/wait")
	s.request(101, "/")
	for range 10 {
		s.wantPing(t)
	}
	_, _ = io.WriteString(w.in, "go\n")
	for _, want := range []int{100, 101} {
		if client, pid := s.answer(); client != want || pid != w.pid {
			t.Fatalf("client %d was answered by %s", client, pid)
		}
	}
	s.request(102, "/leave")
	s.request(103, "/") // may be on its way when it leaves, and is answered by it or another
	other := s.worker()
	got := map[int]string{}
	for range 2 {
		client, pid := s.answer()
		got[client] = pid
	}
	if got[102] != w.pid || got[103] != w.pid && got[103] != other.pid {
		t.Errorf("answered: %v", got)
	}
	if err := w.cmd.Wait(); err != nil {
		t.Errorf("it ended: %v", err)
	}
}

// wantPing waits for a ping.
func (s *stage) wantPing(t *testing.T) {
	t.Helper()
	_, at, _ := strings.Cut(s.disp, " ")
	got := make(chan struct{}, 100)
	sub := zeromq.New(zeromq.Sub, zeromq.Options{Receive: func(zeromq.Message) { got <- struct{}{} }})
	defer sub.Close(0)
	sub.Subscribe(nil)
	if err := sub.Connect(at); err != nil {
		t.Fatal(err)
	}
	select {
	case <-got:
	case <-time.After(within):
		t.Fatal("no ping")
	}
}

// Mongrel2 starts anew while a request runs. What that answers is for nobody, and all goes on.
func TestMongrel2StartsAnew(t *testing.T) {
	s := newStage(t, "dispatcher", "--ping-interval", "60")
	workers := []*worker{s.worker(), s.worker()}
	seen := map[string]bool{}
	for i := 100; len(seen) < 2; i++ {
		s.request(i, "/")
		_, pid := s.answer()
		seen[pid] = true
	}
	s.request(1, "/wait")
	s.waitLog(" 1\n")
	s.push.Close(0)
	s.sub.Close(0)
	s.mongrel2()
	s.request(2, "/") // to the other one, whose turn it is
	if client, _ := s.answer(); client != 2 {
		t.Fatalf("client %d is answered", client)
	}
	for _, w := range workers {
		_, _ = io.WriteString(w.in, "go\n")
	}
	s.request(3, "/") // to the first, after it has answered for client 1
	if client, _ := s.answer(); client != 3 {
		t.Errorf("client %d is answered", client)
	}
}

// A device that is told to stop waits for what is running.
func TestStopWaitsForWhatRuns(t *testing.T) {
	s := newStage(t, "dispatcher", "--ping-interval", "60")
	w := s.worker()
	s.request(1, "/")
	s.answer()
	s.request(2, "/wait")
	s.waitLog(" 2\n")
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.stop()
	}()
	_, _ = io.WriteString(w.in, "go\n")
	if client, _ := s.answer(); client != 2 {
		t.Errorf("client %d", client)
	}
	<-stopped
}

func TestResponseDevice(t *testing.T) {
	s := newStage(t, "response", "--code=302", "--status", "Found", "--header-Location=http://x%(PATH)s", "--body", "see %(PATH)s")
	headers := `{"METHOD":"GET","PATH":"/a","VERSION":"HTTP/1.0"}`
	if _, err := s.push.Send(fmt.Appendf(nil, "srv 7 /a %d:%s,0:,", len(headers), headers)); err != nil {
		t.Fatal(err)
	}
	if client, body := s.answer(); client != 7 || body != "see /a" {
		t.Errorf("client %d got %q", client, body)
	}
	if client, body := s.answer(); client != 7 || body != "" {
		t.Errorf("client %d got %q", client, body)
	}
}

// Without the other specs they are derived: recv one port lower, pings one port higher.
func TestDerivedPorts(t *testing.T) {
	server, disp := freePort(t), freePort(t)
	var lines bytes.Buffer
	signals := make(chan os.Signal, 2)
	ended := make(chan int)
	go func() {
		ended <- run([]string{"dispatcher", fmt.Sprintf("tcp://127.0.0.1:%d", server+1), fmt.Sprintf("tcp://127.0.0.1:%d", disp)},
			io.Discard, &lines, signals)
	}()
	sub := zeromq.New(zeromq.Sub, zeromq.Options{})
	defer sub.Close(0)
	sub.Subscribe(nil)
	if _, err := sub.Bind(fmt.Sprintf("tcp://127.0.0.1:%d", server)); err != nil {
		t.Fatal(err)
	}
	push := zeromq.New(zeromq.Push, zeromq.Options{})
	defer push.Close(0)
	if _, err := push.Bind(fmt.Sprintf("tcp://127.0.0.1:%d", server+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := push.Send([]byte(get(1, ""))); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 10)
	dealer := zeromq.New(zeromq.Dealer, zeromq.Options{Receive: func(m zeromq.Message) { got <- string(m[1]) }})
	defer dealer.Close(0)
	pings := zeromq.New(zeromq.Sub, zeromq.Options{Receive: func(m zeromq.Message) {
		_, _ = dealer.Send(nil, nil)
	}})
	defer pings.Close(0)
	pings.Subscribe(nil)
	if dealer.Connect(fmt.Sprintf("tcp://127.0.0.1:%d", disp)) != nil || pings.Connect(fmt.Sprintf("tcp://127.0.0.1:%d", disp+1)) != nil {
		t.Fatal("not connected")
	}
	select {
	case m := <-got:
		if m != get(1, "") {
			t.Errorf("got %q", m)
		}
	case <-time.After(within):
		t.Error("no request comes")
	}
	_, _ = dealer.Send(nil, []byte(answerTo(1, ok)))
	signals <- syscall.SIGTERM
	signals <- syscall.SIGTERM
	if status := <-ended; status != 0 {
		t.Errorf("status %d: %s", status, lines.String())
	}
}

func TestMistakesAreOneLine(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "the devices are dispatcher, pull2xreq and response"},
		{"reaper", "the devices are dispatcher, pull2xreq and response"},
		{"dispatcher", "send_spec [recv_spec] disp_spec [ping_spec]"},
		{"dispatcher a", "send_spec [recv_spec] disp_spec [ping_spec]"},
		{"dispatcher --what tcp://h:2 tcp://h:3", "there is no option --what"},
		{"dispatcher --sticky=1 tcp://h:2 tcp://h:3", "--sticky has no value"},
		{"dispatcher tcp://h:2 tcp://h:3 --slots", "--slots wants a value"},
		{"dispatcher --ping-interval=0 tcp://h:2 tcp://h:3", "--ping-interval=0 is not a number from 0.001"},
		{"dispatcher --ping-interval NaN tcp://h:2 tcp://h:3", "--ping-interval=NaN is not a number"},
		{"dispatcher --sticky-regex=( tcp://h:2 tcp://h:3", "--sticky-regex: "},
		{"dispatcher ipc:///x tcp://h:3", "name it as well"},
		{"dispatcher h:2 tcp://h:3", `"h:2" is no socket`},
		{"dispatcher tcp://h:2 udp://h:3", "a kind of ZeroMQ endpoint that is not served"},
		{"dispatcher tcp://h:2,tcp://h:1 tcp://h:3", "with no comma between"},
		{"dispatcher tcp://h:2 tcp://h:2 tcp://h:3", "both tcp://h:2"},
		{"pull2xreq tcp://h:2", "in_spec out_spec"},
		{"pull2xreq --sticky tcp://h:2 tcp://h:3", "there is no option --sticky"},
		{"response", "send_spec [recv_spec]"},
		{"response --code=99 tcp://h:2", "--code=99 is no status"},
		{"response --body=%x tcp://h:2", "--body: only %(NAME)s"},
	} {
		var out, errOut strings.Builder
		status := run(strings.Fields(c.args), &out, &errOut, nil)
		if status != exitUsage || strings.Count(errOut.String(), "\n") != 1 || !strings.Contains(errOut.String(), c.want) {
			t.Errorf("%q: status %d, %q", c.args, status, errOut.String())
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var errOut strings.Builder
	if status := run([]string{"dispatcher", "tcp://h:2", "tcp://" + taken.Addr().String()}, nil, &errOut, nil); status != exitTaken {
		t.Errorf("status %d: %s", status, errOut.String())
	}
	var all strings.Builder
	if status := run([]string{"--help"}, &all, nil, nil); status != 0 || strings.Count(all.String(), "usage: ") != len(usage) {
		t.Errorf("status %d: %s", status, all.String())
	}
	for name := range usage {
		var out, errOut strings.Builder
		if run([]string{name, "--help"}, &out, &errOut, nil) != 0 || !strings.HasPrefix(out.String(), "usage: m2wsgi.device."+name) {
			t.Errorf("%s --help: %q", name, out.String())
		}
	}
}

// A handler that is started again at once has the name of the one before, and says no more than what answers a ping.
func TestARestartedHandlerOfTheSameIdentityHasNothing(t *testing.T) {
	s := newStage(t, "dispatcher", "--ping-interval", "0.02")
	disp, ping, _ := strings.Cut(s.disp, " ")
	begin := func() (*zeromq.Socket, chan string) {
		got := make(chan string, 10)
		dealer := zeromq.New(zeromq.Dealer, zeromq.Options{Identity: []byte("same"), Receive: func(m zeromq.Message) {
			got <- string(m[1])
		}})
		pings := zeromq.New(zeromq.Sub, zeromq.Options{Receive: func(zeromq.Message) { _, _ = dealer.Send(nil, nil) }})
		pings.Subscribe(nil)
		if dealer.Connect(disp) != nil || pings.Connect(ping) != nil {
			t.Fatal("bad endpoints")
		}
		_, _ = dealer.Send(nil, nil)
		t.Cleanup(func() { pings.Close(0); dealer.Close(0) })
		return dealer, got
	}
	want := func(got chan string) {
		t.Helper()
		select {
		case m := <-got:
			if m != get(1, "") {
				t.Errorf("got %q", m)
			}
		case <-time.After(within):
			t.Fatal("nobody is given the request")
		}
	}
	first, got := begin()
	s.request(1, "/")
	want(got)
	first.Close(0)
	second, got := begin()
	want(got)
	_, _ = second.Send(nil, []byte(answerTo(1, ok)))
	if client, body := s.answer(); client != 1 || body != "ok" {
		t.Errorf("client %d got %q", client, body)
	}
}
