package websocket

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

func TestSend(t *testing.T) {
	r := newRig(t, "")
	long := strings.Repeat("x", 70_000)
	for _, m := range []string{"", "a", long[:125], long[:126], long[:65535], long} {
		if got := r.Conn.Send(Text, []byte(m), false); got != SendOK {
			t.Fatal(got)
		}
		if got := r.got(); !slices.Equal(got, []string{"text " + m}) {
			t.Errorf("%.100q", got)
		}
	}
	r.Conn.Send(Binary, []byte("\xff"), true)
	r.Conn.Send(Ping, []byte("p"), true)
	if got := r.got(); !slices.Equal(got, []string{"binary \xff", "ping p"}) {
		t.Errorf("%q", got)
	}
	if in, out := r.Bytes(); in != 0 || out == 0 || r.counts[MessagesOut] != 7 || r.counts[BytesOut] != out {
		t.Error("counted: ", in, out, r.counts)
	}
	r.Conn.Close(1000, "bye", false, true, 0)
	if got := r.Conn.Send(Text, []byte("late"), true); got != SendClosed {
		t.Error("behind the Close: ", got)
	}
	if got := r.got(); !slices.Equal(got, []string{"close 1000 bye"}) {
		t.Errorf("%q", got)
	}
}

// With the GIL nothing waits: what would have to leaves everything as it was, the compressor too.
func TestNothingWaits(t *testing.T) {
	r := newRig(t, "permessage-deflate")
	message := []byte(strings.Repeat("message ", 20))
	r.Conn.Send(Text, message, true)
	past := bytes.Clone(r.def.past)
	r.busy = true
	if got := r.Conn.Send(Text, message, false); got != SendAgain || !bytes.Equal(past, r.def.past) {
		t.Error("a link that is busy: ", got)
	}
	r.busy = false
	r.out.Lock()
	if got := r.Conn.Send(Text, message, false); got != SendAgain {
		t.Error("another sends: ", got)
	}
	r.out.Unlock()
	if got := r.Conn.Send(Text, bytes.Repeat([]byte("x"), deflateAtOnce+1), false); got != SendAgain {
		t.Error("much to compress: ", got)
	}
	r.in.Lock()
	if _, how := r.Take(false); how != Again {
		t.Error("another takes: ", how)
	}
	r.in.Unlock()
}

// A control frame that comes while somebody sends is sent by that one.
func TestControlBehindASender(t *testing.T) {
	r := newRig(t, "")
	r.out.Lock()
	r.Conn.Feed(frame(ws.OpPing, "p", "f"), 0)
	if !r.Flush(false) || r.sent != nil {
		t.Fatal("sent by somebody who has no right to")
	}
	r.out.Unlock()
	r.Conn.Send(Text, []byte("x"), true)
	if got := r.got(); !slices.Equal(got, []string{"pong p", "text x"}) {
		t.Errorf("%q", got)
	}
}

// Messages of several senders are whole and in each one's order.
func TestSenders(t *testing.T) {
	for _, extensions := range []string{"", "permessage-deflate"} {
		r := newRig(t, extensions)
		r.opt.Count = func(Counter, int64) {}
		r.SendBuffer(1 << 30)
		var all sync.WaitGroup
		for who := range 4 {
			all.Go(func() {
				for i := range 200 {
					m := fmt.Sprintf("%d %03d %s", who, i, strings.Repeat("x", 100))
					for r.Conn.Send(Text, []byte(m), i%2 == 0) == SendAgain {
						time.Sleep(time.Microsecond)
					}
				}
			})
		}
		all.Wait()
		next := [4]int{}
		z := newPeer()
		in := bytes.NewReader(r.sent)
		for in.Len() > 0 {
			f, err := readFrame(in)
			if err != nil {
				t.Fatal(err)
			}
			var who, i int
			if _, err := fmt.Sscanf(z.message(t, f), "%d %d", &who, &i); err != nil || i != next[who] {
				t.Fatalf("%d of %d, want %d: %v", i, who, next[who], err)
			}
			next[who]++
		}
		if next != [4]int{200, 200, 200, 200} {
			t.Error(next)
		}
	}
}

