package crew

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestParkerSleepsOn: a thread that is woken without a token, as a signal may do it, goes back to sleep. It must not go
// round until there is one, which nobody would notice but by the heat.
func TestParkerSleepsOn(t *testing.T) {
	p := newParker()
	tid := make(chan int)
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		tid <- unix.Gettid()
		p.wait()
		close(done)
	}()
	thread := <-tid

	wake := func() uintptr {
		n, _, _ := syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&p.state)), futexWakePrivate, 1, 0, 0, 0)
		return n
	}
	for deadline := time.Now().Add(20 * time.Second); wake() != 1; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the thread does not wait in the kernel")
		}
	}
	before := ticksOf(t, thread)

	// As much work here as would be seen there: both have a thread, and neither has the right of way.
	runtime.LockOSThread()
	for began := threadCPU(); threadCPU()-began < int64(200*time.Millisecond); {
	}
	runtime.UnlockOSThread()
	if spent := ticksOf(t, thread) - before; spent > 5 {
		t.Errorf("a thread woken for nothing used %d ticks while another used 20", spent)
	}

	p.give()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("the token was lost")
	}
}

// ticksOf is the CPU time of a thread of ours in 1/100 s.
func ticksOf(t *testing.T, thread int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", thread))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		t.Fatalf("%q", text)
	}
	return user + system
}
