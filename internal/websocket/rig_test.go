package websocket

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// rig is a connection on a link that is memory, with a clock of its own.
type rig struct {
	*Conn
	t      testing.TB
	opt    Options
	sent   []byte // that the peer has got
	queued int64  // that waits for it
	busy   bool   // nobody can tell, or send, without waiting
	full   bool   // the peer takes nothing: what is sent is queued
	during func() // what others do while something is sent
	looks  int
	at     int64
	now    int64
	gone   bool
	counts [BytesOut + 1]int64
}

func newRig(t testing.TB, extensions string, change ...func(*Options)) *rig {
	r := &rig{t: t, now: int64(time.Hour)}
	r.opt = Options{MaxMessage: 1 << 20, SendBuffer: 1 << 20, PingInterval: 20 * time.Second, PingTimeout: 20 * time.Second,
		WriteTimeout: time.Minute, Count: func(c Counter, n int64) { r.counts[c] += n }}
	for _, f := range change {
		f(&r.opt)
	}
	r.Conn = New(r, &r.opt, Negotiate([]byte(extensions)), nil)
	return r
}

func (r *rig) Send(head, body []byte, wait bool) bool {
	if r.busy && !wait {
		return false
	}
	r.sent = append(append(r.sent, head...), body...)
	if r.full {
		r.queued += int64(len(head) + len(body))
	}
	if r.during != nil {
		r.during()
	}
	return true
}
func (r *rig) Queued(wait bool) (int64, bool) { return r.queued, wait || !r.busy }
func (r *rig) Broken() bool                   { return r.gone }
func (r *rig) Look()                          { r.looks++ }
func (r *rig) Move(at int64)                  { r.at = at }
func (r *rig) Now() int64                     { return r.now }

// Tick is that of a leader.
func (r *rig) Tick(here int) {
	if r.Conn.Tick(here) {
		r.gone = true
	}
}

// give feeds frames, and sends what is due.
func (r *rig) give(frames ...[]byte) *rig {
	for _, f := range frames {
		r.Conn.Feed(f, 0)
		r.Conn.Flush(true)
	}
	return r
}

// takes is what the application gets: its messages, and "-" where none is there, or "." at the end.
func (r *rig) takes() (all []string) {
	for {
		switch m, how := r.Conn.Take(true); how {
		case Got:
			kind := "t:"
			if m.Binary {
				kind = "b:"
			}
			all = append(all, kind+string(m.Data))
		case Ended:
			return append(all, ".")
		case Nothing:
			if !r.Fed() { // as the leader, who was told
				r.give(nil)
				continue
			}
			return append(all, "-")
		default:
			r.t.Fatal("would wait")
		}
	}
}

// got is what the peer has got since: its frames as text.
func (r *rig) got() (all []string) {
	in := bytes.NewReader(r.sent)
	r.sent = nil
	for in.Len() > 0 {
		f, err := readFrame(in)
		if err != nil {
			r.t.Fatal("no frame: ", err)
		}
		all = append(all, describe(f))
	}
	return all
}

func readFrame(in *bytes.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(in); err != nil {
		return f, err
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = in.Read(f.Payload)
	if f.Header.Length == 0 {
		err = nil
	}
	return f, err
}

func describe(f ws.Frame) string {
	names := map[ws.OpCode]string{ws.OpText: "text", ws.OpBinary: "binary", ws.OpClose: "close", ws.OpPing: "ping", ws.OpPong: "pong"}
	s := names[f.Header.OpCode]
	if f.Header.Rsv != 0 {
		s += "*"
	}
	if f.Header.Masked || !f.Header.Fin {
		s += "?"
	}
	p := f.Payload
	if f.Header.OpCode == ws.OpClose && len(p) >= 2 {
		code := binary.BigEndian.Uint16(p)
		return strings.TrimSpace(s + " " + itoa(int(code)) + " " + string(p[2:]))
	}
	return s + " " + string(p)
}

func itoa(n int) string {
	return strings.TrimLeft(string([]byte{byte(n/1000%10) + '0', byte(n/100%10) + '0', byte(n/10%10) + '0', byte(n%10) + '0'}), " ")
}

// frame is one of a client's. flags: f its last, 1 2 3 a reserved bit, u without a mask.
func frame(op ws.OpCode, payload string, flags string) []byte {
	h := ws.Header{OpCode: op, Length: int64(len(payload)), Masked: true, Mask: [4]byte{1, 2, 3, 4}}
	for _, c := range flags {
		switch c {
		case 'f':
			h.Fin = true
		case '1':
			h.Rsv |= ws.Rsv(true, false, false)
		case '2':
			h.Rsv |= ws.Rsv(false, true, false)
		case '3':
			h.Rsv |= ws.Rsv(false, false, true)
		case 'u':
			h.Masked = false
		}
	}
	var b bytes.Buffer
	_ = ws.WriteHeader(&b, h)
	p := []byte(payload)
	if h.Masked {
		ws.Cipher(p, h.Mask, 0)
	}
	return append(b.Bytes(), p...)
}

func text(s string) []byte { return frame(ws.OpText, s, "f") }

func closing(code int, reason string) []byte {
	return frame(ws.OpClose, string(closeBody(code, reason)), "f")
}
