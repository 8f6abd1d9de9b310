"""What a tree of processes used: CPU time and memory, from /proc."""

import os
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def stat(pid):
    """The fields of /proc/PID/stat behind the name, which may itself hold blanks and parentheses; None when gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def tree(pid):
    """The process and its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        fields = stat(name) if name.isdigit() else None
        if fields:
            children.setdefault(int(fields[1]), []).append(int(name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def cpu(pid):
    """(user, system) seconds of the tree so far, with the children its members have reaped.

    The sum comes from each process's CPU clock, which counts nanoseconds; /proc/PID/stat only tells how it splits,
    which the kernel samples at its tick (an error of some percent per run: compare medians).
    """
    user = system = 0.0
    for one in tree(pid):
        fields = stat(one)
        if not fields:
            continue
        own_user, own_system, reaped_user, reaped_system = (int(f) / TICKS for f in fields[11:15])
        try:
            # The kernel's own encoding of a process's CPU clock, the one clock_getcpuclockid(3) returns.
            total = time.clock_gettime((~one << 3) | 2)
        except OSError:
            total = own_user + own_system
        share = own_user / (own_user + own_system) if own_user + own_system else 0.5
        user += total * share + reaped_user
        system += total * (1 - share) + reaped_system
    return user, system


def pss(pid):
    """Bytes resident, pages shared with others counted in proportion; summed over the tree."""
    total = 0
    for one in tree(pid):
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
        except (OSError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
    return total


def threads(pid):
    return sum(len(os.listdir(f"/proc/{one}/task")) for one in tree(pid) if os.path.exists(f"/proc/{one}/task"))
