package m2device

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// canned answers every request alike, but for what it says about it: %(NAME)s is the request's header of that name, in
// upper case one of Mongrel2's own; PREFIX is PATTERN up to its first (, and MATCH what PATH has behind that.
type canned struct {
	code    int
	status  string
	headers [][2]string
	body    string
}

// check says what is wrong with what was asked for.
func (c *canned) check() error {
	if c.code < 200 || c.code > 599 {
		return fmt.Errorf("--code=%d is no status of a response (200 to 599)", c.code)
	}
	if strings.ContainsAny(c.status, "\r\n\x00") {
		return errors.New("--status is one line")
	}
	for _, h := range c.headers {
		if h[0] == "" || strings.ContainsAny(h[0], " :\r\n\t\x00") || strings.ContainsAny(h[1], "\r\n\x00") {
			return fmt.Errorf("--header-%s is no header", h[0])
		}
		if err := checkTemplate(h[1]); err != nil {
			return fmt.Errorf("--header-%s: %w", h[0], err)
		}
	}
	if err := checkTemplate(c.body); err != nil {
		return fmt.Errorf("--body: %w", err)
	}
	return nil
}

var errTemplate = errors.New("only %(NAME)s can be put in; a percent sign is written %%")

func checkTemplate(template string) error {
	_, err := fill(template, func(string) (string, error) { return "", nil })
	return err
}

// fill puts values into a template.
func fill(template string, value func(string) (string, error)) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(template, "%")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		if strings.HasPrefix(rest, "%") {
			out.WriteByte('%')
			template = rest[1:]
			continue
		}
		name, after, ok := strings.Cut(rest, ")s")
		if !ok || !strings.HasPrefix(name, "(") {
			return "", errTemplate
		}
		v, err := value(name[1:])
		if err != nil {
			return "", err
		}
		out.WriteString(v)
		template = after
	}
}

// answer is what to send for a message of Mongrel2's, which may be nothing.
func (c *canned) answer(message []byte, now time.Time) (out [][]byte, err error) {
	r, err := parseRequest(message)
	if err != nil {
		return nil, err
	}
	if r.part() {
		return nil, nil
	}
	headers, err := r.all()
	if err != nil { // the client sees the connection end
		return [][]byte{r.answer(nil)}, err
	}
	method := headers["METHOD"]
	_, started := headers["x-mongrel2-upload-start"]
	_, done := headers["x-mongrel2-upload-done"]
	if method == "JSON" || method == "WEBSOCKET" || started && !done {
		return nil, nil
	}
	prefix, _, _ := strings.Cut(headers["PATTERN"], "(")
	headers["PREFIX"] = prefix
	headers["MATCH"] = headers["PATH"][min(len(prefix), len(headers["PATH"])):]
	if _, ok := headers["host"]; !ok {
		headers["host"] = ""
	}
	response, err := c.response(headers, now)
	if err != nil { // the client sees the connection end
		return [][]byte{r.answer(nil)}, err
	}
	out = append(out, r.answer(response))
	if r.streams && !r.whole { // nobody asks for the rest
		return append(out, r.answer(nil), r.letGo()), nil
	}
	if headers["VERSION"] == "HTTP/1.0" || strings.EqualFold(headers["connection"], "close") {
		out = append(out, r.answer(nil))
	}
	return out, nil
}

func (c *canned) response(headers map[string]string, now time.Time) ([]byte, error) {
	value := func(name string) (string, error) {
		v, ok := headers[name]
		if !ok {
			return "", fmt.Errorf("a request without the header %q, which the response names", name)
		}
		return v, nil
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", c.code, c.status)
	dated := false
	for _, h := range c.headers {
		v, err := fill(h[1], value)
		if err != nil {
			return nil, err
		}
		if strings.ContainsAny(v, "\r\n\x00") {
			return nil, fmt.Errorf("a request whose headers would break the response's header %s", h[0])
		}
		dated = dated || strings.EqualFold(h[0], "date")
		b.WriteString(h[0] + ": " + v + "\r\n")
	}
	body, err := fill(c.body, value)
	if err != nil {
		return nil, err
	}
	if !dated {
		b.WriteString("Date: " + now.UTC().Format(http.TimeFormat) + "\r\n")
	}
	if c.code == 204 || c.code == 304 {
		b.WriteString("\r\n")
		return b.Bytes(), nil
	}
	b.WriteString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n")
	if headers["METHOD"] != "HEAD" {
		b.WriteString(body)
	}
	return b.Bytes(), nil
}
