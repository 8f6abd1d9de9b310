package bridge

import (
	"time"

	"github.com/gowsgi/gowsgi/bridge/internal/cpy"
)

// Waiter is who waits: a suspended job, or an OS thread.
type Waiter = WebSocketWaiter

// Awaited is what for, at an exchange.
type Awaited = cpy.Awaited

// What is waited for at an exchange: a request; room for answers; that no more requests come.
const (
	AwaitRequest = cpy.AwaitRequest
	AwaitRoom    = cpy.AwaitRoom
	AwaitLeft    = cpy.AwaitLeft
)

// Results of Take and Send. ExchangeNothing: there is no request; the answer is taken, and one should wait before the next.
// ExchangeOutdated: the server has gone since, and the answer is not sent.
const (
	ExchangeOK          = cpy.M2OK
	ExchangeNothing     = cpy.M2Nothing
	ExchangeOver        = cpy.M2Over
	ExchangeInterrupted = cpy.M2Interrupted
	ExchangeOutdated    = cpy.M2Outdated
)

// Results of Lead that are no descriptor: the waiter was woken; another one leads.
const (
	LeadWoken   = cpy.M2LeadWoken
	LeadFollows = cpy.M2LeadFollows
)

// Exchanges are what the native module's m2_… functions work on. The methods come with the GIL and must not wait; but Lead and
// Close come without, and Close may.
type Exchanges interface {
	Open(options string) (number uint64, err error)
	// Epoch is how often the server has gone, Take's at the time the request was made.
	Epoch(number uint64) uint64
	Take(number uint64) (data []byte, epoch uint64, result int)
	Send(number uint64, data []byte, epoch uint64) (result int)
	// Await has w woken; 0: it would be at once. Forget of the result ends that, and says whether it was an interrupt.
	// leads: it is a thread that calls Lead.
	Await(number uint64, what Awaited, w *Waiter, leads bool) (waiter uint64)
	// Lead reads what has come, if no other waiter does: a descriptor, to be waited for before the next call, or Lead….
	// LeadFollows: the waiter is woken for the next call.
	Lead(number, waiter uint64) (fd int)
	Forget(number, waiter uint64) (interrupted bool)
	// Pass has another waiter look for a request, as the one that was woken does not want it any more.
	Pass(number uint64)
	Interrupt(number uint64)
	Shutdown(number uint64, limit time.Duration)
	Close(number uint64, linger time.Duration)
}

// SetExchanges tells who has them. Once.
func SetExchanges(e Exchanges) { cpy.Exchanges = exchanges{e} }

type exchanges struct{ Exchanges }

func (e exchanges) Await(number uint64, what cpy.Awaited, w cpy.WSWaiter, leads bool) uint64 {
	return e.Exchanges.Await(number, what, &Waiter{w}, leads)
}
