package crew

import (
	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/rules"
)

// The monitor's side: a thread's word says, in one atomic value, whether it is in a call, whether it leads, and which call
// it is: so a takeover (clear the lead of exactly this call) and a return from the call (was I deposed?) cannot both
// succeed. The monitor itself is C, see shim_watch.c.

const (
	wordInCall  = bridge.WatchInCall
	wordLeads   = bridge.WatchLeads
	wordPending = bridge.WatchPending
	wordStep    = bridge.WatchStep

	// A leader that blocks is replaced, and everybody has waited a tick or two. If it had led for more than rareAfter calls,
	// blocking is rare, and a thread that is idle leads next: at 1 % of calls that block 100 ms, the median of the others
	// stays near that of a server where nothing blocks (pooled it was three times as much, for the hand-over of every
	// request). Else the standby leads, and keeps the lead until pooledFor calls in a row have not blocked; where nobody is
	// idle, until one has not.
	rareAfter = 16
	pooledFor = 64
)

// Blocking runs f, which may wait, or run Python, or take the GIL; nothing else may. When it returns t may have lost the
// lead.
func (t *Thread) Blocking(f func()) {
	t.beginCall()
	f()
	t.endCall()
}

func (t *Thread) beginCall() {
	w := t.word.Load()&^(wordLeads|wordInCall|wordPending) + wordStep
	if t.leading {
		w |= wordLeads
	}
	if t.Late != nil && t.Late.Waits() {
		w |= wordPending
	}
	t.publishes()
	t.word.Store(w | wordInCall)
	if watch := t.crew.watch; watch.Ticking.Load() == 0 {
		watch.Poke()
	}
	if rules.On && t.gil != nil {
		t.gil.Mark(true)
	}
}

// endCall finds out whether the thread was deposed meanwhile.
func (t *Thread) endCall() {
	if rules.On && t.gil != nil {
		t.gil.Mark(false)
	}
	if t.leading {
		w := t.word.Load()
		if w&wordLeads != 0 && t.word.CompareAndSwap(w, w&^wordInCall) {
			return
		}
		t.leading = false // another has the reactor
	}
	t.word.Store(t.word.Load() &^ (wordInCall | wordLeads))
}

// callBlocked is called on the monitor: the call w of thread i has lasted a full tick, and the thread leads, or has output
// that waits for more.
func (c *Crew) callBlocked(i int, w uint64) {
	t := c.threads[i]
	t.seen()
	lost := w&wordLeads != 0
	if lost {
		if !t.word.CompareAndSwap(w, w&^wordLeads) {
			return // the call has ended
		}
		c.replace((w-t.ledFrom)/wordStep > rareAfter)
		// They may have come just before the call, or for the leader, see Offer.
		for n := c.queued.Load(); n > 0 && c.lookRound(); n-- {
		}
		if bridge.UnholdWaiting() {
			c.LookRound()
		}
	}
	if t.Late != nil {
		t.Late.SendLate(lost)
	}
}

// GiveUpLead lets another lead, for a task that has lasted. On the thread that runs the task, outside a call; nothing if it
// has lost the lead already.
func (t *Thread) GiveUpLead() {
	if !t.leading {
		return
	}
	t.leading = false
	t.word.Store(t.word.Load() &^ wordLeads)
	t.crew.replace(true)
}

// replace finds a new leader for one whose call or task has lasted: a thread that is idle, if blocking is rare, or the
// standby. Nobody leads until then.
func (c *Crew) replace(rare bool) {
	if rare {
		c.mu.Lock()
		t := c.ask()
		if t != nil {
			t.toLead = true
		}
		c.mu.Unlock()
		if t != nil {
			t.notify()
			return
		}
	}
	credit := int32(pooledFor)
	if rare {
		credit = 1
	}
	c.mu.Lock()
	c.pooled = true // before anybody may use up the credit: that is when a thread wishes to lead, and there is no other time
	c.mu.Unlock()
	c.watch.Credit.Store(credit)
	c.standbyTakes.Store(true)
	c.standby.notify()
}
