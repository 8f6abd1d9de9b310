package m2device

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gowsgi/gowsgi/internal/mongrel2"
)

// output is what devices send to.
type output interface {
	toHandler(handler string, body []byte) // behind an empty part
	toServer(message []byte)
	ping()
	connected(handler string) bool
	forget(handler string)
	log(line string)
}

// Settings of a dispatcher.
type settings struct {
	giveUp int            // after so many pings without an answer a handler is dead even if its connection stands
	sticky *regexp.Regexp // of a message; what its groups match is the key of its handler. nil: the least loaded
	slots  int            // requests that a handler gets at once that does not say how many it runs; 0: any number
}

// dispatcher gives requests to handlers. Its methods are called with a lock held.
//
// A request is running from when it is given to a handler until its response is complete, or the client or the handler
// has ended the connection. All that Mongrel2 sends about a connection in between goes to that handler, further requests
// as well, as their answers must come in their order.
type dispatcher struct {
	settings
	out      output
	pings    int // that were sent
	handlers map[string]*handler
	asked    map[string]int // who was asked to forget what it has, and pings then
	order    uint64         // of giving: who was given something last
	clients  map[string]*client
	recent   []string // of clients without anything running, the oldest first
	pending  []*task  // for whoever is free next: of each client the first
	waiting  int      // bytes of all tasks that no handler has
	sockets  int      // clients that are WebSockets
}

const (
	maxClients   = 1 << 16 // connections without a running request that are remembered
	maxPipelined = 64      // requests of one connection that run or wait

	// From so many on that wait, or bytes of them, no more are taken from Mongrel2, unless handlers need what it says. Those
	// beyond the second pair are refused.
	enough, enoughBytes     = 64, 4 << 20
	tooMany, tooManyOfBytes = 4096, 64 << 20
)

// handler is who has said that it is here.
type handler struct {
	id      string
	slots   int
	running map[*task]struct{}
	heard   int    // dispatcher.pings when it last said something
	given   uint64 // dispatcher.order
	state   handlerState
}

type handlerState int8

const (
	alive    handlerState = iota
	doubtful              // it has not answered a ping: it gets nothing new unless it is stuck to
	silent                // nor another one: it gets nothing
	left                  // it said so
)

// client is a connection of Mongrel2's that a handler has.
type client struct {
	key     string
	handler *handler
	tasks   []*task // that run; answers are for the first
	socket  bool    // a WebSocket: the handler keeps it
	again   bool    // another handler has had what it asked for, and may still answer
	listed  bool    // in recent
	flow    flow
	stale   bool // of a Mongrel2 that is no more; another's may have the same number
}

// task is a request.
type task struct {
	request  request
	messages [][]byte // what is given again if the handler dies
	handler  *handler
	order    uint64 // dispatcher.order
	client   *client
	progress progress
	begun    bool // some of the response is sent
	partial  bool // messages are not all: parts of the body have gone
	growing  bool // more of the body is to come
}

func newDispatcher(s settings, out output) *dispatcher {
	return &dispatcher{settings: s, out: out, handlers: map[string]*handler{}, asked: map[string]int{}, clients: map[string]*client{}}
}

// full tells whether no more requests should be taken from Mongrel2.
func (d *dispatcher) full() bool {
	return len(d.pending) > 0 && (len(d.pending) >= enough || d.waiting > enoughBytes) && d.sockets == 0 && !d.needs(d.order)
}

// needs tells whether anything that was given to a handler up to then can go on only with what Mongrel2 will say: more of a
// body, or that some of an answer has been taken. That comes by the same way as requests do.
func (d *dispatcher) needs(until uint64) bool {
	for _, h := range d.handlers {
		for t := range h.running {
			if t.order <= until && (t.growing || t.begun && t.client.flow.told) {
				return true
			}
		}
	}
	return false
}

// given is how far giving has come, for needs.
func (d *dispatcher) given() uint64 { return d.order }

// busy is how many requests are running or pending.
func (d *dispatcher) busy() int {
	n := len(d.pending)
	for _, h := range d.handlers {
		n += len(h.running)
	}
	return n
}

