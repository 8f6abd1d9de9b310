package gateway

import (
	"slices"
	"time"

	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/mongrel2"
	"github.com/gowsgi/gowsgi/internal/rules"
)

const (
	// Mongrel2 lets 100 KiB be on their way to a client where it gives credits; pieces of a third keep it busy.
	creditPiece = 32 << 10
	// Where it gives none it hangs up on a client for which more than 16 messages wait. So what comes quickly is put together:
	// up to a message of plainPiece, or for as long as gatherFor after the last.
	plainPiece = 1 << 20
	gatherFor  = 5 * time.Millisecond
	// Of a WebSocket's frames so many leave at once, however quickly they come; after these what comes within framesFor.
	freeFrames = 8
	framesFor  = 25 * time.Millisecond

	maxPipelined = 64 // requests of one client that wait for the first
)

// link is a client's connection to Mongrel2.
type link struct {
	g   *Gateway
	key key

	mu      rules.Short
	cur     *exchange   // whose answer is on its way
	waiting []*exchange // in order

	out     []byte // out[at:] waits to be sent
	at      int
	msg     []byte // room for a message
	sentAt  time.Time
	frameAt time.Time // of a WebSocket, as are quick
	quick   int
	timer   *time.Timer // sends what waits for more
	timed   bool
	tracked bool // there are credits
	credits int64
	needs   bool // counted by Gateway.needy
	asks    *time.Timer
	asking  bool

	spooled

	socket *socket // what has become of it; nil: nothing

	settled bool // the answer is complete, but for what waits
	pumped  bool // a file is being sent
	hangUp  bool // at the end of the answer
	gone    bool
	moved   int64         // counts what leaves
	changed chan struct{} // closed when anything has; nil: nobody wants to know
}

// add begins a request, or has it wait for those before it. False: the link has ended. Leader.
func (l *link) add(x *exchange) bool {
	g := l.g
	l.mu.Lock()
	switch {
	case l.gone:
		l.mu.Unlock()
		return false
	case x.hasCredits && l.cur != nil: // Mongrel2 has been started anew and counts its clients from the beginning
		l.mu.Unlock()
		l.lost()
		return false
	case len(l.waiting) >= maxPipelined:
		l.mu.Unlock()
		g.recycle(x)
		l.cut()
		return true
	}
	if x.hasCredits {
		l.tracked, l.credits = true, x.credits
	}
	x.l, x.early = l, !g.stopping.Load()
	g.busy.Add(1)
	first := l.cur == nil
	if first {
		l.begin(x)
	} else {
		l.waiting = append(l.waiting, x)
	}
	l.mu.Unlock()
	if first {
		x.offer((*crew.Crew).Bring)
	}
	return true
}

// begin makes x the request that is answered. With l.mu.
func (l *link) begin(x *exchange) {
	l.cur = x
	l.settled, l.pumped, l.hangUp = false, false, false
	l.file.Another()
}

// next goes on with the next request, if the answer has left. With l.mu, which it lets go of.
func (l *link) next() {
	x := l.cur
	if x == nil || !l.settled || l.pumped || !l.empty() && !l.gone {
		l.mu.Unlock()
		return
	}
	l.cur, l.settled = nil, false
	ended := l.gone
	if l.hangUp && !l.gone {
		l.hangsUp(x)
		ended = true
	}
	var following *exchange
	waiting := l.waiting
	if ended {
		l.end()
	} else if len(waiting) > 0 {
		following = waiting[0]
		l.waiting = append(waiting[:0:0], waiting[1:]...)
		waiting = nil
		l.begin(following)
	} else {
		waiting = nil
		l.out, l.at, l.back, l.msg = nil, 0, 0, nil // it may be idle for long
	}
	l.mu.Unlock()
	if ended {
		l.g.forget(l)
	}
	l.g.ended(x)
	for _, w := range waiting {
		l.g.ended(w)
	}
	if following != nil {
		following.offer((*crew.Crew).Offer)
	}
}

// end is called when nothing can be sent any more. With l.mu.
func (l *link) end() {
	l.gone = true
	l.waiting = nil
	l.out, l.at, l.back, l.msg, l.tail = nil, 0, 0, nil, nil
	l.want(false)
	l.signal()
}

