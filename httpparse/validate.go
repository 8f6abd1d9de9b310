package httpparse

import "bytes"

// What the fields of a head mean together: which body follows, whom the request is for, whether the connection stays.
// Every rule here sees a head whose lines are well-formed. The first broken rule in the order of the bytes is reported;
// rules about what is missing come last.

// fields collects what the field lines say until all are read.
type fields struct {
	host, length, coding, ctype bool
	lengthOff, codeOff          int
	chunked                     bool // the last coding is chunked
	foreign                     int  // offset of a coding we do not know, 0 if none
	closing, alive, upgrading   bool
	upgrade                     bool
}

// accept fills p.Request from the head of n bytes at the start of buf.
func (p *Parser) accept(buf []byte, n int) fault {
	s := &p.scan
	first := int(s.first)
	method, target, ok := p.split.line(buf[first:s.section])
	if !ok {
		// Method, target and version are there, or scanLine would have said so: the line has a word too many.
		return fault{CodeRequestLine, secondSpace(buf, first)}
	}
	r := &p.Request
	*r = Request{Headers: r.Headers, ContentLength: -1, Minor: s.minor, HeadLen: n}
	r.Method = Span{s.first, uint32(len(method))}
	if string(method) == "CONNECT" { // RFC 9110 9.3.6: we are an origin server
		return fault{CodeConnect, first}
	}
	r.HeadMethod = string(method) == "HEAD"
	if f := p.target(buf, Span{r.Method.End() + 1, uint32(len(target))}); f.code != CodeNone {
		return f
	}

	under := s.seen&isUnder != 0
	var fs fields
	kept := 0
	for _, h := range r.Headers { // as scanFields has found them
		name := h.Name.In(buf)
		if under && bytes.IndexByte(name, '_') >= 0 {
			switch {
			case p.forwarder(name):
				r.Forwarder = true
			case p.lim.HeaderMap == HeaderMapRefuse:
				return fault{CodeUnderscore, int(h.Name.Off)}
			case p.lim.HeaderMap == HeaderMapDrop:
				continue
			}
		}
		r.Headers[kept] = h
		kept++
		if f := p.special(&fs, name, h.Value.In(buf), h); f.code != CodeNone {
			return f
		}
	}
	r.Headers = r.Headers[:kept]
	return p.conclude(buf, &fs)
}

// forwarder tells whether a field of this name is to be kept for who knows the peer.
func (p *Parser) forwarder(name []byte) bool {
	for _, n := range p.lim.Forwarder {
		if n == "*" || len(n) == len(name) && equalFold(name, []byte(n)) {
			return true
		}
	}
	return false
}

// secondSpace is where the second SP of a request line is: after it, the version should have been all.
func secondSpace(buf []byte, first int) int {
	i := bytes.IndexByte(buf[first:], ' ') + first + 1
	return bytes.IndexByte(buf[i:], ' ') + i
}

// special looks at the fields that decide about framing, routing and the connection.
func (p *Parser) special(fs *fields, name, value []byte, h Header) fault {
	r, off := &p.Request, int(h.Value.Off)
	switch len(name) {
	case len("Host"):
		if name[0]|0x20 == 'h' && equalLower(name, "host") {
			if fs.host { // RFC 9112 3.2
				return fault{CodeHostRepeated, int(h.Name.Off)}
			}
			fs.host = true
			r.Host = h.Value
			if _, _, ok := splitHost(value); !ok && len(value) > 0 { // RFC 9110 7.2; empty is valid
				return fault{CodeHost, off}
			}
		}
	case len("Expect"):
		if name[0]|0x20 == 'e' && equalLower(name, "expect") && r.Minor == 1 {
			if !equalFold(value, []byte("100-continue")) { // RFC 9110 10.1.1; ignored on 1.0
				return fault{CodeExpect, off}
			}
			r.Expect100 = true
		}
	case len("Upgrade"):
		if name[0]|0x20 == 'u' && equalLower(name, "upgrade") {
			fs.upgrade = fs.upgrade || len(value) > 0
		}
	case len("Connection"):
		if name[0]|0x20 == 'c' && equalLower(name, "connection") {
			fs.connection(value)
		}
	case len("Content-Type"):
		if name[0]|0x20 == 'c' && equalLower(name, "content-type") {
			if fs.ctype { // RFC 9110 5.3: not a list, so at most once
				return fault{CodeContentType, int(h.Name.Off)}
			}
			fs.ctype = true
		}
	case len("Content-Length"):
		if name[0]|0x20 == 'c' && equalLower(name, "content-length") {
			if fs.length { // RFC 9110 8.6 lets us refuse identical repeats
				return fault{CodeContentLengthRepeated, int(h.Name.Off)}
			}
			fs.length, fs.lengthOff = true, off
			v, f := contentLength(value, off)
			r.ContentLength = v
			return f
		}
	case len("Transfer-Encoding"):
		if name[0]|0x20 == 't' && equalLower(name, "transfer-encoding") {
			if r.Minor == 0 { // RFC 9112 6.1: framing on 1.0 cannot be trusted
				return fault{CodeTransferVersion, int(h.Name.Off)}
			}
			if !fs.coding {
				fs.coding, fs.codeOff = true, off
			}
			return fs.transferEncoding(value, off)
		}
	}
	return fault{}
}

