// Command embedpy is a helper of the tests: it becomes the Python it is given and runs one piece of code.
//
//	embedpy PYTHON CODE [ARG...]
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/gowsgi/gowsgi/bridge/internal/cpy"
)

func init() {
	runtime.LockOSThread() // main stays on the main OS thread
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "embedpy:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) < 3 {
		return fmt.Errorf("usage: embedpy PYTHON CODE [ARG...]")
	}
	i, err := cpy.Locate(os.Args[1], "", "", nil)
	if err != nil {
		return err
	}
	if err := cpy.Start(i, append([]string{"gowsgi"}, os.Args[3:]...)); err != nil {
		return err
	}
	if os.Getenv("EMBEDPY_TWICE") != "" {
		return cpy.Start(i, nil)
	}
	if got := cpy.Version(); got>>16 != i.HexVersion>>16 {
		return fmt.Errorf("the library is %#x, the interpreter %#x", got, i.HexVersion)
	}
	// The GIL is free after Start: another thread can take it.
	done := make(chan bool)
	go func() { done <- cpy.Run("import threading; other_thread = threading.get_ident()") }()
	if !<-done {
		return fmt.Errorf("code on another thread failed")
	}
	if !cpy.Run(os.Args[2]) {
		return fmt.Errorf("the code failed")
	}
	if !cpy.Finish() {
		return fmt.Errorf("the end of Python failed")
	}
	if cpy.Finish() {
		return fmt.Errorf("the second end of Python succeeded")
	}
	return nil
}
