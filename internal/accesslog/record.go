// Package accesslog turns finished requests into lines of the access log: gunicorn's format language compiled once into
// a list of appenders, JSON as the other form, and a writer that keeps lines whole.
//
// A Format is compiled at start and then shared by every thread; appending a line allocates nothing. Everything that
// comes from a client is escaped, so that no request can end its line, close a quotation or pose as another field.
package accesslog

import "time"

// Lookup finds a header or an environ variable. It is asked for header names in lower case, and for environ names as
// WSGI spells them; the bytes only have to live until the line is made.
type Lookup interface {
	Lookup(name string) (value []byte, ok bool)
}

// Record is what is known about one finished request; unknown fields stay empty. A caller that logs many requests keeps
// one Record and fills it again, since a local variable would be allocated for each line.
type Record struct {
	RemoteAddr []byte // address of the client without its port
	RemoteUser []byte // who the server says it is; when empty, the name in a Basic Authorization header
	Method     []byte
	Target     []byte // as it stood in the request line
	Path       []byte
	Query      []byte // without its question mark
	Proto      string // HTTP/1.1

	Status        int
	ResponseBytes int64 // of the body, as sent; of a WebSocket's frames; all that went over a socket the application took
	Counted       bool  // it was a WebSocket, or such a socket
	ReceivedBytes int64 // then: by that
	Start         time.Time
	Duration      time.Duration
	Pid           int
	RequestID     []byte // only if requests have one

	RequestHeader  Lookup
	ResponseHeader Lookup
	Environ        Lookup
}

func lookup(l Lookup, name string) []byte {
	if l == nil {
		return nil
	}
	value, _ := l.Lookup(name)
	return value
}
