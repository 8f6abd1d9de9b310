package proxy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

func TestHeaderText(t *testing.T) {
	for in, want := range map[string]string{
		"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n": "TCP4 192.0.2.1 443", "PROXY UNKNOWN x\r\n": "UNKNOWN",
		"PROXY TCP6 2001:db8::1 ::1 80 443\r\n": "TCP6 ::1 443", v2(cmdProxy, 0x11, inet...): "TCP4 192.0.2.1 443",
		v2(cmdProxy, 0x21, inet6...): "TCP6 ::1 443", v2(cmdLocal, 0x11, inet...): "LOCAL", v2(cmdProxy, 0x12, inet...): "UNSPEC",
		v2(cmdProxy, 0x31, make([]byte, sizeUnix)...): "UNIX", v2(cmdProxy, 0): "UNSPEC",
	} {
		if h, n, err := ParseHeader([]byte(in), Auto); err != nil || n != len(in) || h.Text() != want {
			t.Errorf("%q: %q, %d, %v", in, h.Text(), n, err)
		}
	}
}

func v2(command, family byte, rest ...byte) string {
	return signature + string(binary.BigEndian.AppendUint16([]byte{command, family}, uint16(len(rest)))) + string(rest)
}

var (
	inet  = []byte{203, 0, 113, 9, 192, 0, 2, 1, 0x12, 0x67, 0x01, 0xbb}
	inet6 = append(append(append([]byte{0x20, 1, 0xd, 0xb8}, make([]byte, 11)...), 1), append(make([]byte, 15), 1, 0, 80, 1, 0xbb)...)
)

func (h Header) text() string {
	switch {
	case h.Local:
		return "local"
	case h.Unix:
		return "unix"
	case !h.Source.IsValid():
		return "unknown"
	}
	return fmt.Sprint(h.Source, " ", h.Dest)
}

