package crew

import (
	"sync/atomic"
	"testing"

	"github.com/gowsgi/gowsgi/bridge"
)

// noPython stands for a Python thread that never has the GIL.
type noPython struct{ tidied int }

func (p *noPython) HasGIL() bool { return false }
func (p *noPython) Release()     {}
func (p *noPython) Tidy()        { p.tidied++ }
func (p *noPython) Mark(bool)    {}
func (p *noPython) Close()       {}

// quietHost has nothing to do and counts who wakes it.
type quietHost struct{ woken atomic.Int32 }

func (h *quietHost) Begin(*Thread)     {}
func (h *quietHost) Turn(*Thread) bool { return false }
func (h *quietHost) Wait(*Thread)      {}
func (h *quietHost) Idle(*Thread)      {}
func (h *quietHost) Wake()             { h.woken.Add(1) }
func (h *quietHost) Finished() bool    { return false }
func (h *quietHost) End(*Thread)       {}
func (h *quietHost) Clock() int64      { return 1 }

// quietCrew has n threads, of which the last idle ones are idle.
func quietCrew(n, idles int) (*Crew, *quietHost) {
	h := &quietHost{}
	c := New(n, h)
	c.watch = &bridge.Watch{Credit: new(atomic.Int32), Ticking: new(atomic.Uint32)}
	c.watch.Ticking.Store(1)
	for _, t := range c.threads {
		t.gil = &noPython{}
	}
	for _, t := range c.threads[n-idles:] {
		t.state = idle
		c.idle = append(c.idle, t)
	}
	return c, h
}

func nothing(*Thread) {}

// A task is given to an idle thread, which nobody counts on from then on; else it waits in the queue, and a leader is told.
func TestPost(t *testing.T) {
	c, h := quietCrew(3, 1)
	last := c.threads[2]
	c.Post(Func(nothing))
	if last.state != asked || last.gift == nil || len(c.idle) != 0 || h.woken.Load() != 0 {
		t.Fatal("not given to the idle thread: ", last.state, len(c.idle))
	}
	c.Post(Func(nothing))
	if c.Queued() != 1 || h.woken.Load() != 1 {
		t.Fatal("not in the queue: ", c.Queued(), h.woken.Load())
	}
	last.parker.wait() // or it would sleep on
	if task, lead, ok := last.next(); task == nil || lead || !ok || last.state != running {
		t.Fatal("the thread does not take what it was asked for")
	}
	if task, _, _ := last.next(); task == nil || c.Queued() != 0 {
		t.Fatal("nor what waits")
	}
}

// What is offered waits for the leader, whoever is idle, unless the standby leads; a leader's call that blocks leaves it to as
// many idle threads as there are tasks.
func TestOffer(t *testing.T) {
	c, h := quietCrew(5, 3)
	c.Offer(Func(nothing))
	c.Offer(Func(nothing))
	if len(c.idle) != 3 || c.Queued() != 2 || h.woken.Load() != 2 {
		t.Fatal("not left to the leader: ", len(c.idle), c.Queued(), h.woken.Load())
	}
	leader := c.threads[0]
	leader.leading = true
	leader.beginCall()
	c.callBlocked(0, leader.word.Load())
	if len(c.idle) != 1 || c.threads[4].state != asked || c.threads[3].state != asked {
		t.Fatal("when its call blocks nobody looks: ", len(c.idle))
	}
	if !c.pooled {
		t.Fatal("the standby does not lead")
	}
	c.Offer(Func(nothing))
	if len(c.idle) != 0 || c.threads[2].gift == nil {
		t.Fatal("not given to the idle thread while the standby leads")
	}
}

// loud is a host with work for ever, that counts its turns.
type loud struct {
	quietHost
	turns, ran int
}

func (h *loud) Turn(*Thread) bool { h.turns++; return h.turns%2 == 1 }
func (h *loud) Finished() bool    { return h.ran >= 10*turnSteps }

// However much is offered, the host has its turns.
func TestOfferedTasksTakeTurns(t *testing.T) {
	c, _ := quietCrew(1, 0)
	h := &loud{}
	c.host = h
	for range 20 * turnSteps {
		c.Offer(Func(func(*Thread) { h.ran++ }))
	}
	th := c.threads[0]
	th.leading = true
	th.lead()
	if h.turns < 9 {
		t.Fatal("turns of the host: ", h.turns)
	}
}