// fromServer takes a message of Mongrel2's.
func (d *dispatcher) fromServer(message []byte) {
	r, err := parseRequest(message)
	if err != nil {
		d.out.log("the dispatcher got " + err.Error())
		return
	}
	key := string(r.Sender) + " " + strconv.FormatUint(r.ID, 10)
	c := d.clients[key]
	if r.notice() {
		d.notice(c, r, message)
		return
	}
	if c != nil {
		c.stale = false
		c.flow.begins(r)
	}
	if d.continued(c, r, message) {
		return
	}
	if c == nil {
		c = &client{key: key}
		c.flow.begins(r)
		d.clients[key] = c
	}
	if len(c.tasks) >= maxPipelined {
		d.out.log("a client has too many requests at once, and is cut")
		d.cut(c)
		return
	}
	t := &task{request: r, messages: [][]byte{message}, client: c, progress: progress{noBody: r.head()}, growing: r.grows()}
	c.tasks = append(c.tasks, t)
	d.waiting += len(message)
	switch first := c.tasks[0]; {
	case first == t:
		d.place(t)
	case first.handler != nil:
		d.assign(t, first.handler)
	}
}

// continued takes a message that is no request of its own: a part of a body, the end of an upload, a frame.
func (d *dispatcher) continued(c *client, r request, message []byte) bool {
	var t *task // that it goes on with
	if c != nil && len(c.tasks) > 0 {
		t = c.tasks[len(c.tasks)-1]
	}
	switch {
	case r.part():
		if t == nil {
			if c != nil && c.handler != nil { // which has answered already, and throws it away
				d.out.toHandler(c.handler.id, message)
			}
			return true
		}
		t.growing = t.growing && !r.whole
		t.partial = t.partial || t.handler != nil
	case r.frame():
		if t == nil {
			d.toSocket(c, r, message)
			return true
		}
	case t != nil && t.request.finishedBy(r):
		t.growing = false
	case r.leftover(): // it has been answered before it was complete
		return true
	default:
		return false
	}
	switch {
	case t.handler == nil:
		t.messages = append(t.messages, message)
		if d.waiting += len(message); d.waiting > tooManyOfBytes {
			d.cut(c)
		}
	case !t.partial && !r.frame():
		t.messages = append(t.messages, message)
		fallthrough
	default:
		d.out.toHandler(t.handler.id, message)
	}
	return true
}

// toSocket gives a frame to the handler of its WebSocket. One that nobody knows, as the dispatcher is new here, is closed.
func (d *dispatcher) toSocket(c *client, r request, message []byte) {
	if c != nil && c.socket && c.handler != nil {
		d.out.toHandler(c.handler.id, message)
		return
	}
	d.out.toServer(r.answer(nil))
}

// place gives a task to a handler, or lets it wait behind those that do.
func (d *dispatcher) place(t *task) {
	if d.sticky != nil || len(d.pending) == 0 {
		if h := d.choose(t); h != nil {
			d.give(t, h)
			return
		}
	}
	if len(d.pending) >= tooMany || d.waiting > tooManyOfBytes {
		d.fail(t.client, unavailable)
		return
	}
	d.pending = append(d.pending, t)
}

func (t *task) size() (n int) {
	for _, m := range t.messages {
		n += len(m)
	}
	return n
}

// give has a handler run a task, and what else its client has asked for since.
func (d *dispatcher) give(t *task, h *handler) {
	for _, t := range t.client.tasks {
		d.assign(t, h)
	}
}

func (d *dispatcher) assign(t *task, h *handler) {
	if t.handler == nil {
		d.waiting -= t.size()
	}
	c := t.client
	t.handler, c.handler = h, h
	h.running[t] = struct{}{}
	d.order++
	h.given, t.order = d.order, d.order
	for i, m := range t.messages {
		if i == 0 && t == c.tasks[0] {
			m = c.flow.introduce(h, t.request, m)
		}
		d.out.toHandler(h.id, m)
	}
}

