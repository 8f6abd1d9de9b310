package m2device

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// record is an output that remembers: what was sent to whom, in order.
type record struct {
	sent  []string
	away  map[string]bool // handlers without a connection
	lines []string
}

func (r *record) toHandler(id string, body []byte) { r.sent = append(r.sent, id+"<"+string(body)) }
func (r *record) toServer(message []byte)          { r.sent = append(r.sent, ">"+string(message)) }
func (r *record) ping()                            { r.sent = append(r.sent, "ping") }
func (r *record) connected(id string) bool         { return !r.away[id] }
func (r *record) forget(id string)                 { r.sent = append(r.sent, "forget "+id) }
func (r *record) log(line string)                  { r.lines = append(r.lines, line) }

// want takes what was sent since the last call.
func (r *record) want(t *testing.T, want ...string) {
	t.Helper()
	got := r.sent
	r.sent = nil
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Fatalf("sent %q, want %q", got, want)
	}
}

func (r *record) clear() { r.sent = nil }

// get is a request of a client, with headers in JSON beside METHOD.
func get(client int, more string) string { return message(client, "/", "GET", more) }

func message(client int, path, method, more string) string {
	headers := fmt.Sprintf(`{"METHOD":%q%s}`, method, more)
	body := ""
	if method == "JSON" {
		body = `{"type":"disconnect"}`
	}
	return fmt.Sprintf("srv %d %s %d:%s,%d:%s,", client, path, len(headers), headers, len(body), body)
}

// part is one of a body that is streamed.
func part(client, offset int, more string) string {
	headers := fmt.Sprintf(`{"UPLOAD_STREAM":"%d"%s}`, offset, more)
	return fmt.Sprintf("srv %d / %d:%s,1:x,", client, len(headers), headers)
}