// lost is called when the client has gone.
func (l *link) lost() {
	l.mu.Lock()
	if l.gone && l.cur == nil {
		l.mu.Unlock()
		return
	}
	waiting := l.waiting
	l.end()
	x := l.cur
	if x != nil {
		x.clientGone()
	}
	k := l.socket
	l.mu.Unlock()
	l.g.forget(l)
	for _, w := range waiting {
		l.g.ended(w)
	}
	switch {
	case k != nil:
		k.lost()
	case x != nil:
		x.endLinger(l, true)
	}
	l.mu.Lock()
	l.next()
}

// hungry tells whether its answer, or its request, goes on with what messages bring.
func (l *link) hungry() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.gone && l.cur != nil && (l.needs || l.cur.awaited || l.socket != nil || l.tracked && l.cur.early)
}

// cut hangs up on the client.
func (l *link) cut() {
	l.mu.Lock()
	if !l.gone {
		l.hangsUp(l.cur)
	}
	l.mu.Unlock()
	l.lost()
}

// abandon is called when nothing is waited for any more: who has not been answered is hung up on, as nobody else will answer.
func (l *link) abandon() {
	l.mu.Lock()
	if !l.gone && l.cur != nil {
		l.hangsUp(l.cur)
	}
	l.mu.Unlock()
	l.lost()
}

// hangsUp tells Mongrel2 so, x being the client's request; nil: it has none. With l.mu.
func (l *link) hangsUp(x *exchange) {
	l.send(mongrel2.AppendAnswer(l.msg[:0], l.key.of.name, l.key.id))
	if x != nil && x.awaited { // Mongrel2 waits for credits, and not for the end
		l.pay(1 << 30) // enough to come to the end, which it finds closed
	}
}

// signal tells whoever waits for a change. With l.mu.
func (l *link) signal() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// change is closed at the next one. With l.mu.
func (l *link) change() <-chan struct{} {
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// want says whether it waits for credits. With l.mu.
func (l *link) want(yes bool) {
	if l.needs == yes {
		return
	}
	if l.needs = yes; yes {
		l.g.need(1)
		l.ask()
	} else {
		l.g.need(-1)
	}
}

// credit is called when the client has taken n bytes.
func (l *link) credit(n int64) {
	l.mu.Lock()
	if l.tracked {
		l.credits += n
		l.push(true)
	}
	k := l.socket
	l.next()
	if k != nil {
		k.moved()
	}
}

// send sends a message. With l.mu.
func (l *link) send(message []byte) {
	l.msg = message
	l.g.send(l.key.of, message, false)
}

// put sends the answer's next bytes: message, of which the first prefix bytes say for whom it is. more: others may follow at once;
// gather: see Gateway.send. It never waits. Any thread.
func (l *link) put(message []byte, prefix int, more, gather bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.puts(message, prefix, more, gather)
}

// puts is put with l.mu.
func (l *link) puts(message []byte, prefix int, more, gather bool) {
	n := len(message) - prefix
	switch {
	case n == 0 || l.gone:
		return
	case l.behind():
		l.tail = append(l.tail, message[prefix:]...)
		return
	}
	if l.at == len(l.out) && n <= l.most() && !(more && l.soon()) {
		l.g.send(l.key.of, message, gather)
		l.left(n, more)
		return
	}
	if l.at > 0 && l.at >= len(l.out)/2 {
		l.shift()
	}
	l.out = append(l.out, message[prefix:]...)
	l.push(!more || !l.soon())
}

// reserve has room for n bytes that will wait for credits.
func (l *link) reserve(n int) {
	l.mu.Lock()
	if l.tracked && !l.gone {
		l.out = slices.Grow(l.out, n)
	}
	l.mu.Unlock()
}

// soon tells whether the last message has left just now. With l.mu.
func (l *link) soon() bool { return time.Since(l.sentAt) < l.gathers() }

// gathers is for how long what comes is put together. With l.mu.
func (l *link) gathers() time.Duration {
	if l.socket != nil {
		return framesFor
	}
	return gatherFor
}

// frames counts a frame, and tells whether it should wait for those that follow at once.
func (l *link) frames() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tracked {
		return false
	}
	now := time.Now()
	if now.Sub(l.frameAt) >= framesFor {
		l.quick = 0
	}
	l.frameAt = now
	l.quick++
	return l.quick > freeFrames
}

