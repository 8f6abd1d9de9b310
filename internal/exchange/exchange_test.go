package exchange

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/zeromq"
)

const limit = 20 * time.Second

// server is a Mongrel2: it pushes requests and hears what is published.
type server struct {
	requests, answers    *zeromq.Socket
	requestsAt, answerAt string
	heard                chan string
}

func newServer(t *testing.T, subscribed bool) *server {
	t.Helper()
	return listens(t, "tcp://127.0.0.1:*", "tcp://127.0.0.1:*", subscribed)
}

func listens(t *testing.T, requestsAt, answersAt string, subscribed bool) *server {
	t.Helper()
	s := &server{heard: make(chan string, 100)}
	s.requests = zeromq.New(zeromq.Push, zeromq.Options{})
	s.answers = zeromq.New(zeromq.Sub, zeromq.Options{Receive: func(m zeromq.Message) { s.heard <- string(m[0]) }})
	if subscribed {
		s.answers.Subscribe(nil)
	}
	var err error
	if s.requestsAt, err = s.requests.Bind(requestsAt); err != nil {
		t.Fatal(err)
	}
	if s.answerAt, err = s.answers.Bind(answersAt); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.requests.Close(0)
		s.answers.Close(0)
	})
	return s
}

func (s *server) handler(t *testing.T) *exchange {
	t.Helper()
	return opened(t, options{
		Requests: spec{Type: "PULL", Address: s.requestsAt},
		Answers:  spec{Type: "PUB", Address: s.answerAt},
	})
}