// choose is the handler for a task, or nil while there is none.
func (d *dispatcher) choose(t *task) *handler {
	var best *handler
	var bestRank uint64
	key := d.stickyKey(t)
	for _, h := range d.handlers {
		if !d.takes(h) {
			continue
		}
		rank := h.given
		if d.sticky != nil {
			rank = hash(key, h.id)
			if best == nil || rank < bestRank || rank == bestRank && h.id < best.id {
				best, bestRank = h, rank
			}
			continue
		}
		n := len(h.running)
		if h.slots > 0 && n >= h.slots {
			continue
		}
		if best == nil || n < len(best.running) || n == len(best.running) && rank < bestRank {
			best, bestRank = h, rank
		}
	}
	return best
}

// takes tells whether a handler may be given something new.
func (d *dispatcher) takes(h *handler) bool {
	return (h.state == alive || h.state == doubtful && d.sticky != nil) && d.out.connected(h.id)
}

// stickyKey is what decides which handler a task is for.
func (d *dispatcher) stickyKey(t *task) (key []byte) {
	if d.sticky == nil {
		return nil
	}
	m := d.sticky.FindSubmatch(t.messages[0])
	switch {
	case m == nil:
		return t.messages[0]
	case len(m) == 1:
		return m[0]
	}
	for _, group := range m[1:] {
		key = append(key, group...)
	}
	return key
}

// hash ranks a handler for a key: the handler of the least rank has it, so that one that comes or goes moves only the
// keys that it has, and several dispatchers agree.
func hash(key []byte, handler string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(key)
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(handler))
	x := h.Sum64() // whose high bits say little about the last bytes
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// flush gives what waits to who is free.
func (d *dispatcher) flush() {
	for len(d.pending) > 0 {
		t := d.pending[0]
		h := d.choose(t)
		if h == nil {
			return
		}
		d.pending[0] = nil
		d.pending = d.pending[1:]
		d.give(t, h)
	}
	d.pending = nil
}

// notice tells the handler of a client what Mongrel2 says about it: that it has gone, or taken some of an answer.
func (d *dispatcher) notice(c *client, r request, message []byte) {
	if c == nil {
		return // no handler has seen it
	}
	c.flow.taken(r)
	if c.handler != nil {
		d.out.toHandler(c.handler.id, message)
	}
	if r.gone() {
		d.drop(c)
		d.flush()
	}
}

// serverLost ends all requests: Mongrel2 is no more, or will number its connections anew. Handlers are told that their
// clients have gone, and what they answer nevertheless is for nobody.
func (d *dispatcher) serverLost() {
	d.pending = nil
	for _, c := range d.clients {
		d.sayGone(c)
		for len(c.tasks) > 0 {
			d.end(c)
		}
		d.setSocket(c, false)
		c.handler, c.again, c.stale, c.flow = nil, false, true, flow{}
		d.remember(c)
	}
}

// sayGone tells a client's handler that it has gone, as Mongrel2 would.
func (d *dispatcher) sayGone(c *client) {
	if c.handler != nil {
		server, id, _ := strings.Cut(c.key, " ")
		d.out.toHandler(c.handler.id, fmt.Appendf(nil, `%s %s @* 17:{"METHOD":"JSON"},21:{"type":"disconnect"},`, server, id))
	}
}

// cut ends the connection of a client.
func (d *dispatcher) cut(c *client) {
	d.hangUp(c)
	d.sayGone(c)
	d.drop(c)
}

// hangUp has Mongrel2 end the connection of a client.
func (d *dispatcher) hangUp(c *client) {
	server, id, _ := strings.Cut(c.key, " ")
	d.out.toServer(mongrel2.Answer{Sender: []byte(server), IDs: [][]byte{[]byte(id)}}.Append(nil))
	for _, t := range c.tasks {
		if t.growing && t.request.streams {
			d.out.toServer(t.request.letGo())
			return
		}
	}
}

func (d *dispatcher) setSocket(c *client, yes bool) {
	if c.socket != yes {
		c.socket = yes
		if yes {
			d.sockets++
		} else {
			d.sockets--
		}
	}
}

// drop ends all there is of a client.
func (d *dispatcher) drop(c *client) {
	for len(c.tasks) > 0 {
		d.end(c)
	}
	d.setSocket(c, false)
	delete(d.clients, c.key)
}

