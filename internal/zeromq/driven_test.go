package zeromq

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/reactor"
)

// noHandler is for a loop without connections of its own.
type noHandler struct{}

func (noHandler) Accepted(*reactor.Conn)      {}
func (noHandler) Ready(*reactor.Conn)         {}
func (noHandler) Drained(*reactor.Conn)       {}
func (noHandler) Progress(*reactor.Conn)      {}
func (noHandler) Failed(*reactor.Conn, error) {}
func (noHandler) Expired(*reactor.Conn)       {}
func (noHandler) ExpiredOwned(*reactor.Conn)  {}
func (noHandler) GoneOwned(*reactor.Conn)     {}
func (noHandler) InputOwned(*reactor.Conn)    {}
func (noHandler) Closed(*reactor.Conn)        {}

// led is a loop that a goroutine leads until the end of the test.
func led(t *testing.T) *reactor.Loop {
	t.Helper()
	loop, err := reactor.NewLoop(noHandler{}, reactor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	var ends atomic.Bool
	done.Add(1)
	go func() {
		defer done.Done()
		for !ends.Load() {
			_ = loop.Poll(-1)
			for loop.Dispatch() {
			}
		}
		_ = loop.Close()
	}()
	t.Cleanup(func() {
		ends.Store(true)
		loop.Wake()
		done.Wait()
	})
	return loop
}

// drives tells whether the PULLs of a test are driven, which only those of TestDriven are.
func drives(t *testing.T) bool { return strings.HasPrefix(t.Name(), "TestDriven/") }

// What holds for a connection that a goroutine reads holds for one that a loop's leader reads.
func TestDriven(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"PushPull":              TestPushPull,
		"InTurn":                TestPushGivesEachMessageToOnePeerInTurn,
		"Paused":                TestPausedSocketDoesNotEvenConnect,
		"Bound":                 TestSendSaysWhenTheBoundIsPassedAndRoomWaits,
		"Close":                 TestCloseSendsWhatIsQueued,
		"PeerGoesAtEachByte":    TestPeerGoesAtEachByte,
		"ByteByByte":            TestConversationByteByByte,
		"HostilePeers":          TestHostilePeers,
		"MutePeers":             TestMutePeersKeepNobodyOut,
		"PeerThatReadsNoAnswer": TestPeerThatReadsNoAnswers,
		"Libzmq":                TestLibzmqPushesToOurs,
		"RouterAndDealer":       TestRouterAndDealer,
		"LibzmqRouter":          TestLibzmqRouterAndOurDealer,
	} {
		t.Run(name, test)
	}
}

// While Full says so nothing is delivered, of what has been read either, and all of it after Resume; others are not asked.
func TestFull(t *testing.T) {
	noLeak(t)
	in := newInbox()
	var full atomic.Bool
	var asked atomic.Int32
	pull := open(t, Pull, Options{Loop: led(t), Receive: func(m Message) { full.Store(len(m[0])%10 == 0); in.put(m) },
		Full: func() bool {
			yes := full.Load()
			asked.Add(1)
			return yes
		}})
	push := open(t, Push, Options{})
	connect(t, push, bind(t, pull, anyPort))
	for n := range 91 {
		if _, err := push.Queue(make([]byte, 10+n)); err != nil {
			t.Fatal(err)
		}
	}
	push.Flush()
	next := 10
	for next < 101 {
		for {
			if m := in.get(t); len(m[0]) != next {
				t.Fatalf("%d bytes, want %d", len(m[0]), next)
			}
			if next++; next%10 == 1 {
				break
			}
		}
		before := asked.Load()
		pull.Resume()
		until(t, "it was asked once more", func() bool { return asked.Load() > before })
		if len(in) > 0 {
			t.Fatal("delivered while full")
		}
		full.Store(false)
		pull.Resume()
	}
}