// What is for one thread is done by that one only, before anything new, and it is not idle while it does it.
func TestPostTo(t *testing.T) {
	c, h := quietCrew(2, 1)
	busy, idler := c.threads[0], c.threads[1]
	var by []*Thread
	note := Func(func(t *Thread) {
		by = append(by, t)
		c.mu.Lock()
		defer c.mu.Unlock()
		if t.state != chores || len(c.idle) != 0 {
			by = nil
		}
	})
	c.PostTo(idler, note)
	if idler.state != asked || len(c.idle) != 0 {
		t.Fatal("the idle thread is not asked")
	}
	idler.parker.wait()
	c.PostTo(busy, note)
	if h.woken.Load() != 1 {
		t.Fatal("a thread that may lead, and wait, is not woken")
	}
	c.Post(Func(nothing))
	for _, th := range []*Thread{idler, busy} {
		by = nil
		if task, _, _ := th.next(); task == nil || len(by) != 1 || by[0] != th {
			t.Fatal("done by ", by)
		}
		c.Post(Func(nothing))
	}
}

// Own tasks that follow each other for ever let others have their turn, also on a thread that wishes to lead.
func TestOwnTasksForEver(t *testing.T) {
	for _, wishes := range []bool{false, true} {
		c, _ := quietCrew(1, 0)
		th := c.threads[0]
		if wishes {
			c.wish = th
		}
		did := 0
		var again Func
		again = func(th *Thread) {
			did++
			th.Later(again)
		}
		c.PostTo(th, again)
		c.Submit(Func(nothing))
		if task, _, _ := th.next(); task == nil || did < turnSteps {
			t.Errorf("wishes %v: what waits comes after %d own tasks", wishes, did)
		}
	}
}

// takesGIL stands for a Python thread that has the GIL from a task until it lets go of it.
type takesGIL struct {
	noPython
	has bool
}

func (p *takesGIL) HasGIL() bool { return p.has }
func (p *takesGIL) Release()     { p.has = false }

// lateHost has something for a thread that is about to be idle, once, and is told when the thread is.
type lateHost struct {
	quietHost
	late, idle func(*Thread)
	t          *Thread
}

func (h *lateHost) Idle(t *Thread) {
	if late := h.late; late != nil {
		h.late = nil
		late(t)
	}
}

func (h *lateHost) Wake() {
	if t := h.t; len(t.crew.idle) > 0 {
		h.idle(t)
	}
}

// What is for a thread may come when it has looked round already and is about to be idle; it takes the GIL, and does not
// keep it while it waits.
func TestIdleWithoutTheGIL(t *testing.T) {
	c, _ := quietCrew(2, 0)
	th, p := c.threads[0], &takesGIL{}
	th.gil = p
	did, had := false, false
	c.host = &lateHost{t: th,
		late: func(th *Thread) { c.PostTo(th, Func(func(*Thread) { did, p.has = true, true })) },
		idle: func(*Thread) {
			had, c.wish = p.has, nil
			c.Post(Func(nothing)) // or it would sleep on
		}}
	c.wish = c.threads[1] // so that the host is told of idle threads
	if task, _, ok := th.next(); task == nil || !ok {
		t.Fatal("the thread does not take what it was asked for")
	}
	if !did || had {
		t.Errorf("what was for it was done: %v; idle with the GIL: %v", did, had)
	}
}

// The lead goes to a thread that was idle, whatever the others wished.
func TestWhoGetsTheLead(t *testing.T) {
	for _, c := range []struct {
		name   string
		rare   bool
		idle   int
		credit int32 // of the pool; 0: a thread leads
	}{
		{"rare", true, 2, 0},
		{"rare, nobody idle", true, 0, 1},
		{"often", false, 2, pooledFor},
	} {
		crew, _ := quietCrew(3, c.idle)
		heir := crew.threads[2] // the last to become idle
		crew.replace(c.rare)
		if crew.standbyTakes.Load() != (c.credit > 0) || crew.watch.Credit.Load() != c.credit {
			t.Errorf("%s: the standby takes the lead: %v, credit %d", c.name, crew.standbyTakes.Load(), crew.watch.Credit.Load())
		}
		if c.credit > 0 {
			crew.standby.parker.wait() // it has been told
			if len(crew.idle) != c.idle {
				t.Errorf("%s: %d threads are idle still", c.name, len(crew.idle))
			}
			continue
		}
		heir.parker.wait()
		if !heir.toLead || heir.state != asked || len(crew.idle) != c.idle-1 {
			t.Errorf("%s: %v, %v, %d others idle", c.name, heir.toLead, heir.state, len(crew.idle))
		}
		if _, lead, _ := heir.next(); !lead || heir.state != leading {
			t.Errorf("%s: it does not lead", c.name)
		}
	}
}

