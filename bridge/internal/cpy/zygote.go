package cpy

/*
#include <unistd.h>
#include "embed.h"

extern char **environ;
static char *variable(int i) { return environ[i]; }
*/
import "C"

import (
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

//go:embed zygote.py
var zygoteSource string

// Zygote is what the process has to be told that workers are forked from; see embed_zygote.c. It is i, and imports the package
// gowsgi from files, which is of that version; nil: it is a program of Python's own, which has the package.
func Zygote(i *Interpreter, files *embed.FS, version string) ([]byte, error) {
	told := map[string]any{"support": supportSource, "late": lateSource, "version": version}
	texts := []string{"", "", "", "", ""}
	if i != nil {
		carried := map[string]string{}
		for _, file := range embedded(*files) {
			carried[file.name] = file.data
		}
		told["files"] = carried
		texts = []string{i.Library, i.Executable, fmt.Sprint(i.HexVersion >> 16), fmt.Sprint(int(i.UTF8Mode)), zygoteSource}
	}
	data, err := json.Marshal(told)
	return append([]byte(strings.Join(texts, "\x00")+"\x00"), data...), err
}

// Begun reports whether Python was started in this process before Go was, or by Start.
func Begun() bool { return C.gw_embed_main_state() != nil }

// TakeEnviron makes the environment that C and Python have that of Go, which only knows what the process was started with.
// Before there are other threads.
func TakeEnviron() error {
	now := map[string]string{}
	for i := C.int(0); C.variable(i) != nil; i++ {
		name, value, _ := strings.Cut(C.GoString(C.variable(i)), "=")
		now[name] = value
	}
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		there, is := now[name]
		if is && there == value {
			delete(now, name)
		} else if !is {
			_ = os.Unsetenv(name)
		}
	}
	for name, value := range now {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}
