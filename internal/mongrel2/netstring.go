package mongrel2

import "errors"

// MaxLength bounds what a length may say: ten digits would overflow on small machines.
const MaxLength = 999_999_999

var (
	errLength     = errors.New("mongrel2: a length is no number, or too large")
	errShort      = errors.New("mongrel2: the message ends too early")
	errTerminator = errors.New("mongrel2: a string does not end where its length says")
)

// length reads "123:" at the start of b: the number, and what is behind the colon.
func length(b []byte) (n int, rest []byte, err error) {
	i := 0
	for ; i < len(b) && '0' <= b[i] && b[i] <= '9'; i++ {
		if n = n*10 + int(b[i]-'0'); n > MaxLength {
			return 0, nil, errLength
		}
	}
	switch {
	case i == len(b):
		return 0, nil, errShort
	case i == 0, b[i] != ':', i > 1 && b[0] == '0':
		return 0, nil, errLength
	}
	return n, b[i+1:], nil
}

// Netstring reads "5:hello," at the start of b.
func Netstring(b []byte) (data, rest []byte, err error) {
	data, tag, rest, err := Value(b)
	if err == nil && tag != TagString {
		err = errTerminator
	}
	return data, rest, err
}

// The tags of tnetstrings, which stand behind the data.
const (
	TagString = ','
	TagInt    = '#'
	TagFloat  = '^'
	TagBool   = '!'
	TagNull   = '~'
	TagDict   = '}'
	TagList   = ']'
)

// Value reads one tnetstring at the start of b: its data, which is not looked at, and its tag.
func Value(b []byte) (data []byte, tag byte, rest []byte, err error) {
	n, b, err := length(b)
	if err != nil {
		return nil, 0, nil, err
	}
	if len(b) < n+1 {
		return nil, 0, nil, errShort
	}
	switch tag = b[n]; tag {
	case TagString, TagInt, TagFloat, TagBool, TagNull, TagDict, TagList:
		return b[:n:n], tag, b[n+1:], nil
	}
	return nil, 0, nil, errTerminator
}