// A wish is granted with an idle thread in hand, and with nobody else: a thread that wished and got busy again meanwhile
// would lead when its call ends, and nobody until then.
func TestGrant(t *testing.T) {
	c, _ := quietCrew(2, 0)
	wisher, other := c.threads[0], c.threads[1]
	c.pooled, c.standby.leading = true, true
	c.watch.Credit.Store(1)
	wisher.follow(Func(nothing))
	if !c.wished.Load() {
		t.Fatal("calls are short, and nobody wishes to lead")
	}
	if c.grant() || !c.standby.leading {
		t.Fatal("granted without an idle thread")
	}
	other.state = idle
	c.idle = []*Thread{other}
	c.Submit(Func(nothing)) // whoever leads next looks at the queue
	if c.Queued() != 1 || other.state != idle {
		t.Fatal("the thread that could lead was given a task")
	}
	if !c.grant() || c.standby.leading || !other.toLead || other.state != asked || c.wished.Load() || c.pooled {
		t.Fatal("not granted")
	}
}

// A call of a leader that has lasted loses it the lead, once; it finds out when it returns.
func TestDeposed(t *testing.T) {
	c, _ := quietCrew(2, 1)
	leader, heir := c.threads[0], c.threads[1]
	leader.leading = true
	leader.ledFrom = leader.word.Load() - (rareAfter+1)*wordStep
	leader.Blocking(func() {
		w := leader.word.Load()
		if w&wordLeads == 0 || w&wordInCall == 0 {
			t.Error("the call is not marked: ", w)
		}
		c.callBlocked(0, w)
		c.callBlocked(0, w) // has ended, as far as the lead is concerned
	})
	if leader.Leads() || !heir.toLead {
		t.Fatal("still leads: ", leader.Leads())
	}
	if leader.GiveUpLead(); c.standbyTakes.Load() {
		t.Fatal("gave up what it had lost, so that two lead")
	}
	w := leader.word.Load()
	leader.Blocking(func() {})
	c.callBlocked(0, w|wordInCall|wordLeads) // of a call that has ended
	if len(c.idle) != 0 || c.standbyTakes.Load() {
		t.Fatal("deposed by an old call")
	}
}

// Own work that came just before a call that blocks, and objects to be let go of, are seen to by somebody else's look round.
func TestLookRound(t *testing.T) {
	c, _ := quietCrew(2, 1)
	c.LookRound()
	if th := c.threads[1]; th.state != asked || th.gift != nil || th.toLead {
		t.Fatal("not asked to look round")
	}
	c.threads[1].parker.wait()
	c.Post(Func(nothing))
	if task, _, _ := c.threads[1].next(); task == nil {
		t.Fatal("it has not looked")
	}
	c.LookRound() // nobody is idle: whoever is busy looks when it is done
}

func TestTurn(t *testing.T) {
	now := int64(0)
	clock := func() int64 { return now }
	var u Turn
	for i := 1; i < turnSteps; i++ {
		if u.Over(1, clock) {
			t.Fatal("over after steps: ", i)
		}
	}
	if !u.Over(1, clock) {
		t.Error("steps are not counted")
	}
	if u.Over(turnBytes-1, clock) || !u.Over(1, clock) {
		t.Error("bytes are not counted, or a turn does not begin anew")
	}
	over := false
	for i := 0; i < 3*lookEvery && !over; i++ {
		over = u.Over(1, clock)
		now += turnTime
	}
	if !over {
		t.Error("time is not counted")
	}
	u, over = Turn{}, false
	for range 10 * turnSteps {
		over = over || u.Lasts(lookAfter, clock)
	}
	if over {
		t.Error("lasts without time")
	}
	for i := 0; i < 3*lookEvery && !over; i++ {
		over = u.Lasts(1, clock)
		now += turnTime
	}
	if !over {
		t.Error("does not last")
	}
}

