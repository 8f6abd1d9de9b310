package server

import "testing"

func queueServer() (*Server, *thread) {
	s := &Server{}
	t := &thread{s: s, parker: newParker()}
	s.threads = []*thread{t}
	return s, t
}

// A thread asks for the lead after a request, goes idle, and is given a request before the lead: leaders look at the queue
// and not at their slot, so the request has to be in the queue, or nobody ever runs it.
func TestHandLeadKeepsTheRequest(t *testing.T) {
	s, heir := queueServer()
	heir.idle = true
	s.idle = []*thread{heir}
	given := &conn{}
	s.submit(given)
	if heir.slot != given {
		t.Fatal("an idle thread was not given the request")
	}
	s.handLead(heir)
	if heir.slot != nil || s.queued.Load() != 1 || s.popJob() != given {
		t.Fatal("the request is lost")
	}
	if c, lead, ok := heir.next(); c != nil || !lead || !ok {
		t.Fatalf("next is %v, %v, %v instead of the lead", c, lead, ok)
	}
}

func TestJobsKeepTheirOrder(t *testing.T) {
	s, _ := queueServer()
	var in, out []*conn
	for round := range 5 {
		for range 3000 {
			c := &conn{}
			in = append(in, c)
			s.submit(c)
		}
		for range 2000 + 500*round {
			if c := s.popJob(); c != nil {
				out = append(out, c)
			}
		}
	}
	for c := s.popJob(); c != nil; c = s.popJob() {
		out = append(out, c)
	}
	if len(in) != len(out) || s.queued.Load() != 0 {
		t.Fatalf("%d in, %d out, %d counted", len(in), len(out), s.queued.Load())
	}
	for i := range in {
		if in[i] != out[i] {
			t.Fatalf("job %d is out of order", i)
		}
	}
}
