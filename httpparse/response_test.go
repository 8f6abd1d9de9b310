package httpparse

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The response side against net/http, which knows its own names for statuses.

func TestStatusText(t *testing.T) {
	newer := map[int]string{ // RFC 9110 15.5
		413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content",
	}
	for code := -1; code < 1100; code++ {
		want := http.StatusText(code)
		if s, ok := newer[code]; ok {
			want = s
		}
		if want == "" {
			want = "Unknown"
		}
		if got := StatusText(code); got != want {
			t.Errorf("%d: %q, want %q", code, got, want)
		}
	}
}

func TestValidResponseParts(t *testing.T) {
	for _, c := range []struct {
		in                  string
		reason, name, value bool
	}{
		{"", true, false, true},
		{"X-Name", true, true, true},
		{"X_Name", true, true, true},
		{"two words", true, false, true},
		{"tab\there", true, false, true},
		{"caf\xe9", true, false, true},
		{"a:b", true, false, true},
		{"12345678\r\nX: y", false, false, false},
		{"a\nb", false, false, false},
		{"a\rb", false, false, false},
		{"a\x00b", false, false, false},
		{"a\x7fb", false, false, false},
		{"\x1b[31m", false, false, false},
	} {
		b := []byte(c.in)
		if got := ValidStatusReason(b); got != c.reason {
			t.Errorf("reason %q: %v", c.in, got)
		}
		if got := ValidFieldName(b); got != c.name {
			t.Errorf("name %q: %v", c.in, got)
		}
		if got := ValidFieldValue(b); got != c.value {
			t.Errorf("value %q: %v", c.in, got)
		}
	}
}

func TestAppendChunkHead(t *testing.T) {
	for n, want := range map[int]string{1: "1\r\n", 10: "a\r\n", 4096: "1000\r\n", 1<<62 + 255: "40000000000000ff\r\n"} {
		if got := string(AppendChunkHead([]byte("x"), n)); got != "x"+want {
			t.Errorf("%d: %q", n, got)
		}
	}
	for _, n := range []int{0, -1} { // would end the body, or worse
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a chunk of %d passed", n)
				}
			}()
			AppendChunkHead(nil, n)
		}()
	}
}

func TestAppendErrorResponse(t *testing.T) {
	date := []byte("Tue, 15 Nov 1994 08:12:31 GMT")
	got := string(AppendErrorResponse(nil, 400, "bad method at 0", date, false, "gowsgi/1"))
	want := "HTTP/1.1 400 Bad Request\r\nServer: gowsgi/1\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 29\r\nConnection: close\r\n\r\n" +
		"Bad Request: bad method at 0\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, status := range []int{400, 408, 413, 414, 417, 429, 431, 500, 501, 503, 505, 599} {
		for _, reason := range []string{"", "because"} {
			for _, method := range []string{"GET", "HEAD"} {
				msg := AppendErrorResponse([]byte{}, status, reason, nil, method == "HEAD", "")
				br := bufio.NewReader(bytes.NewReader(msg))
				resp, err := http.ReadResponse(br, &http.Request{Method: method})
				if err != nil {
					t.Fatalf("%q: %v", msg, err)
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil || resp.StatusCode != status || !resp.Close || br.Buffered() != 0 {
					t.Errorf("%q: %v", msg, err)
				}
				if (method == "GET") != strings.Contains(string(body), StatusText(status)) || resp.ContentLength <= 0 {
					t.Errorf("%q: body %q", msg, body)
				}
			}
		}
	}
}
