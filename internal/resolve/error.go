package resolve

// getaddrinfo's errors, with the numbers and texts of Linux' libc. socket.gaierror of Python has both.

// Code is one of EAI_*.
type Code int

const (
	NoName     Code = -2
	Again      Code = -3
	Fail       Code = -4
	NoData     Code = -5
	Family     Code = -6
	AddrFamily Code = -9
)

// String is gai_strerror's text.
func (c Code) String() string {
	switch c {
	case NoName:
		return "Name or service not known"
	case Again:
		return "Temporary failure in name resolution"
	case Fail:
		return "Non-recoverable failure in name resolution"
	case NoData:
		return "No address associated with hostname"
	case Family:
		return "ai_family not supported"
	case AddrFamily:
		return "Address family for hostname not supported"
	}
	return "Unknown error"
}

// Error is why a name has no addresses.
type Error struct {
	Code Code
	Err  error // net's, with more; may be nil
}

func (e *Error) Error() string { return e.Code.String() }

func (e *Error) Unwrap() error { return e.Err }
