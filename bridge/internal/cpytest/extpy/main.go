// Command extpy is a helper of the tests, built with -buildmode=c-shared: nothing but the module _gowsgi.
package main

import _ "github.com/gowsgi/gowsgi/bridge/internal/cpy"

func main() {}
