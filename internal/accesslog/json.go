package accesslog

import (
	"strconv"
	"time"
)

const jsonTimeLayout = "2006-01-02T15:04:05.000Z07:00"

// AppendJSON appends one JSON object about r, without a newline. The keys and their order are fixed; what is not known
// is null. Bytes from 0x80 on are taken as latin-1, the way WSGI hands them to the application, so every line is valid
// UTF-8 and nothing is lost.
func AppendJSON(dst []byte, r *Record) []byte {
	dst = append(dst, `{"time":"`...)
	dst = Local(r.Start).AppendFormat(dst, jsonTimeLayout)
	dst = append(dst, `","remote_addr":`...)
	dst = appendJSONString(dst, r.RemoteAddr)
	dst = append(dst, `,"remote_user":`...)
	var buf [maxCredentials]byte
	user := r.RemoteUser
	if len(user) == 0 {
		user = basicUser(buf[:0], lookup(r.RequestHeader, "authorization"))
	}
	dst = appendJSONString(dst, user)
	dst = append(dst, `,"method":`...)
	dst = appendJSONString(dst, r.Method)
	dst = append(dst, `,"target":`...)
	dst = appendJSONString(dst, r.Target)
	dst = append(dst, `,"path":`...)
	dst = appendJSONString(dst, r.Path)
	dst = append(dst, `,"query":`...)
	dst = appendJSONString(dst, r.Query)
	dst = append(dst, `,"protocol":`...)
	dst = appendJSONString(dst, r.Proto)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, `,"response_bytes":`...)
	dst = strconv.AppendInt(dst, r.ResponseBytes, 10)
	if r.Counted {
		dst = append(dst, `,"received_bytes":`...)
		dst = strconv.AppendInt(dst, r.ReceivedBytes, 10)
	}
	dst = append(dst, `,"duration_ms":`...)
	dst = appendDecimal(dst, int64(r.Duration/time.Microsecond), 3)
	dst = append(dst, `,"host":`...)
	dst = appendJSONString(dst, lookup(r.RequestHeader, "host"))
	dst = append(dst, `,"referer":`...)
	dst = appendJSONString(dst, lookup(r.RequestHeader, "referer"))
	dst = append(dst, `,"user_agent":`...)
	dst = appendJSONString(dst, lookup(r.RequestHeader, "user-agent"))
	dst = append(dst, `,"pid":`...)
	dst = strconv.AppendInt(dst, int64(r.Pid), 10)
	if r.RequestID != nil {
		dst = append(dst, `,"request_id":`...)
		dst = appendJSONString(dst, r.RequestID)
	}
	return append(dst, '}')
}

// JSONRequestHeaders are the request headers that AppendJSON asks for.
var JSONRequestHeaders = []string{"authorization", "host", "referer", "user-agent"}

func appendJSONString[T string | []byte](dst []byte, value T) []byte {
	if len(value) == 0 {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(value); i++ {
		c := value[i]
		class := escapeClass[c]
		if class == 0 || class == 3 {
			continue
		}
		dst = append(dst, value[start:i]...)
		if class == 1 {
			dst = append(dst, '\\', c)
		} else {
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		start = i + 1
	}
	dst = append(dst, value[start:]...)
	return append(dst, '"')
}