func (r *rig) SendBuffer(n int) { r.opt.SendBuffer = n }

// peer inflates as a client does.
type peer struct{ past []byte }

func newPeer() *peer { return &peer{} }

func (p *peer) message(t testing.TB, f ws.Frame) string {
	if f.Header.Rsv == 0 {
		return string(f.Payload)
	}
	z := flate.NewReaderDict(io.MultiReader(bytes.NewReader(f.Payload), bytes.NewReader(inflateEnd)), p.past)
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal("not inflated: ", err)
	}
	p.past = remember(p.past, b, 1<<15)
	return string(b)
}

// A sender waits when enough is queued, and is woken when half of it is gone.
func TestRoom(t *testing.T) {
	r := newRig(t, "", func(o *Options) { o.SendBuffer = 1000 })
	big := make([]byte, 5000)
	if got := r.Conn.Send(Binary, big, false); got != SendOK {
		t.Error("a message larger than the bound, with nothing queued: ", got)
	}
	r.queued = 900
	if got := r.Conn.Send(Binary, big[:101], false); got != SendFull {
		t.Error(got)
	}
	if got := r.Conn.Send(Binary, big[:100], false); got != SendOK {
		t.Error(got)
	}
	w := new(counter)
	if r.Await(w, ForRoom) == 0 {
		t.Fatal("there is no room")
	}
	r.queued = 501
	r.Moved(3)
	if w.n != 0 {
		t.Error("woken though there is no room")
	}
	r.queued = 500
	r.Moved(3)
	if w.n != 1 || w.here != 3 {
		t.Error("not woken")
	}
	if r.Await(w, ForRoom) != 0 {
		t.Error("there is room")
	}
	r.queued, r.busy = 900, true
	if r.Await(w, ForRoom) != 0 {
		t.Error("nobody can tell: it is to be looked at again")
	}
}

type counter struct{ n, here int }

func (c *counter) Wake(here int) { c.n++; c.here = here }

func TestAwaitMessage(t *testing.T) {
	r := newRig(t, "")
	w, other := new(counter), new(counter)
	n := r.Await(w, ForMessage)
	if n == 0 {
		t.Fatal("nothing is there")
	}
	r.Await(other, ForRoom)
	r.give(frame(ws.OpText, "a", ""))
	if w.n != 0 {
		t.Error("woken by half a message")
	}
	r.give(frame(ws.OpContinuation, "b", "f"))
	if w.n != 1 || other.n != 0 {
		t.Error("woken: ", w.n, other.n)
	}
	if r.Await(w, ForMessage) != 0 {
		t.Error("a message is there")
	}
	r.Forget(n)
	r.give(text("c"))
	if w.n != 1 {
		t.Error("woken after Forget")
	}
	r.takes()
	r.Await(w, ForMessage)
	r.give(closing(1000, ""))
	if w.n != 2 || r.Await(w, ForMessage) != 0 {
		t.Error("the end is to be seen")
	}
}

