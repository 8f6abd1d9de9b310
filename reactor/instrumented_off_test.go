//go:build !race && !asan

package reactor

const instrumented = false
