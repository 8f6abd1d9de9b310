package cpy

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestSysmonIsSlow: a thread of Go's has the long timer slack, sysmon, and the one that the process began with has its own.
func TestSysmonIsSlow(t *testing.T) {
	const long = "5000000"
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	slow := 0
	for _, task := range tasks {
		slack, err := os.ReadFile(fmt.Sprintf("/proc/%s/timerslack_ns", task.Name()))
		if err != nil {
			t.Skip(err) // of other threads only root may ask
		}
		if strings.TrimSpace(string(slack)) != long {
			continue
		}
		slow++
		if task.Name() == fmt.Sprint(os.Getpid()) {
			t.Error("the first thread kept it")
		}
	}
	if slow == 0 {
		t.Error("no thread has it")
	}
}
