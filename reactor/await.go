package reactor

import "errors"

type Events int
type Awaiter struct{ Fn func(Events) }
var ErrAlwaysReady = errors.New("x")
func (l *Loop) Await(fd int, events Events, a *Awaiter) error { return ErrAlwaysReady }
func (l *Loop) Forget(fd int, a *Awaiter) bool { return true }
func (l *Loop) CancelFD(fd int) []*Awaiter { return nil }
