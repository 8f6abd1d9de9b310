package httpparse

import "strconv"

// The response side: what an app may put into a status line and into fields, chunk framing, and the small answer to a
// request that cannot be served.

// ValidStatusReason tells whether b may follow the status code: reason-phrase, RFC 9112 4.
func ValidStatusReason(b []byte) bool { return valueLen(b) == len(b) }

// ValidFieldName tells whether b is a field-name, RFC 9110 5.1.
func ValidFieldName(b []byte) bool {
	n, _ := token(b)
	return n == len(b) && n > 0
}

// ValidFieldValue tells whether b may stand after the colon: no control byte but HTAB, RFC 9110 5.5. Whitespace at the
// ends does no harm, it is not part of the value.
func ValidFieldValue(b []byte) bool { return valueLen(b) == len(b) }

const (
	ChunkEnd  = "\r\n"      // after a chunk's data
	LastChunk = "0\r\n\r\n" // after the last chunk, with no trailers
)

// AppendChunkHead appends the size line of a chunk of n bytes, RFC 9112 7.1. A chunk of 0 bytes would end the body.
func AppendChunkHead(dst []byte, n int) []byte {
	if n <= 0 {
		panic("httpparse: chunk without data")
	}
	dst = strconv.AppendUint(dst, uint64(n), 16)
	return append(dst, "\r\n"...)
}

// AppendErrorResponse appends a complete response of its own making, after which the connection closes. reason says
// more than the status does and may be empty; date and server are left out when empty. With head there is no body.
func AppendErrorResponse(dst []byte, status int, reason string, date []byte, head bool, server string) []byte {
	text := StatusText(status)
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, text...)
	if server != "" {
		dst = append(dst, "\r\nServer: "...)
		dst = append(dst, server...)
	}
	if len(date) > 0 {
		dst = append(dst, "\r\nDate: "...)
		dst = append(dst, date...)
	}
	size := len(text) + len("\n")
	if reason != "" {
		size += len(": ") + len(reason)
	}
	dst = append(dst, "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(size), 10)
	dst = append(dst, "\r\nConnection: close\r\n\r\n"...)
	if head {
		return dst
	}
	dst = append(dst, text...)
	if reason != "" {
		dst = append(dst, ": "...)
		dst = append(dst, reason...)
	}
	return append(dst, '\n')
}

// StatusText is the reason phrase of a registered status (RFC 9110 15 and the IANA registry), else "Unknown", because
// the phrase may be empty but some clients dislike that.
func StatusText(code int) string {
	if code >= 100 && code < 600 {
		if s := statusText[code-100]; s != "" {
			return s
		}
	}
	return "Unknown"
}

var statusText = [500]string{
	0: "Continue", 1: "Switching Protocols", 2: "Processing", 3: "Early Hints",

	100: "OK", 101: "Created", 102: "Accepted", 103: "Non-Authoritative Information", 104: "No Content",
	105: "Reset Content", 106: "Partial Content", 107: "Multi-Status", 108: "Already Reported", 126: "IM Used",

	200: "Multiple Choices", 201: "Moved Permanently", 202: "Found", 203: "See Other", 204: "Not Modified",
	205: "Use Proxy", 207: "Temporary Redirect", 208: "Permanent Redirect",

	300: "Bad Request", 301: "Unauthorized", 302: "Payment Required", 303: "Forbidden", 304: "Not Found",
	305: "Method Not Allowed", 306: "Not Acceptable", 307: "Proxy Authentication Required", 308: "Request Timeout",
	309: "Conflict", 310: "Gone", 311: "Length Required", 312: "Precondition Failed", 313: "Content Too Large",
	314: "URI Too Long", 315: "Unsupported Media Type", 316: "Range Not Satisfiable", 317: "Expectation Failed",
	318: "I'm a teapot", 321: "Misdirected Request", 322: "Unprocessable Content", 323: "Locked",
	324: "Failed Dependency", 325: "Too Early", 326: "Upgrade Required", 328: "Precondition Required",
	329: "Too Many Requests", 331: "Request Header Fields Too Large", 351: "Unavailable For Legal Reasons",

	400: "Internal Server Error", 401: "Not Implemented", 402: "Bad Gateway", 403: "Service Unavailable",
	404: "Gateway Timeout", 405: "HTTP Version Not Supported", 406: "Variant Also Negotiates",
	407: "Insufficient Storage", 408: "Loop Detected", 410: "Not Extended", 411: "Network Authentication Required",
}
