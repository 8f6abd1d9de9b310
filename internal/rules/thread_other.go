//go:build !linux && (race || asan || gowsgi_rules)

package rules

// thread names the calling OS thread; where it has no number all are one, which no lock is counted for.
func thread() int { return 0 }
