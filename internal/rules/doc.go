// Package rules checks in builds for tests (-race, -asan, and -tags gowsgi_rules for the others) what no reader can: that
// nobody waits while holding the GIL, and that nobody takes the GIL outside a call that the monitor sees, or with a lock of
// ours in hand. In all other builds it is empty: On is a constant, Mutex is sync.Mutex, and the calls compile to nothing.
//
// Who waits says Waits first: for a futex, a channel, a disk, a socket, in a sleep. Mutex.Lock says so itself when another
// has the lock; a Short may be waited for with the GIL, and nobody who has one may wait. Who takes the GIL says Takes. A
// broken rule is a panic that names it.
package rules