// end ends the first task of a client.
func (d *dispatcher) end(c *client) {
	t := c.tasks[0]
	c.tasks = c.tasks[1:]
	if t.handler != nil {
		delete(t.handler.running, t)
		d.retire(t.handler)
		return
	}
	d.waiting -= t.size()
	for i, p := range d.pending {
		if p == t {
			d.pending = append(d.pending[:i:i], d.pending[i+1:]...)
			break
		}
	}
}

// retire forgets a handler that has left, once it has done all it had.
func (d *dispatcher) retire(h *handler) {
	if h.state == left && len(h.running) == 0 && !d.out.connected(h.id) {
		delete(d.handlers, h.id)
	}
}

// fromHandler takes a message of a handler's.
func (d *dispatcher) fromHandler(id string, body []byte) {
	h := d.handlers[id]
	if string(body) == "X" {
		d.leave(id, h)
		return
	}
	word, slots := wordOf(body)
	hello := len(body) == 0 || word != 0
	if h != nil && word == fresh { // what it had it has thrown away
		d.release(h, false)
		h = nil
	}
	if h == nil {
		switch {
		case !hello: // an answer of one that was given up, or of before this dispatcher: its number may be another client's by now
			return
		case word == runs: // it may still have requests like that
			if _, once := d.asked[id]; !once { // it may have said so twice before it hears that
				d.asked[id] = d.pings
				d.out.toHandler(id, []byte{fresh})
			}
			return
		}
		delete(d.asked, id)
		h = &handler{id: id, slots: d.slots, running: map[*task]struct{}{}}
		d.handlers[id] = h
		d.out.log(fmt.Sprintf("handler %q is here", id))
	}
	h.heard = d.pings
	if slots > 0 {
		h.slots = slots
	}
	if h.state != left || hello {
		h.state = alive
	}
	if !hello {
		d.forward(h, body)
	}
	d.flush()
}

// What a handler says that knows more than m2wsgi's, before the number of requests that it runs at once; 0: it does not know.
const (
	runs  = 'T' // it is here, and so many
	fresh = 'N' // and has nothing from before, as the dispatcher, to which it was new, has asked by the same letter
)

// wordOf reads such a word; 0: it is none.
func wordOf(body []byte) (word byte, slots int) {
	if len(body) < 2 || len(body) > 7 || body[0] != runs && body[0] != fresh {
		return 0, 0
	}
	n, err := strconv.Atoi(string(body[1:]))
	if err != nil || n < 0 {
		return 0, 0
	}
	return body[0], n
}

// leave gives a handler nothing more, and tells it so: what it was given is before that on its way.
func (d *dispatcher) leave(id string, h *handler) {
	if h != nil {
		if h.state != left {
			d.out.log(fmt.Sprintf("handler %q leaves", id))
		}
		h.state = left
		h.heard = d.pings
		for _, c := range d.clients {
			if c.handler == h && len(c.tasks) == 0 {
				d.loseSocket(c)
				c.handler = nil
			}
		}
		if len(h.running) == 0 {
			delete(d.handlers, id)
		}
	}
	d.out.toHandler(id, []byte("X"))
}

// forward sends an answer on, unless it is one of a handler to what another has been given since.
func (d *dispatcher) forward(h *handler, body []byte) {
	a, err := mongrel2.ParseAnswer(body)
	if err != nil {
		d.out.log("a handler sent " + err.Error())
		return
	}
	var ids [][]byte // that it may answer
	var over []*client
	for _, id := range a.IDs {
		c := d.clients[string(a.Sender)+" "+string(id)]
		if c != nil && !d.mayAnswer(h, c) {
			continue
		}
		ids = append(ids, id)
		if c != nil && len(c.tasks) > 0 && !a.Control && d.follow(c, a.Data) {
			over = append(over, c)
		}
	}
	switch len(ids) {
	case len(a.IDs):
		d.out.toServer(body)
	case 0:
	default:
		a.IDs = ids
		d.out.toServer(a.Append(nil))
	}
	for _, c := range over {
		d.cut(c)
	}
}

// mayAnswer tells whether what a handler sends may go to a client that is known.
func (d *dispatcher) mayAnswer(h *handler, c *client) bool {
	switch {
	case len(c.tasks) > 0:
		return c.tasks[0].handler == h
	case c.socket:
		return c.handler == h
	}
	return !c.stale
}

