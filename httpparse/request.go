// Package httpparse turns bytes into HTTP/1.x requests and bodies, and checks what goes into a response. It does no
// I/O, knows no clock and starts no goroutine; once its buffers have their size it allocates nothing per request.
//
// It is strict by default: a message that two servers could read in two ways is refused, with the rule, the place and
// the status to answer with. The number of the RFC section stands beside each check.
//
// The way of a head: scan (head.go) checks every byte once as it arrives, enforces the limits, and notes the fields
// until it finds the end; wildcat (wildcat.go) splits the request line of the complete head; accept (validate.go,
// target.go) checks what all these mean together. The way of a body: body.go.
package httpparse

// Span is a run of bytes in the buffer that was given to Parse.
type Span struct{ Off, Len uint32 }

// In is the span's bytes; buf must hold the same bytes as the buffer given to Parse.
func (s Span) In(buf []byte) []byte { return buf[s.Off : s.Off+s.Len : s.Off+s.Len] }

// End is the offset of the first byte after the span.
func (s Span) End() uint32 { return s.Off + s.Len }

// Header is one field line, without the whitespace around its value. It is 16 bytes and holds no pointer, so a
// []Header is handed to C as it is.
type Header struct{ Name, Value Span }

// TargetForm is the form of a request target, RFC 9112 3.2. The authority form is only for CONNECT, which we refuse.
type TargetForm uint8

// The forms we serve.
const (
	Origin   TargetForm = iota // "/path?query"
	Absolute                   // "http://authority/path?query"
	Asterisk                   // "*", only with OPTIONS
)

func (f TargetForm) String() string {
	switch f {
	case Origin:
		return "origin"
	case Absolute:
		return "absolute"
	}
	return "asterisk"
}

// Request is a parsed head. Its spans point into the buffer given to Parse, and it is overwritten by the next Parse.
type Request struct {
	Method, Target Span
	Path, Query    Span // undecoded; Query without its '?'; Path is empty in asterisk form, and for the same in absolute form
	Authority      Span // only in absolute form
	Host           Span // the Host field's value; in absolute form the authority, RFC 9112 3.2.2
	HasQuery       bool // tells "/a?" from "/a"
	Form           TargetForm
	Minor          uint8 // 0 or 1: HTTP/1.0 or HTTP/1.1, as which higher ones are served
	HeadMethod     bool  // the method is HEAD: the response has no body
	Headers        []Header
	Forwarder      bool  // there are fields named in Limits.Forwarder: from whom they may come is for the caller to say
	ContentLength  int64 // -1 when absent
	Chunked        bool
	KeepAlive      bool // by version and Connection, RFC 9112 9.3
	Expect100      bool // the client waits for 100 Continue, RFC 9110 10.1.1
	Upgrade        bool // HTTP/1.1, an Upgrade field, and "upgrade" in Connection, RFC 9110 7.8
	HeadLen        int  // bytes of the head, with the empty line that ends it and one that came before it
}

// HasBody tells whether body bytes follow the head.
func (r *Request) HasBody() bool { return r.Chunked || r.ContentLength > 0 }
