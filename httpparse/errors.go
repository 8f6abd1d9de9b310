package httpparse

import "strconv"

// What can be wrong with a message, the status each fault is answered with, and the error value that carries it.

// Code names one rule that a message broke.
type Code uint8

// The codes, in the order in which a message is read.
const (
	CodeNone Code = iota

	CodeMethod             // RFC 9110 9.1: the method is not a token
	CodeMethodSize         // RFC 9112 3: longer than any method we could know
	CodeRequestLine        // RFC 9112 3: not "method SP target SP version"
	CodeRequestLineSize    // RFC 9112 3: over Limits.RequestLine
	CodeVersion            // RFC 9112 2.3: not "HTTP/" DIGIT "." DIGIT
	CodeVersionUnsupported // RFC 9110 15.6.6: not 1.x
	CodeHTTP2              // RFC 9113 3.4: the HTTP/2 connection preface
	CodeTarget             // RFC 9112 3.2: in none of the forms, or with a fragment
	CodeAuthority          // RFC 9112 3.2.2, RFC 9110 4.2: empty, ill-formed, or with userinfo
	CodeConnect            // RFC 9110 9.3.6: authority form is for proxies

	CodeBareLF  // RFC 9112 2.2: LF without CR
	CodeBareCR  // RFC 9112 2.2: CR without LF
	CodeControl // RFC 9110 5.5: NUL or another control byte

	CodeFieldName  // RFC 9110 5.1: empty, or not a token
	CodeFieldSpace // RFC 9112 5.1: whitespace between name and colon
	CodeFieldColon // RFC 9112 5: a field line without a colon
	CodeFold       // RFC 9112 5.2: obs-fold, or a line that starts with whitespace
	CodeUnderscore // Limits.HeaderMap is HeaderMapRefuse
	CodeFieldCount // RFC 6585 5: over Limits.Fields
	CodeFieldSize  // RFC 6585 5: over Limits.FieldSize
	CodeHeadSize   // RFC 6585 5: over Limits.Head

	CodeHostMissing  // RFC 9112 3.2
	CodeHostRepeated // RFC 9112 3.2
	CodeHost         // RFC 9110 7.2: not uri-host [ ":" port ]
	CodeHostMismatch // RFC 9112 3.2.2: Host is not the target's authority

	CodeContentLength         // RFC 9110 8.6: not digits
	CodeContentLengthRepeated // RFC 9110 8.6: a list or a second field, even if identical
	CodeContentLengthSize     // RFC 9110 8.6: more digits than an int64 can be trusted with
	CodeTransferEncoding      // RFC 9112 6.1: "chunked" not once and last, or an ill-formed list
	CodeTransferCoding        // RFC 9112 6.1: a coding other than chunked
	CodeTransferVersion       // RFC 9112 6.1: Transfer-Encoding on HTTP/1.0
	CodeFraming               // RFC 9112 6.3: Transfer-Encoding and Content-Length together
	CodeContentType           // RFC 9110 5.3: Content-Type twice
	CodeExpect                // RFC 9110 10.1.1: an expectation other than 100-continue

	CodeChunkSize      // RFC 9112 7.1: not 1*HEXDIG
	CodeChunkSizeRange // RFC 9112 7.1: more digits than we count
	CodeChunkExt       // RFC 9112 7.1.1
	CodeChunkExtSize   // RFC 9112 7.1.1: over Limits.ChunkExt
	CodeChunkEnd       // RFC 9112 7.1: chunk data not followed by CRLF
	CodeTrailer        // RFC 9112 7.1.2
	CodeTrailerField   // RFC 9110 6.5.1: a field about framing or routing
	CodeTrailerSize    // RFC 9112 7.1.2: over Limits.TrailerSize

	codes // how many there are
)