// follow notes what was sent to a client, and tells whether its connection has to end then: a handler that was given up may
// still answer what another one has answered by now, and nobody could tell from what else was asked for.
func (d *dispatcher) follow(c *client, body []byte) (over bool) {
	t := c.tasks[0]
	t.begun = true
	c.flow.sent(body)
	if len(body) == 0 { // the connection is closed
		d.drop(c)
		return false
	}
	t.progress.feed(body)
	if t.progress.state != complete {
		return false
	}
	d.end(c)
	d.setSocket(c, t.progress.upgrade)
	d.remember(c)
	return c.again && len(c.tasks) == 0 && !c.socket
}

// remember keeps a client whose request is done for a while, as news about it are for the same handler.
func (d *dispatcher) remember(c *client) {
	if c.listed {
		return
	}
	c.listed = true
	d.recent = append(d.recent, c.key)
	for n := len(d.recent); n > maxClients; n-- {
		old := d.clients[d.recent[0]]
		d.recent = d.recent[1:]
		if old == nil {
			continue
		}
		old.listed = false
		if len(old.tasks) == 0 && !old.socket {
			delete(d.clients, old.key)
		}
	}
}

// tick is called each interval: who has not answered the last ping is doubtful, who has not answered two gets nothing
// more, and if its connection has ended, too, what it was running is given to others.
func (d *dispatcher) tick() {
	for _, h := range d.handlers {
		quiet := d.pings - h.heard
		switch {
		case quiet >= 2 && (quiet >= d.giveUp || !d.out.connected(h.id)):
			d.bury(h)
		case h.state == left:
		case quiet >= 2:
			if h.state != silent {
				d.out.log(fmt.Sprintf("handler %q does not answer", h.id))
			}
			h.state = silent
		case quiet == 1:
			h.state = doubtful
		}
	}
	for id, at := range d.asked {
		if d.pings-at >= 2 { // the question was lost with its connection
			delete(d.asked, id)
		}
	}
	d.pings++
	d.out.ping()
	d.flush()
}

// arrived is that somebody who says that it is this handler has a new connection. It may be a process that was started in place of the one
// that was known: what it says first is no other than the answer to a ping.
func (d *dispatcher) arrived(id string) {
	if h := d.handlers[id]; h != nil {
		d.bury(h)
		d.flush()
	}
}

// bury gives up a handler.
func (d *dispatcher) bury(h *handler) {
	d.out.forget(h.id)
	d.release(h, true)
}

// release gives what a handler ran to others: all of which nothing has been answered. late: it may still answer.
func (d *dispatcher) release(h *handler, late bool) {
	delete(d.handlers, h.id)
	if h.state != left || len(h.running) > 0 {
		d.out.log(fmt.Sprintf("handler %q is dead; it was running %d requests", h.id, len(h.running)))
	}
	var again []*task
	for _, c := range d.clients {
		if c.handler != h {
			continue
		}
		d.loseSocket(c)
		c.handler = nil
		lost := false
		for _, t := range c.tasks {
			t.handler = nil
			d.waiting += t.size()
			lost = lost || t.begun || t.partial
		}
		if lost {
			d.fail(c, badGateway)
		} else if len(c.tasks) > 0 {
			c.again = c.again || late
			again = append(again, c.tasks[0])
		}
	}
	slices.SortFunc(again, func(a, b *task) int { return cmp.Compare(a.order, b.order) })
	d.pending = append(again, d.pending...)
}

// What a client gets whose request cannot be given to another handler, or to any.
var (
	badGateway  = []byte("HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	unavailable = []byte("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
)

// fail ends the connection of a client whose request nobody can go on with.
func (d *dispatcher) fail(c *client, why []byte) {
	t := c.tasks[0]
	if !t.begun {
		d.out.toServer(t.request.answer(why))
	}
	d.hangUp(c)
	d.drop(c)
}

// loseSocket closes a WebSocket whose handler is no more.
func (d *dispatcher) loseSocket(c *client) {
	if !c.socket {
		return
	}
	d.setSocket(c, false)
	d.hangUp(c)
}