func TestCloseHandshake(t *testing.T) {
	r := newRig(t, "").give(text("a"))
	r.Conn.Close(1001, "", true, true, 0) // as a server that stops
	if got := r.takes(); !slices.Equal(got, []string{"t:a", "."}) {
		t.Errorf("%q", got)
	}
	if r.Done() {
		t.Error("done before the peer's Close")
	}
	r.give(text("b"), frame(ws.OpPing, "", "f"), closing(1001, ""), text("c"))
	if got := r.got(); !slices.Equal(got, []string{"close 1001"}) {
		t.Errorf("%q", got)
	}
	if !r.Done() || r.State() != (State{Closed: true, Code: 1001}) {
		t.Errorf("%+v", r.State())
	}
	r = newRig(t, "").give(text("a"))
	r.Conn.Close(4000, "reason", false, true, 0) // as an application that has enough
	if got := r.takes(); !slices.Equal(got, []string{"."}) {
		t.Errorf("%q", got)
	}
	r.Conn.Close(1000, "", false, true, 0)
	if s := r.State(); s.Code != 4000 || s.Reason != "reason" {
		t.Errorf("%+v", s)
	}
	r.now += CloseTimeout.Nanoseconds()
	r.Tick(0)
	if !r.gone || !r.State().Over || r.counts[Open] != 0 {
		t.Error("waits for the peer's Close for ever")
	}
	r = newRig(t, "").give(closing(1000, "bye"))
	if s := r.State(); s.Code != 1000 || s.Reason != "bye" || !s.Closed {
		t.Errorf("%+v", s)
	}
	r = newRig(t, "").give(frame(ws.OpClose, "", "f"))
	if s := r.State(); s.Code != 1005 {
		t.Errorf("%+v", s)
	}
	r = newRig(t, "")
	r.Lost(0)
	if s := r.State(); s.Code != 1006 || r.Conn.Send(Text, nil, true) != SendClosed {
		t.Errorf("%+v", s)
	}
	if long := closeBody(1000, strings.Repeat("é", 100)); len(long) != 124 {
		t.Errorf("a reason of %d bytes", len(long))
	}
}

func TestKeepAlive(t *testing.T) {
	second := int64(time.Second)
	r := newRig(t, "")
	start := r.now
	if r.at != start+20*second {
		t.Error("looked at in ", (r.at-start)/second)
	}
	r.now += 5 * second
	r.give(text("x"))
	tick := func(after int64) []string {
		r.now = start + after*second
		r.Tick(0)
		r.Flush(true)
		return r.got()
	}
	if got := tick(20); got != nil || r.at != start+25*second {
		t.Errorf("%q, next in %d", got, (r.at-start)/second)
	}
	if got := tick(25); !slices.Equal(got, []string{"ping "}) || r.at != start+45*second {
		t.Errorf("%q, next in %d", got, (r.at-start)/second)
	}
	r.now = start + 44*second
	r.give(frame(ws.OpPong, "", "f"))
	if got := tick(45); got != nil || r.gone {
		t.Errorf("%q", got)
	}
	if got := tick(64); !slices.Equal(got, []string{"ping "}) {
		t.Errorf("%q", got)
	}
	tick(84)
	if !r.gone || r.State().Code != 1006 || r.Await(new(counter), ForMessage) != 0 {
		t.Error("half open for ever")
	}
	r = newRig(t, "", func(o *Options) { o.PingInterval, o.WriteTimeout = 0, 0 })
	if r.at != 0 {
		t.Error("looked at though nothing is to be done")
	}
}

// A peer that takes nothing is cut off, one that takes a little now and then is not.
func TestStall(t *testing.T) {
	r := newRig(t, "", func(o *Options) { o.PingInterval = 0 })
	r.queued = 10
	r.Await(new(counter), ForRoom)
	r.queued = 1 << 20
	r.Await(new(counter), ForRoom)
	if r.at == 0 {
		t.Fatal("nobody looks")
	}
	for range 5 {
		r.now += int64(time.Minute) - 1
		r.Moved(0)
		r.Tick(0)
	}
	if r.gone {
		t.Error("cut off though it takes something")
	}
	r.now += int64(time.Minute)
	r.Tick(0)
	if !r.gone {
		t.Error("not cut off")
	}
}

