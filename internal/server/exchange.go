package server

// What the native module has for programs that are handlers of Mongrel2, with a server beside it or without.
import _ "github.com/gowsgi/gowsgi/internal/exchange"
