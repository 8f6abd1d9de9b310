package mongrel2

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// fields collects what a Decoder gives.
type fields []string

func (f *fields) Field(name, value []byte) error {
	*f = append(*f, string(name)+"="+string(value))
	return nil
}

// made is a message with these parts.
func made(start, headers, tag, body string) string {
	return fmt.Sprintf("%s %d:%s%s%d:%s,", start, len(headers), headers, tag, len(body), body)
}

var messages = map[string]string{
	"json": made("54c6755b-9628-40a4-9a2d-cc82a816345e 7 /a/b", `{"PATH":"/a/b","METHOD":"GET", "a":["1","2"]} `, ",", "body"),
	"tnet": made("uuid 0 /", "4:PATH,1:/,6:METHOD,4:POST,1:a,8:1:1,1:2,]1:n,2:42#", "}", ""),
	"gone": made("uuid 12 @*", `{"METHOD":"JSON"}`, ",", `{"type":"disconnect"}`),
}

func TestParse(t *testing.T) {
	for name, want := range map[string]struct {
		m Message
		f fields
	}{
		"json": {Message{ID: 7, Path: []byte("/a/b"), Body: []byte("body")}, fields{"PATH=/a/b", "METHOD=GET", "a=1", "a=2"}},
		"tnet": {Message{Path: []byte("/"), Dict: true, Body: []byte{}}, fields{"PATH=/", "METHOD=POST", "a=1", "a=2", "n=42"}},
		"gone": {Message{ID: 12, Path: []byte("@*"), Body: []byte(`{"type":"disconnect"}`)}, fields{"METHOD=JSON"}},
	} {
		m, err := Parse([]byte(messages[name]))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var d Decoder
		var f fields
		if err := d.Headers(m.Headers, m.Dict, &f); err != nil || !reflect.DeepEqual(f, want.f) {
			t.Errorf("%s: %q, %v", name, f, err)
		}
		m.Sender, m.Headers = nil, nil
		if !reflect.DeepEqual(m, want.m) {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestParseFaults(t *testing.T) {
	for _, bad := range []string{
		"", "uuid", "uuid 1", "uuid 1 /", "uuid 1 / 2:{},", "uuid 1 / 2:{},0:,x", "uuid 1 / 2:{},0:", "uuid 1 / 2:{}]0:,",
		" 1 / 2:{},0:,", "u/id 1 / 2:{},0:,", "uuid x / 2:{},0:,", "uuid 01 / 2:{},0:,", "uuid -1 / 2:{},0:,", "uuid 1  2:{},0:,",
		"uuid 1 / 02:{},0:,", "uuid 1 / 3:{},0:,", "uuid 1 / 9999999999:{},0:,", "uuid 1 / 2:{},5:a,",
		"uuid 1234567890123456789 / 2:{},0:,",
	} {
		if m, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%q is %+v", bad, m)
		}
	}
}

func TestHeaderFaults(t *testing.T) {
	for _, bad := range []string{
		``, `{`, `}`, `[]`, `{"a"}`, `{"a":1}`, `{"a":null}`, `{"a":{}}`, `{"a":["b",1]}`, `{"a":["b"}`, `{"a":"b",}`, `{"a":"b"}x`,
		`{"a":"b" "c":"d"}`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\ud800"}`, `{"a":"\udc00\ud800"}`, `{"a":"b`, `{"a":"b\`, `{a:"b"}`,
		`{"a":["b",]}`,
	} {
		var d Decoder
		if err := d.Headers([]byte(bad), false, new(fields)); err == nil {
			t.Errorf("%s is no fault", bad)
		}
	}
	for _, bad := range []string{"1:a,", "1:a#1:b,", "1:a,4:true!", "1:a,0:}", "1:a,4:1:1#]", "1:a,1:x#", "1:a,1:b,x"} {
		var d Decoder
		if err := d.Headers([]byte(bad), true, new(fields)); err == nil {
			t.Errorf("%s is no fault", bad)
		}
	}
}

func TestEscapes(t *testing.T) {
	var d Decoder
	var f fields
	text := "{\"a\":\"\\\"\\\\\\/\\n\\u00e9\\ud83d\\ude00\",\"b\":\"\xff\t\"}"
	if err := d.Headers([]byte(text), false, &f); err != nil || !reflect.DeepEqual(f, fields{"a=\"\\/\né😀", "b=\xff\t"}) {
		t.Errorf("%q, %v", f, err)
	}
}

func TestAnswers(t *testing.T) {
	if got := AppendAnswer(nil, []byte("uuid"), 123); string(got) != "uuid 3:123, " {
		t.Errorf("%q", got)
	}
	got := AppendControl(nil, []byte("uuid"), 7, Control{Credits: 65536, Cancel: true, KeepAlive: true})
	want := `uuid 3:X 7, 65:3:ctl,55:10:keep-alive,4:true!7:credits,5:65536#6:cancel,4:true!}]`
	data, tag, rest, err := Value(got[len("uuid 3:X 7, "):])
	if err != nil || tag != TagList || len(rest) > 0 || Check(data, tag) != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}

func TestParseAnswer(t *testing.T) {
	for text, want := range map[string]string{
		"uuid 3:123, HTTP/1.1 200 OK": "uuid [123] false HTTP/1.1 200 OK",
		"uuid 3:1 2, ":                "uuid [1 2] false ",
		"uuid 5:X 1 2, 0:]":           "uuid [1 2] true 0:]",
	} {
		a, err := ParseAnswer([]byte(text))
		if got := fmt.Sprintf("%s %s %v %s", a.Sender, a.IDs, a.Control, a.Data); err != nil || got != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
		if again := string(a.Append(nil)); again != text {
			t.Errorf("%q became %q", text, again)
		}
	}
	for _, bad := range []string{"", "uuid", "uuid 3:123,", "uuid 3:123,x", "uuid 3:123# x", "uuid 4:123, x", " 3:123, x", "u/d 1:1, x"} {
		if a, err := ParseAnswer([]byte(bad)); err == nil {
			t.Errorf("%q is %+v", bad, a)
		}
	}
}

func TestDepth(t *testing.T) {
	nested := func(depth int) (text string) {
		text = "0:~"
		for range depth {
			text = fmt.Sprintf("%d:%s]", len(text), text)
		}
		return text
	}
	for depth, ok := range map[int]bool{1: true, MaxDepth: true, MaxDepth + 1: false, 10000: false} {
		data, tag, _, err := Value([]byte(nested(depth)))
		if err != nil || (Check(data, tag) == nil) != ok {
			t.Errorf("depth %d: %v", depth, err)
		}
	}
}

// nothing is a sink that keeps nothing.
type nothing struct{}

// kept keeps what it was given, and not copies.
type kept [][]byte

func (k *kept) Field(_, value []byte) error {
	*k = append(*k, value)
	return nil
}

// TestValuesStay: who keeps a value does not find another one there.
func TestValuesStay(t *testing.T) {
	var d Decoder
	var k kept
	if err := d.Headers([]byte(`{"a":"\\1","b":["\\2","\\3"],"c\n":"\\4","d":"\\5`+strings.Repeat("x", 10000)+`"}`), false, &k); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{`\1`, `\2`, `\3`, `\4`} {
		if string(k[i]) != want {
			t.Errorf("%q instead of %q", k[i], want)
		}
	}
}

func (nothing) Field(_, _ []byte) error { return nil }

func TestNothingAllocates(t *testing.T) {
	for name, text := range messages {
		message := []byte(text)
		var d Decoder
		var to Sink = nothing{}
		out := make([]byte, 0, 256)
		if n := testing.AllocsPerRun(100, func() {
			m, err := Parse(message)
			if err != nil || d.Headers(m.Headers, m.Dict, to) != nil {
				t.Fatal(err)
			}
			out = AppendAnswer(out[:0], m.Sender, m.ID)
			out = AppendControl(out, m.Sender, m.ID, Control{Credits: 1})
		}); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// FuzzParse: what is accepted is made of its parts again; JSON that encoding/json reads as well means the same.
func FuzzParse(f *testing.F) {
	for _, text := range messages {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		tag := ","
		if m.Dict {
			tag = "}"
		}
		again := fmt.Sprintf("%s %d %s %d:%s%s%d:%s,", m.Sender, m.ID, m.Path, len(m.Headers), m.Headers, tag, len(m.Body), m.Body)
		if again != string(b) {
			t.Fatalf("%q became %q", b, again)
		}
		var d Decoder
		var got fields
		_ = d.Headers(m.Headers, m.Dict, &got)
	})
}

// FuzzParseAnswer: what is accepted means the same when it is written again.
func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte("uuid 3:123, HTTP/1.1 200 OK"))
	f.Add([]byte("uuid 5:X 1 2, 0:]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAnswer(b)
		if err != nil {
			return
		}
		again, err := ParseAnswer(a.Append(nil))
		if err != nil || !reflect.DeepEqual(a, again) && len(a.IDs) > 0 {
			t.Fatalf("%q is then %+v, %v", b, again, err)
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"a":"b","c":["d","\u00e9\n"]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d Decoder
		var got fields
		if d.Headers(b, false, &got) != nil {
			return
		}
		var all map[string]any
		if !utf8.Valid(b) || bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' }) || json.Unmarshal(b, &all) != nil {
			return // JSON as Mongrel2 writes it
		}
		last := map[string]string{}
		for _, pair := range got {
			// A name with '=' would be cut wrongly, and those are nobody's.
			name, value, _ := strings.Cut(pair, "=")
			last[name] = value
		}
		for name, value := range all {
			if text, ok := value.(string); ok && !strings.Contains(name, "=") && !bytes.Contains(b, []byte("=")) && last[name] != text {
				t.Fatalf("%q: %q is %q, and was %q", b, name, last[name], text)
			}
		}
	})
}

func FuzzTnetstring(f *testing.F) {
	f.Add([]byte("5:hello,"))
	f.Add([]byte("20:1:a,4:true!1:b,3:1.5^}"))
	f.Add([]byte("4:1:1#]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		data, tag, rest, err := Value(b)
		if err != nil {
			return
		}
		if again := fmt.Sprintf("%d:%s%c%s", len(data), data, tag, rest); again != string(b) {
			t.Fatalf("%q became %q", b, again)
		}
		_ = Check(data, tag)
		if tag == TagDict {
			var d Decoder
			_ = d.Headers(data, true, new(fields))
		}
	})
}