// A connection that is paused ends like any other, also when its loop has.
func TestDrivenEnds(t *testing.T) {
	for _, paused := range []bool{false, true} {
		for _, how := range []string{"peer", "Close", "Reset", "Drain"} {
			t.Run(fmt.Sprint(how, paused), func(t *testing.T) {
				noLeak(t)
				in := newInbox()
				var full atomic.Bool
				pull := open(t, Pull, Options{Loop: led(t), Receive: func(m Message) { full.Store(paused); in.put(m) }, Full: full.Load})
				r := dial(t, bind(t, pull, anyPort))
				r.greet("PUSH", nil)
				r.write(appendMessage(nil, [][]byte{[]byte("first")}))
				in.want(t, "first")
				x := pull.sessions()[0]
				fd := x.driven.fd
				switch how {
				case "peer":
					_ = r.c.Close()
					full.Store(false)
					pull.Resume()
				case "Close":
					pull.Close(0)
				case "Reset":
					pull.Reset()
				case "Drain":
					full.Store(false)
					pull.Resume()
					go pull.Drain(within)
					r.drainAll()
					_ = r.c.Close()
				}
				<-x.gone
				if _, err := unix.Getpeername(fd); err == nil && how != "Drain" {
					t.Error("the descriptor is open still")
				}
			})
		}
	}
}

// After Reset nothing is delivered of what has been read already.
func TestDrivenResetThrowsAway(t *testing.T) {
	at, next := server(t)
	in := newInbox()
	var full atomic.Bool
	pull := open(t, Pull, Options{Loop: led(t), Receive: func(m Message) { full.Store(string(m[0]) == "first"); in.put(m) },
		Full: full.Load})
	connect(t, pull, at)
	r := next()
	r.greet("PUSH", nil)
	r.write(append(appendMessage(nil, [][]byte{[]byte("first")}), appendMessage(nil, [][]byte{[]byte("old")})...))
	in.want(t, "first")
	pull.Reset()
	full.Store(false)
	pull.Resume()
	r = next()
	r.greet("PUSH", nil)
	r.write(appendMessage(nil, [][]byte{[]byte("new")}))
	in.want(t, "new")
}

// Go's runtime is not told of what comes by a connection that is driven.
func TestDrivenDescriptorIsItsOwn(t *testing.T) {
	in := newInbox()
	pull := open(t, Pull, Options{Loop: led(t), Receive: in.put})
	push := open(t, Push, Options{})
	connect(t, push, bind(t, pull, anyPort))
	send(t, push, "x")
	in.want(t, "x")
	x := pull.sessions()[0]
	if _, err := x.driven.Conn.Write(nil); err == nil {
		t.Error("the connection that made the handshake is open still")
	}
	if x.driven.Conn.RemoteAddr().(*net.TCPAddr).Port == 0 {
		t.Error("nobody knows whose it is")
	}
}

// Who waits for room to write sees the end of the connection, whatever has brought it.
func TestDrivenEndsWhileItWaitsForRoom(t *testing.T) {
	noLeak(t)
	defer func(was time.Duration) { lookFor = was }(lookFor)
	lookFor = time.Hour
	for _, how := range []string{"error", "Close"} {
		at, next := server(t)
		dealer := open(t, Dealer, Options{Loop: led(t)})
		connect(t, dealer, at)
		r := next()
		r.greet("ROUTER", nil)
		until(t, "connected", func() bool { return len(dealer.sessions()) == 1 })
		x := dealer.sessions()[0]
		send(t, dealer, strings.Repeat("x", 64<<20))
		until(t, "it writes", func() bool {
			x.l.mu.Lock()
			defer x.l.mu.Unlock()
			return x.writing
		})
		if how == "error" {
			r.write([]byte{0xff, 0xff})
		} else {
			dealer.Close(0)
		}
		select {
		case <-x.gone:
		case <-time.After(within):
			t.Fatal(how, "does not end it")
		}
		dealer.Close(0)
	}
}

// When Reset returns nothing is being delivered that it is to throw away.
func TestDrivenResetWaitsForWhatIsDelivered(t *testing.T) {
	came, goesOn := make(chan struct{}), make(chan struct{})
	pull := open(t, Pull, Options{Loop: led(t), Receive: func(Message) { close(came); <-goesOn }})
	r := dial(t, bind(t, pull, anyPort))
	r.greet("PUSH", nil)
	r.write(appendMessage(nil, [][]byte{[]byte("x")}))
	<-came
	d := pull.sessions()[0].driven
	over := make(chan struct{})
	go func() {
		pull.Reset()
		close(over)
	}()
	r.ended()
	for range 1000 {
		runtime.Gosched()
	}
	select {
	case <-over:
		t.Error("it is still being delivered")
	default:
	}
	close(goesOn)
	<-over
	<-d.ended
}