// faults holds, for each code, its status, its name in the corpus and its reason for people.
var faults = [codes]struct {
	status       int
	name, reason string
}{
	CodeNone:                  {0, "none", ""},
	CodeMethod:                {400, "method", "bad method"},
	CodeMethodSize:            {501, "method-size", "method too long"},
	CodeRequestLine:           {400, "request-line", "bad request line"},
	CodeRequestLineSize:       {414, "request-line-size", "request line too long"},
	CodeVersion:               {400, "version", "bad protocol version"},
	CodeVersionUnsupported:    {505, "version-unsupported", "protocol version not supported"},
	CodeHTTP2:                 {505, "http2", "HTTP/2 is not spoken here"},
	CodeTarget:                {400, "target", "bad request target"},
	CodeAuthority:             {400, "authority", "bad authority in request target"},
	CodeConnect:               {501, "connect", "CONNECT is not supported"},
	CodeBareLF:                {400, "bare-lf", "line feed without carriage return"},
	CodeBareCR:                {400, "bare-cr", "carriage return without line feed"},
	CodeControl:               {400, "control", "control character"},
	CodeFieldName:             {400, "field-name", "bad header name"},
	CodeFieldSpace:            {400, "field-space", "space before colon"},
	CodeFieldColon:            {400, "field-colon", "header without colon"},
	CodeFold:                  {400, "fold", "folded header line"},
	CodeUnderscore:            {400, "underscore", "underscore in header name"},
	CodeFieldCount:            {431, "field-count", "too many headers"},
	CodeFieldSize:             {431, "field-size", "header too long"},
	CodeHeadSize:              {431, "head-size", "request head too long"},
	CodeHostMissing:           {400, "host-missing", "no Host header"},
	CodeHostRepeated:          {400, "host-repeated", "more than one Host header"},
	CodeHost:                  {400, "host", "bad Host header"},
	CodeHostMismatch:          {400, "host-mismatch", "Host differs from request target"},
	CodeContentLength:         {400, "content-length", "bad Content-Length"},
	CodeContentLengthRepeated: {400, "content-length-repeated", "more than one Content-Length"},
	CodeContentLengthSize:     {413, "content-length-size", "Content-Length too large"},
	CodeTransferEncoding:      {400, "transfer-encoding", "bad Transfer-Encoding"},
	CodeTransferCoding:        {501, "transfer-coding", "unknown transfer coding"},
	CodeTransferVersion:       {400, "transfer-version", "Transfer-Encoding on HTTP/1.0"},
	CodeFraming:               {400, "framing", "both Transfer-Encoding and Content-Length"},
	CodeContentType:           {400, "content-type", "more than one Content-Type"},
	CodeExpect:                {417, "expect", "unknown expectation"},
	CodeChunkSize:             {400, "chunk-size", "bad chunk size"},
	CodeChunkSizeRange:        {413, "chunk-size-range", "chunk size too large"},
	CodeChunkExt:              {400, "chunk-ext", "bad chunk extension"},
	CodeChunkExtSize:          {413, "chunk-ext-size", "chunk extensions too long"},
	CodeChunkEnd:              {400, "chunk-end", "chunk data not followed by CRLF"},
	CodeTrailer:               {400, "trailer", "bad trailer field"},
	CodeTrailerField:          {400, "trailer-field", "a trailer field about framing or routing"},
	CodeTrailerSize:           {431, "trailer-size", "trailer section too long"},
}

// String is the code's short name, as the corpus writes it.
func (c Code) String() string {
	if c < codes {
		return faults[c].name
	}
	return "code-" + strconv.Itoa(int(c))
}

// Status is the status a message with this fault is answered with.
func (c Code) Status() int {
	if c < codes {
		return faults[c].status
	}
	return 400
}

// Error is what Parse and Feed return: the rule, the same in words, and where. Offset counts from the start of the
// buffer given to Parse, or from the first byte of the body. It is sticky: the connection cannot be read any further.
type Error struct {
	Code   Code
	Reason string
	Offset int
}

// Error reads like "httpparse: bad chunk size at 71".
func (e *Error) Error() string {
	return "httpparse: " + e.Reason + " at " + strconv.Itoa(e.Offset)
}

// Status is the status to answer with: 400, 413, 414, 417, 431, 501 or 505.
func (e *Error) Status() int { return e.Code.Status() }
