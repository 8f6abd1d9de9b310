package crew

import "golang.org/x/sys/unix"

// timerSlack is by how many ns the kernel may be late in ending a sleep or a timeout. Its default is 50 µs, meant for
// machines that save power: of 16 threads that sleep 5 ms it takes a hundredth of all requests.
const timerSlack = 10_000

// Punctual makes the calling OS thread, and those that it starts, wake up in time; the result undoes it for the caller.
func Punctual() (undo func()) {
	before, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || before <= timerSlack { // stricter already, or a real-time thread, which has none
		return func() {}
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, timerSlack, 0, 0, 0)
	return func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(before), 0, 0, 0) }
}
