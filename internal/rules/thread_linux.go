//go:build race || asan || gowsgi_rules

package rules

import "golang.org/x/sys/unix"

// thread names the calling OS thread.
func thread() int { return unix.Gettid() }
