package zeromq

import (
	"bytes"
	"io"
	"reflect"
	"testing"
	"testing/iotest"
)

// event is what a decoder makes of bytes.
type event struct {
	message Message
	command string
}

// decode reads all there is; it fails the test if it has more in hand than it may.
func decode(t *testing.T, from io.Reader, limit int) (events []event, last error) {
	d := newDecoder(from, limit)
	for {
		m, command, err := d.next()
		if err != nil {
			return events, err
		}
		size := 0
		for _, p := range m {
			size += len(p)
		}
		if size > limit || len(command) > maxControl {
			t.Fatalf("%d bytes of a message, %d of a command, with a limit of %d", size, len(command), limit)
		}
		events = append(events, event{m, string(command)})
	}
}

// FuzzFrames feeds the same bytes whole and one by one: the result is the same, within limits, and what was taken is
// encoded as it came, but for lengths that were longer than need be.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0, 0})
	f.Add(conversation()[64:])
	f.Add(appendMessage(nil, [][]byte{nil, []byte("a"), bytes.Repeat([]byte("b"), 256)}))
	f.Add(append(header(nil, flagMore, 1), "a\x04\x05\x04PING\x00\x01b"...))
	f.Add([]byte{flagLong, 0, 0, 0, 0, 0, 0, 0, 1, 'x'})
	f.Add([]byte{flagLong, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{flagCommand | flagLong, 0, 0, 0, 0, 0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 12
		whole, err := decode(t, bytes.NewReader(b), limit)
		pieces, err2 := decode(t, iotest.OneByteReader(bytes.NewReader(b)), limit)
		if !reflect.DeepEqual(whole, pieces) || err != err2 {
			t.Fatalf("whole: %q %v, in pieces: %q %v", whole, err, pieces, err2)
		}
		var again []byte
		for _, e := range whole {
			if e.message != nil {
				again = appendMessage(again, e.message)
				if got := firstPart(appendMessage(nil, e.message)); !bytes.Equal(got, e.message[0]) {
					t.Fatalf("first part %q of %q", got, e.message)
				}
				if got := len(appendMessage(nil, e.message)); got != encodedSize(e.message) {
					t.Fatalf("%d bytes, expected %d", got, encodedSize(e.message))
				}
			} else {
				again = append(header(again, flagCommand, len(e.command)), e.command...)
			}
		}
		if same, err := decode(t, bytes.NewReader(again), 1<<20); !reflect.DeepEqual(same, whole) || err != io.EOF {
			t.Fatalf("encoded again: %q %v, was %q", same, err, whole)
		}
	})
}

// FuzzGreeting: whatever a peer says, the handshake ends, and with bytes missing never well.
func FuzzGreeting(f *testing.F) {
	for _, t := range []string{"PUSH", "SUB", ""} {
		b := append(greeting3(), readyOf(t, []byte("name"))...)
		f.Add(b)
		f.Add(b[:70])
	}
	f.Add(append(append([]byte{}, signature...), 1, 8, 0, 2, 'i', 'd'))
	f.Add([]byte("GET / HTTP/1.0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := greet(io.Discard, newDecoder(bytes.NewReader(b), 8<<10), Pull, nil)
		if err != nil {
			return
		}
		if p.kind != "PUSH" || len(p.identity) > 255 {
			t.Fatalf("taken: %+v", p)
		}
		p2, err := greet(io.Discard, newDecoder(iotest.OneByteReader(bytes.NewReader(b)), 8<<10), Pull, nil)
		if err != nil || !reflect.DeepEqual(p, p2) {
			t.Fatalf("whole %+v, in pieces %+v %v", p, p2, err)
		}
	})
}

// What a frame's head promises is not allocated before it comes.
func TestPromisedBytesAreNotAllocated(t *testing.T) {
	b := append(header(nil, 0, 1<<30), make([]byte, 1<<20)...)
	got := testing.Benchmark(func(bench *testing.B) {
		bench.ReportAllocs()
		for range bench.N {
			d := newDecoder(bytes.NewReader(b), 1<<30)
			if _, _, err := d.next(); err != io.ErrUnexpectedEOF {
				bench.Fatal(err)
			}
		}
	})
	if got.AllocedBytesPerOp() > 8<<20 {
		t.Errorf("%d bytes for a megabyte", got.AllocedBytesPerOp())
	}
}

// A message of one part costs two allocations to read, and none to send.
func TestAllocations(t *testing.T) {
	message := appendMessage(nil, [][]byte{bytes.Repeat([]byte("x"), 600)})
	from := bytes.NewReader(nil)
	d := newDecoder(from, 1<<20)
	if n := testing.AllocsPerRun(100, func() {
		from.Reset(message)
		if _, _, err := d.next(); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("%v allocations for a message that comes", n)
	}
}