var headers = []struct {
	name, in string
	accept   Version
	want     string // an error, or the header
}{
	{"v1, IPv4", "PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n", V1, "203.0.113.9:4711 192.0.2.1:443"},
	{"v1, IPv6", "PROXY TCP6 2001:db8::1 ::1 80 443\r\n", Auto, "[2001:db8::1]:80 [::1]:443"},
	{"v1, the longest", "PROXY TCP6 " + strings.Repeat("ffff:", 7) + "ffff " + strings.Repeat("ffff:", 7) + "ffff 65535 65535\r\n", V1,
		"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 [ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
	{"v1, unknown", "PROXY UNKNOWN\r\n", V1, "unknown"},
	{"v1, unknown with something", "PROXY UNKNOWN ffff::1 ::1 65535 65535\r\n", V1, "unknown"},
	{"v1, port 0", "PROXY TCP4 203.0.113.9 192.0.2.1 0 443\r\n", V1, "203.0.113.9:0 192.0.2.1:443"},
	{"v1, mapped", "PROXY TCP6 ::ffff:203.0.113.9 ::1 80 443\r\n", V1, "203.0.113.9:80 [::1]:443"},
	{"v1, too long", "PROXY UNKNOWN " + strings.Repeat("x", 120) + "\r\n", V1, string(errLong)},
	{"v1, one byte too long", "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n", V1, string(errLong)},
	{"v1, as long as may be", "PROXY UNKNOWN " + strings.Repeat("x", 91) + "\r\n", V1, "unknown"},
	{"v1, LF only", "PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\n", V1, string(errMalformed)},
	{"v1, CR inside", "PROXY TCP4 203.0.113.9 192.0.2.1\r4711 443\r\n", V1, string(errMalformed)},
	{"v1, family and address differ", "PROXY TCP4 ::1 ::1 1 2\r\n", V1, string(errMalformed)},
	{"v1, and the other way", "PROXY TCP6 1.1.1.1 1.1.1.1 1 2\r\n", V1, string(errMalformed)},
	{"v1, another family", "PROXY UDP4 1.1.1.1 1.1.1.1 1 2\r\n", V1, string(errMalformed)},
	{"v1, lower case", "proxy TCP4 1.1.1.1 1.1.1.1 1 2\r\n", V1, string(errMissing)},
	{"v1, two spaces", "PROXY TCP4  1.1.1.1 1.1.1.1 1 2\r\n", V1, string(errMalformed)},
	{"v1, space behind", "PROXY TCP4 1.1.1.1 1.1.1.1 1 2 \r\n", V1, string(errMalformed)},
	{"v1, a port less", "PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n", V1, string(errMalformed)},
	{"v1, a port more", "PROXY TCP4 1.1.1.1 1.1.1.1 1 2 3\r\n", V1, string(errMalformed)},
	{"v1, port too large", "PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n", V1, string(errMalformed)},
	{"v1, port with a zero", "PROXY TCP4 1.1.1.1 1.1.1.1 01 2\r\n", V1, string(errMalformed)},
	{"v1, port with a sign", "PROXY TCP4 1.1.1.1 1.1.1.1 +1 2\r\n", V1, string(errMalformed)},
	{"v1, address with a zero", "PROXY TCP4 1.1.1.01 1.1.1.1 1 2\r\n", V1, string(errMalformed)},
	{"v1, zone", "PROXY TCP6 fe80::1%a ::1 1 2\r\n", V1, string(errMalformed)},
	{"v1, nothing", "PROXY \r\n", V1, string(errMalformed)},
	{"v1, not even a space", "PROXY\r\n", V1, string(errMissing)},
	{"v1, glued", "PROXY UNKNOWNX\r\n", V1, string(errMalformed)},
	{"v1 where v2 is wanted", "PROXY UNKNOWN\r\n", V2, string(errMissing)},
	{"a request", "GET / HTTP/1.1\r\n", Auto, string(errMissing)},
	{"a request with P", "POST / HTTP/1.1\r\n", Auto, string(errMissing)},

	{"v2, IPv4", v2(cmdProxy, 0x11, inet...), V2, "203.0.113.9:4711 192.0.2.1:443"},
	{"v2, IPv6", v2(cmdProxy, 0x21, inet6...), Auto, "[2001:db8::1]:80 [::1]:443"},
	{"v2, unix", v2(cmdProxy, 0x31, make([]byte, sizeUnix)...), V2, "unix"},
	{"v2, local", v2(cmdLocal, 0), V2, "local"},
	{"v2, local with anything", v2(cmdLocal, 0x11, 1, 2, 3), V2, "local"},
	{"v2, unspecified", v2(cmdProxy, 0), V2, "unknown"},
	{"v2, unspecified with anything", v2(cmdProxy, 0x01, 1, 2), V2, "unknown"},
	{"v2, datagrams", v2(cmdProxy, 0x12, inet...), V2, "unknown"},
	{"v2, TLVs", v2(cmdProxy, 0x11, append(bytes.Clone(inet), 3, 0, 4, 1, 2, 3, 4, 4, 0, 0)...), V2, "203.0.113.9:4711 192.0.2.1:443"},
	{"v2, the longest", v2(cmdProxy, 0x11, append(bytes.Clone(inet), append([]byte{4, 7, 0xe1}, make([]byte, maxV2-15)...)...)...), V2,
		"203.0.113.9:4711 192.0.2.1:443"},
	{"v2, a TLV too long", v2(cmdProxy, 0x11, append(bytes.Clone(inet), 3, 0, 5, 1, 2, 3, 4)...), V2, string(errMalformed)},
	{"v2, half a TLV", v2(cmdProxy, 0x11, append(bytes.Clone(inet), 3, 0)...), V2, string(errMalformed)},
	{"v2, too short for IPv4", v2(cmdProxy, 0x11, inet[:11]...), V2, string(errMalformed)},
	{"v2, too short for IPv6", v2(cmdProxy, 0x21, inet...), V2, string(errMalformed)},
	{"v2, too short for unix", v2(cmdProxy, 0x31, inet6...), V2, string(errMalformed)},
	{"v2, too long", v2(cmdProxy, 0x11, make([]byte, maxV2+1)...), V2, string(errLong)},
	{"v2, another version", v2(0x11, 0x11, inet...), V2, string(errMalformed)},
	{"v2, another command", v2(0x22, 0x11, inet...), V2, string(errMalformed)},
	{"v2, another family", v2(cmdProxy, 0x41, inet...), V2, string(errMalformed)},
	{"v2, another protocol", v2(cmdProxy, 0x13, inet...), V2, string(errMalformed)},
	{"v2, wrong signature", "\r\n\r\n\x00\r\nQUIT\r", V2, string(errMissing)},
	{"v2 where v1 is wanted", v2(cmdProxy, 0x11, inet...), V1, string(errMissing)},
}

func TestParseHeader(t *testing.T) {
	for _, test := range headers {
		const after = "GET / HTTP/1.1\r\n"
		for _, in := range []string{test.in, test.in + after} {
			h, n, err := ParseHeader([]byte(in), test.accept)
			got := h.text()
			if err != nil {
				got = string(err.(HeaderError))
			} else if n != len(test.in) {
				t.Errorf("%s: %d of %d bytes", test.name, n, len(test.in))
			}
			if got != test.want {
				t.Errorf("%s: %s, want %s", test.name, got, test.want)
			}
		}
		splits(t, []byte(test.in), test.accept)
	}
}

// splits checks that every beginning of in either needs more or says already what the whole says.
func splits(t *testing.T, in []byte, accept Version) {
	t.Helper()
	whole, size, failed := ParseHeader(in, accept)
	for i := range in {
		h, n, err := ParseHeader(in[:i], accept)
		switch {
		case err != nil && err != failed:
			t.Errorf("%q, first %d bytes: %v, but the whole: %v", in, i, err, failed)
		case err == nil && n != 0 && (n != size || h != whole || n > i):
			t.Errorf("%q, first %d bytes: %d, the whole: %d", in, i, n, size)
		case err == nil && n == 0 && i >= headV2+maxV2:
			t.Errorf("%q: %d bytes are not enough", in[:40], i)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	for _, test := range headers {
		f.Add([]byte(test.in), uint8(test.accept))
	}
	f.Fuzz(func(t *testing.T, in []byte, accept uint8) {
		v := Version(accept) & Auto
		h, n, err := ParseHeader(in, v)
		if n > len(in) || err != nil && (n != 0 || h != (Header{})) || h.Source.IsValid() != h.Dest.IsValid() {
			t.Errorf("%q: %+v, %d, %v", in, h, n, err)
		}
		splits(t, in[:min(len(in), 4096)], v)
	})
}
