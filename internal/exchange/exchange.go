// Package exchange is the ZeroMQ end of a handler that a Python program is: requests come out of one socket, answers go into
// another. It is what gowsgi.compat.m2wsgi is made of, knows nothing of the messages' form, and needs no server.
//
// A request is taken from its peer only when a receiver asks for it, apart from the one that waits; so the others of a peer
// with many handlers get what this one has no time for. Python's calls (bridge.Exchanges) never wait here: who wants to is
// written down by Await, and woken.
package exchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/rules"
	"github.com/gowsgi/gowsgi/internal/zeromq"
)

// spec is one endpoint of a socket.
type spec struct {
	Type     string
	Address  string
	Identity string
	Bind     bool
}

// options are what Open gets as JSON. Dispatched: the peer is m2wsgi's dispatcher, requests come and answers go through the
// first socket, and the second one has its pings. An XREQ that is not is for the device pull2xreq: see asking.go.
type options struct {
	Requests, Answers spec
	Dispatched        bool
}

var types = map[string]zeromq.Type{
	"PULL": zeromq.Pull, "SUB": zeromq.Sub, "PUB": zeromq.Pub, "PUSH": zeromq.Push, "XREQ": zeromq.Dealer,
}

// item is a request that nobody has asked for yet; taken is closed when somebody has (nil: nobody waits for that). epoch: how often
// its server had gone.
type item struct {
	data  []byte
	epoch uint64
	taken chan struct{}
}

// waker is a bridge.Waiter.
type waker interface {
	Thread() bool
	Wake(here int)
}

// awaiting is who waits, and for what.
type awaiting struct {
	number      uint64
	what        bridge.Awaited
	waiter      waker
	leads       bool // it can: see lead.go
	woken       bool
	interrupted bool
}

type exchange struct {
	dispatched        bool
	asks              bool // for each request, of a pull2xreq
	hears             bool // it is told when the server has gone
	requests, answers *zeromq.Socket
	free              chan struct{} // closed when requests are taken without anybody asking: it leaves, or is closed
	end               chan struct{} // closed when it is

	sending rules.Short // held while an answer is given to the socket, so that epoch is what it was then; before mu

	mu          rules.Short
	epoch       uint64 // how often the server has gone; with sending as well
	heard       bool   // there is one
	words       bool   // the dispatcher knows more words than m2wsgi's
	in          []item
	waiting     []*awaiting
	last        uint64 // number of a waiter
	interrupted bool   // while nobody waited
	leaving     bool   // no more requests are wanted
	left        bool   // and none will come
	closed      bool
	probing     bool // a goroutine waits for room
	asked       bool // for a request that has not come
	asking      *time.Timer
	leading
}

func open(text string) (*exchange, error) {
	var o options
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return nil, err
	}
	x := &exchange{dispatched: o.Dispatched, free: make(chan struct{}), end: make(chan struct{})}
	kinds := [2]zeromq.Type{}
	for i, name := range []string{o.Requests.Type, o.Answers.Type} {
		kind, ok := types[name]
		if !ok {
			return nil, fmt.Errorf("%q is no type of a socket", name)
		}
		kinds[i] = kind
	}
	x.asks = kinds[0] == zeromq.Dealer && !x.dispatched
	log := func(line string) { fmt.Fprintln(os.Stderr, "m2wsgi: "+line) }
	first := zeromq.Options{Identity: []byte(o.Requests.Identity), Receive: x.receive, Log: log}
	second := zeromq.Options{Identity: []byte(o.Answers.Identity), Log: log}
	switch {
	case x.dispatched:
		second.Receive = x.pinged
	case kinds[1] == zeromq.Pub:
		// What is answered before the peer has subscribed would be lost, so nothing is asked of it before.
		x.hears, first.Paused, second.Keep = true, true, -1
		second.Subscribed = func(yes bool) {
			if yes {
				x.found()
			} else {
				x.lost()
			}
		}
	}
	if kinds[0] != zeromq.Sub {
		if err := x.leads(&first); err != nil {
			return nil, err
		}
	}
	x.requests = zeromq.New(kinds[0], first)
	x.answers = zeromq.New(kinds[1], second)
	for _, each := range []struct {
		socket *zeromq.Socket
		kind   zeromq.Type
		spec   spec
	}{{x.answers, kinds[1], o.Answers}, {x.requests, kinds[0], o.Requests}} {
		if each.kind == zeromq.Sub {
			each.socket.Subscribe(nil)
		}
		if err := attach(each.socket, each.spec); err != nil {
			x.close(0)
			return nil, err
		}
	}
	x.mu.Lock()
	x.handOver()
	x.mu.Unlock()
	x.greet(sayHere)
	return x, nil
}

