package cpy

/*
#include "shim.h"
#cgo nocallback gw_sysmon_made
*/
import "C"

// On the thread that Go has begun on, before main; the one that imports the shared object is PyInit__gowsgi's.
func init() { C.gw_sysmon_made() }
