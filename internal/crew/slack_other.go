//go:build !linux

package crew

// Punctual is for systems whose timers can be late on purpose.
func Punctual() (undo func()) { return func() {} }
