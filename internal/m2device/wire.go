package m2device

import (
	"bytes"
	"strconv"

	"github.com/gowsgi/gowsgi/internal/mongrel2"
)

// request is a message of Mongrel2's, and what devices want to know of its headers. Of a field that comes more than once the
// last one counts: Mongrel2's own stand behind what a client may have put into its path.
type request struct {
	mongrel2.Message
	method  string
	credits string // what the client may be sent, or has taken; "": it does not say
	started string // the file that the body comes by
	done    string // the same, in the second message of an upload
	streams bool   // the body is streamed: this is its first part, or another one
	whole   bool   // it is the last
	sized   bool   // the client has said how long the body is, and that there is one
}

func parseRequest(b []byte) (r request, err error) {
	if r.Message, err = mongrel2.Parse(b); err != nil {
		return r, err
	}
	var d mongrel2.Decoder
	_ = d.Headers(r.Headers, r.Dict, &r) // they are the handler's to judge
	return r, nil
}

// Field implements mongrel2.Sink.
func (r *request) Field(name, value []byte) error {
	switch string(name) {
	case "METHOD":
		r.method = string(value)
	case creditField:
		r.credits = string(value)
	case "UPLOAD_STREAM":
		r.streams = true
	case "UPLOAD_STREAM_DONE":
		r.whole = true
	case "content-length":
		n, err := strconv.ParseInt(string(value), 10, 64)
		r.sized = err == nil && n > 0
	case "x-mongrel2-upload-start":
		r.started = string(value)
	case "x-mongrel2-upload-done":
		r.done = string(value)
	}
	return nil
}

// headers are all of them by name.
type headers map[string]string

// Field implements mongrel2.Sink.
func (h headers) Field(name, value []byte) error {
	h[string(name)] = string(value)
	return nil
}

func (r *request) all() (map[string]string, error) {
	var d mongrel2.Decoder
	all := headers{}
	return all, d.Headers(r.Headers, r.Dict, all)
}

// answer is a message to the client, with data; without any it is hung up on.
func (r *request) answer(data []byte) []byte {
	return append(mongrel2.AppendAnswer(nil, r.Sender, r.ID), data...)
}

// notice tells whether this is no request but something about a connection.
func (r *request) notice() bool { return string(r.Path) == mongrel2.PathAside }

// gone tells whether a notice says that the client has gone.
func (r *request) gone() bool { return bytes.Contains(r.Body, []byte(`"disconnect"`)) }

// part tells whether this is no request but a part of a body that is streamed; the first comes with the request.
func (r *request) part() bool { return r.streams && r.method == "" }

// frame tells whether this is a frame of a WebSocket.
func (r *request) frame() bool { return r.method == "WEBSOCKET" }

// grows tells whether more of the body of this request is to come.
func (r *request) grows() bool {
	if r.streams {
		return !r.whole
	}
	return len(r.Body) == 0 && r.started != "" && r.done == ""
}

// finishedBy tells whether another message says that the file is complete that this request's body comes by.
func (r *request) finishedBy(other request) bool {
	return r.started != "" && other.done == r.started && other.started == r.started
}

// leftover tells whether this is the end of an upload whose request does not need it: it was given to a handler when it began.
func (r *request) leftover() bool {
	return len(r.Body) == 0 && r.sized && r.started != "" && r.done == r.started
}

// letGo is an answer for a client whose body comes in parts that nobody will ask for: Mongrel2 gets credits for all of it,
// and finds the connection closed. Else it would wait for them for ever, with the client's descriptor.
func (r *request) letGo() []byte {
	return mongrel2.AppendControl(nil, r.Sender, r.ID, mongrel2.Control{Credits: 1 << 30})
}

// head tells whether the answer has no body.
func (r *request) head() bool { return r.method == "HEAD" }
