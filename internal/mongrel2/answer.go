package mongrel2

import (
	"bytes"
	"errors"
)

var errIDs = errors.New("mongrel2: the clients are not named by a string with a space behind it")

// Answer is a message of a handler's to Mongrel2.
type Answer struct {
	Sender  []byte   // whose clients they are
	IDs     [][]byte // of the clients
	Control bool     // Data is a command about them, and no part of a response
	Data    []byte
}

// ParseAnswer reads a handler's message. The ids are not looked at.
func ParseAnswer(b []byte) (a Answer, err error) {
	if a.Sender, b = word(b); !validSender(a.Sender) {
		return Answer{}, errSender
	}
	ids, b, err := Netstring(b)
	if err != nil {
		return Answer{}, err
	}
	if len(b) == 0 || b[0] != ' ' {
		return Answer{}, errIDs
	}
	a.IDs, a.Data = bytes.Fields(ids), b[1:]
	if len(a.IDs) > 0 && string(a.IDs[0]) == "X" {
		a.IDs, a.Control = a.IDs[1:], true
	}
	return a, nil
}

// Append appends it as a message.
func (a Answer) Append(dst []byte) []byte {
	ids := bytes.Join(a.IDs, []byte(" "))
	if a.Control {
		ids = append([]byte("X "), ids...)
	}
	dst = append(append(dst, a.Sender...), ' ')
	dst = AppendString(dst, ids)
	return append(append(dst, ' '), a.Data...)
}
