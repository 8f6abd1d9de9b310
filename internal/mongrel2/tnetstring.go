package mongrel2

import (
	"errors"
	"strconv"
)

// MaxDepth is how deep lists and dicts may be nested.
const MaxDepth = 32

var (
	errDepth  = errors.New("mongrel2: lists and dicts are nested too deeply")
	errScalar = errors.New("mongrel2: a number, truth value or null is malformed")
	errKey    = errors.New("mongrel2: a key is no string, or has no value")
)

// Check checks one value of this tag and everything in it.
func Check(data []byte, tag byte) error { return check(data, tag, 0) }

func check(data []byte, tag byte, depth int) error {
	switch tag {
	case TagString:
		return nil
	case TagNull:
		if len(data) == 0 {
			return nil
		}
	case TagBool:
		if string(data) == "true" || string(data) == "false" {
			return nil
		}
	case TagInt:
		if _, err := strconv.ParseInt(string(data), 10, 64); err == nil {
			return nil
		}
	case TagFloat:
		if _, err := strconv.ParseFloat(string(data), 64); err == nil {
			return nil
		}
	case TagDict, TagList:
		return checkAll(data, tag == TagDict, depth+1)
	}
	return errScalar
}

func checkAll(data []byte, pairs bool, depth int) error {
	if depth > MaxDepth {
		return errDepth
	}
	for len(data) > 0 {
		if pairs {
			_, tag, rest, err := Value(data)
			if err != nil {
				return err
			}
			if data = rest; tag != TagString || len(data) == 0 {
				return errKey
			}
		}
		inner, tag, rest, err := Value(data)
		if err != nil {
			return err
		}
		if err := check(inner, tag, depth); err != nil {
			return err
		}
		data = rest
	}
	return nil
}

// AppendString appends s as a tnetstring, which is a netstring.
func AppendString[S ~string | ~[]byte](dst []byte, s S) []byte { return appendValue(dst, s, TagString) }

func appendValue[S ~string | ~[]byte](dst []byte, s S, tag byte) []byte {
	dst = strconv.AppendInt(dst, int64(len(s)), 10)
	dst = append(dst, ':')
	dst = append(dst, s...)
	return append(dst, tag)
}

// appendInt appends a number as a tnetstring.
func appendInt(dst []byte, n int64) []byte {
	var text [20]byte
	return appendValue(dst, strconv.AppendInt(text[:0], n, 10), TagInt)
}
