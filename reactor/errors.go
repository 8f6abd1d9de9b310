package reactor

// Sentinel errors, for any thread. System call errors are *os.SyscallError with the call's name, so that errors.Is
// finds the errno.

import (
	"errors"
	"os"
	"syscall"
)

var (
	// ErrWouldBlock is returned by Read when nothing is there now.
	ErrWouldBlock = errors.New("reactor: would block")
	// ErrClosed is returned for operations on a connection, listener or loop that is closed or was aborted.
	ErrClosed = errors.New("reactor: closed")
	// ErrFileShort breaks a connection whose queued file ended before the promised length.
	ErrFileShort = errors.New("reactor: file ended before its announced length")
	// ErrStalled is returned by WaitQueued when no byte moved for the stall time.
	ErrStalled = errors.New("reactor: peer takes no data")
	// ErrTimeout is returned by WaitReadable.
	ErrTimeout = errors.New("reactor: timeout")
	// ErrEnded is returned by waits whose Alarm rings.
	ErrEnded = errors.New("reactor: the wait was ended")
)

func sysErr(call string, errno syscall.Errno) error { return os.NewSyscallError(call, errno) }