// conclude applies the rules that need all fields.
func (p *Parser) conclude(buf []byte, fs *fields) fault {
	r := &p.Request
	end := r.HeadLen - len("\r\n") // where a missing field would have stood
	switch {
	case fs.coding && fs.length: // RFC 9112 6.3: an attempt to smuggle
		return fault{CodeFraming, max(fs.codeOff, fs.lengthOff)}
	case fs.foreign > 0: // RFC 9112 6.1
		return fault{CodeTransferCoding, fs.foreign}
	case !fs.host && r.Minor == 1: // RFC 9112 3.2
		return fault{CodeHostMissing, end}
	}
	r.Chunked = fs.coding
	if r.Form == Absolute { // RFC 9112 3.2.2
		if fs.host && !sameAuthority(r.Host.In(buf), r.Authority.In(buf), buf[r.Target.Off+4]|0x20 == 's') {
			return fault{CodeHostMismatch, int(r.Host.Off)}
		}
		r.Host = r.Authority
	}
	// RFC 9112 9.3: close always wins; 1.0 stays open only on request.
	r.KeepAlive = !fs.closing && (r.Minor == 1 || fs.alive)
	// RFC 9110 7.8: Upgrade is ignored on 1.0, and without the connection option.
	r.Upgrade = fs.upgrade && fs.upgrading && r.Minor == 1
	return fault{}
}

// connection reads the options of one Connection field, RFC 9110 7.6.1.
func (fs *fields) connection(value []byte) {
	for len(value) > 0 {
		item := value
		if i := bytes.IndexByte(value, ','); i >= 0 {
			item, value = value[:i], value[i+1:]
		} else {
			value = nil
		}
		item = trimOWS(item)
		switch len(item) {
		case len("close"):
			fs.closing = fs.closing || equalLower(item, "close")
		case len("keep-alive"):
			fs.alive = fs.alive || equalLower(item, "keep-alive")
		case len("upgrade"):
			fs.upgrading = fs.upgrading || equalLower(item, "upgrade")
		}
	}
}

// contentLength reads RFC 9110 8.6: Content-Length = 1*DIGIT. No sign, no list, and no number near an overflow.
func contentLength(value []byte, off int) (int64, fault) {
	if len(value) == 0 {
		return -1, fault{CodeContentLength, off}
	}
	var v int64
	for i, c := range value {
		if class[c]&isDigit == 0 {
			if c == ',' {
				return -1, fault{CodeContentLengthRepeated, off + i}
			}
			return -1, fault{CodeContentLength, off + i}
		}
		if i < maxLengthDigits {
			v = v*10 + int64(c-'0')
		}
	}
	if len(value) > maxLengthDigits {
		return -1, fault{CodeContentLengthSize, off}
	}
	return v, fault{}
}

const maxLengthDigits = 18

// transferEncoding reads one field's list of codings, RFC 9112 6.1. Only chunked is known, once and last; a list
// element must not be empty.
func (fs *fields) transferEncoding(value []byte, off int) fault {
	for {
		item := value
		i := bytes.IndexByte(value, ',')
		if i >= 0 {
			item = value[:i]
		}
		at := off + len(item) - len(trimStart(item))
		item = trimOWS(item)
		name, _ := token(item)
		switch {
		case fs.chunked: // chunked twice, or something behind it
			return fault{CodeTransferEncoding, at}
		case equalLower(item, "chunked"):
			fs.chunked = true
		case name == 0 || name < len(item) && trimStart(item[name:])[0] != ';', // token *( OWS ";" OWS parameter )
			equalLower(item[:name], "chunked"): // has no parameters, RFC 9112 7.1
			return fault{CodeTransferEncoding, at}
		case fs.foreign == 0:
			fs.foreign = at
		}
		if i < 0 {
			return fault{}
		}
		value, off = value[i+1:], off+i+1
	}
}

func trimStart(b []byte) []byte {
	for len(b) > 0 && isOWS(b[0]) {
		b = b[1:]
	}
	return b
}