func opened(t *testing.T, o options) *exchange {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	x, err := open(string(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.close(0) })
	return x
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// take waits for a request.
func take(t *testing.T, x *exchange) string {
	t.Helper()
	var data []byte
	eventually(t, "a request", func() bool {
		var result int
		data, _, result = x.take()
		return result == bridge.ExchangeOK
	})
	return string(data)
}

func TestRequestsAndAnswers(t *testing.T) {
	s := newServer(t, true)
	x := s.handler(t)
	for i := range 3 {
		_, _ = s.requests.Send([]byte(fmt.Sprint("request ", i)))
	}
	for i := range 3 {
		if got := take(t, x); got != fmt.Sprint("request ", i) {
			t.Fatal(got)
		}
		if result := x.send([]byte(fmt.Sprint("answer ", i)), 0); result != bridge.ExchangeOK {
			t.Fatal(result)
		}
	}
	for i := range 3 {
		if got := <-s.heard; got != fmt.Sprint("answer ", i) {
			t.Fatal(got)
		}
	}
}

// What is published before the server has subscribed would be lost, so nothing is pulled.
func TestNothingIsPulledBeforeAnswersAreHeard(t *testing.T) {
	s := newServer(t, false)
	x := s.handler(t)
	_, _ = s.requests.Send([]byte("a request"))
	eventually(t, "the server has a handler", func() bool { return x.answers.Queued() == 0 })
	if _, _, result := x.take(); result != bridge.ExchangeNothing {
		t.Fatal(result)
	}
	s.answers.Subscribe(nil)
	if got := take(t, x); got != "a request" {
		t.Fatal(got)
	}
}

// Mongrel2 numbers its clients from the beginning at each start.
func TestRequestsOfAServerThatHasGoneAreNotGivenOut(t *testing.T) {
	s := newServer(t, true)
	x := s.handler(t)
	_, _ = s.requests.Send([]byte("old"))
	waiting := func() int {
		x.mu.Lock()
		defer x.mu.Unlock()
		return len(x.in)
	}
	eventually(t, "it has come", func() bool { return waiting() == 1 })
	s.answers.Close(0)
	eventually(t, "it is not given out", func() bool { return waiting() == 0 })
	if x.send([]byte("to nobody"), 0) != bridge.ExchangeOutdated || x.send([]byte("to nobody"), x.now()) != bridge.ExchangeOK ||
		x.answers.Queued() != 0 {
		t.Error("an answer waits for the next server")
	}
}

// What was asked of one server is not answered to the clients of the next.
func TestAnswersForAServerThatHasGoneAreNotSent(t *testing.T) {
	s := newServer(t, true)
	x := s.handler(t)
	_, _ = s.requests.Send([]byte("old"))
	take(t, x)
	s.requests.Close(0)
	s.answers.Close(0)
	eventually(t, "it is noticed", func() bool { return x.now() == 1 })
	again := listens(t, s.requestsAt, s.answerAt, true)
	_, _ = again.requests.Send([]byte("new"))
	var epoch uint64
	eventually(t, "a request of the next server", func() bool {
		data, since, _ := x.take()
		epoch = since
		return string(data) == "new"
	})
	if result := x.send([]byte("to an old one"), 0); result != bridge.ExchangeOutdated {
		t.Error(result)
	}
	if result := x.send([]byte("to a new one"), epoch); epoch != 1 || result != bridge.ExchangeOK {
		t.Error(epoch, result)
	}
	if got := <-again.heard; got != "to a new one" {
		t.Error(got)
	}
}

// Requests that are on their way when the handler leaves are its own.
func TestShutdownGivesOutWhatHasCome(t *testing.T) {
	s := newServer(t, true)
	x := s.handler(t)
	for i := range 20 {
		_, _ = s.requests.Send([]byte(fmt.Sprint(i)))
	}
	eventually(t, "all are sent", func() bool { return s.requests.Queued() == 0 })
	if got := take(t, x); got != "0" { // it is connected
		t.Fatal(got)
	}
	x.shutdown(limit)
	for i := 1; i < 20; i++ {
		if got := take(t, x); got != fmt.Sprint(i) {
			t.Fatal(got)
		}
	}
	eventually(t, "over", func() bool { _, _, result := x.take(); return result == bridge.ExchangeOver })
	if x.send([]byte("the last"), 0) != bridge.ExchangeOK || <-s.heard != "the last" {
		t.Fatal("an answer after the shutdown")
	}
}

func TestAnInterruptIsForOneTake(t *testing.T) {
	x := newServer(t, true).handler(t)
	x.interrupt()
	x.interrupt()
	if _, _, result := x.take(); result != bridge.ExchangeInterrupted {
		t.Fatal(result)
	}
	if _, _, result := x.take(); result != bridge.ExchangeNothing {
		t.Fatal(result)
	}
}

func TestAHandlerOfADispatcher(t *testing.T) {
	type word struct{ who, text string }
	words := make(chan word, 100)
	handlers := zeromq.New(zeromq.Router, zeromq.Options{Receive: func(m zeromq.Message) {
		if len(m) != 3 || len(m[1]) != 0 {
			panic(fmt.Sprintf("no delimiter: %q", m))
		}
		words <- word{string(m[0]), string(m[2])}
	}})
	pings := zeromq.New(zeromq.Pub, zeromq.Options{})
	defer handlers.Close(0)
	defer pings.Close(0)
	at, err := handlers.Bind("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	pingsAt, err := pings.Bind("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	x := opened(t, options{spec{Type: "XREQ", Address: at}, spec{Type: "SUB", Address: pingsAt}, true})
	here := <-words
	if here.text != "" {
		t.Fatalf("it did not say that it is here: %q", here)
	}
	eventually(t, "it hears pings", pings.Subscribed)
	_, _ = pings.Send(nil)
	if got := <-words; got != here {
		t.Fatalf("it does not live: %q", got)
	}
	_, _ = handlers.Send([]byte(here.who), nil, []byte("a request"))
	if got := take(t, x); got != "a request" {
		t.Fatal(got)
	}
	x.send([]byte("an answer"), 0)
	if got := <-words; got.text != "an answer" {
		t.Fatal(got)
	}
	x.shutdown(limit)
	if got := <-words; got.text != "X" {
		t.Fatalf("it does not leave: %q", got)
	}
	_, _ = pings.Send(nil)
	if got := <-words; got.text != "X" {
		t.Fatalf("it does not leave any more: %q", got)
	}
	_, _ = handlers.Send([]byte(here.who), nil, []byte("the last"))
	_, _ = handlers.Send([]byte(here.who), nil, []byte("X"))
	if got := take(t, x); got != "the last" {
		t.Fatal(got)
	}
	eventually(t, "over", func() bool { _, _, result := x.take(); return result == bridge.ExchangeOver })
}

// TestADispatcherThatDoesNotKnowIt: what the handler has from before is for clients whose numbers others may have by now.
func TestADispatcherThatDoesNotKnowIt(t *testing.T) {
	said := make(chan []string, 10)
	router := zeromq.New(zeromq.Router, zeromq.Options{Receive: func(m zeromq.Message) { said <- []string{string(m[0]), string(m[2])} }})
	pings := zeromq.New(zeromq.Pub, zeromq.Options{})
	defer router.Close(0)
	defer pings.Close(0)
	at, err := router.Bind("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	pingsAt, err := pings.Bind("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	x := opened(t, options{spec{Type: "XREQ", Address: at}, spec{Type: "SUB", Address: pingsAt}, true})
	says := func(want string) (who string) {
		t.Helper()
		select {
		case m := <-said:
			if m[1] != want {
				t.Fatalf("%q, not %q", m[1], want)
			}
			return m[0]
		case <-time.After(limit):
			t.Fatalf("never %q", want)
		}
		return ""
	}
	who := says("")
	give := func(text string) { _, _ = router.Send([]byte(who), nil, []byte(text)) }
	taken := func(want string) (epoch uint64) {
		eventually(t, "it has the request "+want, func() bool {
			data, of, how := x.take()
			epoch = of
			return how == bridge.ExchangeOK && string(data) == want
		})
		return epoch
	}
	give("old")
	old := taken("old")
	eventually(t, "it hears pings", pings.Subscribed)
	_, _ = pings.Send([]byte("1"))
	says("T0")
	give("N")
	says("N0")
	if how := x.send([]byte("late"), old); how != bridge.ExchangeOutdated {
		t.Error(how)
	}
	give("new")
	if how := x.send([]byte("answer"), taken("new")); how != bridge.ExchangeOK {
		t.Error(how)
	}
	says("answer")
}

// The device pull2xreq, which a handler asks for each request; answers go to the server.
func TestAHandlerOfAPull2xreq(t *testing.T) {
	s := newServer(t, true)
	words := make(chan [2]string, 100)
	device := zeromq.New(zeromq.Router, zeromq.Options{Receive: func(m zeromq.Message) { words <- [2]string{string(m[0]), string(m[2])} }})
	defer device.Close(0)
	at, err := device.Bind("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	x := opened(t, options{Requests: spec{Type: "XREQ", Address: at}, Answers: spec{Type: "PUB", Address: s.answerAt}})
	wait := func() (asked [2]string) {
		waiter := x.await(bridge.AwaitRequest, &bridge.Waiter{}, false)
		asked = <-words
		x.forget(waiter)
		return asked
	}
	waiter := x.await(bridge.AwaitRequest, &bridge.Waiter{}, false)
	asked, again := <-words, <-words // a device that was started anew knows of nobody
	x.forget(waiter)
	if asked[1] != "" || again != asked {
		t.Fatalf("%q %q", asked, again)
	}
	for _, text := range []string{"one", "two"} {
		_, _ = device.Send([]byte(asked[0]), nil, []byte(text))
		if got := take(t, x); got != text {
			t.Fatal(got)
		}
		select { // it has not asked for another one, as nobody waits
		case word := <-words:
			t.Fatalf("%q", word)
		default:
		}
		if word := wait(); word != asked {
			t.Fatalf("%q", word)
		}
	}
	if x.send([]byte("an answer"), x.now()) != bridge.ExchangeOK || <-s.heard != "an answer" {
		t.Fatal("it does not answer the server")
	}
	x.shutdown(limit)
	if word := <-words; word[1] != "X" {
		t.Fatalf("it does not leave: %q", word)
	}
	_, _ = device.Send([]byte(asked[0]), nil, []byte("the last"))
	_, _ = device.Send([]byte(asked[0]), nil, nil)
	if got := take(t, x); got != "the last" {
		t.Fatal(got)
	}
	eventually(t, "over", func() bool { _, _, result := x.take(); return result == bridge.ExchangeOver })
}

func TestMistakes(t *testing.T) {
	for _, text := range []string{
		``,
		`{}`,
		`{"Requests":{"Type":"PULL","Address":"tcp://x"},"Answers":{"Type":"PUB","Address":"tcp://127.0.0.1:1"}}`,
		`{"Requests":{"Type":"PULL","Address":"tcp://127.0.0.1:1"},"Answers":{"Type":"PUB","Address":"udp://127.0.0.1:1"}}`,
		`{"Requests":{"Type":"PULL","Address":"tcp://127.0.0.1:1"},"Answers":{"Type":"XREP","Address":"tcp://127.0.0.1:2"}}`,
	} {
		if _, err := open(text); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}
