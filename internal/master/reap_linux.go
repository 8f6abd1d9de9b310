package master

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// reapEvery is how long a process may be a zombie, at most twice.
const reapEvery = time.Second

// reapOrphans does what is process 1's duty in a container: it ends zombies whose parents have ended before them. Workers are
// waited for elsewhere, at once, so whoever is a zombie at two looks in a row is nobody's.
func reapOrphans() {
	if os.Getpid() != 1 {
		return
	}
	last := map[int]bool{}
	for {
		time.Sleep(reapEvery)
		now := zombies()
		for pid := range now {
			if last[pid] {
				_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
			}
		}
		last = now
	}
}

// zombies are the children of this process that have ended.
func zombies() map[int]bool {
	found := map[int]bool{}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue
		}
		// Behind the program's name, in which anything may stand: state, parent.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) > 1 && fields[0] == "Z" && fields[1] == strconv.Itoa(os.Getpid()) {
			found[pid] = true
		}
	}
	return found
}
