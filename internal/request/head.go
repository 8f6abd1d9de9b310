package request

// The head of a response as HTTP/1 has it, for every client that speaks it.

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
)

// Lines are what response heads say in one second.
type Lines struct {
	Second       int64
	Text         []byte // the value of Date, RFC 9110 5.6.7
	Server, Date []byte // whole lines; no server line if the header is off
}

// MakeLines makes those of now; server is the value of Server.
func MakeLines(now time.Time, server string) *Lines {
	text := now.UTC().Format(http.TimeFormat)
	l := &Lines{Second: now.Unix(), Text: []byte(text), Date: []byte("Date: " + text + "\r\n")}
	if server != "" {
		l.Server = []byte("Server: " + server + "\r\n")
	}
	return l
}

// Framing is how the end of a response shows, and what becomes of its connection.
type Framing struct {
	Chunked  bool
	Keep     bool  // the connection
	Minor    uint8 // HTTP/1.minor is the client's
	Meinheld bool  // spells its 101 as meinheld does
}

// AppendHead appends the head of a response. length: that of the body, -1: it is not said.
func (f Framing) AppendHead(dst []byte, res *bridge.Response, length int64, lines *Lines) []byte {
	dst = append(dst, res.StatusLine()...)
	if res.Flags&bridge.HasSrv == 0 {
		dst = append(dst, lines.Server...)
	}
	if res.Flags&bridge.HasDate == 0 {
		dst = append(dst, lines.Date...)
	}
	dst = append(dst, res.Head()...)
	status := res.Status
	switch {
	case status == 101 && f.Meinheld:
		return append(dst, "Connection: upgrade\r\n\r\n"...)
	case status == 101:
		return append(dst, "Connection: Upgrade\r\n\r\n"...)
	case length >= 0 && status != 204 && status >= 200:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, length, 10)
		dst = append(dst, "\r\n"...)
	case f.Chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case status == 426 && f.Keep: // RFC 9110 7.8: it has an Upgrade field
		dst = append(dst, "Connection: Upgrade\r\n"...)
	case status == 426:
		dst = append(dst, "Connection: close, Upgrade\r\n"...)
	case !f.Keep:
		dst = append(dst, "Connection: close\r\n"...)
	case f.Minor == 0:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...)
}
