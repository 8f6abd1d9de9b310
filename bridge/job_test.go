package bridge

import "testing"

type over struct {
	Responder
	times int
}

func (o *over) Over() { o.times++ }

// A call that comes when the request has been settled already is refused, and may be waited for once more.
func TestSettleAgain(t *testing.T) {
	who := new(over)
	j := &Job{left: make(chan struct{}, 1)}
	j.begin(who)
	j.gen.Store(0) // the request has ended
	for range 3 {
		j.up.Add(1)
		if !j.Busy() {
			t.Fatal("not busy")
		}
		go j.leave()
		j.Settle()
	}
	if who.times != 1 {
		t.Errorf("told %d times", who.times)
	}
}
