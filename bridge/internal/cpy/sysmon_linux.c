/*
 * sysmon_linux.c: Go's monitor thread, kept from looking too often. Before any thread of Go's, and on the thread it begins on.
 *
 * sysmon sleeps 20 µs at a time for a while after each thing it finds to do, and a thread that has been in a call to C for
 * 10 ms is one: with calls that block now and then it woke up 4,000 times a second, which took a tenth of the CPU, and as
 * much where requests compute for long. What it does for us is not urgent (see GOMAXPROCS in internal/server/command.go). A
 * thread has its timer slack from the one that makes it, and sysmon is the first thread that Go makes: it gets one that
 * lets the kernel put its wake-ups together with others.
 */
#include "shim.h"

#include <sys/prctl.h>

static const unsigned long slack_ns = 5000000;
static int before;

/* In the binary all constructors run before Go starts; in the shared object Go starts in one, of the usual, later, priority. */
__attribute__((constructor(101))) static void make_sysmon_slow(void) {
	before = prctl(PR_GET_TIMERSLACK);
	if (before > 0) /* else a real-time thread, which has none */
		prctl(PR_SET_TIMERSLACK, slack_ns);
}

void gw_sysmon_made(void) {
	if (before > 0 && prctl(PR_GET_TIMERSLACK) == (int)slack_ns)
		prctl(PR_SET_TIMERSLACK, (unsigned long)before);
}
