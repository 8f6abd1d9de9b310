package mongrel2

import "errors"

var errValue = errors.New("mongrel2: a header's value is neither text nor a list of texts")

// Sink takes header fields, in their order; one that was sent more than once comes once for each value. The bytes are valid as long
// as the message, and until the decoder reads another one's. An error ends the reading.
type Sink interface {
	Field(name, value []byte) error
}

// Decoder reads headers. It is for one goroutine at a time; the zero value is one.
type Decoder struct{ json scanner }

// Headers gives the fields of headers to the sink. dict: it is the data of a tnetstring dict, else JSON.
func (d *Decoder) Headers(headers []byte, dict bool, to Sink) error {
	if dict {
		return tnetHeaders(headers, to)
	}
	s := &d.json
	s.b, s.at, s.scratch = headers, 0, s.scratch[:0]
	if cap(s.scratch) > keepScratch {
		s.scratch = nil
	}
	err := s.object(to)
	s.b = nil
	return err
}

const keepScratch = 16 << 10 // bytes of what had escapes, from one message to the next

func (s *scanner) object(to Sink) error {
	if !s.is('{') {
		return errJSON
	}
	for more := !s.is('}'); more; {
		name, err := s.str()
		if err != nil {
			return err
		}
		if !s.is(':') {
			return errJSON
		}
		if err := s.values(name, to); err != nil {
			return err
		}
		if more = s.is(','); !more && !s.is('}') {
			return errJSON
		}
	}
	if s.space(); s.at != len(s.b) {
		return errJSON
	}
	return nil
}

// values reads the value, or the list of values, of a field.
func (s *scanner) values(name []byte, to Sink) error {
	list := false
	switch s.space() {
	case '"':
	case '[':
		list = true
		s.at++
		if s.is(']') {
			return nil
		}
	default:
		return errValue
	}
	for {
		value, err := s.str()
		if err != nil {
			return err
		}
		if err := to.Field(name, value); err != nil {
			return err
		}
		if !list || s.is(']') {
			return nil
		}
		if !s.is(',') {
			return errJSON
		}
	}
}

func tnetHeaders(b []byte, to Sink) error {
	for len(b) > 0 {
		name, tag, rest, err := Value(b)
		if err != nil {
			return err
		}
		if tag != TagString || len(rest) == 0 {
			return errKey
		}
		data, tag, rest, err := Value(rest)
		if err != nil {
			return err
		}
		b = rest
		switch tag {
		case TagString, TagInt:
			if err := Check(data, tag); err != nil {
				return err
			}
			if err := to.Field(name, data); err != nil {
				return err
			}
		case TagList:
			for len(data) > 0 {
				one, tag, rest, err := Value(data)
				if err != nil {
					return err
				}
				if tag != TagString {
					return errValue
				}
				if err := to.Field(name, one); err != nil {
					return err
				}
				data = rest
			}
		default:
			return errValue
		}
	}
	return nil
}
