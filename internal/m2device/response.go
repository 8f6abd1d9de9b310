package m2device

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/gowsgi/gowsgi/httpparse"
)

// progress follows a response, to know when its handler has done with a request.
type progress struct {
	noBody  bool // the request was a HEAD
	head    []byte
	state   int8
	body    httpparse.Body
	upgrade bool // the connection is the handler's from now on
}

// States of a response.
const (
	inHead = int8(iota)
	inBody
	toClose // or in a form that is not understood
	complete
)

const maxHead = 64 << 10

var bodyLimits = httpparse.DefaultLimits()

// feed takes what was sent.
func (p *progress) feed(b []byte) {
	for len(b) > 0 && p.state < toClose {
		if p.state == inHead {
			b = p.feedHead(b)
			continue
		}
		_, n, err := p.body.Feed(b)
		if err != nil || n == 0 && !p.body.Done() {
			p.state = toClose
			return
		}
		b = b[n:]
		if p.body.Done() {
			p.state = complete
		}
	}
}

// feedHead takes bytes of the head, and returns those behind it.
func (p *progress) feedHead(b []byte) []byte {
	before := len(p.head)
	p.head = append(p.head, b...)
	from := max(0, before-3)
	i := bytes.Index(p.head[from:], []byte("\r\n\r\n"))
	if i < 0 {
		if len(p.head) > maxHead {
			p.state, p.head = toClose, nil
		}
		return nil
	}
	end := from + i + 4
	rest := b[end-before:]
	p.begin(string(p.head[:end]))
	p.head = nil
	return rest
}

// begin reads a head that is complete.
func (p *progress) begin(head string) {
	lines := strings.Split(head, "\r\n")
	words := strings.SplitN(lines[0], " ", 3)
	status := 0
	if len(words) > 1 && strings.HasPrefix(words[0], "HTTP/") {
		status, _ = strconv.Atoi(words[1])
	}
	if status < 100 {
		p.state = toClose
		return
	}
	if status == 101 {
		p.state, p.upgrade = complete, true
		return
	}
	if status < 200 {
		return // the response is still to come
	}
	if p.noBody || status == 204 || status == 304 {
		p.state = complete
		return
	}
	length := int64(-1)
	chunked := false
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "content-length"):
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				length = n
			}
		case strings.EqualFold(name, "transfer-encoding"):
			chunked = chunked || strings.EqualFold(value, "chunked")
		}
	}
	switch {
	case chunked:
		p.body.Init(&httpparse.Request{Chunked: true}, &bodyLimits)
		p.state = inBody
	case length == 0:
		p.state = complete
	case length > 0:
		p.body.Init(&httpparse.Request{ContentLength: length}, &bodyLimits)
		p.state = inBody
	default:
		p.state = toClose
	}
}
