package mongrel2

import (
	"errors"
	"unicode/utf8"
)

var errJSON = errors.New("mongrel2: the headers are not JSON as Mongrel2 writes it")

// scanner reads JSON of the kind that headers are. Strings without escapes are parts of the text; the others are put
// together in scratch, one behind the other.
type scanner struct {
	b       []byte
	at      int
	scratch []byte
}

// space goes on to the next byte that is none, and returns it; 0 at the end.
func (s *scanner) space() byte {
	for s.at < len(s.b) {
		switch c := s.b[s.at]; c {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// is consumes c, if it is next.
func (s *scanner) is(c byte) bool {
	if s.space() != c {
		return false
	}
	s.at++
	return true
}

// str reads a string.
func (s *scanner) str() ([]byte, error) {
	if !s.is('"') {
		return nil, errJSON
	}
	from := s.at
	for ; s.at < len(s.b); s.at++ {
		switch s.b[s.at] {
		case '"':
			s.at++
			return s.b[from : s.at-1 : s.at-1], nil
		case '\\':
			return s.escaped(from)
		}
	}
	return nil, errJSON
}

// escaped goes on with a string that began at from, when an escape is next.
func (s *scanner) escaped(from int) ([]byte, error) {
	start := len(s.scratch)
	s.scratch = append(s.scratch, s.b[from:s.at]...)
	for s.at < len(s.b) {
		c := s.b[s.at]
		s.at++
		switch c {
		case '"':
			return s.scratch[start:len(s.scratch):len(s.scratch)], nil
		case '\\':
			if !s.escape() {
				return nil, errJSON
			}
		default:
			s.scratch = append(s.scratch, c)
		}
	}
	return nil, errJSON
}

func (s *scanner) escape() bool {
	if s.at == len(s.b) {
		return false
	}
	c := s.b[s.at]
	s.at++
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		return s.unicode()
	default:
		return false
	}
	s.scratch = append(s.scratch, c)
	return true
}

// unicode appends \uXXXX as UTF-8; halves of a pair have to be together.
func (s *scanner) unicode() bool {
	r, ok := s.hex()
	if !ok {
		return false
	}
	if 0xd800 <= r && r < 0xe000 {
		if r >= 0xdc00 || s.at+2 > len(s.b) || s.b[s.at] != '\\' || s.b[s.at+1] != 'u' {
			return false
		}
		s.at += 2
		low, ok := s.hex()
		if !ok || low < 0xdc00 || low >= 0xe000 {
			return false
		}
		r = (r-0xd800)<<10 + low - 0xdc00 + 0x10000
	}
	s.scratch = utf8.AppendRune(s.scratch, r)
	return true
}

func (s *scanner) hex() (r rune, ok bool) {
	if s.at+4 > len(s.b) {
		return 0, false
	}
	for _, c := range s.b[s.at : s.at+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	s.at += 4
	return r, true
}
