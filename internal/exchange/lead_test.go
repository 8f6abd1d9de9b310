package exchange

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/zeromq"
	"github.com/gowsgi/gowsgi/reactor"
)

// waits is somebody who waits: an OS thread, or a request.
type waits struct {
	thread bool
	woken  chan struct{}
}

func newWaits(thread bool) *waits { return &waits{thread, make(chan struct{}, 100)} }

func (w *waits) Thread() bool { return w.thread }
func (w *waits) Wake(int)     { w.woken <- struct{}{} }

// readable waits for what a leader waits for.
func readable(t *testing.T, fd int) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(limit/time.Millisecond))
		if n > 0 {
			return
		}
		if err != unix.EINTR {
			t.Fatalf("nothing comes: %v", err)
		}
	}
}

// leads leads until it is woken.
func leads(t *testing.T, x *exchange, waiter uint64) {
	t.Helper()
	for {
		fd := x.lead(waiter)
		if fd == bridge.LeadWoken {
			return
		}
		if fd < 0 {
			t.Fatal("another one leads")
		}
		readable(t, fd)
	}
}

// awaited is for a thread that is about to lead, as nobody does.
func awaited(x *exchange, w waker) uint64 { return x.await(bridge.AwaitRequest, w, true) }

func who(x *exchange) (leader, standIn bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.leader != nil, x.standIn
}

func took(t *testing.T, x *exchange, want string) {
	t.Helper()
	if data, _, result := x.take(); result != bridge.ExchangeOK || string(data) != want {
		t.Fatalf("%q, %d", data, result)
	}
}

// stoodFor has a handler that is connected, for which the stand-in leads.
func stoodFor(t *testing.T) (*server, *exchange) {
	t.Helper()
	s := newServer(t, true)
	x := s.handler(t)
	eventually(t, "the stand-in leads", func() bool { _, standIn := who(x); return standIn })
	_, _ = s.requests.Send([]byte("first"))
	if got := take(t, x); got != "first" {
		t.Fatal(got)
	}
	return s, x
}

// connected has one for which nobody leads, nor will soon.
func connected(t *testing.T) (*server, *exchange) {
	t.Helper()
	s, x := stoodFor(t)
	x.mu.Lock()
	x.patience = time.Hour
	x.mu.Unlock()
	w := newWaits(true)
	n := awaited(x, w)
	if x.lead(n) != bridge.LeadFollows {
		t.Fatal("the stand-in has left by itself")
	}
	<-w.woken
	x.forget(n)
	return s, x
}

func TestTheThreadThatWaitsReads(t *testing.T) {
	s, x := connected(t)
	w := newWaits(true)
	waiter := awaited(x, w)
	if fd := x.lead(waiter); fd < 0 {
		t.Fatal(fd)
	}
	_, _ = s.requests.Send([]byte("a request"))
	leads(t, x, waiter)
	if leader, standIn := who(x); !leader || standIn || len(w.woken) > 0 {
		t.Error("another one had a part in it")
	}
	x.forget(waiter)
	took(t, x, "a request")
}

func TestWhoAsksReads(t *testing.T) {
	s, x := connected(t)
	_, _ = s.requests.Send([]byte("a request"))
	if got := take(t, x); got != "a request" {
		t.Fatal(got)
	}
	if leader, standIn := who(x); leader || standIn {
		t.Error("somebody leads")
	}
}

func TestTheLeadIsHandedOn(t *testing.T) {
	s, x := connected(t)
	a, b := newWaits(true), newWaits(true)
	first, second := awaited(x, a), awaited(x, b)
	fd := x.lead(first)
	if fd < 0 || x.lead(second) != bridge.LeadFollows {
		t.Fatal(fd)
	}
	_, _ = s.requests.Send([]byte("one"))
	leads(t, x, first)
	if len(b.woken) > 0 {
		t.Error("the other one was woken")
	}
	x.forget(first)
	<-b.woken
	if x.lead(second) < 0 {
		t.Fatal("it does not lead")
	}
	took(t, x, "one")
	_, _ = s.requests.Send([]byte("two"))
	leads(t, x, second)
	x.forget(second)
	took(t, x, "two")
}

