package httpparse

// The parser's life: its limits, its state between two calls, and Parse, which runs the stages that request.go names.

// HeaderMap says what happens to field names with '_'. CGI-style names map '-' and '_' to one character, so that
// X_Forwarded_For could pose as X-Forwarded-For; gunicorn calls the option --header-map.
type HeaderMap uint8

const (
	HeaderMapDrop      HeaderMap = iota // leave the field out of Headers
	HeaderMapRefuse                     // refuse the request
	HeaderMapDangerous                  // keep the field: the app must not trust any name with '-' or '_'
)

// Limits bound what a client may send. Zero means no limit of its own, except where said otherwise.
type Limits struct {
	RequestLine int // bytes of the request line, without its CRLF; then bounded by Head
	Fields      int // header fields in a head; then bounded by Head
	FieldSize   int // bytes of a field line with its CRLF; then bounded by Head
	Head        int // bytes of the whole head; zero means 256 KiB, a buffer of this size always suffices
	HeaderMap   HeaderMap
	Forwarder   []string // names with '_' that are kept whatever HeaderMap says, see Request.Forwarder; "*" is all of them
	ChunkExt    int      // bytes of chunk extensions in one body; zero means none are allowed
	TrailerSize int      // bytes of the trailer section; zero means none is allowed
}

const (
	defaultHead = 256 << 10
	maxHead     = 1 << 30 // spans are uint32, with room to spare
)

// DefaultLimits are safe on the internet. The first three are gunicorn's.
func DefaultLimits() Limits {
	return Limits{
		RequestLine: 4094,
		Fields:      100,
		FieldSize:   8190,
		Head:        defaultHead,
		ChunkExt:    4 << 10,
		TrailerSize: 8 << 10,
	}
}

// Parser reads heads one after another. It may serve one connection or, with State and SetState, every connection of a
// thread. The zero value is not usable; see NewParser.
type Parser struct {
	Request
	scan  State
	lim   Limits
	split splitter
	err   Error
}

// State is where the search for the end of a head stands. A parser shared by many connections needs to keep only this
// for a connection whose head is not yet complete. The zero State is the start of a head.
type State struct {
	pos     uint32 // every byte before it has been checked
	line    uint32 // where the current line starts
	sep     uint32 // the current line's first SP or colon; 0 when not seen yet
	fields  uint32 // field lines before the current one
	first   uint32 // where the request line starts: 0, or 2 after an empty line
	section uint32 // where the field section starts; 0 when not seen yet
	minor   uint8
	phase   uint8
	seen    uint8 // table bits of all name bytes so far: tells whether any name has '_'
}

// NewParser makes a parser with these limits.
func NewParser(l Limits) *Parser {
	if l.Head <= 0 {
		l.Head = defaultHead
	}
	l.Head = min(l.Head, maxHead)
	bounded := func(n int) int { // by Head, so that no sum of offsets overflows
		if n <= 0 {
			return l.Head
		}
		return min(n, l.Head)
	}
	l.RequestLine, l.Fields = bounded(l.RequestLine), bounded(l.Fields)
	l.FieldSize = max(bounded(l.FieldSize), len("\r\n"))
	p := &Parser{lim: l}
	p.Headers = make([]Header, 0, min(l.Fields, firstFields))
	return p
}

// firstFields is for how many fields a parser has room at first.
const firstFields = 32

// Reset makes the parser ready for another connection, and lets go of the last one's buffer.
func (p *Parser) Reset() {
	p.scan = State{}
	p.err = Error{}
	p.split.release()
}

// State is what SetState needs to go on later with the head that Parse has just asked more bytes for.
func (p *Parser) State() State { return p.scan }

// SetState makes the next Parse go on where the State was taken. A sticky error is forgotten.
func (p *Parser) SetState(s State) {
	p.scan = s
	p.err = Error{}
}

// Parse looks for a complete head at the start of buf. With n == 0 and no error more bytes are needed: call again with
// the same bytes and more behind them, at the same or another address; no byte is looked at twice, but for a field
// section that came in pieces, when it is complete. With n > 0 the head took n bytes and p.Request is filled. An error
// stays until Reset or SetState, and its value with it.
//
// Errors and their places do not depend on how the bytes were cut into calls.
func (p *Parser) Parse(buf []byte) (n int, err error) {
	if p.err.Code != CodeNone {
		return 0, &p.err
	}
	n, e := p.scanHead(buf)
	if n > 0 {
		e = p.accept(buf, n)
		p.scan = State{}
	}
	if e.code != CodeNone {
		p.err = Error{Code: e.code, Reason: faults[e.code].reason, Offset: e.off}
		return 0, &p.err
	}
	return n, nil
}

// fault is an Error on its way up: small enough for registers.
type fault struct {
	code Code
	off  int
}