// How long a peer has taken nothing counts from when there was something to take, whoever sent it, not from before.
func TestStallBegins(t *testing.T) {
	quiet := func() *rig {
		r := newRig(t, "", func(o *Options) { o.PingInterval, o.SendBuffer = 0, 100 })
		r.now += int64(time.Hour)
		r.full = true
		return r
	}
	for name, send := range map[string]func(r *rig){
		"a message":   func(r *rig) { r.Conn.Send(Text, make([]byte, 200), true) },
		"a pong":      func(r *rig) { r.give(frame(ws.OpPing, "", "f")) },
		"our Close":   func(r *rig) { r.Conn.Close(1000, "", false, true, 0) },
		"two of them": func(r *rig) { r.give(frame(ws.OpPing, "", "f")); r.Conn.Send(Text, make([]byte, 200), true) },
	} {
		r := quiet()
		r.during = func() { r.Tick(0) } // the deadline of something else
		send(r)
		r.during = nil
		if r.gone {
			t.Errorf("%s: cut off at once", name)
		}
		if r.at == 0 || r.at > r.now+int64(time.Minute) {
			t.Errorf("%s: nobody looks", name)
		}
		r.now += int64(time.Minute) - 1
		if r.Tick(0); r.gone && name != "our Close" {
			t.Errorf("%s: cut off too soon", name)
		}
		r.now++
		if r.Tick(0); !r.gone {
			t.Errorf("%s: not cut off", name)
		}
	}
}

func TestNegotiate(t *testing.T) {
	for offer, want := range map[string]string{
		"":                   "",
		"x-webkit-deflate":   "",
		"permessage-deflate": "permessage-deflate",
		"permessage-deflate; client_max_window_bits":                           "permessage-deflate; client_max_window_bits=11",
		"permessage-deflate; client_max_window_bits=9":                         "permessage-deflate; client_max_window_bits=9",
		"permessage-deflate; client_max_window_bits=15":                        "permessage-deflate; client_max_window_bits=11",
		"permessage-deflate; server_max_window_bits=10":                        "permessage-deflate; server_max_window_bits=10",
		"permessage-deflate; server_max_window_bits=7":                         "",
		"permessage-deflate; server_max_window_bits":                           "",
		"permessage-deflate; unknown":                                          "",
		"permessage-deflate; unknown, permessage-deflate":                      "permessage-deflate",
		"permessage-deflate; server_no_context_takeover":                       "permessage-deflate; server_no_context_takeover",
		"permessage-deflate; client_no_context_takeover":                       "permessage-deflate; client_no_context_takeover",
		"permessage-deflate; client_max_window_bits; client_max_window_bits=9": "permessage-deflate; client_max_window_bits=9",
		"permessage-deflate; \x00":                                             "",
		"foo, permessage-deflate; server_max_window_bits=9, bar":               "permessage-deflate; server_max_window_bits=9",
	} {
		d := Negotiate([]byte(offer))
		if string(d.answer) != want || d.On != (want != "") {
			t.Errorf("%s: %q, want %q", offer, d.answer, want)
		}
	}
	// RFC 6455 1.3.
	out := string(AppendAnswer(nil, []byte("dGhlIHNhbXBsZSBub25jZQ=="), []byte("chat"), Negotiate([]byte("permessage-deflate")), []byte("A: b\r\n")))
	want := "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" +
		"Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\nA: b\r\n\r\n"
	if out != want {
		t.Errorf("%q", out)
	}
}

// What is deflated refers no farther back than the window that was agreed on, and to no message before if that was said.
func TestDeflateWindow(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 300)
	for i := range words {
		words[i] = fmt.Sprint(rnd.Uint64())
	}
	for bits := 8; bits <= fullBits; bits++ {
		for _, keep := range []bool{true, false} {
			d := deflater{bits: bits, keep: keep}
			var past []byte
			for range 20 {
				var m []byte
				for range rnd.IntN(2000) {
					m = append(m, words[rnd.IntN(len(words))]...)
				}
				out := d.append(nil, m)
				d.remember(m)
				known := past
				if !keep {
					known = nil
				}
				known = known[max(0, len(known)-1<<bits):]
				// As a client with a window of that size: what was before it is something else.
				z := flate.NewReaderDict(io.MultiReader(bytes.NewReader(out), bytes.NewReader(inflateEnd)), known)
				if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, m) {
					t.Fatalf("%d bits: %v", bits, err)
				}
				past = append(past, m...)
				if len(d.past) > keepOut || !keep && d.past != nil {
					t.Fatal("too much is kept: ", len(d.past))
				}
			}
		}
	}
}

