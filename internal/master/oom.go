package master

// Whether the kernel has ended processes for want of memory: the control group counts them, and SIGKILL alone does not tell.

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const memoryIsOut = "was killed by the system, as memory had run out (SIGKILL)"

// oomCounter returns what tells how many processes of this one's control group the kernel has ended for that; -1: not known. root is
// where the control groups are mounted, and groups what /proc/self/cgroup says.
func oomCounter(root string, groups []byte) func() int {
	for lines := bufio.NewScanner(bytes.NewReader(groups)); lines.Scan(); {
		parts := strings.SplitN(lines.Text(), ":", 3) // number, controllers, path
		if len(parts) < 3 {
			continue
		}
		var folder, name string
		switch parts[1] {
		case "":
			folder, name = root, "memory.events"
		case "memory":
			folder, name = filepath.Join(root, "memory"), "memory.oom_control"
		default:
			continue
		}
		// In a container the path may be that outside of it.
		for _, path := range []string{filepath.Join(folder, parts[2], name), filepath.Join(folder, name)} {
			if oomKills(path) >= 0 {
				return func() int { return oomKills(path) }
			}
		}
	}
	return func() int { return -1 }
}

// oomKills reads the count from a file of either version of control groups.
func oomKills(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return -1
	}
	for _, line := range strings.Split(string(text), "\n") {
		if number, is := strings.CutPrefix(line, "oom_kill "); is {
			if n, err := strconv.Atoi(number); err == nil {
				return n
			}
		}
	}
	return -1
}

// watchMemory counts from now on.
func (m *Master) watchMemory() {
	groups, _ := os.ReadFile("/proc/self/cgroup")
	m.oomKills = oomCounter("/sys/fs/cgroup", groups)
	m.oomSeen = m.oomKills()
}

// ranOut reports whether processes were ended for want of memory since it was asked last.
func (m *Master) ranOut() bool {
	last := m.oomSeen
	m.oomSeen = m.oomKills()
	return m.oomSeen > last
}
