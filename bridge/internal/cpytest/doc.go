// Package cpytest holds what tests of bridge/internal/cpy need and cgo does not allow in that directory: the comparison
// of the API table with real Python headers, and a helper program that embeds one Python per run.
package cpytest