func TestInflate(t *testing.T) {
	message := strings.Repeat("hello ", 30)
	d := deflater{bits: fullBits, keep: true}
	r := newRig(t, "permessage-deflate")
	sizes := []int{}
	for range 3 {
		b := d.append(nil, []byte(message))
		d.remember([]byte(message))
		sizes = append(sizes, len(b))
		half := len(b) / 2 // only the first fragment has the bit
		r.give(frame(ws.OpText, string(b[:half]), "1"), frame(ws.OpPing, "", "f"), frame(ws.OpContinuation, string(b[half:]), "f"))
	}
	if got := r.takes(); !slices.Equal(got, []string{"t:" + message, "t:" + message, "t:" + message, "-"}) {
		t.Errorf("%q", got)
	}
	if sizes[1] >= sizes[0] {
		t.Error("no context was taken over: ", sizes)
	}
	if len(r.inf.past) > 3*len(message) {
		t.Error("more is kept than has come")
	}
	r.give(text("not compressed"), deflated(""))
	if got := r.takes(); !slices.Equal(got, []string{"t:not compressed", "t:", "-"}) {
		t.Errorf("%q", got)
	}
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"no deflate":       {frame(ws.OpText, "\xff\xff", "f1"), "close 1007 bad compressed data"},
		"not UTF-8":        {deflated("\xff" + message), "close 1007 text that is not UTF-8"},
		"on a fragment":    {slices.Concat(frame(ws.OpText, "x", ""), frame(ws.OpContinuation, "x", "f1")), "close 1002 non-zero rsv bits with no extension negotiated"},
		"on a ping":        {frame(ws.OpPing, "x", "f1"), "close 1002 non-zero rsv bits with no extension negotiated"},
		"with another bit": {frame(ws.OpText, "x", "f12"), "close 1002 non-zero rsv bits with no extension negotiated"},
		"a bomb":           {deflated(strings.Repeat("\x00", 1<<20+1)), "close 1009 message too big"},
	} {
		r := newRig(t, "permessage-deflate").give(c.frame)
		r.takes()
		if got := r.got(); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s: %q", name, got)
		}
		if r.looks == 0 && strings.Contains(c.want, "1007") {
			t.Errorf("%s: the leader is not told", name)
		}
	}
	if n := testing.AllocsPerRun(10, func() { // a bomb costs no more than the limit
		f := inflater{}
		if _, err := f.inflate([]byte(bomb), 1000); err != errTooBig {
			t.Fatal(err)
		}
	}); n > 20 {
		t.Error("allocations: ", n)
	}
}

var bomb = func() string {
	d := deflater{bits: fullBits}
	return string(d.append(nil, make([]byte, 50<<20)))
}()

// Who is told that there is no room is not told at once that there is: it would ask again for ever. Whatever the message's size.
func TestNoRoomIsNoRoom(t *testing.T) {
	for _, size := range []int{1, 400, 501, 999, 1000, 5000} {
		for _, queued := range []int64{1, 499, 500, 501, 999, 1000, 1500} {
			r := newRig(t, "", func(o *Options) { o.SendBuffer = 1000 })
			r.queued = queued
			if r.Conn.Send(Binary, make([]byte, size), false) == SendFull && r.Await(new(counter), ForRoom) == 0 {
				t.Errorf("%d bytes behind %d: there is room, and there is none", size, queued)
			}
		}
	}
}

// Without a time-out for the answer pings go on all the same.
func TestPingsWithoutTimeout(t *testing.T) {
	r := newRig(t, "", func(o *Options) { o.PingTimeout = 0 })
	for i := range 3 {
		r.now = r.at
		r.Tick(0)
		r.Flush(true)
		if got := r.got(); !slices.Equal(got, []string{"ping "}) {
			t.Fatalf("ping %d: %q", i, got)
		}
		r.now += int64(time.Second)
		r.give(frame(ws.OpPong, "", "f"))
		if want := r.now + r.opt.PingInterval.Nanoseconds(); r.at != want {
			t.Fatalf("after pong %d looked at in %d s", i, (r.at-r.now)/int64(time.Second))
		}
	}
}
