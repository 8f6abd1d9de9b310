package reactor

// What a loop leaves to others that accept from the same listeners, see Loop.SetPeers.

import "time"

// Peers are those others. The methods are called on the leader, but what Listen gets.
type Peers interface {
	// Set says how many connections there are here, and whether more are accepted.
	Set(conns int, accepts bool)
	// Ahead reports whether others shall have the next connections; then Call is to bring the one that has fewest.
	Ahead() bool
	Call()
	// Waited says that they had their time.
	Waited()
	// Comes says that this loop looks for connections.
	Comes()
}

// restForPeers is how long who is ahead leaves listeners alone; then it takes what still waits.
const restForPeers = time.Millisecond

// peersState is the part of Loop that this file is about.
type peersState struct {
	all     Peers // nil: nobody knows of them
	told    int   // the number of connections that they know; -1: none are accepted
	enough  bool
	insists bool // the next batch is taken, whoever is ahead
}

// SetPeers tells who they are. Before anybody leads.
func (l *Loop) SetPeers(p Peers) { l.peers.all = p }

// tellPeers has them know what is new. Leader only.
func (l *Loop) tellPeers() {
	if l.peers.all == nil {
		return
	}
	n := -1
	if a := &l.accepting; len(l.listeners) > 0 && !a.others && !a.full && !a.exhausted {
		n = l.Conns()
	}
	if n != l.peers.told {
		l.peers.told = n
		l.peers.all.Set(max(n, 0), n >= 0)
	}
}

// leavesToPeers reports whether a batch is not taken now, as this loop is ahead of others: listeners rest for a moment.
func (l *Loop) leavesToPeers() bool {
	if l.peers.all == nil || l.accepting.ending { // nobody may be left
		return false
	}
	if l.peers.insists {
		l.peers.insists = false
		return false
	}
	l.tellPeers()
	if !l.peers.all.Ahead() {
		return false
	}
	l.peers.enough = true
	l.rest()
	l.peers.all.Call()
	time.AfterFunc(restForPeers, func() { // the timer wheel's ticks are longer
		l.Post(func() {
			if l.peers.enough {
				l.peers.all.Waited()
				l.peers.insists = true
				l.backFromRest()
			}
		})
	})
	return true
}

// backFromRest ends a rest for peers.
func (l *Loop) backFromRest() {
	l.peers.enough = false
	if a := &l.accepting; !a.full && !a.exhausted {
		l.resume()
	}
}

// Called is for the loop's peers: it shall accept. Any goroutine.
func (l *Loop) Called() {
	l.Post(func() {
		l.peers.all.Comes()
		if l.peers.enough && !l.peers.all.Ahead() {
			l.backFromRest()
		}
		l.LookForWaiting()
	})
}
