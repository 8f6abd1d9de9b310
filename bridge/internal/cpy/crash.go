package cpy

/*
#include "shim.h"
#include "shim_int.h"
#cgo nocallback gw_crash_go_began
*/
import "C"

// Go has taken its signals, and Python has not begun.
func init() { C.gw_crash_go_began() }

// watchCrashes is what support.py does when Python is up; for tests.
func watchCrashes(fd int) { C.gw_crash_watch(C.int(fd)) }