func attach(s *zeromq.Socket, at spec) error {
	if !at.Bind {
		return s.Connect(at.Address)
	}
	_, err := s.Bind(at.Address)
	return err
}

// found is called when a server hears what is answered.
func (x *exchange) found() {
	x.mu.Lock()
	x.heard = true
	wanted := x.wanted()
	x.mu.Unlock()
	x.requests.Start()
	x.ask(wanted)
}

// lost is called when the server has gone. One that starts anew gives its clients the numbers of those of before, so nothing that was for
// or from these is passed on: what has come is dropped, and what the program has taken has an epoch that is over. The socket does not
// connect again before this returns.
func (x *exchange) lost() {
	x.mu.Lock()
	closed := x.closed
	x.mu.Unlock()
	if closed {
		return // it is this end that has gone
	}
	x.requests.Pause()
	x.requests.Reset()
	x.outdate()
}

// outdate ends the epoch.
func (x *exchange) outdate() {
	x.sending.Lock()
	x.mu.Lock()
	x.epoch++
	x.heard, x.asked = false, false
	old := x.in
	x.in = nil
	x.mu.Unlock()
	x.sending.Unlock()
	for _, i := range old {
		i.took()
	}
}

// What is said to a dispatcher, and by it, that knows more words than m2wsgi's: docs/mongrel2-devices.md.
const (
	sayHere  = "T0" // how many requests it runs at once nobody knows
	sayFresh = "N0" // and it has nothing from before
	hearNew  = "N"  // the dispatcher does not know this handler
)

// pinged is called when a dispatcher asks whether it lives.
func (x *exchange) pinged(m zeromq.Message) {
	x.mu.Lock()
	x.words = string(m[len(m)-1]) == "1"
	x.mu.Unlock()
	x.greet(sayHere)
}

// greet tells a dispatcher that this handler is here, by this word if it knows words, or that it leaves.
func (x *exchange) greet(how string) {
	if !x.dispatched {
		return
	}
	x.sending.Lock() // whoever leaves says so behind this, or before: and then the same is said
	defer x.sending.Unlock()
	x.mu.Lock()
	word := []byte(nil)
	if x.words {
		word = []byte(how)
	}
	if x.leaving {
		word = leave
	}
	x.mu.Unlock()
	_, _ = x.requests.Send(nil, word)
}

// leave is what a handler tells a device when it wants no more requests. When none will come a dispatcher says the same, and a pull2xreq
// nothing.
var leave = []byte("X")

// farewell tells whether a message is that.
func (x *exchange) farewell(data []byte) bool {
	return x.dispatched && string(data) == string(leave) || x.asks && len(data) == 0
}

