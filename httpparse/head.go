package httpparse

import "bytes"

// The incremental search for the end of a head, and for the fields in it. It looks at every byte once, in the order of
// arrival, and refuses what no later byte can make good: so garbage does not hold a connection open until a deadline,
// and wildcat, which runs only on a complete head, never sees a request line it would stumble over.
//
// Nearly every head comes whole, and then its fields are known by the time the end is found. If the field section came
// in pieces, it is read once more when it is complete: so a connection that waits for the rest keeps a State of fixed
// size and no spans, and no byte is looked at more than twice, however small the pieces.
//
// A fault found here depends only on the bytes before it, never on how they were cut into calls. Therefore limits cut
// the bytes a rule may look at *before* it looks.

const (
	phaseStart uint8 = iota // nothing but perhaps an empty line
	phaseLine               // in the request line
	phaseField              // in a field line, or in the empty line at the end
)

// maxMethod bounds the method. The longest registered one, UPDATEREDIRECTREF, has 17.
const maxMethod = 32

// scanHead is the length of the head, or 0 when it is not complete; then p.scan says where to go on.
func (p *Parser) scanHead(buf []byte) (int, fault) {
	s := &p.scan
	full := len(buf) >= p.lim.Head
	if full {
		buf = buf[:p.lim.Head]
	}
	if len(buf) == 0 {
		return 0, fault{}
	}
	resumed := s.phase == phaseField // then scanFields does not see all fields
	if s.phase == phaseStart {
		// RFC 9112 2.2: at least one empty line before the request line should be ignored. One, not a flood.
		if buf[0] == '\r' {
			if len(buf) < 2 {
				return 0, p.more(full)
			}
			if buf[1] != '\n' {
				return 0, fault{CodeBareCR, 0}
			}
			s.pos, s.line, s.first = 2, 2, 2
		}
		s.phase = phaseLine
	}
	if s.phase == phaseLine {
		done, f := p.scanLine(buf)
		if f.code != CodeNone {
			return 0, f
		}
		if !done {
			return 0, p.more(full)
		}
		s.phase, s.section = phaseField, s.line
	}
	n, f := p.scanFields(buf)
	switch {
	case n == 0 && f.code == CodeNone:
		return 0, p.more(full)
	case n > 0 && resumed: // the same bytes again, and so no fault
		s.pos, s.line, s.sep, s.fields = s.section, s.section, 0, 0
		return p.scanFields(buf)
	}
	return n, f
}

// more asks for more bytes, unless the head already has all the bytes it may have.
func (p *Parser) more(full bool) fault {
	switch {
	case !full:
		return fault{}
	case p.scan.phase == phaseField:
		return fault{CodeHeadSize, p.lim.Head}
	}
	return fault{CodeRequestLineSize, p.lim.Head}
}

// lineEnd looks at the byte that ended a run of good bytes at pos. With done, it is the CR of a CRLF. Without, and
// without a fault, the line goes on in bytes to come. size is the code for a line with a byte at limit.
func lineEnd(buf []byte, pos, limit int, size Code) (done bool, f fault) {
	if pos == len(buf) {
		return false, fault{}
	}
	switch c := buf[pos]; {
	case c == '\r': // RFC 9112 2.2
		if pos+1 == len(buf) {
			return false, fault{}
		}
		if buf[pos+1] != '\n' {
			return false, fault{CodeBareCR, pos}
		}
		return true, fault{}
	case c == '\n': // RFC 9112 2.2 lets a server take it for a line end: two readings of one message
		return false, fault{CodeBareLF, pos}
	case pos >= limit:
		return false, fault{size, limit}
	}
	return false, fault{CodeControl, pos} // RFC 9110 5.5
}

// scanLine checks the request line: the method as it comes, the version when the line is complete. The target waits
// for target.go, except for control bytes.
func (p *Parser) scanLine(buf []byte) (done bool, f fault) {
	s := &p.scan
	line, pos := int(s.line), int(s.pos)
	limit := line + p.lim.RequestLine
	stop := min(len(buf), limit)

	if s.sep == 0 { // RFC 9110 9.1: method = token
		n, _ := token(buf[pos:min(stop, line+maxMethod)])
		pos += n
		switch {
		case pos == len(buf) || pos == limit:
		case buf[pos] == ' ' && pos > line:
			s.sep = uint32(pos)
		case class[buf[pos]]&isTchar != 0:
			return false, fault{CodeMethodSize, pos}
		case buf[pos] != '\r' && buf[pos] != '\n' || pos == line:
			return false, fault{CodeMethod, pos}
		}
	}
	if s.sep != 0 {
		pos += visibleLen(buf[pos:stop])
	}
	s.pos = uint32(pos)
	done, f = lineEnd(buf, pos, limit, CodeRequestLineSize)
	if !done {
		return false, f
	}
	if s.sep == 0 {
		return false, fault{CodeRequestLine, pos}
	}
	s.minor, f = version(buf[:pos], line, int(s.sep))
	s.line, s.sep = uint32(pos+2), 0
	s.pos = s.line
	return true, f
}

