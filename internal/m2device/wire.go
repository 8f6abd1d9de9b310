package m2device

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Mongrel2's messages, as far as devices look into them.

var errMessage = errors.New("a message that is not of Mongrel2's form")

// request is the head of a message of Mongrel2's: UUID ID PATH headers body.
type request struct {
	server, client []byte
	path           []byte
	headers        []byte // JSON, or a tnetstring
	tagged         bool   // the latter
	body           []byte
}

func parseRequest(b []byte) (r request, err error) {
	var ok [3]bool
	r.server, b, ok[0] = bytes.Cut(b, []byte(" "))
	r.client, b, ok[1] = bytes.Cut(b, []byte(" "))
	r.path, b, ok[2] = bytes.Cut(b, []byte(" "))
	if !ok[0] || !ok[1] || !ok[2] || len(r.server) == 0 || len(r.client) == 0 {
		return r, errMessage
	}
	headers, tag, b, err := netstring(b)
	if err != nil {
		return r, err
	}
	if r.body, _, _, err = netstring(b); err != nil {
		return r, err
	}
	r.headers, r.tagged = headers, tag == '}'
	if !r.tagged && tag != ',' {
		return r, errMessage
	}
	return r, nil
}

// netstring takes one, or a tnetstring, off b.
func netstring(b []byte) (data []byte, tag byte, rest []byte, err error) {
	i := bytes.IndexByte(b, ':')
	if i < 1 || i > 10 {
		return nil, 0, nil, errMessage
	}
	n, err := strconv.ParseUint(string(b[:i]), 10, 40)
	if err != nil || n+1 > uint64(len(b)-i-1) {
		return nil, 0, nil, errMessage
	}
	end := i + 1 + int(n)
	return b[i+1 : end], b[end], b[end+1:], nil
}

// all are the headers by name; of one sent several times, the last.
func (r request) all() (map[string]string, error) {
	if r.tagged {
		return taggedHeaders(r.headers)
	}
	var mixed map[string]any
	if err := json.Unmarshal(r.headers, &mixed); err != nil {
		return nil, errMessage
	}
	out := make(map[string]string, len(mixed))
	for name, value := range mixed {
		if list, ok := value.([]any); ok && len(list) > 0 {
			value = list[len(list)-1]
		}
		if text, ok := value.(string); ok {
			out[name] = text
		} else {
			out[name] = fmt.Sprint(value)
		}
	}
	return out, nil
}

func taggedHeaders(b []byte) (map[string]string, error) {
	out := map[string]string{}
	for len(b) > 0 {
		name, tag, rest, err := netstring(b)
		if err != nil || tag != ',' {
			return nil, errMessage
		}
		value, tag, rest, err := netstring(rest)
		if err != nil {
			return nil, errMessage
		}
		for tag == ']' && len(value) > 0 { // sent several times
			var last []byte
			if last, tag, value, err = netstring(value); err != nil {
				return nil, errMessage
			}
			if len(value) == 0 {
				value = last
			} else {
				tag = ']'
			}
		}
		out[string(name)] = string(value)
		b = rest
	}
	return out, nil
}

// answer is a message to Mongrel2: UUID ids, body.
type answer struct {
	server   []byte
	ids      [][]byte
	body     []byte
	extended bool // the body is no part of a response
}

func parseAnswer(b []byte) (a answer, err error) {
	server, b, ok := bytes.Cut(b, []byte(" "))
	if !ok || len(server) == 0 {
		return a, errMessage
	}
	ids, tag, b, err := netstring(b)
	if err != nil || tag != ',' || len(b) == 0 || b[0] != ' ' {
		return a, errMessage
	}
	a.server, a.body, a.ids = server, b[1:], bytes.Fields(ids)
	if len(a.ids) > 0 && string(a.ids[0]) == "X" {
		a.ids, a.extended = a.ids[1:], true
	}
	return a, nil
}

// appendAnswer writes a message to one client of Mongrel2's.
func appendAnswer(to, server, client, body []byte) []byte {
	to = append(append(to, server...), ' ')
	to = strconv.AppendInt(to, int64(len(client)), 10)
	to = append(append(append(to, ':'), client...), ", "...)
	return append(to, body...)
}

// value is one header, as it came first, or nil. Mongrel2's own names cannot be forged by a client: they are in upper
// case, and quotes in what clients send are escaped.
func (r request) value(name string) []byte {
	if !r.tagged {
		return jsonValue(r.headers, []byte(`"`+name+`"`))
	}
	for b := r.headers; len(b) > 0; {
		key, _, rest, err := netstring(b)
		if err != nil {
			return nil
		}
		value, _, rest, err := netstring(rest)
		if err != nil {
			return nil
		}
		if string(key) == name {
			return value
		}
		b = rest
	}
	return nil
}

// notice tells whether this is no request but something about a connection.
func (r request) notice() bool { return string(r.path) == "@*" }

// gone tells whether a notice says that the client has gone.
func (r request) gone() bool { return bytes.Contains(r.body, []byte(`"disconnect"`)) }

// continues tells whether this belongs to the request before it: the end of an upload, a part of one, a frame.
func (r request) continues() bool {
	return r.streams() || r.value("x-mongrel2-upload-done") != nil || string(r.value("METHOD")) == "WEBSOCKET"
}

// head tells whether the answer has no body.
func (r request) head() bool { return string(r.value("METHOD")) == "HEAD" }

// streams tells whether this is a part of a body that is streamed.
func (r request) streams() bool { return r.value("UPLOAD_STREAM") != nil }

// jsonValue is the text, or number, that follows a quoted name.
func jsonValue(b, quoted []byte) []byte {
	for {
		i := bytes.Index(b, quoted)
		if i < 0 {
			return nil
		}
		b = bytes.TrimLeft(b[i+len(quoted):], " ")
		if len(b) == 0 || b[0] != ':' {
			continue // a value of that text
		}
		v := bytes.TrimLeft(b[1:], " ")
		if len(v) > 0 && v[0] == '"' {
			v, _, _ = bytes.Cut(v[1:], []byte(`"`))
		} else if end := bytes.IndexAny(v, ",} "); end >= 0 {
			v = v[:end]
		}
		return v
	}
}
