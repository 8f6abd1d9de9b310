package bridge

import (
	"embed"

	"github.com/gowsgi/gowsgi/bridge/internal/cpy"
)

// Zygote is what the process that workers are forked from is told in a file: it becomes the interpreter with the package
// gowsgi from files, of that version; nil, where it is a program of Python's own, which has the package.
func Zygote(i *Interpreter, files *embed.FS, version string) ([]byte, error) {
	return cpy.Zygote(i, files, version)
}

// Begun reports whether Python runs in the program already: this process was forked from one that had started it.
func Begun() bool { return cpy.Begun() }

// TakeEnviron makes the environment that Python has that of Go, which only knows what the process was started with. First of
// all.
func TakeEnviron() error { return cpy.TakeEnviron() }