// most is how many bytes may leave at once. With l.mu.
func (l *link) most() int {
	if !l.tracked {
		return plainPiece
	}
	return int(max(0, min(l.credits, creditPiece)))
}

func (l *link) left(n int, more bool) {
	if l.tracked {
		l.credits -= int64(n)
	}
	if more {
		l.sentAt = time.Now()
	}
	l.moved++
}

// push sends what waits, as far as the client has credits. Small rests, unless all is set, wait for more. With l.mu.
func (l *link) push(all bool) {
	for l.at < len(l.out) {
		n := len(l.out) - l.at
		whole := plainPiece
		if l.tracked {
			whole = creditPiece
		}
		if n < whole && !all {
			l.later()
			return
		}
		n = min(n, whole)
		if l.tracked && l.credits < int64(n) {
			l.want(true)
			return
		}
		l.send(append(mongrel2.AppendAnswer(l.msg[:0], l.key.of.name, l.key.id), l.out[l.at:l.at+n]...))
		l.at += n
		l.left(n, true)
		l.signal()
	}
	l.want(false)
	if cap(l.out) > keepOut {
		l.out, l.msg = nil, nil
	}
	l.out, l.at, l.back = l.out[:0], 0, 0
}

const keepOut = 64 << 10

// later has what waits sent if nothing follows. With l.mu.
func (l *link) later() {
	if l.timed {
		return
	}
	l.timed = true
	if l.timer == nil {
		l.timer = time.AfterFunc(l.gathers(), l.due)
	} else {
		l.timer.Reset(l.gathers())
	}
}

func (l *link) due() {
	l.mu.Lock()
	l.timed = false
	if !l.gone {
		l.push(true)
	}
	l.next()
}

// flush sends what waits for more.
func (l *link) flush() {
	l.mu.Lock()
	if !l.gone {
		l.push(true)
	}
	l.mu.Unlock()
}

// pending is how many bytes wait in memory. Any thread.
func (l *link) pending() int {
	n, _ := l.queued()
	return int(n)
}

// isGone reports whether the client can get nothing any more. Any thread.
func (l *link) isGone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// await waits until ok, which is called with l.mu. False: the client has gone, has taken nothing for limit, or done is closed.
func (l *link) await(limit time.Duration, done <-chan struct{}, ok func() bool) bool {
	var timer *time.Timer
	var expired <-chan time.Time
	moved := int64(-1)
	defer func() {
		if timer != nil {
			timer.Stop()
		}
	}()
	for {
		l.mu.Lock()
		switch {
		case l.gone:
			l.mu.Unlock()
			return false
		case ok():
			l.mu.Unlock()
			return true
		}
		if limit > 0 && l.moved != moved {
			if timer != nil {
				timer.Stop()
			}
			timer = time.NewTimer(limit)
			expired, moved = timer.C, l.moved
		}
		changed := l.change()
		l.mu.Unlock()
		rules.Waits("for a client of Mongrel2's")
		select {
		case <-changed:
		case <-done:
			return false
		case <-expired:
			l.g.log.Info("a client takes no data: its connection is cut", "client", l.key.id)
			l.cut()
			return false
		}
	}
}

// settle is called when the request has been answered, but for what waits.
func (l *link) settle(hangUp bool) {
	l.mu.Lock()
	l.settled = true
	l.hangUp = l.hangUp || hangUp
	l.rest()
}

// rest goes on with what waits, if the request has been answered. With l.mu, which it lets go of.
func (l *link) rest() {
	if !l.settled {
		l.mu.Unlock()
		return
	}
	if !l.gone {
		l.push(true)
	}
	if !l.empty() && !l.gone && !l.pumped {
		if l.cur != nil {
			l.cur.setApart(true)
		}
		go l.await(l.g.cfg.WriteTimeout, nil, l.empty)
	}
	l.next()
}
