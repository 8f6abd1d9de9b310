package mongrel2

import (
	"bytes"
	"errors"
	"strconv"
)

// MaxTargets is how many clients one answer may have: Mongrel2's limits.handler_targets, unless it is set.
const MaxTargets = 128

// MaxSender is how long a server's or handler's name may be: ZeroMQ's identities have 255 bytes.
const MaxSender = 255

var (
	errSender  = errors.New("mongrel2: the sender is not named by letters, digits and hyphens")
	errID      = errors.New("mongrel2: the client has no number")
	errPath    = errors.New("mongrel2: the path is missing")
	errHeaders = errors.New("mongrel2: the headers are neither a string nor a dict")
	errRest    = errors.New("mongrel2: something follows the body")
)

// Message is one message of Mongrel2's to a handler. Its parts are those of what was parsed.
type Message struct {
	Sender  []byte // whom the answer is for
	ID      uint64 // of the client's connection
	Path    []byte
	Headers []byte // for Decoder.Headers
	Dict    bool   // they are a tnetstring's, else JSON
	Body    []byte
}

// PathAside is the path of what Mongrel2 says by itself: that a client has gone, or taken something.
const PathAside = "@*"

// Parse reads a message.
func Parse(b []byte) (m Message, err error) {
	if m.Sender, b = word(b); !validSender(m.Sender) {
		return Message{}, errSender
	}
	id, b := word(b)
	if m.ID, err = number(id); err != nil {
		return Message{}, err
	}
	if m.Path, b = word(b); len(m.Path) == 0 {
		return Message{}, errPath
	}
	var tag byte
	if m.Headers, tag, b, err = Value(b); err != nil {
		return Message{}, err
	}
	switch tag {
	case TagString:
	case TagDict:
		m.Dict = true
	default:
		return Message{}, errHeaders
	}
	if m.Body, b, err = Netstring(b); err != nil {
		return Message{}, err
	}
	if len(b) > 0 {
		return Message{}, errRest
	}
	return m, nil
}

// word is what stands before the first space, and what behind it.
func word(b []byte) (first, rest []byte) {
	i := bytes.IndexByte(b, ' ')
	if i < 0 {
		return nil, nil
	}
	return b[:i:i], b[i+1:]
}

func validSender(b []byte) bool {
	for _, c := range b {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return 0 < len(b) && len(b) <= MaxSender
}

// number reads a number of at most 18 digits, so that it has one form only.
func number(b []byte) (n uint64, err error) {
	if len(b) == 0 || len(b) > 18 || len(b) > 1 && b[0] == '0' {
		return 0, errID
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, errID
		}
		n = n*10 + uint64(c-'0')
	}
	return n, nil
}

// AppendAnswer appends what stands before the data of an answer to one client. Without data it hangs up on the client.
func AppendAnswer(dst, sender []byte, id uint64) []byte { return appendTo(dst, sender, "", id) }

// appendTo is it, with a mark before the client's number.
func appendTo(dst, sender []byte, mark string, id uint64) []byte {
	var text [20]byte
	digits := strconv.AppendUint(text[:0], id, 10)
	dst = append(dst, sender...)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(len(mark)+len(digits)), 10)
	dst = append(dst, ':')
	dst = append(dst, mark...)
	dst = append(dst, digits...)
	return append(dst, ", "...)
}

// Control is what a handler may tell Mongrel2 about a connection.
type Control struct {
	Credits   int64 // so many more bytes of the upload may come
	KeepAlive bool  // the connection is in use, whatever its deadlines say
	Cancel    bool  // it is to be closed now, with what has not been sent yet
}

// AppendControl appends a message with it.
func AppendControl(dst, sender []byte, id uint64, c Control) []byte {
	var room [96]byte
	args := room[:0]
	if c.KeepAlive {
		args = appendValue(AppendString(args, "keep-alive"), "true", TagBool)
	}
	if c.Credits != 0 {
		args = appendInt(AppendString(args, "credits"), c.Credits)
	}
	if c.Cancel {
		args = appendValue(AppendString(args, "cancel"), "true", TagBool)
	}
	var more [128]byte
	list := AppendString(more[:0], "ctl")
	list = appendValue(list, args, TagDict)
	return appendValue(appendTo(dst, sender, "X ", id), list, TagList)
}
