package httpparse

// The framing of chunked bodies, RFC 9112 7.1:
//
//	chunked-body = *chunk last-chunk trailer-section CRLF
//	chunk        = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
//	last-chunk   = 1*"0" [ chunk-ext ] CRLF
//
// One state per place in the grammar, one byte at a time: a chunk has a dozen framing bytes, and its data never comes
// through here. Nothing is optional that the grammar does not need: no whitespace before a size or a line's end, no LF
// alone, no empty extension. Whitespace around the ';' and the '=' of extensions has to be taken (BWS in RFC 9112 7.1.1).

type chunkState uint8

const (
	bodyDone chunkState = iota
	fixedData
	chunkData

	chunkSize       // 1*HEXDIG
	chunkSizeLF     // the LF after a size line's CR
	extStart        // after ';': BWS, the first byte of a name
	extName         // token
	extNameEnd      // BWS after a name: '=' or ';' comes
	extValueStart   // after '=': BWS, token or quoted-string
	extToken        // token
	extQuoted       // RFC 9110 5.6.4 qdtext
	extEscape       // after '\' in a quoted-string
	extQuotedEnd    // after the closing quote
	extEnd          // BWS after a size or a value: ';' comes
	chunkDataCR     // the CRLF after the data
	chunkDataLF     //
	trailerStart    // a field line, or the CRLF that ends it all
	trailerName     // token
	trailerValue    // up to CR
	trailerLF       //
	trailerFinishLF // the last LF
)

// maxSizeDigits keeps a chunk size below 1<<60.
const maxSizeDigits = 15

// framing reads until data or the end of the body comes, and says how many bytes that took; with a code, which byte is
// wrong.
func (b *Body) framing(in []byte) (int, Code) {
	for i, c := range in {
		if b.state == chunkSize && b.digits > 0 && (c == ';' || isOWS(c)) ||
			c != '\r' && b.state >= extStart && b.state <= extEnd {
			if b.ext == 0 {
				return i, CodeChunkExtSize
			}
			b.ext--
		}
		if b.state >= trailerStart && b.state < trailerFinishLF && (b.state != trailerStart || c != '\r') {
			if b.trailer == 0 {
				return i, CodeTrailerSize
			}
			b.trailer--
		}
		if code := b.step(c); code != CodeNone {
			return i, code
		}
		if b.state <= chunkData {
			return i + 1, CodeNone
		}
	}
	return len(in), CodeNone
}

// step reads one byte of framing.
func (b *Body) step(c byte) Code {
	switch b.state {
	case chunkSize:
		switch {
		case class[c]&isHex != 0: // no sign, no 0x, no whitespace
			if b.digits == maxSizeDigits {
				return CodeChunkSizeRange
			}
			b.digits++
			b.size = b.size<<4 | hexValue(c)
			return CodeNone
		case b.digits == 0:
			return CodeChunkSize
		case c == ';' || c == '\r' || c == '\n' || isOWS(c):
			return b.afterExt(c)
		}
		return CodeChunkSize
	case chunkSizeLF:
		if c != '\n' {
			return CodeBareCR
		}
		b.state, b.left = chunkData, b.size
		if b.size == 0 {
			b.state = trailerStart
		}
		b.size, b.digits = 0, 0
	case extStart, extName, extNameEnd, extValueStart, extToken, extQuoted, extEscape, extQuotedEnd, extEnd:
		return b.stepExt(c)
	case chunkDataCR:
		if c != '\r' {
			return CodeChunkEnd
		}
		b.state = chunkDataLF
	case chunkDataLF:
		if c != '\n' {
			return CodeChunkEnd
		}
		b.state = chunkSize
	default:
		return b.stepTrailer(c)
	}
	return CodeNone
}

