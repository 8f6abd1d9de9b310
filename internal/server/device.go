package server

import "github.com/gowsgi/gowsgi/internal/m2device"

// Device runs one of Mongrel2's devices if the arguments ask for it, which `python -m gowsgi.m2wsgi.device.NAME` writes.
// Nothing of Python is started.
func Device(args []string) (status int, ok bool) {
	if len(args) == 0 || args[0] != m2device.Command {
		return 0, false
	}
	return m2device.Main(args[1:]), true
}