// One that was to lead and does not wait any more leaves it to others.
func TestTheLeadIsHandedOnByWhoDoesNotTakeIt(t *testing.T) {
	_, x := connected(t)
	var all [3]*waits
	var numbers [3]uint64
	for i := range all {
		all[i] = newWaits(true)
		numbers[i] = awaited(x, all[i])
		x.lead(numbers[i])
	}
	x.forget(numbers[0])
	<-all[1].woken
	x.forget(numbers[1])
	<-all[2].woken
	if x.lead(numbers[2]) < 0 {
		t.Error("nobody leads")
	}
	x.forget(numbers[2])
}

func TestALeaderIsInterrupted(t *testing.T) {
	_, x := connected(t)
	waiter := awaited(x, newWaits(true))
	fd := x.lead(waiter)
	x.interrupt()
	readable(t, fd)
	leads(t, x, waiter)
	if !x.forget(waiter) {
		t.Error("it is not told that it was an interrupt")
	}
}

// A request that is suspended has no thread to read with.
func TestTheStandInReadsForWhoCannot(t *testing.T) {
	s, x := connected(t)
	request := newWaits(false)
	waiter := x.await(bridge.AwaitRequest, request, false)
	if _, standIn := who(x); !standIn {
		t.Fatal("nobody leads")
	}
	_, _ = s.requests.Send([]byte("a request"))
	<-request.woken
	x.forget(waiter)
	took(t, x, "a request")
}

func TestTheStandInMakesWayForAThread(t *testing.T) {
	s, x := stoodFor(t)
	w := newWaits(true)
	waiter := awaited(x, w)
	if x.lead(waiter) != bridge.LeadFollows {
		t.Fatal("the stand-in has left by itself")
	}
	<-w.woken
	_, _ = s.requests.Send([]byte("a request"))
	leads(t, x, waiter)
	if leader, standIn := who(x); !leader || standIn {
		t.Error("the stand-in has not left")
	}
	x.forget(waiter)
	took(t, x, "a request")
}

// Not more than one waits here, so that other handlers of the peer get the rest.
func TestNoMoreIsTakenThanIsAskedFor(t *testing.T) {
	s, x := stoodFor(t)
	for range 100 {
		_, _ = s.requests.Send([]byte("a request"))
	}
	for range 100 {
		x.mu.Lock()
		n := len(x.in)
		x.mu.Unlock()
		if n > 1 {
			t.Fatal(n)
		}
		if got := take(t, x); got != "a request" {
			t.Fatal(got)
		}
	}
}

// Of two peers neither has to wait until the other one has nothing.
func TestPeersHaveTheirTurns(t *testing.T) {
	s, at := newServer(t, true), "ipc://"+filepath.Join(t.TempDir(), "requests")
	x := opened(t, options{
		Requests: spec{Type: "PULL", Address: at, Bind: true},
		Answers:  spec{Type: "PUB", Address: s.answerAt},
	})
	peers := map[string]*zeromq.Socket{"a": nil, "b": nil}
	for name := range peers {
		peers[name] = zeromq.New(zeromq.Push, zeromq.Options{})
		defer peers[name].Close(0)
		if err := peers[name].Connect(at); err != nil {
			t.Fatal(err)
		}
		_, _ = peers[name].Send([]byte(name))
		if got := take(t, x); got != name {
			t.Fatal(got)
		}
	}
	for name, peer := range peers {
		for range 100 {
			_, _ = peer.Send([]byte(name))
		}
	}
	for range 20 {
		got := map[string]bool{}
		for range 4 {
			got[take(t, x)] = true
		}
		if len(got) < 2 {
			t.Fatalf("only %v", got)
		}
	}
}

// The connection for answers may end first.
func TestCloseIsNotTakenForTheEndOfTheServer(t *testing.T) {
	for range 5 {
		_, x := connected(t)
		x.close(time.Second)
		eventually(t, "it has no connection", func() bool { return !x.answers.Subscribed() })
		if x.now() != 0 {
			t.Fatal("it has lost its server")
		}
	}
}

func TestCloseEndsTheLead(t *testing.T) {
	for _, leading := range []bool{false, true} {
		_, x := connected(t)
		ended := make(chan struct{})
		waiter := awaited(x, newWaits(true))
		fd := 0
		if leading {
			fd = x.lead(waiter)
		}
		go func() {
			defer close(ended)
			if leading {
				readable(t, fd)
				for x.lead(waiter) != bridge.LeadWoken {
					continue
				}
			}
			x.forget(waiter)
		}()
		x.close(time.Second)
		<-ended
		eventually(t, "the loop is closed", func() bool {
			return errors.Is(x.loop.Await(0, reactor.Readable, &reactor.Awaiter{}), reactor.ErrClosed)
		})
	}
}
