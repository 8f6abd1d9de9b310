package websocket

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// What a client sends, what the application gets of it and what the client is sent.
func TestFrames(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	for _, c := range []struct {
		name  string
		in    [][]byte
		takes []string
		got   []string
	}{
		{"text", [][]byte{text("é")}, []string{"t:é", "-"}, nil},
		{"binary", [][]byte{frame(ws.OpBinary, "\xff\x00", "f")}, []string{"b:\xff\x00", "-"}, nil},
		{"empty", [][]byte{text(""), frame(ws.OpBinary, "", "f")}, []string{"t:", "b:", "-"}, nil},
		{"lengths of each kind", [][]byte{text(long[:125]), text(long[:126]), text(long[:65535]), text(long[:65536])},
			[]string{"t:" + long[:125], "t:" + long[:126], "t:" + long[:65535], "t:" + long[:65536], "-"}, nil},
		{"fragments, a ping between them", [][]byte{frame(ws.OpText, "one", ""), frame(ws.OpPing, "p", "f"),
			frame(ws.OpContinuation, "", ""), frame(ws.OpContinuation, "two", "f")}, []string{"t:onetwo", "-"}, []string{"pong p"}},
		{"a rune in two fragments", [][]byte{frame(ws.OpText, "\xc3", ""), frame(ws.OpContinuation, "\xa9", "f")},
			[]string{"t:é", "-"}, nil},
		{"a pong nobody asked for", [][]byte{frame(ws.OpPong, "x", "f"), text("y")}, []string{"t:y", "-"}, nil},
		{"several in one", [][]byte{slices.Concat(text("a"), text("b"), frame(ws.OpPing, "", "f"))},
			[]string{"t:a", "t:b", "-"}, []string{"pong "}},

		{"close", [][]byte{text("a"), closing(1000, "bye"), text("b")}, []string{"t:a", "."}, []string{"close 1000"}},
		{"close without a code", [][]byte{frame(ws.OpClose, "", "f")}, []string{"."}, []string{"close "}},
		{"close with an application's code", [][]byte{closing(4999, "")}, []string{"."}, []string{"close 4999"}},
		{"close with half a code", [][]byte{frame(ws.OpClose, "\x03", "f")}, []string{"."}, []string{"close 1002 bad close frame"}},
		{"close with a reason that is no text", [][]byte{frame(ws.OpClose, "\x03\xe8\xff", "f")}, []string{"."},
			[]string{"close 1007 text that is not UTF-8"}},

		{"no mask", [][]byte{frame(ws.OpText, "x", "fu")}, []string{"."},
			[]string{"close 1002 frames from client to server must be masked"}},
		{"bit 1 without compression", [][]byte{frame(ws.OpText, "x", "f1")}, []string{"."},
			[]string{"close 1002 non-zero rsv bits with no extension negotiated"}},
		{"bit 3", [][]byte{frame(ws.OpText, "x", "f3")}, []string{"."},
			[]string{"close 1002 non-zero rsv bits with no extension negotiated"}},
		{"opcode 3", [][]byte{frame(3, "x", "f")}, []string{"."}, []string{"close 1002 use of reserved op code"}},
		{"opcode 11", [][]byte{frame(11, "x", "f")}, []string{"."}, []string{"close 1002 use of reserved op code"}},
		{"a ping in fragments", [][]byte{frame(ws.OpPing, "x", "")}, []string{"."}, []string{"close 1002 control frame is not final"}},
		{"a ping of 126 bytes", [][]byte{frame(ws.OpPing, long[:126], "f")}, []string{"."},
			[]string{"close 1002 control frame payload limit exceeded"}},
		{"a continuation of nothing", [][]byte{frame(ws.OpContinuation, "x", "f")}, []string{"."},
			[]string{"close 1002 unexpected continuation data frame"}},
		{"a message in a message", [][]byte{frame(ws.OpText, "x", ""), text("y")}, []string{"."},
			[]string{"close 1002 unexpected non-continuation data frame"}},
		{"a length beyond all", [][]byte{{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}}, []string{"."},
			[]string{"close 1002 header error: the most significant bit must be 0"}},

		{"not UTF-8", [][]byte{text("a\xff")}, []string{"."}, []string{"close 1007 text that is not UTF-8"}},
		{"a surrogate", [][]byte{text("\xed\xa0\x80")}, []string{"."}, []string{"close 1007 text that is not UTF-8"}},
		{"half a rune at the end", [][]byte{text("a\xc3")}, []string{"."}, []string{"close 1007 text that is not UTF-8"}},
		{"said before the message ends", [][]byte{frame(ws.OpText, "\xce\xba\xe1\xbd\xb9\xf4\x90", "")}, []string{"."},
			[]string{"close 1007 text that is not UTF-8"}},
		{"what came before is taken", [][]byte{text("a"), frame(3, "", "f"), text("b")}, []string{"t:a", "."},
			[]string{"close 1002 use of reserved op code"}},
	} {
		for _, size := range []int{1 << 20, 1, 2, 7} {
			r := newRig(t, "")
			all := slices.Concat(c.in...)
			if size > len(all) {
				r.give(c.in...)
			} else if len(all) < 1000 {
				for part := range slices.Chunk(all, size) {
					r.give(part)
				}
			} else {
				continue
			}
			if got := r.got(); !slices.Equal(got, c.got) {
				t.Errorf("%s, by %d: the client got %q, want %q", c.name, size, got, c.got)
			}
			if takes := r.takes(); !slices.Equal(takes, c.takes) {
				t.Errorf("%s, by %d: the application got %.200q, want %.200q", c.name, size, takes, c.takes)
			}
		}
	}
}