// receive is called by the socket. Without a loop this reads nothing more from that peer until it returns; with one it asks full.
func (x *exchange) receive(m zeromq.Message) {
	if (x.dispatched || x.asks) && len(m) > 1 && len(m[0]) == 0 {
		m = m[1:]
	}
	data := m[0]
	if x.dispatched && string(data) == hearNew {
		x.outdate()
		x.greet(sayFresh)
		return
	}
	x.mu.Lock()
	i := item{data: data, epoch: x.epoch}
	if x.loop == nil {
		i.taken = make(chan struct{})
	}
	if x.farewell(data) {
		left := x.leaving
		x.mu.Unlock()
		if left {
			x.hasLeft()
		}
		return
	}
	if x.closed || x.hears && !x.heard { // or it was on its way when the server went
		x.mu.Unlock()
		return
	}
	x.in = append(x.in, i)
	x.asked = false
	wake := x.first(bridge.AwaitRequest)
	wanted := x.wanted()
	x.mu.Unlock()
	wake.wake()
	x.ask(wanted)
	if i.taken == nil {
		return
	}
	select {
	case <-i.taken:
	case <-x.free:
	}
}

func (i item) took() {
	if i.taken != nil {
		close(i.taken)
	}
}

// first marks one that waits for this as woken: the leader, as it is here. With x.mu.
func (x *exchange) first(what bridge.Awaited) *awaiting {
	if a := x.leader; a != nil && a.what == what && !a.woken {
		return x.mark(a)
	}
	for _, a := range x.waiting {
		if a.what == what && !a.woken {
			return x.mark(a)
		}
	}
	return nil
}

// mark marks it, and wakes it if it is a thread, which is there as long as it is in x.waiting. The result is for wake. With x.mu.
func (x *exchange) mark(a *awaiting) *awaiting {
	a.woken = true
	switch {
	case a == x.leader:
		x.loop.Wake()
	case a.waiter.Thread():
		a.waiter.Wake(-1)
	}
	return a
}

// all marks all that wait for one of these; x.mu is held.
func (x *exchange) all(what ...bridge.Awaited) []*awaiting {
	var found []*awaiting
	for _, each := range what {
		for a := x.first(each); a != nil; a = x.first(each) {
			found = append(found, a)
		}
	}
	return found
}

// wake is called without a lock: it takes those of the request that waits.
func (a *awaiting) wake() {
	if a != nil && !a.waiter.Thread() {
		a.waiter.Wake(-1)
	}
}

func wakeAll(some []*awaiting) {
	for _, a := range some {
		a.wake()
	}
}

func (x *exchange) take() (data []byte, epoch uint64, result int) {
	x.mu.Lock()
	if data, epoch, result = x.pop(); result == bridge.ExchangeNothing {
		x.glance()
		data, epoch, result = x.pop()
	}
	resumes := x.resumes()
	x.mu.Unlock()
	x.resume(resumes)
	return data, epoch, result
}

// pop is take, with x.mu.
func (x *exchange) pop() (data []byte, epoch uint64, result int) {
	switch {
	case x.closed:
		return nil, 0, bridge.ExchangeOver
	case x.interrupted:
		x.interrupted = false
		return nil, 0, bridge.ExchangeInterrupted
	case len(x.in) > 0:
		i := x.in[0]
		x.in[0] = item{}
		x.in = x.in[1:]
		i.took()
		return i.data, i.epoch, bridge.ExchangeOK
	case x.left:
		return nil, 0, bridge.ExchangeOver
	}
	return nil, 0, bridge.ExchangeNothing
}

// now is the epoch.
func (x *exchange) now() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.epoch
}

// send sends an answer to clients of an epoch, if that is not over.
func (x *exchange) send(data []byte, epoch uint64) int {
	x.sending.Lock()
	defer x.sending.Unlock()
	x.mu.Lock()
	closed, outdated := x.closed, x.epoch != epoch
	x.mu.Unlock()
	switch {
	case closed:
		return bridge.ExchangeOver
	case outdated:
		return bridge.ExchangeOutdated
	}
	var room bool
	var err error
	if x.dispatched {
		room, err = x.requests.Send(nil, data)
	} else {
		room, err = x.answers.Send(data)
	}
	switch {
	case errors.Is(err, zeromq.ErrClosed):
		return bridge.ExchangeOver
	case !room:
		return bridge.ExchangeNothing
	}
	return bridge.ExchangeOK
}

