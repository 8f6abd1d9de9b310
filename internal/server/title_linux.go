package server

// The title of a process, as ps shows it: the memory of its arguments, and its name.

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
)

func init() {
	for i := range os.Args { // they are that memory
		os.Args[i] = strings.Clone(os.Args[i])
	}
}

// setTitle: kind is master or worker, "" for a process that is neither. Where the command line was shorter, the end is cut off.
// It is for looking at, so nobody hears of errors.
func setTitle(kind string, cfg *config.Config) {
	name := cfg.ProcName
	if name == "" {
		name = cfg.App
	}
	program := "gowsgi"
	if kind != "" {
		program += ": " + kind
	}
	_ = os.WriteFile(fmt.Sprintf("/proc/self/task/%d/comm", os.Getpid()), []byte(program), 0)
	overwriteArguments(fmt.Sprintf("%s [%s]", program, name))
}

func overwriteArguments(title string) {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])) // from the third on
	const start, end = 48 - 3, 49 - 3
	if len(fields) <= end {
		return
	}
	from, err := strconv.ParseInt(fields[start], 10, 64)
	to, err2 := strconv.ParseInt(fields[end], 10, 64)
	if err != nil || err2 != nil || from <= 0 || to-from < 2 || to-from > 1<<20 {
		return
	}
	area := make([]byte, to-from) // which ends in a NUL, else the kernel reads on
	copy(area[:len(area)-1], title)
	// Not by /proc/self/mem, which belongs to root where a process has become another user.
	mine := []unix.Iovec{{Base: &area[0]}}
	mine[0].SetLen(len(area))
	_, _ = unix.ProcessVMWritev(os.Getpid(), mine, []unix.RemoteIovec{{Base: uintptr(from), Len: len(area)}}, 0)
}
