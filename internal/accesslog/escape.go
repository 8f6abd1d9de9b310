package accesslog

import "encoding/base64"

const hexDigits = "0123456789abcdef"

// escapeClass says what a byte becomes in a line: 0 itself, 1 a backslash and itself, 2 \xHH, 3 \xHH only in a field without quotation
// marks.
var escapeClass = func() (classes [256]byte) {
	for i := range classes {
		if i < ' ' || i >= 0x7f {
			classes[i] = 2
		}
	}
	classes['"'], classes['\\'], classes[' '] = 1, 1, 3
	return classes
}()

// appendEscaped appends a value for a place between quotation marks.
func appendEscaped[T string | []byte](dst []byte, value T) []byte {
	return appendClasses(dst, value, 2)
}

// appendField appends a value for a place between spaces, where a space would begin the next field.
func appendField[T string | []byte](dst []byte, value T) []byte { return appendClasses(dst, value, 3) }

// appendClasses escapes the bytes of the classes from 1 to last.
func appendClasses[T string | []byte](dst []byte, value T, last byte) []byte {
	start := 0
	for i := 0; i < len(value); i++ {
		if last == 2 { // most text between quotation marks is plain: 8 bytes at once halve the cost of a line
			for i+8 <= len(value) && plain8(value[i:i+8]) {
				i += 8
			}
			if i == len(value) {
				break
			}
		}
		c := value[i]
		class := escapeClass[c]
		if class == 0 || class > last {
			continue
		}
		dst = append(dst, value[start:i]...)
		if class == 1 {
			dst = append(dst, '\\', c)
		} else {
			dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		}
		start = i + 1
	}
	return append(dst, value[start:]...)
}

// plain8 tells whether the 8 bytes all have class 0 or 3. The tests for a byte below a limit and for a zero byte are
// those of "Bit Twiddling Hacks"; neither misses one.
func plain8[T string | []byte](s T) bool {
	_ = s[7]
	x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	const ones, high = 0x0101010101010101, 0x8080808080808080
	quote, backslash, del := x^ones*'"', x^ones*'\\', x^ones*0x7f
	return (x|(x-ones*' ')&^x|(quote-ones)&^quote|(backslash-ones)&^backslash|(del-ones)&^del)&high == 0
}

// maxCredentials bounds what is decoded of a Basic Authorization header; a longer user name is logged as "-".
const maxCredentials = 512

// basicUser appends the raw user name of a Basic Authorization header (RFC 7617) to dst.
func basicUser(dst []byte, header []byte) []byte {
	const scheme = "basic "
	if len(header) < len(scheme) {
		return dst
	}
	for i := 0; i < len(scheme); i++ {
		if header[i]|0x20 != scheme[i] {
			return dst
		}
	}
	text := header[len(scheme):]
	for len(text) > 0 && text[0] == ' ' {
		text = text[1:]
	}
	if len(text) > maxCredentials {
		text = text[:maxCredentials] // a multiple of four: the name stands at the beginning
	}
	var buf [maxCredentials / 4 * 3]byte
	n, err := base64.StdEncoding.Decode(buf[:], text)
	if err != nil {
		return dst
	}
	for i, c := range buf[:n] {
		if c == ':' {
			return append(dst, buf[:i]...)
		}
	}
	return dst
}
