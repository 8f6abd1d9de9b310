package m2device

import (
	"bytes"
	"strconv"
)

// flow is what Mongrel2 has said a client may still be sent (download.flow_control). It says so with the first request of a connection
// only, and from then on what has been taken; a handler that is given a later one is told by the dispatcher where that stands.
type flow struct {
	told    bool
	credits int64
	knows   *handler // who has followed it so far
}

const creditField = "DOWNLOAD_CREDITS"

// begins notes what a request says.
func (f *flow) begins(r request) {
	if n, err := strconv.ParseInt(r.credits, 10, 32); err == nil {
		f.told, f.credits, f.knows = true, n, nil
	}
}

// taken notes what the client has taken.
func (f *flow) taken(r request) {
	if n, err := strconv.ParseInt(r.credits, 10, 32); err == nil && n > 0 {
		f.credits += n
	}
}

func (f *flow) sent(body []byte) { f.credits -= int64(len(body)) }

// introduce is the message that begins a request, for a handler which has not had the client's last one with what it may send.
func (f *flow) introduce(h *handler, r request, message []byte) []byte {
	known := f.knows == h
	f.knows = h
	if !f.told || known || r.credits != "" {
		return message
	}
	return r.with(creditField, strconv.FormatInt(max(f.credits, 0), 10))
}

// with is the message with one more header. The last one of a name counts.
func (r request) with(name, value string) []byte {
	headers := bytes.TrimRight(r.Headers, " \r\n\t")
	tag := byte(',')
	if r.Dict {
		tag = '}'
		headers = appendNetstring(appendNetstring(headers[:len(headers):len(headers)], name), value)
	} else if n := len(headers); n > 2 && headers[n-1] == '}' {
		headers = append(headers[:n-1:n-1], `,"`+name+`":"`+value+`"}`...)
	}
	out := make([]byte, 0, len(r.Sender)+len(r.Path)+len(headers)+len(r.Body)+64)
	out = append(append(out, r.Sender...), ' ')
	out = append(strconv.AppendUint(out, r.ID, 10), ' ')
	out = append(append(out, r.Path...), ' ')
	out = strconv.AppendInt(out, int64(len(headers)), 10)
	out = append(append(append(out, ':'), headers...), tag)
	return appendNetstring(out, string(r.Body))
}

func appendNetstring(to []byte, text string) []byte {
	to = strconv.AppendInt(to, int64(len(text)), 10)
	return append(append(append(to, ':'), text...), ',')
}
