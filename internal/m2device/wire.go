package m2device

import (
	"bytes"

	"github.com/gowsgi/gowsgi/internal/mongrel2"
)

// request is a message of Mongrel2's, and what devices want to know of its headers. Of a field that comes more than once the
// last one counts: Mongrel2's own stand behind what a client may have put into its path.
type request struct {
	mongrel2.Message
	method   string
	credits  string // what the client may be sent, or has taken; "": it does not say
	uploaded bool   // the second message of an upload
	streams  bool   // this is a part of a body that is streamed
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
	case "x-mongrel2-upload-done":
		r.uploaded = true
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

// continues tells whether this belongs to the request before it: the end of an upload, a part of one, a frame.
func (r *request) continues() bool { return r.streams || r.uploaded || r.method == "WEBSOCKET" }

// head tells whether the answer has no body.
func (r *request) head() bool { return r.method == "HEAD" }
