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

// Exchanges are what the native module's m2_… functions work on. The methods come with the GIL and must not wait, but Close
// comes without, and may.
type Exchanges interface {
	Open(options string) (number uint64, err error)
	// Epoch is how often the server has gone, Take's at the time the request was made.
	Epoch(number uint64) uint64
	Take(number uint64) (data []byte, epoch uint64, result int)
	Send(number uint64, data []byte, epoch uint64) (result int)
	// Await has w woken; 0: it would be at once. Forget of the result ends that, and says whether it was an interrupt.
	Await(number uint64, what Awaited, w *Waiter) (waiter uint64)
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

func (e exchanges) Await(number uint64, what cpy.Awaited, w cpy.WSWaiter) uint64 {
	return e.Exchanges.Await(number, what, &Waiter{w})
}