// version reads the end of a request line. RFC 9112 2.3: HTTP-version = "HTTP/" DIGIT "." DIGIT, case-sensitive. RFC 9110
// 2.5: a higher minor version than we know is one we can read, as what we know; so 1.2 is 1.1.
func version(text []byte, line, sep int) (uint8, fault) {
	if n := len(text); n-sep > 10 { // SP, target, SP, version
		switch string(text[n-9:]) {
		case " HTTP/1.1":
			return 1, fault{}
		case " HTTP/1.0":
			return 0, fault{}
		}
		if string(text[n-9:n-1]) == " HTTP/1." && class[text[n-1]]&isDigit != 0 {
			return 1, fault{}
		}
	}
	at := bytes.LastIndexByte(text, ' ') + 1
	v := text[at:]
	switch {
	case at-1 <= sep, at == len(text): // HTTP/0.9, which has no version, or something that is not HTTP at all
		return 0, fault{CodeRequestLine, len(text)}
	case len(v) != 8 || string(v[:5]) != "HTTP/" || class[v[5]]&isDigit == 0 || v[6] != '.' || class[v[7]]&isDigit == 0:
		return 0, fault{CodeVersion, at}
	case string(text[line:]) == "PRI * HTTP/2.0": // RFC 9113 3.4
		return 0, fault{CodeHTTP2, at}
	case v[5] == '1': // the version is fine, so the target is missing
		return 0, fault{CodeRequestLine, at - 1}
	}
	return 0, fault{CodeVersionUnsupported, at}
}

// scanFields checks field lines up to the empty line that ends the head, and returns the head's length. p.Headers are
// the lines that ended in this call.
func (p *Parser) scanFields(buf []byte) (int, fault) {
	s := &p.scan
	line, pos, sep := int(s.line), int(s.pos), int(s.sep)
	before := int(s.fields)
	p.Headers = p.Headers[:0]
	for pos < len(buf) {
		if c := buf[pos]; pos == line && before+len(p.Headers) >= p.lim.Fields && c != '\r' && c != '\n' {
			return 0, fault{CodeFieldCount, line}
		}
		limit := line + p.lim.FieldSize - len("\r\n")
		stop := min(len(buf), limit)

		if sep == 0 { // RFC 9112 5: field-line = field-name ":" OWS field-value OWS
			n, seen := token(buf[pos:stop])
			s.seen |= seen
			pos += n
			if pos < stop {
				if c := buf[pos]; c == ':' && pos > line {
					sep = pos
				} else if c != '\r' && c != '\n' {
					return 0, badName(c, line, pos)
				}
			}
		}
		if sep != 0 {
			pos += valueLen(buf[pos:stop])
		}
		done, f := lineEnd(buf, pos, limit, CodeFieldSize)
		if f.code != CodeNone {
			return 0, f
		}
		if !done {
			break
		}
		if pos == line {
			return pos + 2, fault{}
		}
		if sep == 0 {
			return 0, fault{CodeFieldColon, pos}
		}
		p.Headers = append(p.Headers, Header{
			Name:  Span{uint32(line), uint32(sep - line)},
			Value: trimSpan(buf, sep+1, pos),
		})
		pos += 2
		line, sep = pos, 0
	}
	s.fields = uint32(before + len(p.Headers))
	s.line, s.pos, s.sep = uint32(line), uint32(pos), uint32(sep)
	return 0, fault{}
}

// trimSpan is the span from start to end without OWS at its ends, RFC 9112 5.1. An empty one is at end.
func trimSpan(buf []byte, start, end int) Span {
	for start < end && isOWS(buf[start]) {
		start++
	}
	for start < end && isOWS(buf[end-1]) {
		end--
	}
	return Span{uint32(start), uint32(end - start)}
}

// badName says what is wrong with a field name that is not a token, but for its byte c at pos.
func badName(c byte, line, pos int) fault {
	switch {
	case isOWS(c) && pos == line: // RFC 9112 5.2, and 2.2 for the line after the request line
		return fault{CodeFold, pos}
	case isOWS(c): // RFC 9112 5.1
		return fault{CodeFieldSpace, pos}
	}
	return fault{CodeFieldName, pos}
}
