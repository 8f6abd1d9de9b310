package m2device

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\n"
	cases := []struct {
		name, sent string
		noBody     bool
		want       int8
	}{
		{"by length", head + "content-length: 3\r\n\r\nabc", false, complete},
		{"by length, not all", head + "content-length: 3\r\n\r\nab", false, inBody},
		{"empty", head + "Content-Length: 0\r\n\r\n", false, complete},
		{"HEAD", head + "Content-Length: 3\r\n\r\n", true, complete},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", false, complete},
		{"304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, complete},
		{"chunked", head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", false, complete},
		{"chunked, not all", head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", false, inBody},
		{"chunked, wrong", head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", false, toClose},
		{"to the end", head + "\r\nabc", false, toClose},
		{"100 first", "HTTP/1.1 100 Continue\r\n\r\n" + head + "Content-Length: 1\r\n\r\nx", false, complete},
		{"101", "HTTP/1.1 101 Switching Protocols\r\n\r\n", false, complete},
		{"no HTTP", "hello\r\n\r\n", false, toClose},
		{"a head without end", head + "x: " + strings.Repeat("y", maxHead), false, toClose},
	}
	for _, c := range cases {
		for _, piece := range []int{len(c.sent), 1, 7} {
			p := progress{noBody: c.noBody}
			for b := c.sent; len(b) > 0; b = b[min(piece, len(b)):] {
				p.feed([]byte(b[:min(piece, len(b))]))
			}
			if p.state != c.want || p.upgrade != (c.name == "101") {
				t.Errorf("%s in pieces of %d: state %d, want %d", c.name, piece, p.state, c.want)
			}
		}
	}
}

func TestHeaders(t *testing.T) {
	json := `{"METHOD":"HEAD","x":"a \"METHOD\":\"GET\"","list":["one","two"],"UPLOAD_STREAM": "3"}`
	tagged := "6:METHOD,4:HEAD,1:x,14:6:METHOD,3:GET,4:list,12:3:one,3:two,]13:UPLOAD_STREAM,1:3,"
	for _, m := range []string{fmt.Sprintf("u 1 /p %d:%s,0:,", len(json), json), fmt.Sprintf("u 1 /p %d:%s}0:,", len(tagged), tagged)} {
		r, err := parseRequest([]byte(m))
		if err != nil {
			t.Fatal(err)
		}
		all, err := r.all()
		if err != nil {
			t.Fatal(err)
		}
		if !r.head() || !r.streams || !r.grows() || all["METHOD"] != "HEAD" || all["list"] != "two" || string(r.Path) != "/p" ||
			string(r.Sender) != "u" || r.ID != 1 || all["UPLOAD_STREAM"] != "3" {
			t.Errorf("%q: %v", m, all)
		}
	}
}

func TestSpecs(t *testing.T) {
	for text, want := range map[string]string{
		"tcp://127.0.0.1:9":         "tcp://127.0.0.1:9  false",
		"tcp://me@127.0.0.1:9#bind": "tcp://127.0.0.1:9 me true",
		"ipc://RILEY@/my/sock":      "ipc:///my/sock RILEY false",
		"ipc:///my/sock#BIND":       "ipc:///my/sock  true",
	} {
		s, err := parseSpec(text, false)
		if got := fmt.Sprint(s.endpoint, " ", s.identity, " ", s.bind); err != nil || got != want {
			t.Errorf("%s: %s %v", text, got, err)
		}
	}
	for _, text := range []string{"", "127.0.0.1:9", "tcp://x:1#both", "tcp://" + strings.Repeat("i", 256) + "@x:1"} {
		if _, err := parseSpec(text, false); err == nil {
			t.Errorf("%.30s is taken", text)
		}
	}
	s, _ := parseSpec("tcp://me@h:9#bind", false)
	if s, err := s.shifted(-1); err != nil || s.endpoint != "tcp://h:8" || s.identity != "me" || !s.bind {
		t.Errorf("shifted: %+v %v", s, err)
	}
	for _, text := range []string{"ipc:///x", "tcp://h:1"} {
		s, _ := parseSpec(text, false)
		if _, err := s.shifted(-1); err == nil {
			t.Errorf("%s has one before it", text)
		}
	}
}

const letGo = "srv 3:X 1, 34:3:ctl,24:7:credits,10:1073741824#}]"

func TestCannedResponse(t *testing.T) {
	now := time.Date(2026, 11, 28, 1, 2, 3, 0, time.UTC)
	const date = "Date: Sat, 28 Nov 2026 01:02:03 GMT\r\n"
	headers := `,"PATTERN":"/a/(.*)","PATH":"/a/b/c","VERSION":"HTTP/1.1","QUERY":"q=1","bad":"x\r\ny: z"`
	redirect := canned{code: 302, status: "Found", body: "100%% of %(QUERY)s",
		headers: [][2]string{{"Location", "http://x%(PREFIX)s|%(MATCH)s|%(host)s"}}}
	cases := []struct {
		c    canned
		m    string
		want []string
	}{
		{redirect, get(1, headers), []string{answerTo(1, "HTTP/1.1 302 Found\r\nLocation: http://x/a/|b/c|\r\n"+date+
			"Content-Length: 11\r\n\r\n100% of q=1")}},
		{redirect, message(1, "/", "HEAD", headers), []string{answerTo(1, "HTTP/1.1 302 Found\r\nLocation: http://x/a/|b/c|\r\n"+
			date+"Content-Length: 11\r\n\r\n")}},
		{canned{code: 204, status: "No Content"}, get(1, `,"VERSION":"HTTP/1.0"`),
			[]string{answerTo(1, "HTTP/1.1 204 No Content\r\n"+date+"\r\n"), answerTo(1, "")}},
		{canned{code: 200, status: "OK", headers: [][2]string{{"X", "%(bad)s"}}}, get(1, headers), []string{answerTo(1, "")}},
		{canned{code: 200, status: "OK", body: "%(none)s"}, get(1, headers), []string{answerTo(1, "")}},
		{redirect, message(1, "@*", "JSON", headers), nil},
		{redirect, message(1, "/", "WEBSOCKET", headers), nil},
		{redirect, get(1, `,"x-mongrel2-upload-start":"/x"`), nil},
		// A body that nobody will ask for more of.
		{canned{code: 204, status: "No Content"}, get(1, `,"UPLOAD_STREAM":"0"`),
			[]string{answerTo(1, "HTTP/1.1 204 No Content\r\n"+date+"\r\n"), answerTo(1, ""), letGo}},
		{canned{code: 204, status: "No Content"}, get(1, `,"UPLOAD_STREAM":"0","UPLOAD_STREAM_DONE":"1"`),
			[]string{answerTo(1, "HTTP/1.1 204 No Content\r\n"+date+"\r\n")}},
		{redirect, part(1, 0, ""), nil},
		{redirect, "srv 1 / 2:{],0:,", []string{answerTo(1, "")}},
	}
	for _, c := range cases {
		if err := c.c.check(); err != nil {
			t.Fatal(err)
		}
		got, err := c.c.answer([]byte(c.m), now)
		if (err != nil) != (len(got) == 1 && string(got[0]) == answerTo(1, "")) {
			t.Errorf("%q: %v", c.m, err)
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
			t.Errorf("%q:\n got %q\nwant %q", c.m, got, c.want)
		}
	}
	if _, err := redirect.answer([]byte("nonsense"), now); err == nil {
		t.Error("nonsense is answered")
	}
	for _, c := range []canned{{code: 99}, {code: 101}, {code: 600}, {code: 200, status: "a\nb"}, {code: 200, body: "%d"}, {code: 200, body: "%(x"},
		{code: 200, headers: [][2]string{{"a b", ""}}}, {code: 200, headers: [][2]string{{"a", "x\r\ny"}}}, {code: 200, headers: [][2]string{{"a", "5%"}}}} {
		if c.check() == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

// FuzzMessages: whatever comes, nothing but an error.
func FuzzMessages(f *testing.F) {
	f.Add([]byte(get(1, `,"a":"b"`)))
	f.Add([]byte("srv 1 / 22:6:METHOD,4:HEAD,1:x,1:y,}0:,"))
	f.Add([]byte("srv 1 / 20:1:x,10:1:a,1:b,]]}0:,"))
	f.Add([]byte(answerTo(1, ok)))
	f.Add([]byte("srv 5:X 1 2, 3:abc,"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseRequest(b); err == nil {
			_, _ = r.all()
		}
		var p progress
		p.feed(b)
		d := newDesk(settings{}, "a")
		d.fromServer(b)
		d.fromHandler("a", b)
		d.tick()
	})
}
