package accesslog

import (
	"fmt"
	"strconv"
	"strings"
)

// DefaultFormat is gunicorn's.
const DefaultFormat = `%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"`

// Format is a compiled format.
type Format struct {
	pieces []piece
	dates  dateCache

	requestHeaders, responseHeaders, environ []string
}

// piece is a literal text, and the atom behind it.
type piece struct {
	literal string
	atom    atom // nil behind the last text
	name    string
	width   int // of %(s)5s, negative for %(s)-5s
	zeros   bool
	limit   int // of %(a).40s, -1 for none
}

// atom appends one value; name is that of the header or variable it asks for.
type atom func(f *Format, dst []byte, r *Record, name string) []byte

// Compile reads a format in Python's notation, %(atom)s, with gunicorn's atoms. An unknown atom is logged as "-", as
// gunicorn does. The error is one sentence.
func Compile(format string) (*Format, error) {
	if strings.ContainsAny(format, "\r\n\x00") {
		return nil, fmt.Errorf("the access log format holds a line break or a NUL byte: give it on one line")
	}
	f := new(Format)
	var literal strings.Builder
	for i := 0; i < len(format); {
		if format[i] != '%' {
			literal.WriteByte(format[i])
			i++
			continue
		}
		if strings.HasPrefix(format[i:], "%%") {
			literal.WriteByte('%')
			i += 2
			continue
		}
		p, length, err := parseAtom(format, i)
		if err != nil {
			return nil, err
		}
		p.literal = literal.String()
		literal.Reset()
		f.bind(&p)
		f.pieces = append(f.pieces, p)
		i += length
	}
	f.pieces = append(f.pieces, piece{literal: literal.String()})
	return f, nil
}

// parseAtom reads the conversion at format[i:], which begins with a percent sign.
func parseAtom(format string, i int) (p piece, length int, err error) {
	rest := format[i:]
	end := strings.IndexByte(rest, ')')
	if !strings.HasPrefix(rest, "%(") || end < 0 {
		return p, 0, fmt.Errorf("the access log format has a %% at position %d that begins no %%(atom)s: "+
			"write %%%% for a percent sign", i+1)
	}
	p.name = rest[2:end]
	p.limit = -1
	at := end + 1
	minus := false
	for ; at < len(rest) && strings.IndexByte("-0+ #", rest[at]) >= 0; at++ {
		minus = minus || rest[at] == '-'
		p.zeros = p.zeros || rest[at] == '0'
	}
	number := func() (int, error) {
		from := at
		for at < len(rest) && rest[at] >= '0' && rest[at] <= '9' {
			at++
		}
		n, err := strconv.Atoi("0" + rest[from:at])
		if err != nil || n > 1000 {
			return 0, fmt.Errorf("the access log format pads or cuts %%(%s) to %s columns: give 1000 or fewer",
				p.name, rest[from:at])
		}
		return n, nil
	}
	if p.width, err = number(); err != nil {
		return p, 0, err
	}
	if minus {
		p.width, p.zeros = -p.width, false
	}
	if at < len(rest) && rest[at] == '.' {
		at++
		if p.limit, err = number(); err != nil {
			return p, 0, err
		}
	}
	if at == len(rest) || strings.IndexByte("sdiura", rest[at]) < 0 {
		return p, 0, fmt.Errorf("the access log format has no s behind %%(%s): write %%(%s)s", p.name, p.name)
	}
	return p, at + 1, nil
}

// bind finds what the atom prints, and notes which headers and variables it needs.
func (f *Format) bind(p *piece) {
	name := p.name
	if strings.HasPrefix(name, "{") && len(name) > 2 && name[len(name)-2] == '}' {
		key := name[1 : len(name)-2]
		switch name[len(name)-1] {
		case 'i':
			p.atom, p.name = requestHeader, strings.ToLower(key)
			f.requestHeaders = note(f.requestHeaders, p.name)
			return
		case 'o':
			p.atom, p.name = responseHeader, strings.ToLower(key)
			f.responseHeaders = note(f.responseHeaders, p.name)
			return
		case 'e':
			p.atom, p.name = environVariable, key
			if !strings.Contains(key, ".") { // gunicorn does not look at the case; only names such as wsgi.x are lower
				p.name = strings.ToUpper(key)
			}
			f.environ = note(f.environ, p.name)
			return
		}
	}
	p.name = ""
	p.atom = atoms[name]
	switch name {
	case "f":
		f.requestHeaders = note(f.requestHeaders, "referer")
	case "a":
		f.requestHeaders = note(f.requestHeaders, "user-agent")
	case "u":
		f.requestHeaders = note(f.requestHeaders, "authorization")
	}
	if p.atom == nil {
		p.atom = unknown
	}
}

func note(names []string, name string) []string {
	for _, n := range names {
		if n == name {
			return names
		}
	}
	return append(names, name)
}

// RequestHeaders returns the names of the request headers that the format asks for, in lower case.
func (f *Format) RequestHeaders() []string { return f.requestHeaders }

// ResponseHeaders returns the names of the response headers that the format asks for, in lower case.
func (f *Format) ResponseHeaders() []string { return f.responseHeaders }

// EnvironNames returns the names of the environ variables that the format asks for.
func (f *Format) EnvironNames() []string { return f.environ }

// Append appends the line about r, without a newline.
func (f *Format) Append(dst []byte, r *Record) []byte {
	for i := range f.pieces {
		p := &f.pieces[i]
		dst = append(dst, p.literal...)
		if p.atom == nil {
			break
		}
		start := len(dst)
		dst = p.atom(f, dst, r, p.name)
		if p.limit >= 0 && len(dst)-start > p.limit {
			dst = dst[:start+cutLength(dst[start:], p.limit)]
		}
		if p.width != 0 {
			dst = pad(dst, start, p.width, p.zeros)
		}
	}
	return dst
}

// cutLength is the largest length up to limit that does not end inside an escape: half of \" would let the quotation
// mark behind the atom look escaped.
func cutLength(escaped []byte, limit int) int {
	for i := 0; i < len(escaped); {
		size := 1
		if escaped[i] == '\\' && i+1 < len(escaped) {
			size = 2
			if escaped[i+1] == 'x' {
				size = 4
			}
		}
		if i+size > limit {
			return i
		}
		i += size
	}
	return limit
}

func pad(dst []byte, start, width int, zeros bool) []byte {
	left := width > 0
	missing := width - (len(dst) - start)
	if !left {
		missing = -width - (len(dst) - start)
	}
	if missing <= 0 {
		return dst
	}
	fill := byte(' ')
	if zeros {
		fill = '0'
	}
	end := len(dst)
	for i := 0; i < missing; i++ {
		dst = append(dst, fill)
	}
	if left {
		copy(dst[start+missing:], dst[start:end])
		for i := start; i < start+missing; i++ {
			dst[i] = fill
		}
	}
	return dst
}