// RFC 6455 7.4: which codes may be sent.
func TestCloseCodes(t *testing.T) {
	for code, want := range map[int]string{
		0: "close 1002 bad close frame", 999: "close 1002 bad close frame", 1000: "close 1000", 1001: "close 1001", 1003: "close 1003",
		1004: "close 1002 bad close frame", 1005: "close 1002 bad close frame", 1006: "close 1002 bad close frame",
		1007: "close 1007", 1011: "close 1011", 1014: "close 1014", 1015: "close 1002 bad close frame",
		1016: "close 1002 bad close frame", 2999: "close 1002 bad close frame", 3000: "close 3000", 4999: "close 4999",
		5000: "close 1002 bad close frame", 65535: "close 1002 bad close frame",
	} {
		r := newRig(t, "").give(closing(code, ""))
		if got := r.got(); len(got) != 1 || got[0] != want {
			t.Errorf("%d: %q, want %q", code, got, want)
		}
	}
}

// Nothing larger than the limit comes through, however it is cut, and what is announced is refused before it comes.
func TestMessageSize(t *testing.T) {
	small := func(o *Options) { o.MaxMessage = 100 }
	hundred := strings.Repeat("x", 100)
	r := newRig(t, "", small).give(text(hundred))
	if got := r.takes(); got[0] != "t:"+hundred {
		t.Error("a message of just the limit: ", got)
	}
	for name, frames := range map[string][][]byte{
		"in one":     {text(hundred + "x")[:8]},
		"in two":     {frame(ws.OpText, hundred, ""), frame(ws.OpContinuation, "x", "f")[:6]},
		"in 101":     slices.Repeat([][]byte{frame(ws.OpText, "x", ""), frame(ws.OpContinuation, "", "")}, 1),
		"enormous":   {{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}},
		"by a frame": {frame(ws.OpBinary, hundred, ""), frame(ws.OpContinuation, "", ""), frame(ws.OpContinuation, "y", "f")[:6]},
	} {
		r := newRig(t, "", small)
		if name == "in 101" {
			frames = [][]byte{frame(ws.OpText, "x", "")}
			for range 100 {
				frames = append(frames, frame(ws.OpContinuation, "x", ""))
			}
		}
		r.give(frames...)
		if got := r.got(); !slices.Equal(got, []string{"close 1009 message too big"}) {
			t.Errorf("%s: %q", name, got)
		}
		if s := r.State(); s.Code != 1009 || !s.Closed {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// Frames that bring nothing are counted by the second.
func TestFloods(t *testing.T) {
	for name, f := range map[string][]byte{
		"pings": frame(ws.OpPing, "", "f"), "pongs": frame(ws.OpPong, "", "f"),
		"empty fragments": frame(ws.OpContinuation, "", ""),
	} {
		r := newRig(t, "").give(frame(ws.OpText, "x", ""))
		for range mostNothing {
			r.give(f)
		}
		r.sent = nil
		r.now += int64(time.Second)
		for range mostNothing {
			r.give(f)
		}
		if r.State().Closed {
			t.Errorf("%s: ended though they came in two seconds", name)
		}
		r.sent = nil
		r.give(f)
		if got := r.got(); !slices.Equal(got, []string{"close 1008 too many frames without data"}) {
			t.Errorf("%s: %q", name, got)
		}
	}
	r := newRig(t, "") // fragments of a byte are slow, but bring something
	r.give(frame(ws.OpText, "x", ""))
	for range 5 * mostNothing {
		r.give(frame(ws.OpContinuation, "x", ""))
	}
	if r.State().Closed {
		t.Error("small fragments end the connection")
	}
}

// Reading stops when enough waits for the application, in the middle of what was read as well, and goes on when it has taken half.
func TestBackPressure(t *testing.T) {
	r := newRig(t, "")
	var all []byte
	for range 3 * mostWaiting {
		all = append(all, text("x")...)
	}
	r.give(all)
	if r.Wants() || r.Fed() {
		t.Error("more is read than the application takes")
	}
	if n := len(r.Conn.messages); n != mostWaiting {
		t.Errorf("%d messages wait", n)
	}
	for i := range mostWaiting/2 + 1 {
		if _, how := r.Take(true); how != Got {
			t.Fatal("no message ", i)
		}
		if (r.looks > 0) != (i >= mostWaiting/2-1) {
			t.Fatalf("told to read on after %d", i+1)
		}
	}
	if r.looks != 1 {
		t.Errorf("told to read on %d times", r.looks)
	}
	for range 10 {
		r.give(nil)
		r.takes()
	}
	if !r.Fed() || !r.Wants() {
		t.Error("input was lost")
	}
	if r.counts[MessagesIn] != 3*mostWaiting {
		t.Errorf("%d messages", r.counts[MessagesIn])
	}
	big := strings.Repeat("x", mostWaitBytes/2)
	r.give(text(big), text(big), text("last"))
	if r.Wants() || len(r.Conn.messages) != 2 {
		t.Error("bytes are not counted")
	}
}

// A frame gets memory as it comes, not as it is announced; and none too much once it is there.
func TestAnAnnouncementCostsNothing(t *testing.T) {
	r := newRig(t, "")
	f := text(strings.Repeat("x", 100_000))
	for at := 0; at < len(f); at += 1000 {
		r.give(f[at:min(at+1000, len(f))])
		if got := cap(r.Conn.msg); got > 2*(at+1000) {
			t.Fatalf("%d bytes for %d that have come", got, at+1000)
		}
	}
	if m, how := r.Take(true); how != Got || len(m.Data) != 100_000 || cap(m.Data) > 110_000 {
		t.Errorf("%v, %d bytes in %d", how, len(m.Data), cap(m.Data))
	}
}

// Pings of a client that does not read are not answered one by one, the last one is when it reads again.
func TestPongsDoNotQueue(t *testing.T) {
	r := newRig(t, "")
	r.queued = pongsBelow + 1
	r.give(frame(ws.OpPing, "one", "f"), frame(ws.OpPing, "two", "f"))
	if got := r.got(); got != nil {
		t.Errorf("%q", got)
	}
	r.queued = 0
	r.Moved(0)
	r.Flush(true)
	if got := r.got(); !slices.Equal(got, []string{"pong two"}) {
		t.Errorf("%q", got)
	}
}

// Hostile bytes, in pieces: nothing panics, what waits is bounded, what goes out are frames, and nothing follows a Close.
func FuzzFeed(f *testing.F) {
	for _, seed := range [][]byte{
		text("hello"), slices.Concat(frame(ws.OpText, "a", ""), frame(ws.OpPing, "p", "f"), frame(ws.OpContinuation, "b", "f")),
		closing(1000, "bye"), {0x81, 0xff, 0x80}, frame(ws.OpText, "\xc3", "f"), frame(ws.OpText, "\x4a\x04\x00", "f1"),
		slices.Concat(deflated("hello"), deflated("hello")), {0xc1, 0x80, 0, 0, 0, 0},
	} {
		f.Add(seed, uint16(3), true)
		f.Add(seed, uint16(1000), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, step uint16, compress bool) {
		extensions := ""
		if compress {
			extensions = "permessage-deflate; client_max_window_bits"
		}
		r := newRig(t, extensions, func(o *Options) { o.MaxMessage = 10_000 })
		rnd := rand.New(rand.NewPCG(uint64(step), 1))
		for len(in) > 0 && r.Wants() {
			n := min(len(in), 1+rnd.IntN(int(step)+1))
			r.give(in[:n])
			in = in[n:]
			if len(r.Conn.messages) > mostWaiting || cap(r.Conn.msg) > 4*r.opt.MaxMessage {
				t.Fatal("too much waits")
			}
			if rnd.IntN(3) == 0 {
				for {
					m, how := r.Take(rnd.IntN(2) == 0)
					if how == Got && len(m.Data) > 10_000 {
						t.Fatal("a message beyond the limit")
					}
					if how != Got {
						break
					}
				}
				r.give(nil)
			}
			_ = r.Conn.Send(Text, []byte("hello"), true)
		}
		ended := false
		for _, s := range r.got() {
			if ended {
				t.Fatal("behind the Close: ", s)
			}
			ended = strings.HasPrefix(s, "close")
		}
	})
}

func deflated(s string) []byte {
	d := deflater{bits: fullBits}
	return frame(ws.OpText, string(d.append(nil, []byte(s))), "f1")
}
