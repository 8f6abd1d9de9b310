// Command ext is the shared object of the pip package, gowsgi/_gowsgi.so: built with -buildmode=c-shared, loaded by
// Python, which calls PyInit__gowsgi (bridge/internal/cpy/shim_pyinit.c). There is nothing in it but its imports.
package main

import _ "github.com/gowsgi/gowsgi/internal/server"

// main is what the build mode demands; it never runs.
func main() {}
