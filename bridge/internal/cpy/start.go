package cpy

/*
#cgo CFLAGS: -std=gnu11 -O2 -Wall -Wextra -Wno-unused-parameter -Werror=implicit -fvisibility=hidden
#cgo LDFLAGS: -ldl -lpthread
#include <stdlib.h>
#include "embed.h"
*/
import "C"

import (
	"errors"
	"strings"
	"unsafe"
)

// The life of Python in this process. Start and Finish run on the main OS thread, which becomes Python's main thread.

const errSize = 512

var errNoMemory = errors.New("no memory to start Python")

// Start loads the libpython of i and initialises Python as i would be, with argv as sys.argv. The caller is locked to the
// main OS thread; on return the GIL is free. A process can do this once.
func Start(i *Interpreter, argv []string) error {
	if i.Library == "" {
		return errors.New(i.Executable + " has no shared libpython, so it cannot run in this process")
	}
	library, executable := C.CString(i.Library), C.CString(i.Executable)
	block := C.CString(strings.Join(argv, "\x00") + "\x00")
	message := (*C.char)(C.calloc(errSize, 1))
	defer func() {
		for _, p := range []*C.char{library, executable, block, message} {
			C.free(unsafe.Pointer(p))
		}
	}()
	size := 0
	for _, arg := range argv {
		size += len(arg) + 1
	}
	// Before Python, so that its site modules cannot fork a child that takes this one's Go runtime for its own.
	if C.gw_fork_watch() < 0 {
		return errNoMemory
	}
	if C.gw_embed_start(library, executable, C.uint(i.HexVersion>>16), C.int(i.UTF8Mode), block, C.size_t(size), message, errSize) < 0 {
		return errors.New(C.GoString(message))
	}
	return nil
}

// Attach joins the Python that runs in this process already: Python imported us, or started before Go did.
func Attach() error {
	message := (*C.char)(C.calloc(errSize, 1))
	defer C.free(unsafe.Pointer(message))
	if C.gw_embed_attach(message, errSize) < 0 {
		return errors.New(C.GoString(message))
	}
	if C.gw_fork_watch() < 0 {
		return errNoMemory
	}
	return nil
}

// Finish ends a Python that Start started; it reports whether everything was flushed. Same thread as Start.
func Finish() bool {
	return C.gw_embed_finish() == 0
}

// Run runs Python text in __main__; a traceback goes to sys.stderr. It takes the GIL and gives it back.
func Run(code string) bool {
	text := C.CString(code)
	defer C.free(unsafe.Pointer(text))
	return C.gw_embed_run(text) == 0
}

// Version is that of the running Python, as sys.hexversion; 0 before Start or Attach.
func Version() uint32 {
	return uint32(C.gw_py_version)
}

// FreeThreaded reports whether the running Python is a build without a GIL.
func FreeThreaded() bool {
	return C.gw_py_free_threaded != 0
}
