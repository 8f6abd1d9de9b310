package exchange

import (
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/rules"
)

// exchanges are those that Python has, by number.
type exchanges struct {
	mu   rules.Short
	last uint64
	all  map[uint64]*exchange
}

func init() { bridge.SetExchanges(&exchanges{all: map[uint64]*exchange{}}) }

func (e *exchanges) get(number uint64) *exchange {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[number]
}

func (e *exchanges) Open(options string) (uint64, error) {
	processors(1)
	x, err := open(options)
	if err != nil {
		return 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	e.all[e.last] = x
	return e.last, nil
}

func (e *exchanges) Take(number uint64) (data []byte, epoch uint64, result int) {
	if x := e.get(number); x != nil {
		return x.take()
	}
	return nil, 0, bridge.ExchangeOver
}

func (e *exchanges) Epoch(number uint64) uint64 {
	if x := e.get(number); x != nil {
		return x.now()
	}
	return 0
}

func (e *exchanges) Send(number uint64, data []byte, epoch uint64) int {
	if x := e.get(number); x != nil {
		return x.send(data, epoch)
	}
	return bridge.ExchangeOver
}

func (e *exchanges) Await(number uint64, what bridge.Awaited, w *bridge.Waiter, leads bool) uint64 {
	if x := e.get(number); x != nil {
		waiter := x.await(what, w, leads)
		processors(x.threads())
		return waiter
	}
	return 0
}

func (e *exchanges) Lead(number, waiter uint64) int {
	if x := e.get(number); x != nil {
		return x.lead(waiter)
	}
	return bridge.LeadWoken
}

func (e *exchanges) Forget(number, waiter uint64) bool {
	x := e.get(number)
	return x != nil && x.forget(waiter)
}

func (e *exchanges) Pass(number uint64) {
	if x := e.get(number); x != nil {
		x.pass()
	}
}

func (e *exchanges) Interrupt(number uint64) {
	if x := e.get(number); x != nil {
		x.interrupt()
	}
}

func (e *exchanges) Shutdown(number uint64, limit time.Duration) {
	if x := e.get(number); x != nil {
		x.shutdown(limit)
	}
}

// Close waits, for linger at most.
func (e *exchanges) Close(number uint64, linger time.Duration) {
	if x := e.get(number); x != nil {
		x.close(linger)
	}
	e.mu.Lock()
	delete(e.all, number)
	e.mu.Unlock()
}
