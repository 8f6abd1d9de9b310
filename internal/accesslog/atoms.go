package accesslog

import (
	"strconv"
	"sync/atomic"
	"time"
)

var atoms = map[string]atom{
	// h: address of the client.
	"h": func(_ *Format, dst []byte, r *Record, _ string) []byte { return fieldOrDash(dst, r.RemoteAddr) },
	// l: always "-", the identity of RFC 1413.
	"l": unknown,
	// u: user name. It stands without quotation marks in the default format, so its spaces are escaped.
	"u": appendUser,
	// t: time of the request, [02/Jan/2006:15:04:05 -0700].
	"t": func(f *Format, dst []byte, r *Record, _ string) []byte { return f.dates.append(dst, r.Start) },
	// r: the request line.
	"r": func(_ *Format, dst []byte, r *Record, _ string) []byte {
		dst = append(appendEscaped(dst, r.Method), ' ')
		dst = append(appendEscaped(dst, r.Target), ' ')
		return appendEscaped(dst, r.Proto)
	},
	// s: status.
	"s": func(_ *Format, dst []byte, r *Record, _ string) []byte {
		return strconv.AppendInt(dst, int64(r.Status), 10)
	},
	"m": func(_ *Format, dst []byte, r *Record, _ string) []byte { return fieldOrDash(dst, r.Method) },
	// U and q: path and query. A decoded path may hold spaces, which are escaped as in u.
	"U": func(_ *Format, dst []byte, r *Record, _ string) []byte { return fieldOrDash(dst, r.Path) },
	"q": func(_ *Format, dst []byte, r *Record, _ string) []byte { return appendField(dst, r.Query) },
	"H": func(_ *Format, dst []byte, r *Record, _ string) []byte { return appendEscaped(dst, r.Proto) },
	// b and B: bytes of the body; b is "-" when there were none, as in the Common Log Format.
	"b": func(_ *Format, dst []byte, r *Record, _ string) []byte {
		if r.ResponseBytes == 0 {
			return append(dst, '-')
		}
		return strconv.AppendInt(dst, r.ResponseBytes, 10)
	},
	"B": func(_ *Format, dst []byte, r *Record, _ string) []byte {
		return strconv.AppendInt(dst, r.ResponseBytes, 10)
	},
	// I: bytes that have come on a WebSocket or a socket that the application took, "-" for other requests.
	"I": func(_ *Format, dst []byte, r *Record, _ string) []byte {
		if !r.Counted {
			return append(dst, '-')
		}
		return strconv.AppendInt(dst, r.ReceivedBytes, 10)
	},
	// f and a: Referer and User-Agent.
	"f": func(_ *Format, dst []byte, r *Record, _ string) []byte { return requestHeader(nil, dst, r, "referer") },
	"a": func(_ *Format, dst []byte, r *Record, _ string) []byte {
		return requestHeader(nil, dst, r, "user-agent")
	},
	// T D M: duration in whole seconds, microseconds, milliseconds. L: in seconds with six decimals.
	"T": func(_ *Format, dst []byte, r *Record, _ string) []byte { return appendDuration(dst, r, time.Second) },
	"D": func(_ *Format, dst []byte, r *Record, _ string) []byte {
		return appendDuration(dst, r, time.Microsecond)
	},
	"M": func(_ *Format, dst []byte, r *Record, _ string) []byte {
		return appendDuration(dst, r, time.Millisecond)
	},
	"L": func(_ *Format, dst []byte, r *Record, _ string) []byte {
		return appendDecimal(dst, r.Duration.Microseconds(), 6)
	},
	// p: process id in angle brackets.
	"p": func(_ *Format, dst []byte, r *Record, _ string) []byte {
		return append(strconv.AppendInt(append(dst, '<'), int64(r.Pid), 10), '>')
	},
}

func unknown(_ *Format, dst []byte, _ *Record, _ string) []byte { return append(dst, '-') }

func requestHeader(_ *Format, dst []byte, r *Record, name string) []byte {
	return quotedOrDash(dst, lookup(r.RequestHeader, name))
}

func responseHeader(_ *Format, dst []byte, r *Record, name string) []byte {
	return quotedOrDash(dst, lookup(r.ResponseHeader, name))
}

func environVariable(_ *Format, dst []byte, r *Record, name string) []byte {
	return quotedOrDash(dst, lookup(r.Environ, name))
}

func appendUser(_ *Format, dst []byte, r *Record, _ string) []byte {
	if len(r.RemoteUser) > 0 {
		return appendField(dst, r.RemoteUser)
	}
	var buf [maxCredentials]byte
	return fieldOrDash(dst, basicUser(buf[:0], lookup(r.RequestHeader, "authorization")))
}

func quotedOrDash(dst, value []byte) []byte {
	if len(value) == 0 {
		return append(dst, '-')
	}
	return appendEscaped(dst, value)
}

func fieldOrDash(dst, value []byte) []byte {
	if len(value) == 0 {
		return append(dst, '-')
	}
	return appendField(dst, value)
}

func appendDuration(dst []byte, r *Record, unit time.Duration) []byte {
	return strconv.AppendInt(dst, int64(r.Duration/unit), 10)
}

// appendDecimal appends n as a number with the given decimals: 1234567 with 6 is 1.234567.
func appendDecimal(dst []byte, n int64, decimals int) []byte {
	if n < 0 { // a clock that was set back
		n = 0
	}
	scale := int64(1)
	for i := 0; i < decimals; i++ {
		scale *= 10
	}
	dst = append(strconv.AppendInt(dst, n/scale, 10), '.')
	for rest := n % scale; scale > 1; rest %= scale {
		scale /= 10
		dst = append(dst, byte('0'+rest/scale))
	}
	return dst
}

// dateCache keeps the text of the newest second, which nearly every line of a busy server shares.
type dateCache struct{ newest atomic.Pointer[cachedDate] }

type cachedDate struct {
	second int64
	text   string
}

const dateLayout = "[02/Jan/2006:15:04:05 -0700]"

func (c *dateCache) append(dst []byte, t time.Time) []byte {
	second := t.Unix()
	cached := c.newest.Load()
	if cached != nil && cached.second == second {
		return append(dst, cached.text...)
	}
	start := len(dst)
	dst = Local(t).AppendFormat(dst, dateLayout)
	if cached == nil || second > cached.second {
		c.newest.Store(&cachedDate{second, string(dst[start:])}) // once a second: long requests that end late do not store
	}
	return dst
}