func answerTo(client int, body string) string {
	return fmt.Sprintf("srv %d:%d, %s", len(fmt.Sprint(client)), client, body)
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// desk is a dispatcher and its output.
type desk struct {
	*dispatcher
	*record
}

func newDesk(s settings, handlers ...string) desk {
	r := &record{away: map[string]bool{}}
	d := desk{newDispatcher(s, r), r}
	if s.giveUp == 0 {
		d.giveUp = 30
	}
	for _, h := range handlers {
		d.fromHandler(h, nil)
	}
	return d
}

func (d desk) request(m string)          { d.fromServer([]byte(m)) }
func (d desk) answer(h string, m string) { d.fromHandler(h, []byte(m)) }

func TestEachRequestGoesToWhoHasFewest(t *testing.T) {
	d := newDesk(settings{}, "a", "b")
	d.order = 1
	d.handlers["a"].given = 1
	d.request(get(1, ""))
	d.want(t, "b<"+get(1, ""))
	d.request(get(2, ""))
	d.want(t, "a<"+get(2, ""))
	// b is slow; a is done each time, and gets all.
	for i := 2; i < 20; i++ {
		d.answer("a", answerTo(i, ok))
		d.want(t, ">"+answerTo(i, ok))
		d.request(get(i+1, ""))
		d.want(t, "a<"+get(i+1, ""))
	}
	// Now both have one, and it is b's turn.
	d.request(get(100, ""))
	d.want(t, "b<"+get(100, ""))
}

func TestRequestsWaitForAHandler(t *testing.T) {
	d := newDesk(settings{})
	d.request(get(1, ""))
	d.request(get(2, ""))
	d.want(t)
	if d.busy() != 2 {
		t.Errorf("%d are busy", d.busy())
	}
	d.answer("a", "T1")
	d.want(t, "a<N")
	d.answer("a", "N1")
	d.want(t, "a<"+get(1, ""))
	d.request(get(3, ""))
	d.want(t)
	d.answer("a", answerTo(1, ok))
	d.want(t, ">"+answerTo(1, ok), "a<"+get(2, ""))
	d.answer("b", "")
	d.want(t, "b<"+get(3, ""))
}

func TestFullWhenTooManyWait(t *testing.T) {
	d := newDesk(settings{})
	for i := range 63 {
		d.request(get(i, ""))
	}
	if d.full() {
		t.Error("full with 63")
	}
	d.request(get(63, ""))
	if !d.full() {
		t.Error("not full with 64")
	}
	d.answer("a", "")
	if d.full() || d.waiting != 0 {
		t.Errorf("full with none; %d bytes", d.waiting)
	}
	d = newDesk(settings{})
	d.request(get(1, `,"x":"`+strings.Repeat("x", 5<<20)+`"`))
	if !d.full() {
		t.Error("not full with 5 MB")
	}
}

// Handlers that wait for what Mongrel2 says get it, whatever waits for them; but not without bound.
func TestNotFullWhileSomebodyNeedsMessages(t *testing.T) {
	const begun = "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n"
	for name, begin := range map[string]func(d desk){
		"download": func(d desk) {
			d.request(get(1, `,"DOWNLOAD_CREDITS":"102400"`))
			d.answer("a", answerTo(1, begun))
		},
		"second download": func(d desk) {
			d.request(get(1, `,"DOWNLOAD_CREDITS":"102400"`))
			d.answer("a", answerTo(1, ok))
			d.request(get(1, ""))
			d.answer("a", answerTo(1, begun))
		},
		"parts": func(d desk) { d.request(get(1, `,"UPLOAD_STREAM":"0"`)) },
		"file":  func(d desk) { d.request(get(1, `,"x-mongrel2-upload-start":"/u"`)) },
		"WebSocket": func(d desk) {
			d.request(message(1, "/", "WEBSOCKET_HANDSHAKE", ""))
			d.answer("a", answerTo(1, "HTTP/1.1 101 Switching Protocols\r\n\r\n"))
			d.request(get(2, ""))
		},
	} {
		d := newDesk(settings{slots: 1}, "a")
		begin(d)
		for i := range enough {
			d.request(get(100+i, ""))
		}
		if d.full() {
			t.Errorf("%s: full", name)
		}
		for i := range tooMany - enough {
			d.request(get(1000+i, ""))
		}
		d.clear()
		d.request(get(99999, ""))
		d.want(t, ">"+answerTo(99999, string(unavailable)), ">"+answerTo(99999, ""))
		if len(d.pending) != tooMany || d.clients["srv 99999"] != nil {
			t.Errorf("%s: %d wait", name, len(d.pending))
		}
		d.request(message(1, "@*", "JSON", ""))
		if !d.full() {
			t.Errorf("%s: not full when it is over", name)
		}
	}
	d := newDesk(settings{slots: 1}, "a")
	d.request(get(1, `,"DOWNLOAD_CREDITS":"102400"`))
	if d.needs(d.given()) {
		t.Error("nothing has been sent")
	}
	d.answer("a", answerTo(1, begun))
	if !d.needs(d.given()) || d.needs(0) {
		t.Error("what was begun since may need something")
	}
}

func TestPipelineIsBounded(t *testing.T) {
	for _, handlers := range [][]string{nil, {"a"}} {
		d := newDesk(settings{}, handlers...)
		for range maxPipelined {
			d.request(get(1, ""))
		}
		d.clear()
		d.request(get(1, ""))
		want := []string{">" + answerTo(1, ""), "a<" + message(1, "@*", "JSON", "")}
		d.want(t, want[:1+len(handlers)]...)
		if d.busy() != 0 || d.waiting != 0 || len(d.clients) != 0 {
			t.Errorf("%d busy, %d bytes, %d clients", d.busy(), d.waiting, len(d.clients))
		}
	}
}

func TestHandlerThatDiesIsReplaced(t *testing.T) {
	d := newDesk(settings{}, "a", "b")
	d.handlers["a"].given = 1
	d.order = 1
	for i := 1; i <= 4; i++ { // b, a, b, a
		d.request(get(i, ""))
	}
	d.answer("b", answerTo(1, ok)) // done: not to be repeated
	d.away["b"] = true
	d.clear()
	d.tick()
	d.answer("a", "")
	d.tick()
	d.answer("a", "")
	d.want(t, "ping", "ping")
	d.tick() // two pings without an answer
	d.want(t, "forget b", "ping", "a<"+get(3, ""))
	d.answer("b", answerTo(3, ok)) // too late
	d.want(t)
	d.answer("a", answerTo(3, ok))
	// Its client is hung up on, so that the other answer, when it comes at last, is for nobody.
	d.want(t, ">"+answerTo(3, ok), ">"+answerTo(3, ""), "a<"+message(3, "@*", "JSON", ""))
	if len(d.clients) != 3 {
		t.Errorf("%d clients", len(d.clients))
	}
}

// A handler that was only suspended answers what another one has answered, too, as an upgrade, and is here again.
func TestLateAnswerDoesNotReachAWebSocket(t *testing.T) {
	const upgrade = "HTTP/1.1 101 Switching Protocols\r\n\r\n"
	d := newDesk(settings{giveUp: 2}, "a")
	d.request(message(1, "/", "WEBSOCKET_HANDSHAKE", ""))
	d.tick()
	d.tick()
	d.answer("b", "")
	d.tick()
	d.answer("b", "")
	d.answer("b", answerTo(1, upgrade))
	d.answer("a", "")
	d.clear()
	d.answer("a", answerTo(1, upgrade))
	d.want(t)
	d.answer("b", answerTo(1, "\x81\x01x"))
	d.want(t, ">"+answerTo(1, "\x81\x01x"))
}

// Of a request that was answered in part, or whose body has gone, nobody can take over.
func TestWhatCannotBeRepeatedFails(t *testing.T) {
	d := newDesk(settings{}, "a")
	d.request(get(1, ""))
	d.answer("a", answerTo(1, ok[:20]))
	d.request(get(2, `,"UPLOAD_STREAM":"0"`))
	d.request(part(2, 1, ""))
	d.request(get(3, ""))
	d.request(message(4, "/", "WEBSOCKET_HANDSHAKE", ""))
	d.answer("a", answerTo(4, "HTTP/1.1 101 Switching Protocols\r\n\r\n"))
	d.away["a"] = true
	d.answer("b", "")
	d.tick()
	d.answer("b", "")
	d.tick()
	d.answer("b", "")
	d.clear()
	d.tick()
	got := strings.Join(d.sent, "\n")
	for _, want := range []string{">" + answerTo(1, ""), ">" + answerTo(2, string(badGateway)), ">" + answerTo(2, ""),
		"b<" + get(3, ""), ">" + answerTo(4, "")} {
		if strings.Count(got, want) != 1 && !strings.HasSuffix(want, ", ") {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	// Mongrel2 is not left waiting for somebody who asks for the rest of the body.
	if want := ">" + strings.Replace(letGo, "X 1", "X 2", 1); strings.Count(got, want) != 1 {
		t.Errorf("%q is not in %q", want, got)
	}
	if len(d.sent) != 8 { // forget, ping and these
		t.Errorf("sent %q", d.sent)
	}
}

func TestSilentHandlerWhoseConnectionStandsKeepsWhatItHas(t *testing.T) {
	d := newDesk(settings{giveUp: 5}, "a", "b")
	d.handlers["b"].given = 1
	d.order = 1
	d.request(get(1, ""))
	d.want(t, "a<"+get(1, ""))
	for range 4 {
		d.tick()
		d.answer("b", "")
	}
	d.want(t, "ping", "ping", "ping", "ping")
	for i := 2; i < 6; i++ { // all to b, though that has more
		d.request(get(i, ""))
		d.want(t, "b<"+get(i, ""))
	}
	d.answer("a", "") // it was only slow
	d.answer("a", answerTo(1, ok))
	d.request(get(9, ""))
	d.want(t, ">"+answerTo(1, ok), "a<"+get(9, ""))
	for range 5 {
		d.tick()
		d.answer("b", "")
	}
	d.clear()
	d.tick() // given up
	d.want(t, "forget a", "ping", "b<"+get(9, ""))
}

func TestDoubtfulHandlerGetsNothingNew(t *testing.T) {
	d := newDesk(settings{}, "a")
	d.tick()
	d.tick()
	d.clear()
	d.request(get(1, ""))
	d.want(t)
	d.answer("a", "")
	d.want(t, "a<"+get(1, ""))
}

func TestHandlerWithoutConnectionGetsNothing(t *testing.T) {
	d := newDesk(settings{}, "a", "b")
	d.away["a"] = true
	for i := range 5 {
		d.request(get(i, ""))
		d.want(t, "b<"+get(i, ""))
	}
}

func TestHandlerLeaves(t *testing.T) {
	d := newDesk(settings{}, "a", "b")
	d.handlers["b"].given = 1
	d.order = 1
	d.request(get(1, ""))
	d.clear()
	d.answer("a", "X")
	d.want(t, "a<X")
	d.request(get(2, ""))
	d.request(get(3, ""))
	d.want(t, "b<"+get(2, ""), "b<"+get(3, ""))
	d.answer("a", answerTo(1, ok)) // what it had it may finish
	d.want(t, ">"+answerTo(1, ok))
	d.request(get(4, ""))
	d.want(t, "b<"+get(4, ""))
	d.answer("a", "X") // asked again
	d.want(t, "a<X")
	d.answer("a", "") // it has thought again
	d.request(get(5, ""))
	d.want(t, "a<"+get(5, ""))
	d.answer("stranger", "X")
	d.want(t, "stranger<X")
}

func TestHandlerThatLeftAndDiesIsReplaced(t *testing.T) {
	d := newDesk(settings{}, "a")
	d.request(get(1, ""))
	d.answer("a", "X")
	d.answer("b", "")
	d.away["a"] = true
	d.clear()
	for range 3 {
		d.tick()
		d.answer("b", "")
	}
	d.want(t, "ping", "ping", "forget a", "ping", "b<"+get(1, ""))
}

func TestHandlerThatLeftIsForgottenWhenDone(t *testing.T) {
	d := newDesk(settings{}, "a")
	d.request(get(1, ""))
	d.answer("a", "X")
	d.away["a"] = true
	d.answer("a", answerTo(1, ok))
	if len(d.handlers) != 0 {
		t.Errorf("%d handlers", len(d.handlers))
	}
}

// All that Mongrel2 says of a connection goes to the handler that has its request.
func TestMessagesOfARequestStayTogether(t *testing.T) {
	d := newDesk(settings{}, "a", "b")
	d.handlers["b"].given = 1
	d.order = 1
	start, done := get(1, `,"x-mongrel2-upload-start":"/tmp/u"`), get(1, `,"x-mongrel2-upload-start":"/tmp/u","x-mongrel2-upload-done":"/tmp/u"`)
	d.request(start)
	d.request(done)
	d.want(t, "a<"+start, "a<"+done)
	d.away["a"] = true
	for range 3 {
		d.answer("b", "")
		d.tick()
	}
	d.want(t, "ping", "ping", "forget a", "ping", "b<"+start, "b<"+done)
}

func TestPartsOfABody(t *testing.T) {
	d := newDesk(settings{}, "a")
	first := get(1, `,"UPLOAD_STREAM":"0"`)
	d.request(first)
	d.request(part(1, 0, "")) // of a chunked body the first part has nothing
	d.request(part(1, 1, `,"UPLOAD_STREAM_DONE":"1"`))
	d.want(t, "a<"+first, "a<"+part(1, 0, ""), "a<"+part(1, 1, `,"UPLOAD_STREAM_DONE":"1"`))
	d.answer("a", answerTo(1, ok))
	if d.clear(); d.busy() != 0 {
		t.Errorf("%d busy", d.busy())
	}
	// One that follows on the same connection is not a part of the one before.
	d.request(get(1, ""))
	d.request(first)
	if d.busy() != 2 {
		t.Errorf("%d busy", d.busy())
	}
	d.answer("a", answerTo(1, ok))
	d.answer("a", answerTo(1, ok)) // before the body is complete
	if d.clear(); d.busy() != 0 {
		t.Errorf("%d busy", d.busy())
	}
	// What comes then is for who has answered, and no request; nor is what comes from clients that nobody has.
	d.request(part(1, 0, ""))
	d.request(part(7, 0, ""))
	d.want(t, "a<"+part(1, 0, ""))
	if d.busy() != 0 || len(d.clients) != 1 {
		t.Errorf("%d busy, %d clients", d.busy(), len(d.clients))
	}
}

// What a handler has been sent of a body is not kept; what comes while nobody has the request is.
func TestPartsWaitForAHandler(t *testing.T) {
	d := newDesk(settings{}, "a")
	first := get(1, `,"UPLOAD_STREAM":"0"`)
	d.request(first)
	d.away["a"] = true
	for range 3 {
		d.tick()
	}
	d.request(part(1, 0, ""))
	if d.waiting != len(first)+len(part(1, 0, "")) {
		t.Errorf("%d bytes wait", d.waiting)
	}
	d.clear()
	d.answer("b", "")
	d.want(t, "b<"+first, "b<"+part(1, 0, ""))
	if d.waiting != 0 {
		t.Errorf("%d bytes wait", d.waiting)
	}
}

func TestEndOfAnUploadIsNoRequest(t *testing.T) {
	start, done := `,"x-mongrel2-upload-start":"/tmp/u"`, `,"x-mongrel2-upload-done":"/tmp/u"`
	d := newDesk(settings{})
	d.request(get(1, start))
	d.request(get(1, start+done))
	if n := d.busy(); n != 1 || d.waiting != len(get(1, start)+get(1, start+done)) {
		t.Errorf("%d are busy, %d bytes wait", n, d.waiting)
	}
	d.answer("a", "")
	d.want(t, "a<"+get(1, start), "a<"+get(1, start+done))
	// One that is answered before its end needs it no more.
	d.answer("a", answerTo(1, ok))
	d.clear()
	for _, client := range []int{1, 9} {
		d.request(get(client, start+done+`,"content-length":"99999"`))
	}
	d.want(t)
	if n := d.busy(); n != 0 {
		t.Errorf("%d are busy", n)
	}
	d.request(get(1, ""))
	// A client can say so as well: that is a request.
	d.request(get(2, ""))
	d.request(get(2, done))
	if n := d.busy(); n != 3 || d.waiting != 0 {
		t.Errorf("%d are busy, %d bytes wait", n, d.waiting)
	}
}

// Frames of a WebSocket that an earlier dispatcher has placed are for nobody, and no requests.
func TestUnknownWebSocketIsClosed(t *testing.T) {
	d := newDesk(settings{}, "a")
	d.request(message(1, "/", "WEBSOCKET", `,"FLAGS":"0x81"`))
	d.want(t, ">"+answerTo(1, ""))
	if d.busy() != 0 || len(d.clients) != 0 {
		t.Errorf("%d busy, %d clients", d.busy(), len(d.clients))
	}
}

func TestWebSocketStaysWithItsHandler(t *testing.T) {
	d := newDesk(settings{}, "a", "b")
	d.handlers["b"].given = 1
	d.order = 1
	d.request(message(1, "/", "WEBSOCKET_HANDSHAKE", ""))
	d.answer("a", answerTo(1, "HTTP/1.1 101 Switching Protocols\r\n\r\n"))
	d.clear()
	if d.busy() != 0 {
		t.Error("an idle WebSocket is busy")
	}
	for range 3 {
		frame := message(1, "/", "WEBSOCKET", `,"FLAGS":"0x81"`)
		d.request(frame)
		d.want(t, "a<"+frame)
	}
	d.answer("a", "X")
	d.want(t, ">"+answerTo(1, ""), "a<X") // nobody else knows what was said
}

func TestClientGone(t *testing.T) {
	gone := func(client int) string { return message(client, "@*", "JSON", "") }
	d := newDesk(settings{}, "a")
	d.request(get(1, ""))
	d.clear()
	d.request(gone(1))
	d.want(t, "a<"+gone(1))
	if d.busy() != 0 || len(d.clients) != 0 {
		t.Errorf("%d busy, %d clients", d.busy(), len(d.clients))
	}
	d.request(gone(7)) // nobody has heard of it
	d.want(t)
	// One that waits is given to nobody.
	d = newDesk(settings{})
	d.request(get(1, ""))
	d.request(get(2, ""))
	d.request(gone(1))
	d.answer("a", "")
	d.want(t, "a<"+get(2, ""))
	// One whose request is done: its handler may want to know.
	d.answer("a", answerTo(2, ok))
	d.clear()
	d.request(gone(2))
	d.want(t, "a<"+gone(2))
}

// An answer to many of which some belong to another handler goes to the others.
func TestLateAnswerToMany(t *testing.T) {
	d := newDesk(settings{}, "a", "b")
	d.handlers["b"].given = 1
	d.order = 1
	d.request(get(1, "")) // a
	d.request(get(2, "")) // b
	d.clear()
	d.answer("a", "srv 5:1 2 9, hello")
	d.want(t, ">srv 3:1 9, hello")
	d.answer("a", "srv 7:X 1 2 9, 1:x,]")
	d.want(t, ">srv 5:X 1 9, 1:x,]")
	d.answer("a", "srv 3:1 9, hello")
	d.want(t, ">srv 3:1 9, hello")
}

// What a handler has from before the dispatcher knew it is for clients whose numbers others may have by now.
func TestAHandlerThatIsNewHasNothing(t *testing.T) {
	d := newDesk(settings{}, "b")
	d.handlers["b"].slots = 1
	d.request(get(1, ""))
	d.request(get(2, ""))
	d.want(t, "b<"+get(1, ""))
	d.answer("a", answerTo(1, ok)) // of a connection before
	d.answer("a", answerTo(2, ok))
	d.answer("a", answerTo(3, ok))
	d.want(t)
	d.answer("a", "T2")
	d.answer("a", "T2")
	d.answer("a", answerTo(2, ok))
	d.want(t, "a<N")
	d.answer("a", "N2")
	d.want(t, "a<"+get(2, ""))
	d.answer("a", "N2") // the second one has thrown that away, too
	d.want(t, "a<"+get(2, ""))
	d.answer("a", answerTo(2, ok))
	d.want(t, ">"+answerTo(2, ok))
}

// Mongrel2 says with a connection's first request how much its client may be sent, and with no other one.
func TestWhatAClientTakesIsToldToItsNextHandler(t *testing.T) {
	d := newDesk(settings{}, "a", "b")
	d.handlers["b"].given, d.order = 1, 1
	first := get(1, `,"DOWNLOAD_CREDITS":"1000"`)
	d.request(first)
	d.want(t, "a<"+first)
	d.answer("a", answerTo(1, ok))
	d.clear()
	d.request(get(1, ""))
	d.want(t, "b<"+get(1, fmt.Sprintf(`,"DOWNLOAD_CREDITS":"%d"`, 1000-len(ok))))
	d.answer("b", answerTo(1, ok))
	d.clear()
	taken := `srv 1 @* 41:{"METHOD":"JSON","DOWNLOAD_CREDITS":"70"},18:{"type":"credits"},`
	d.request(taken)
	d.want(t, "b<"+taken)
	d.handlers["b"].running[&task{}] = struct{}{}
	d.request(get(1, ""))
	d.want(t, "a<"+get(1, fmt.Sprintf(`,"DOWNLOAD_CREDITS":"%d"`, 1070-2*len(ok))))
	d.answer("a", answerTo(1, ok))
	d.clear()
	d.request(get(1, "")) // who has followed it knows
	d.want(t, "a<"+get(1, ""))
	tagged := "srv 1 / 15:6:METHOD,3:GET,}0:,"
	r, err := parseRequest([]byte(tagged))
	if err != nil {
		t.Fatal(err)
	}
	r, err = parseRequest(r.with("name", "value"))
	if all, _ := r.all(); err != nil || all["name"] != "value" || all["METHOD"] != "GET" {
		t.Errorf("%v %v", all, err)
	}
}

// Who has another connection may be another process: it says no more than its name.
func TestAHandlerWithAnotherConnectionHasNothing(t *testing.T) {
	d := newDesk(settings{}, "a")
	d.request(get(1, ""))
	d.request(get(2, ""))
	d.answer("a", answerTo(1, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"))
	d.clear()
	d.arrived("a")
	d.want(t, "forget a", ">"+answerTo(1, ""))
	d.answer("a", answerTo(2, "late"))
	d.want(t)
	d.answer("a", "")
	d.want(t, "a<"+get(2, ""))
	d.answer("a", answerTo(2, ok))
	d.want(t, ">"+answerTo(2, ok), ">"+answerTo(2, ""), "a<"+message(2, "@*", "JSON", ""))
	d.arrived("b")
	d.answer("b", "")
	d.request(get(3, ""))
	d.clear()
	d.arrived("a")
	d.request(get(4, ""))
	if strings.Count(strings.Join(d.sent, " "), "b<") == 0 || d.handlers["a"] != nil {
		t.Errorf("sent %q", d.sent)
	}
}

// Requests of one connection that do not wait for answers go to one handler, in their order, and so do they again.
func TestPipelinedRequestsStayInOrder(t *testing.T) {
	d := newDesk(settings{}, "a", "b")
	d.handlers["b"].given = 1
	d.order = 1
	second := message(1, "/second", "GET", "")
	d.request(get(1, ""))
	d.request(second)
	d.request(get(2, ""))
	d.want(t, "a<"+get(1, ""), "a<"+second, "b<"+get(2, ""))
	d.answer("a", answerTo(1, ok))
	if d.busy() != 2 {
		t.Errorf("%d busy", d.busy())
	}
	d.request(get(1, ""))
	d.clear()
	d.away["a"] = true
	for range 3 {
		d.answer("b", "")
		d.tick()
	}
	d.want(t, "ping", "ping", "forget a", "ping", "b<"+second, "b<"+get(1, ""))
	d.answer("b", answerTo(1, ok))
	d.want(t, ">"+answerTo(1, ok))
	d.answer("b", answerTo(1, ok))
	if d.busy() != 1 || len(d.clients) != 1 {
		t.Errorf("%d busy, %d clients", d.busy(), len(d.clients))
	}
}

func TestPipelinedRequestsWaitTogether(t *testing.T) {
	d := newDesk(settings{})
	second := message(1, "/second", "GET", "")
	d.request(get(1, ""))
	d.request(second)
	d.request(get(2, ""))
	d.answer("a", "")
	d.want(t, "a<"+get(1, ""), "a<"+second, "a<"+get(2, ""))
}

func TestCreditsGoToTheHandler(t *testing.T) {
	credits := `srv 1 @* 17:{"METHOD":"JSON"},18:{"type":"credits"},`
	d := newDesk(settings{}, "a")
	d.request(credits) // for nobody
	d.request(get(1, ""))
	d.request(credits)
	d.want(t, "a<"+get(1, ""), "a<"+credits)
	if d.busy() != 1 {
		t.Error("credits end a request")
	}
}

// A Mongrel2 that starts anew gives other clients the numbers of the old one's. They get none of its answers.
func TestAnswersOfTheTimeBeforeAreForNobody(t *testing.T) {
	gone := func(client int) string { return message(client, "@*", "JSON", "") }
	d := newDesk(settings{}, "a", "b")
	d.handlers["b"].given = 1
	d.order = 1
	d.request(get(1, "")) // a
	d.request(get(2, "")) // b
	d.request(get(3, "")) // a
	d.answer("a", answerTo(1, ok))
	d.request(get(4, "")) // b
	d.clear()
	d.serverLost()
	for _, want := range []string{"a<" + gone(1), "b<" + gone(2), "a<" + gone(3), "b<" + gone(4)} {
		if strings.Count(strings.Join(d.sent, "\n"), want) != 1 {
			t.Errorf("%q is not in %q", want, d.sent)
		}
	}
	if len(d.sent) != 4 || d.busy() != 0 {
		t.Errorf("sent %q, %d busy", d.sent, d.busy())
	}
	d.clear()
	for i := 1; i <= 4; i++ {
		d.answer("a", answerTo(i, ok))
		d.answer("b", answerTo(i, "more"))
	}
	d.want(t)
	d.request(get(2, "")) // another client: a's turn
	d.want(t, "a<"+get(2, ""))
	d.answer("b", answerTo(2, "old"))
	d.want(t)
	d.answer("a", answerTo(2, ok))
	d.answer("a", answerTo(1, "old"))
	d.want(t, ">"+answerTo(2, ok))

	d = newDesk(settings{})
	d.request(get(1, ""))
	d.serverLost()
	d.answer("a", "")
	d.want(t)
	if d.busy() != 0 || d.waiting != 0 {
		t.Errorf("%d busy, %d bytes", d.busy(), d.waiting)
	}
}

func TestKilledConnectionIsDone(t *testing.T) {
	d := newDesk(settings{}, "a")
	d.request(get(1, ""))
	d.answer("a", answerTo(1, "HTTP/1.0 200 OK\r\n\r\nuntil the end"))
	if d.busy() != 1 {
		t.Error("done before its end")
	}
	d.answer("a", answerTo(1, ""))
	if d.busy() != 0 || len(d.clients) != 0 {
		t.Errorf("%d busy, %d clients", d.busy(), len(d.clients))
	}
}

func TestNonsenseIsALine(t *testing.T) {
	d := newDesk(settings{}, "a")
	d.lines = nil
	for _, m := range []string{"", "x", "srv 1 / ", "srv 1 / 5:abc,0:,", "srv 1 / 99999999999999:x,0:,", "srv 1 / 2:{},", "srv  / 2:{},0:,"} {
		d.request(m)
	}
	for _, m := range []string{"zzz", "srv", "srv 1:1,x", "srv 1:1", " 1:1, x", "T-1", "Tx"} {
		d.answer("a", m)
	}
	d.want(t)
	if len(d.lines) != 14 {
		t.Errorf("%d lines: %q", len(d.lines), d.lines)
	}
}

func TestStickyByConnection(t *testing.T) {
	d := newDesk(settings{sticky: regexp.MustCompile(`^[^\s]+ ([^\s]+ )`)}, "a", "b", "c")
	handlerOf := func(client int) string {
		d.clear()
		d.request(get(client, ""))
		h, _, _ := strings.Cut(d.sent[0], "<")
		d.answer(h, answerTo(client, ok))
		return h
	}
	before := map[int]string{}
	count := map[string]int{}
	for i := range 300 {
		before[i] = handlerOf(i)
		count[before[i]]++
		if again := handlerOf(i); again != before[i] {
			t.Fatalf("client %d: %s, then %s", i, before[i], again)
		}
	}
	for _, h := range []string{"a", "b", "c"} {
		if count[h] < 60 {
			t.Errorf("%s has %d of 300", h, count[h])
		}
	}
	d.answer("b", "X")
	for i, h := range before {
		if now := handlerOf(i); h != "b" && now != h {
			t.Fatalf("client %d has moved from %s to %s, and neither left", i, h, now)
		} else if now == "b" {
			t.Fatal("given to one that left")
		}
	}
	// A doubtful one keeps what is stuck to it.
	d.tick()
	d.tick()
	for i, h := range before {
		if now := handlerOf(i); h != "b" && now != h {
			t.Fatalf("client %d has moved from %s to %s", i, h, now)
		}
	}
}

func TestStickyByRegex(t *testing.T) {
	d := newDesk(settings{sticky: regexp.MustCompile(`SESSION=([a-z]+)(\d*)`)}, "a", "b", "c", "d", "e", "f")
	seen := map[string]bool{}
	for i := range 20 {
		d.clear()
		d.request(get(i, `,"cookie":"SESSION=same1"`))
		h, _, _ := strings.Cut(d.sent[0], "<")
		seen[h] = true
	}
	if len(seen) != 1 {
		t.Errorf("one session is with %d handlers", len(seen))
	}
}

func TestMemoryOfClientsIsBounded(t *testing.T) {
	d := newDesk(settings{}, "a")
	for i := range maxClients + 1000 {
		d.request(get(i, ""))
		d.answer("a", answerTo(i, ok))
		d.clear()
	}
	if len(d.clients) > maxClients || len(d.recent) > maxClients {
		t.Errorf("%d clients, %d recent", len(d.clients), len(d.recent))
	}
	if d.busy() != 0 {
		t.Errorf("%d busy", d.busy())
	}
}

func TestPull2xreq(t *testing.T) {
	r := &record{away: map[string]bool{}}
	p := &pull2xreq{out: r}
	say := func(id, body string) { p.fromHandler(id, []byte(body)) }
	p.fromServer([]byte("1"))
	r.want(t)
	say("a", "")
	r.want(t, "a<1")
	say("b", "")
	say("c", "")
	p.fromServer([]byte("2"))
	p.fromServer([]byte("3"))
	p.fromServer([]byte("4"))
	r.want(t, "b<2", "c<3") // 4 waits for who is ready
	say("c", "")
	r.want(t, "c<4")
	p.fromServer([]byte("5"))
	p.tick() // nobody says that it is ready: then who has waited for longest
	r.want(t, "a<5")
	say("b", "")
	say("b", "X")
	r.want(t, "b<")
	p.fromServer([]byte("6"))
	r.want(t)
	say("c", "X")
	say("a", "")
	r.want(t, "c<", "a<6")
	say("a", "")
	r.away["a"] = true
	p.fromServer([]byte("7"))
	p.tick()
	r.want(t)
	say("d", "")
	r.want(t, "d<7")
	if len(p.known) != 1 || p.busy() != 0 {
		t.Errorf("known %q, %d busy", p.known, p.busy())
	}
	for range 64 {
		p.fromServer([]byte("x"))
	}
	if !p.full() {
		t.Error("not full")
	}
}
