//go:build !linux

package crew

import "time"

// parker lets one thread wait for a token, which any thread gives.
type parker struct{ token chan struct{} }

func newParker() *parker { return &parker{make(chan struct{}, 1)} }

// wait takes the token.
func (p *parker) wait() { <-p.token }

// give gives the token, if there is none.
func (p *parker) give() {
	select {
	case p.token <- struct{}{}:
	default:
	}
}

// pause waits for pauseFor.
func pause() { time.Sleep(pauseFor) }

// threadCPU stands for the CPU time of the calling thread: it is taken to compute all the time.
func threadCPU() int64 { return time.Now().UnixNano() }
