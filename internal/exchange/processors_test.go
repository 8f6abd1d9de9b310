package exchange

import (
	"encoding/json"
	"runtime"
	"testing"

	"github.com/gowsgi/gowsgi/bridge"
)

// One that has a single processor leaves what it has made ready to Go's monitor, which comes after milliseconds.
func TestEachThreadLeavesProcessorsForOthers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s, e := newServer(t, true), &exchanges{all: map[uint64]*exchange{}}
	text, err := json.Marshal(options{
		Requests: spec{Type: "PULL", Address: s.requestsAt},
		Answers:  spec{Type: "PUB", Address: s.answerAt},
	})
	if err != nil {
		t.Fatal(err)
	}
	number, err := e.Open(string(text))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close(number, 0)
	if n := runtime.GOMAXPROCS(0); n != 1+own {
		t.Errorf("%d processors for a program, of which one thread is sure", n)
	}
	for threads := range 5 {
		defer e.Forget(number, e.Await(number, bridge.AwaitRequest, nil, false))
		if n := runtime.GOMAXPROCS(0); n != threads+1+own {
			t.Errorf("%d processors while %d threads wait", n, threads+1)
		}
	}
}
