package zeromq

import (
	"encoding/binary"
	"errors"
	"io"
)

// Flags of a frame (RFC 23 and 37 of ZeroMQ, "framing").
const (
	flagMore    = 1
	flagLong    = 2
	flagCommand = 4
)

// partCost is what a part counts for beside its bytes, so that empty ones are not free.
const partCost = 32

var (
	errFlags    = errors.New("a frame with unknown flags")
	errCommand  = errors.New("a command of several frames")
	errTooLarge = errors.New("a message larger than allowed")
)

// header writes the head of a frame to to.
func header(to []byte, flags byte, size int) []byte {
	if size <= 255 {
		return append(to, flags, byte(size))
	}
	to = append(to, flags|flagLong)
	return binary.BigEndian.AppendUint64(to, uint64(size))
}

// encodedSize is how long a message is on the wire.
func encodedSize(parts [][]byte) int {
	n := 0
	for _, p := range parts {
		n += 2 + len(p)
		if len(p) > 255 {
			n += 7
		}
	}
	return n
}

// appendMessage writes a message to to.
func appendMessage(to []byte, parts [][]byte) []byte {
	for i, p := range parts {
		flags := byte(flagMore)
		if i == len(parts)-1 {
			flags = 0
		}
		to = append(header(to, flags, len(p)), p...)
	}
	return to
}

// appendCommand writes a command to to.
func appendCommand(to []byte, name string, body []byte) []byte {
	to = header(to, flagCommand, 1+len(name)+len(body))
	to = append(append(to, byte(len(name))), name...)
	return append(to, body...)
}

// firstPart is the first part of an encoded message.
func firstPart(message []byte) []byte {
	if message[0]&flagLong == 0 {
		return message[2 : 2+int(message[1])]
	}
	return message[9 : 9+int(binary.BigEndian.Uint64(message[1:]))]
}

// decoder reads frames. What it allocates grows with what has come, not with what a frame's head promises. When a read
// fails because there is nothing yet, the next call goes on where it was.
type decoder struct {
	from   io.Reader
	max    int // bytes of a message
	buf    []byte
	lo, hi int    // buf[lo:hi] has been read and not used
	data   []byte // the parts of the message that is being read
	ends   []int  // where each ends
	cost   int

	inside bool // a frame's head has been read, and not its end
	flags  byte
	start  int // of the frame, in data
	left   int // of its body
}

const (
	readSize  = 32 << 10
	firstGrow = 256 << 10
)

func newDecoder(from io.Reader, limit int) *decoder {
	return &decoder{from: from, max: limit, buf: make([]byte, readSize)}
}

// buffered tells whether there is something to decode before the next read.
func (d *decoder) buffered() bool { return d.lo < d.hi }

// need reads until n bytes, at most 64, are in the buffer.
func (d *decoder) need(n int) error {
	if d.hi-d.lo >= n {
		return nil
	}
	if d.lo > 0 {
		d.hi = copy(d.buf, d.buf[d.lo:d.hi])
		d.lo = 0
	}
	for d.hi < n {
		got, err := d.from.Read(d.buf[d.hi:])
		d.hi += got
		if d.hi < n && err != nil {
			if err == io.EOF && d.hi > 0 {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// take returns the next n bytes, at most 64, valid until the next call.
func (d *decoder) take(n int) ([]byte, error) {
	if err := d.need(n); err != nil {
		return nil, err
	}
	d.lo += n
	return d.buf[d.lo-n : d.lo], nil
}

// next returns the next message, or the body of the next command, which is valid until the next call.
func (d *decoder) next() (message Message, command []byte, err error) {
	for {
		if !d.inside {
			if err := d.head(); err != nil {
				if err == io.EOF && len(d.ends) > 0 {
					err = io.ErrUnexpectedEOF
				}
				return nil, nil, err
			}
		}
		if err := d.body(); err != nil {
			return nil, nil, err
		}
		d.inside = false
		if d.flags&flagCommand != 0 { // it may be between the frames of a message
			command = d.data[d.start:]
			if d.data = d.data[:d.start]; d.start == 0 {
				d.data = nil
			}
			return nil, command, nil
		}
		d.ends = append(d.ends, len(d.data))
		if d.flags&flagMore == 0 {
			return d.whole(), nil, nil
		}
	}
}

// head reads the head of a frame.
func (d *decoder) head() error {
	if err := d.need(2); err != nil {
		return err
	}
	flags, size := d.buf[d.lo], 2
	if flags&^(flagMore|flagLong|flagCommand) != 0 {
		return errFlags
	}
	if flags&flagCommand != 0 && flags&flagMore != 0 {
		return errCommand
	}
	if flags&flagLong != 0 {
		size = 9
	}
	b, err := d.take(size)
	if err != nil {
		return err
	}
	long := uint64(b[1])
	if flags&flagLong != 0 {
		long = binary.BigEndian.Uint64(b[1:])
	}
	if long > uint64(d.max) || d.cost+int(long) > d.max || flags&flagCommand != 0 && long > maxControl {
		return errTooLarge
	}
	if flags&flagCommand == 0 {
		d.cost += int(long) + partCost
	}
	d.inside, d.flags, d.start, d.left = true, flags, len(d.data), int(long)
	if d.data == nil && flags&flagMore == 0 && d.left <= firstGrow { // nothing comes before or after it
		d.data = make([]byte, 0, d.left)
	}
	return nil
}

// body appends the rest of a frame to data.
func (d *decoder) body() error {
	for d.left > 0 {
		if d.lo < d.hi {
			n := min(d.left, d.hi-d.lo)
			d.data = append(d.data, d.buf[d.lo:d.lo+n]...)
			d.lo += n
			d.left -= n
			continue
		}
		if d.left < readSize {
			if err := d.need(1); err != nil {
				return unexpected(err)
			}
			continue
		}
		// Straight to where it belongs, in steps that double.
		if cap(d.data) == len(d.data) {
			grown := make([]byte, len(d.data), len(d.data)+min(d.left, max(firstGrow, len(d.data))))
			copy(grown, d.data)
			d.data = grown
		}
		room := d.data[len(d.data):min(cap(d.data), len(d.data)+d.left)]
		n, err := d.from.Read(room)
		d.data = d.data[:len(d.data)+n]
		d.left -= n
		if err != nil && d.left > 0 {
			return unexpected(err)
		}
	}
	return nil
}

// whole is the message whose last frame has been read.
func (d *decoder) whole() Message {
	m := make(Message, len(d.ends))
	start := 0
	for i, end := range d.ends {
		m[i] = d.data[start:end:end]
		start = end
	}
	d.data, d.ends, d.cost = nil, d.ends[:0], 0
	return m
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