// stepExt reads RFC 9112 7.1.1: chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ), a value being
// a token or a quoted-string.
func (b *Body) stepExt(c byte) Code {
	switch b.state {
	case extStart, extValueStart:
		switch {
		case class[c]&isTchar != 0:
			b.state++ // to extName, or to extToken
			return CodeNone
		case isOWS(c):
			return CodeNone
		case c == '"' && b.state == extValueStart:
			b.state = extQuoted
			return CodeNone
		}
		return CodeChunkExt
	case extName:
		if class[c]&isTchar != 0 {
			return CodeNone
		}
		switch {
		case c == '=':
			b.state = extValueStart
			return CodeNone
		case isOWS(c):
			b.state = extNameEnd
			return CodeNone
		}
	case extNameEnd:
		switch {
		case c == '=':
			b.state = extValueStart
			return CodeNone
		case isOWS(c):
			return CodeNone
		case c == '\r':
			return CodeChunkExt
		}
	case extEnd:
		if c == '\r' {
			return CodeChunkExt
		}
	case extToken:
		if class[c]&isTchar != 0 {
			return CodeNone
		}
	case extQuoted:
		switch {
		case c == '"':
			b.state = extQuotedEnd
		case c == '\\':
			b.state = extEscape
		case class[c]&isQtext == 0:
			return CodeChunkExt
		}
		return CodeNone
	case extEscape:
		if class[c]&isVchar == 0 {
			return CodeChunkExt
		}
		b.state = extQuoted
		return CodeNone
	}
	return b.afterExt(c)
}

// afterExt reads what may follow a chunk size or an extension: another one, or the end of the line.
func (b *Body) afterExt(c byte) Code {
	switch c {
	case ';':
		b.state = extStart
	case ' ', '\t':
		b.state = extEnd
	case '\r':
		b.state = chunkSizeLF
	case '\n':
		return CodeBareLF
	default:
		return CodeChunkExt
	}
	return CodeNone
}

// stepTrailer reads RFC 9112 7.1.2: trailer-section = *( field-line CRLF ), by the rules for a head. The fields are
// never merged with those of the head (RFC 9110 6.5.1): what they say is dropped. One that is about framing or routing
// must not be there, and is a sign of somebody who hopes that it will be merged.
func (b *Body) stepTrailer(c byte) Code {
	switch b.state {
	case trailerStart:
		switch {
		case c == '\r':
			b.state = trailerFinishLF
		case class[c]&isTchar != 0:
			b.state = trailerName
			b.nameLen, b.nameMay = 0, 1<<len(notInTrailers)-1
			b.trailerByte(c)
		default:
			return CodeTrailer
		}
	case trailerName:
		switch {
		case c == ':':
			if b.isNotForTrailers() {
				return CodeTrailerField
			}
			b.state = trailerValue
		case class[c]&isTchar == 0:
			return CodeTrailer
		default:
			b.trailerByte(c)
		}
	case trailerValue:
		switch {
		case c == '\r':
			b.state = trailerLF
		case c == '\n':
			return CodeBareLF
		case class[c]&isVchar == 0:
			return CodeTrailer
		}
	case trailerLF:
		if c != '\n' {
			return CodeBareCR
		}
		b.state = trailerStart
	case trailerFinishLF:
		if c != '\n' {
			return CodeBareCR
		}
		b.state = bodyDone
	}
	return CodeNone
}

// notInTrailers are the fields about framing and routing, RFC 9110 6.5.1.
var notInTrailers = [...]string{"content-length", "transfer-encoding", "host"}

// trailerByte takes the next byte of a trailer's name: nameMay has a bit for each of notInTrailers that it may become.
func (b *Body) trailerByte(c byte) {
	for i, name := range notInTrailers {
		if n := int(b.nameLen); n >= len(name) || lower(c) != name[n] {
			b.nameMay &^= 1 << i
		}
	}
	b.nameLen = min(b.nameLen, 254) + 1
}

func (b *Body) isNotForTrailers() bool {
	for i, name := range notInTrailers {
		if b.nameMay&(1<<i) != 0 && int(b.nameLen) == len(name) {
			return true
		}
	}
	return false
}