func (x *exchange) await(what bridge.Awaited, w waker, leads bool) uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed || what == bridge.AwaitRequest && (x.interrupted || x.left || len(x.in) > 0) ||
		what == bridge.AwaitLeft && x.left {
		return 0
	}
	x.last++
	leads = leads && x.loop != nil && what != bridge.AwaitRoom
	x.waiting = append(x.waiting, &awaiting{number: x.last, what: what, waiter: w, leads: leads})
	if !leads {
		x.handOver()
	}
	if what == bridge.AwaitRoom && !x.probing {
		x.probing = true
		go x.probe()
	}
	if x.wanted() {
		go x.ask(true)
	}
	return x.last
}

// probe waits for room in place of those that do.
func (x *exchange) probe() {
	s := x.answers
	if x.dispatched {
		s = x.requests
	}
	s.Room(x.end)
	x.mu.Lock()
	x.probing = false
	woken := x.all(bridge.AwaitRoom)
	x.mu.Unlock()
	wakeAll(woken)
}

// find is who waits, by its number; nil: nobody. With x.mu.
func (x *exchange) find(number uint64) *awaiting {
	for _, a := range x.waiting {
		if a.number == number {
			return a
		}
	}
	return nil
}

func (x *exchange) forget(number uint64) (interrupted bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, a := range x.waiting {
		if a.number == number {
			x.waiting = append(x.waiting[:i], x.waiting[i+1:]...)
			interrupted = a.interrupted
			if x.leader == a {
				x.leader = nil
			}
			break
		}
	}
	x.handOver()
	return interrupted
}

// pass has another one look for what the caller was woken for and does not want any more.
func (x *exchange) pass() {
	x.mu.Lock()
	var a *awaiting
	if len(x.in) > 0 {
		a = x.first(bridge.AwaitRequest)
	}
	x.mu.Unlock()
	a.wake()
}

func (x *exchange) interrupt() {
	x.mu.Lock()
	woken := x.all(bridge.AwaitRequest)
	for _, a := range woken {
		a.interrupted = true
	}
	x.interrupted = len(woken) == 0
	x.mu.Unlock()
	wakeAll(woken)
}

// shutdown has no more requests come, apart from those that are on their way.
func (x *exchange) shutdown(limit time.Duration) {
	x.mu.Lock()
	again := x.leaving || x.closed
	x.leaving = true
	resumes := x.resumes()
	if !again {
		close(x.free)
		x.handOver()
	}
	x.mu.Unlock()
	x.resume(resumes)
	if again {
		return
	}
	if x.dispatched || x.asks {
		x.sending.Lock()
		_, _ = x.requests.Send(nil, leave)
		x.sending.Unlock()
		return // the device says when it is over
	}
	go func() {
		x.requests.Drain(limit)
		x.requests.Close(0)
		x.hasLeft()
	}()
}

func (x *exchange) hasLeft() {
	x.mu.Lock()
	x.left = true
	woken := x.all(bridge.AwaitRequest, bridge.AwaitLeft)
	x.mu.Unlock()
	wakeAll(woken)
}

// close sends what is queued, for linger at most.
func (x *exchange) close(linger time.Duration) {
	x.mu.Lock()
	again := x.closed
	x.closed = true
	var woken []*awaiting
	if !again {
		if !x.leaving {
			x.leaving = true
			close(x.free)
		}
		close(x.end)
		if x.asking != nil {
			x.asking.Stop()
		}
		woken = x.all(bridge.AwaitRequest, bridge.AwaitRoom, bridge.AwaitLeft)
		x.handOver()
	}
	resumes := x.resumes()
	x.mu.Unlock()
	x.resume(resumes)
	if again {
		return
	}
	wakeAll(woken)
	rules.Waits("answers to Mongrel2 to be sent")
	var both sync.WaitGroup
	for _, s := range []*zeromq.Socket{x.requests, x.answers} {
		both.Add(1)
		go func() {
			defer both.Done()
			s.Close(linger)
		}()
	}
	both.Wait()
	x.endLoop()
}