func TestFifo(t *testing.T) {
	var q Fifo[Task]
	next, want := 0, 0
	ran := -1
	for round := range 5 {
		for range 3000 {
			n := next
			q.Push(Func(func(*Thread) { ran = n }))
			next++
		}
		for range 2000 + 500*round {
			if task := q.Pop(); task != nil {
				if task.Run(nil); ran != want {
					t.Fatalf("task %d is out of order", ran)
				}
				want++
			}
		}
	}
	for task := q.Pop(); task != nil; task = q.Pop() {
		if task.Run(nil); ran != want {
			t.Fatalf("task %d is out of order", ran)
		}
		want++
	}
	if want != next || q.Len() != 0 {
		t.Fatalf("%d in, %d out", next, want)
	}
}

// The last of the credit may be used up before the standby has taken the lead: who does so wishes to lead all the same.
func TestWishBeforeTheStandbyIsUp(t *testing.T) {
	c, _ := quietCrew(2, 0)
	c.replace(true)
	c.threads[1].follow(Func(nothing))
	if c.watch.Credit.Load() != 0 || !c.wished.Load() {
		t.Fatal("the standby would lead for ever: ", c.watch.Credit.Load(), c.wished.Load())
	}
}

// A thread's own tasks tell that calls are short as others do: where all requests are suspended ones there is nothing else.
func TestOwnTasksUseUpTheCredit(t *testing.T) {
	c, _ := quietCrew(2, 1)
	c.pooled, c.standby.leading = true, true
	c.watch.Credit.Store(2)
	th := c.threads[1]
	for i := range 2 {
		if c.wished.Load() {
			t.Fatal("a wish too early")
		}
		c.PostTo(th, Func(nothing))
		c.done = i == 1       // or it would wait to lead
		c.Post(Func(nothing)) // so that next returns
		th.parker.wait()
		th.next()
		th.state = idle
		c.idle = []*Thread{th}
	}
	if !c.wished.Load() {
		t.Fatal("the standby would lead for ever")
	}
}

// What a leader has left for itself is somebody else's when it blocks.
func TestLeave(t *testing.T) {
	c, h := quietCrew(3, 2)
	leader, other, heir := c.threads[0], c.threads[1], c.threads[2]
	leader.leading = true
	leader.ledFrom = leader.word.Load() - (rareAfter+1)*wordStep
	leader.Leave(Func(nothing))
	if h.woken.Load() != 0 || len(c.idle) != 2 || c.Queued() != 1 {
		t.Fatal("somebody was woken")
	}
	leader.Blocking(func() { c.callBlocked(0, leader.word.Load()) })
	if !heir.toLead || other.state != asked {
		t.Fatal("nobody looks round: ", heir.toLead, other.state)
	}
	other.parker.wait()
	if task, _, _ := other.next(); task == nil {
		t.Fatal("it finds nothing")
	}
}

// Threads get on if one of them is free, or in another call than at the last look.
func TestStuck(t *testing.T) {
	c, _ := quietCrew(2, 1)
	still := NewStuck(c).Still
	a, b := c.threads[0], c.threads[1]
	a.beginCall()
	for range 2 {
		if still() {
			t.Fatal("one is free")
		}
	}
	b.beginCall()
	if still() {
		t.Fatal("it has just begun")
	}
	for range 2 {
		if !still() {
			t.Fatal("both are in the same calls")
		}
	}
	a.word.Store(a.word.Load() | wordPending) // by the monitor
	if !still() {
		t.Fatal("it is the same call")
	}
	a.endCall()
	a.beginCall()
	if still() || !still() {
		t.Fatal("it is another call now")
	}
	b.Lasts()
	if !still() {
		t.Fatal("the other one is stuck still")
	}
	a.Lasts()
	for range 2 {
		if still() {
			t.Fatal("both may last")
		}
	}
	b.endCall()
	if still() {
		t.Fatal("one is free again")
	}
	b.beginCall()
	if still() || !still() {
		t.Fatal("that call has not said so")
	}
}
