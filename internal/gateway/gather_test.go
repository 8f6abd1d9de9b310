package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/zeromq"
)

func (r *rig) comes(text string) { r.Receive(zeromq.Message{[]byte(text)}) }

// When enough wait for a thread no more is to come, until half of them have one; unless a client waits for what comes with them.
func TestFull(t *testing.T) {
	r := newRig(t)
	for id := range int(r.most()) {
		if r.Full() {
			t.Fatal("full with", id)
		}
		r.comes(asks(id, ""))
	}
	if !r.Full() {
		t.Fatal("never full")
	}
	r.need(1)
	if r.in.resumed.Load() != 1 || r.Full() {
		t.Fatal("nothing comes for who waits")
	}
	r.need(-1)
	if !r.Full() {
		t.Fatal("not full again")
	}
	for n := range int(r.most()) {
		if resumed := r.in.resumed.Load() == 2; resumed != (n >= int(r.most())/2) {
			t.Fatalf("%d have a thread; more come: %v", n, resumed)
		}
		r.offered()
	}
}

// While others wait for the leader, whole answers wait for theirs: not for long, and not when it has lost the lead.
func TestGathering(t *testing.T) {
	for _, c := range []struct {
		name  string
		leads bool
		text  string
		after func(r *rig, leader *crew.Thread)
		left  int // answers that have left after the first and after
		rest  int // after the second
	}{
		{"it waits", true, "a", nil, 0, 0},
		{"and leaves with the last", true, "a", func(r *rig, _ *crew.Thread) { r.offered() }, 0, 2},
		{"or when the leader waits", true, "a", func(r *rig, _ *crew.Thread) { r.Flush() }, 1, 1},
		{"after a moment", true, "a", func(r *rig, _ *crew.Thread) { r.clock.Add(int64(2 * time.Millisecond)) }, 0, 2},
		{"while it leads", true, "a", func(r *rig, leader *crew.Thread) { r.ran(leader) }, 0, 0},
		{"but not for requests that send nothing", true, "a", func(r *rig, leader *crew.Thread) {
			r.clock.Add(int64(2 * time.Millisecond))
			r.ran(leader)
		}, 1, 1},
		{"or when it does no longer", true, "a", func(r *rig, leader *crew.Thread) { leader.SetLeads(false); r.ran(leader) }, 1, 2},
		{"a follower's does not", false, "a", nil, 1, 2},
		{"nor a large one", true, strings.Repeat("a", gatherBelow), nil, 1, 1},
		{"nor a crowd of them", true, strings.Repeat("a", gatherBelow-100), func(r *rig, _ *crew.Thread) {
			for range 4 {
				r.offered().answers(strings.Repeat("a", gatherBelow-100))
			}
		}, 5, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			for id := range 8 {
				r.comes(asks(id, ""))
			}
			if c.name == "and leaves with the last" {
				for range 5 {
					r.offered()
				}
			}
			leader := r.srv.Crew.Threads()[0]
			leader.SetLeads(c.leads)
			first, second := r.offered(), r.offered()
			first.answers(c.text)
			if c.after != nil {
				c.after(r, leader)
			}
			left := len(r.out.taken())
			second.answers("b")
			if rest := left + len(r.out.taken()); left != c.left || rest != c.rest {
				t.Errorf("%d have left, then %d", left, rest)
			}
		})
	}
}
