package proxy

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gowsgi/gowsgi/httpparse"
)

// parsed is a request with these field lines.
func parsed(t testing.TB, rule httpparse.HeaderMap, lines ...string) (*httpparse.Request, []byte) {
	t.Helper()
	limits := httpparse.DefaultLimits()
	limits.HeaderMap = rule
	p := httpparse.NewParser(limits)
	head := []byte("GET / HTTP/1.1\r\nHost: inside\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n")
	if len(lines) == 0 {
		head = []byte("GET / HTTP/1.1\r\nHost: inside\r\n\r\n")
	}
	if n, err := p.Parse(head); err != nil || n != len(head) {
		t.Fatalf("%q: %d, %v", head, n, err)
	}
	return &p.Request, head
}

func shown(h *httpparse.Request, arena []byte) []string {
	var all []string
	for _, f := range h.Headers {
		if n := string(f.Name.In(arena)); n != "Host" {
			all = append(all, n+": "+string(f.Value.In(arena)))
		}
	}
	return all
}

func trust(t testing.TB, list ...string) *Trust {
	t.Helper()
	tr, err := ParseTrust(list)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

var gunicornScheme = ParseScheme([]string{"X-FORWARDED-PROTOCOL=ssl", "X-FORWARDED-PROTO=https", "X-FORWARDED-SSL=on"})

func allRules(t testing.TB, trusted ...string) *Rules {
	return NewRules(trust(t, trusted...), AllFields, gunicornScheme, []string{"SCRIPT_NAME", "PATH_INFO"})
}

func TestParseTrust(t *testing.T) {
	tr := trust(t, "127.0.0.1", "::1", "10.0.0.0/8", "2001:db8::/32", "::ffff:192.0.2.1")
	for a, want := range map[string]bool{
		"127.0.0.1": true, "127.0.0.2": false, "::1": true, "10.255.0.1": true, "11.0.0.1": false, "2001:db8:1::5": true,
		"2001:db9::": false, "192.0.2.1": true, "::ffff:10.1.2.3": true,
	} {
		if got := tr.Contains(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
	if tr.Contains(netip.Addr{}) || tr.Unix() || tr.Everybody() {
		t.Error("more than was said")
	}
	if all := trust(t, "*"); !all.Contains(netip.MustParseAddr("192.0.2.7")) || !all.Unix() || all.Contains(netip.Addr{}) {
		t.Error("* is not everybody")
	}
	if !trust(t, "unix").Unix() || trust(t).Contains(netip.MustParseAddr("127.0.0.1")) {
		t.Error("unix, and nobody")
	}
	for _, bad := range []string{"localhost", "10.0.0.0/33", "10.0.0.0/", "fe80::1%eth0", "", "1.2.3"} {
		if _, err := ParseTrust([]string{bad}); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestStrip(t *testing.T) {
	h, arena := parsed(t, httpparse.HeaderMapDangerous, "Accept: */*", "X-Forwarded-For: 6.6.6.6", "x-forwarded-PROTO: https",
		"X_Forwarded_Host: evil", "Forwarded: for=6.6.6.6", "X-Forwarded-Server: evil", "X-Real-IP: 6.6.6.6", "X_Real-IP: 6.6.6.6",
		"X-Forwarded: kept", "Forward: kept", "X-Forwardedfor: kept", "X-Real-Name: kept", "Forwarders: kept", "X-Forwarded-Ssl: on",
		"Front-End-Https: on")
	r := NewRules(trust(t), AllFields, ParseScheme([]string{"FRONT-END-HTTPS=on"}), nil)
	if !r.Mentioned(h, arena) {
		t.Error("nothing is seen")
	}
	r.Strip(h, arena)
	want := []string{"Accept: */*", "X-Forwarded: kept", "Forward: kept", "X-Forwardedfor: kept", "X-Real-Name: kept", "Forwarders: kept"}
	if got := shown(h, arena); !slices.Equal(got, want) {
		t.Errorf("left are %q", got)
	}
	if r.Mentioned(h, arena) {
		t.Error("something is still seen")
	}
}

func TestApply(t *testing.T) {
	const inner = "10.0.0.0/8"
	tests := []struct {
		name  string
		lines []string
		want  string // client scheme host port prefix, "-" for what was not said
	}{
		{"nothing", nil, "- - - - -"},
		{"one proxy", []string{"X-Forwarded-For: 203.0.113.9"}, "203.0.113.9 - - - -"},
		{"the client's own words on the left", []string{"X-Forwarded-For: 6.6.6.6, 203.0.113.9"}, "203.0.113.9 - - - -"},
		{"two proxies", []string{"X-Forwarded-For: 6.6.6.6 , 203.0.113.9,10.1.1.1"}, "203.0.113.9 - - - -"},
		{"repeated fields are one list", []string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.1.1.1"},
			"203.0.113.9 - - - -"},
		{"only trusted ones", []string{"X-Forwarded-For: 10.1.1.1, 10.1.1.2"}, "10.1.1.1 - - - -"},
		{"a trusted client behind a stranger's claim", []string{"X-Forwarded-For: 10.9.9.9, 203.0.113.9"}, "203.0.113.9 - - - -"},
		{"unknown ends the walk", []string{"X-Forwarded-For: 6.6.6.6, unknown, 10.1.1.1"}, "10.1.1.1 - - - -"},
		{"unknown at the right end", []string{"X-Forwarded-For: 6.6.6.6, unknown"}, "- - - - -"},
		{"nonsense", []string{"X-Forwarded-For: <script>"}, "- - - - -"},
		{"empty", []string{"X-Forwarded-For:"}, "- - - - -"},
		{"empty elements", []string{"X-Forwarded-For: ,6.6.6.6,, 203.0.113.9 ,,"}, "203.0.113.9 - - - -"},
		{"ports", []string{"X-Forwarded-For: 203.0.113.9:4711"}, "203.0.113.9:4711 - - - -"},
		{"IPv6", []string{"X-Forwarded-For: 2001:DB8::1"}, "2001:db8::1 - - - -"},
		{"IPv6 with a port", []string{"X-Forwarded-For: [2001:db8::1]:80"}, "[2001:db8::1]:80 - - - -"},
		{"mapped IPv4", []string{"X-Forwarded-For: ::ffff:203.0.113.9"}, "203.0.113.9 - - - -"},
		{"a mapped proxy is the proxy", []string{"X-Forwarded-For: 203.0.113.9, ::ffff:10.1.1.1"}, "203.0.113.9 - - - -"},
		{"zone", []string{"X-Forwarded-For: fe80::1%eth0"}, "- - - - -"},
		{"leading zeros", []string{"X-Forwarded-For: 203.0.113.010"}, "- - - - -"},
		{"bad port", []string{"X-Forwarded-For: 203.0.113.9:99999"}, "- - - - -"},
		{"case of the name", []string{"x-FORWARDED-for: 203.0.113.9"}, "203.0.113.9 - - - -"},

		{"https", []string{"X-Forwarded-Proto: HTTPS"}, "- https - - -"},
		{"http", []string{"X-Forwarded-Proto: http"}, "- http - - -"},
		{"another scheme", []string{"X-Forwarded-Proto: gopher"}, "- http - - -"},
		{"gunicorn's other names", []string{"X-Forwarded-Protocol: ssl", "X-Forwarded-Ssl: on"}, "- https - - -"},
		{"all three", []string{"X-Forwarded-Ssl: on", "X-Forwarded-Proto: https", "X-Forwarded-Protocol: https"}, "- https - - -"},
		{"a list without addresses: the right-most", []string{"X-Forwarded-Proto: https, http"}, "- http - - -"},
		{"a list beside addresses: as far from the right", []string{"X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.1.1.1",
			"X-Forwarded-Proto: gopher, https, http"}, "203.0.113.9 https - - -"},
		{"a shorter list: its left end", []string{"X-Forwarded-For: 203.0.113.9, 10.1.1.1", "X-Forwarded-Proto: https"},
			"203.0.113.9 https - - -"},

		{"host", []string{"X-Forwarded-Host: example.org"}, "- - example.org - -"},
		{"host and its port", []string{"X-Forwarded-Host: example.org:8443"}, "- - example.org:8443 8443 -"},
		{"IPv6 host", []string{"X-Forwarded-Host: [2001:db8::1]"}, "- - [2001:db8::1] - -"},
		{"IPv6 host and port", []string{"X-Forwarded-Host: [2001:db8::1]:81"}, "- - [2001:db8::1]:81 81 -"},
		{"two hosts", []string{"X-Forwarded-Host: evil, example.org"}, "- - example.org - -"},
		{"user in host", []string{"X-Forwarded-Host: a@evil"}, "- - - - -"},
		{"path in host", []string{"X-Forwarded-Host: a/b"}, "- - - - -"},
		{"space in host", []string{"X-Forwarded-Host: a b"}, "- - - - -"},
		{"the same host twice", []string{"X-Forwarded-Host: A", "X-Forwarded-Host: a"}, "- - A - -"},
		{"port", []string{"X-Forwarded-Port: 443", "X-Forwarded-Host: a:80"}, "- - a:80 443 -"},
		{"port 0", []string{"X-Forwarded-Port: 0"}, "- - - - -"},
		{"port with a sign", []string{"X-Forwarded-Port: +80"}, "- - - - -"},
		{"port too large", []string{"X-Forwarded-Port: 65536"}, "- - - - -"},
		{"prefix", []string{"X-Forwarded-Prefix: /app/one"}, "- - - - /app/one"},
		{"prefix with a slash behind", []string{"X-Forwarded-Prefix: /app/"}, "- - - - /app"},
		{"prefix of nothing", []string{"X-Forwarded-Prefix: /"}, "- - - - -"},
		{"relative prefix", []string{"X-Forwarded-Prefix: app"}, "- - - - -"},

		{"others of a trusted peer", []string{"X-Real-IP: 203.0.113.9", "X-Forwarded-Server: a"}, "- - - - -"},

		{"Forwarded", []string{`Forwarded: for=203.0.113.9;proto=https;host=example.org;by=10.0.0.1`}, "203.0.113.9 https example.org - -"},
		{"Forwarded in full", []string{`forwarded: FOR="[2001:db8::1]:4711" ; Proto=HTTPS; Host="example.org:81"`},
			"[2001:db8::1]:4711 https example.org:81 81 -"},
		{"Forwarded of two proxies", []string{`Forwarded: for=6.6.6.6;host=evil, for=203.0.113.9;proto=https;host=real`, `Forwarded: for=10.1.1.1;proto=http;host=inner`},
			"203.0.113.9 https real - -"},
		{"Forwarded with a made-up name", []string{"Forwarded: for=6.6.6.6, for=_hidden;proto=https"}, "- https - - -"},
		{"Forwarded with a made-up name inside", []string{"Forwarded: for=_hidden;host=evil, for=10.1.1.1;host=inner"}, "10.1.1.1 - inner - -"},
		{"Forwarded with a made-up port", []string{`Forwarded: for="203.0.113.9:_p"`}, "203.0.113.9 - - - -"},
		{"Forwarded unknown", []string{"Forwarded: for=unknown"}, "- - - - -"},
		{"Forwarded without for", []string{"Forwarded: proto=https"}, "- https - - -"},
		{"Forwarded, IPv6 without quotes", []string{"Forwarded: for=[2001:db8::1]"}, "2001:db8::1 - - - -"},
		{"Forwarded with an escape", []string{`Forwarded: for="203.0.113.9\""`}, "- - - - -"},
		{"Forwarded with a comma in quotes", []string{`Forwarded: for="6.6.6.6, for=1.1.1.1";x=1, for=203.0.113.9`}, "203.0.113.9 - - - -"},
		{"Forwarded with a bad host", []string{"Forwarded: for=203.0.113.9;host=\"a/b\""}, "203.0.113.9 - - - -"},
		{"Forwarded of nothing", []string{"Forwarded: ,"}, "- - - - -"},
		{"Forwarded against X-Forwarded-For", []string{"X-Forwarded-For: 203.0.113.9", "Forwarded: for=6.6.6.6;proto=https"},
			"203.0.113.9 - - - -"},
		{"an unfinished quote", []string{`Forwarded: for="6.6.6.6`, "Forwarded: for=203.0.113.9"}, "- - - - -"},
		{"an unfinished quote, and X-Forwarded-For", []string{`Forwarded: for="6.6.6.6`, "X-Forwarded-For: 203.0.113.9"},
			"203.0.113.9 - - - -"},
		{"another value of a scheme field", []string{"X-Forwarded-Protocol: https", "X-Forwarded-Ssl: https"}, "- https - - -"},
		{"both, in agreement", []string{"Forwarded: for=203.0.113.9;proto=https;host=a", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https"},
			"203.0.113.9 https - - -"},
		{"both, of different kinds", []string{"Forwarded: for=203.0.113.9", "X-Forwarded-Proto: https"}, "203.0.113.9 https - - -"},
	}
	rules := allRules(t, inner)
	for _, test := range tests {
		h, arena := parsed(t, httpparse.HeaderMapDrop, test.lines...)
		before := shown(h, arena)
		r, err := rules.Apply(h, arena)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := r.text(arena); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
		if got := shown(h, arena); !slices.Equal(got, before) {
			t.Errorf("%s: left are %q of %q", test.name, got, before)
		}
	}
}

// text is "client scheme host port prefix".
func (r Result) text(arena []byte) string {
	words := make([]string, 5)
	if r.Client.IsValid() {
		words[0] = r.Client.String()
		if r.ClientPort != 0 {
			words[0] = netip.AddrPortFrom(r.Client, r.ClientPort).String()
		}
	}
	if r.HasScheme {
		words[1] = "http"
	}
	if r.Secure {
		words[1] = "https"
	}
	for i, s := range []httpparse.Span{r.Host, r.Port, r.Prefix} {
		words[2+i] = string(s.In(arena))
	}
	for i, w := range words {
		if w == "" {
			words[i] = "-"
		}
	}
	return strings.Join(words, " ")
}

func TestApplyRefuses(t *testing.T) {
	rules := allRules(t, "10.0.0.0/8")
	for _, test := range []struct {
		want  error
		lines []string
	}{
		{ErrScheme, []string{"X-Forwarded-Proto: https", "X-Forwarded-Ssl: off"}},
		{ErrScheme, []string{"X-Forwarded-Proto: https", "X-Forwarded-Proto: http"}},
		{ErrScheme, []string{"X-Forwarded-Protocol: ssl", "X-Forwarded-Proto: http"}},
		{ErrRepeated, []string{"X-Forwarded-Host: a", "X-Forwarded-Host: b"}},
		{ErrRepeated, []string{"X-Forwarded-Port: 80", "X-Forwarded-Port: 81"}},
		{ErrRepeated, []string{"X-Forwarded-Prefix: /a", "X-Forwarded-Prefix: //b"}},
		{ErrRepeated, []string{"X-Forwarded-Host: a/b", "X-Forwarded-Host: b"}},
		{ErrRepeated, []string{"SCRIPT_NAME: /a", "SCRIPT_NAME: /b"}},
	} {
		h, arena := forwarder(t, httpparse.HeaderMapDrop, test.lines...)
		if _, err := rules.Apply(h, arena); !errors.Is(err, test.want) {
			t.Errorf("%q: %v, want %v", test.lines, err, test.want)
		}
	}
}

func TestForwardedIsIgnored(t *testing.T) {
	rules := allRules(t, "10.0.0.0/8")
	for _, test := range []struct {
		want  error
		lines []string
		left  string
	}{
		{ErrForwardedScheme, []string{"Forwarded: proto=http", "X-Forwarded-Proto: https"}, "- https - - -"},
		{ErrForwardedHost, []string{"X-Forwarded-Host: a", "Forwarded: host=b;proto=https"}, "- - a - -"},
		{ErrForwardedClient, []string{"X-Forwarded-For: 203.0.113.9", "Forwarded: for=6.6.6.6"}, "203.0.113.9 - - - -"},
		{ErrForwardedClient, []string{"X-Forwarded-For: 6.6.6.6", "Forwarded: for=203.0.113.9"}, "6.6.6.6 - - - -"},
		{ErrForwardedClient, []string{"X-Forwarded-For: 203.0.113.9", "Forwarded: host=evil"}, "203.0.113.9 - - - -"},
		{ErrForwarded, []string{`Forwarded: for="6.6.6.6`, "Forwarded: for=203.0.113.9"}, ""},
		{ErrForwarded, []string{"Forwarded: for=203.0.113.9", `Forwarded: for="6.6.6.6`}, ""},
		{ErrForwarded, []string{`Forwarded: for="6.6.6.6, for=203.0.113.9`}, ""},
		{ErrForwarded, []string{`Forwarded: for="6.6.6.6\`}, ""},
		{ErrForwarded, []string{`Forwarded: for="6.6.6.6"x`}, ""},
		{ErrForwarded, []string{"Forwarded: for"}, ""},
		{ErrForwarded, []string{"Forwarded: for="}, ""},
		{ErrForwarded, []string{`Forwarded: for=""`}, ""},
		{ErrForwarded, []string{"Forwarded: for =1.1.1.1"}, ""},
		{ErrForwarded, []string{"Forwarded: =1"}, ""},
		{ErrForwarded, []string{"Forwarded: for=1.1.1.1 for=2.2.2.2"}, ""},
		{ErrForwarded, []string{"Forwarded: for=1.1.1.1;for=2.2.2.2"}, ""},
		{ErrForwarded, []string{"Forwarded: for=1.1.1.1/24"}, ""},
	} {
		h, arena := parsed(t, httpparse.HeaderMapDrop, test.lines...)
		r, err := rules.Apply(h, arena)
		if err != nil || !errors.Is(r.Ignored, test.want) {
			t.Errorf("%q: %v, %v, want %v", test.lines, r.Ignored, err, test.want)
		}
		if test.left == "" {
			test.left = "- - - - -"
		}
		if got := r.text(arena); got != test.left {
			t.Errorf("%q: %s, want %s", test.lines, got, test.left)
		}
	}
}

func TestOnlySomeFields(t *testing.T) {
	rules := NewRules(trust(t), For|Proto, gunicornScheme, nil)
	h, arena := parsed(t, httpparse.HeaderMapDrop, "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Ssl: on", "X-Forwarded-Host: evil",
		"X-Forwarded-Port: 1", "X-Forwarded-Prefix: /evil", `Forwarded: for="`)
	r, err := rules.Apply(h, arena)
	if err != nil || r.Ignored != nil {
		t.Fatal(err, r.Ignored)
	}
	if got := r.text(arena); got != "203.0.113.9 https - - -" {
		t.Error(got)
	}
	if got := shown(h, arena); len(got) != 6 {
		t.Errorf("left are %q", got)
	}
	rules = NewRules(trust(t), For, gunicornScheme, nil)
	h, arena = parsed(t, httpparse.HeaderMapDrop, "X-Forwarded-Proto: https", "X-Forwarded-Ssl: off")
	if r, err := rules.Apply(h, arena); err != nil || r.HasScheme {
		t.Error("a scheme without x-forwarded-proto:", r, err)
	}
}

func TestSchemeFieldsOfOnesOwn(t *testing.T) {
	rules := NewRules(trust(t), For, ParseScheme([]string{"Front-End-Https=on", "x-forwarded-scheme = https"}), nil)
	for line, want := range map[string]string{
		"Front-End-Https: on": "https", "FRONT-END-HTTPS: ON": "https", "front-end-https: off": "http", "Front-End-Https:": "http",
		"Front_End_Https: on": "-", "X-Forwarded-Scheme: https": "https", "X-Forwarded-Proto: https": "-",
	} {
		h, arena := parsed(t, httpparse.HeaderMapDangerous, line)
		r, err := rules.Apply(h, arena)
		if err != nil || r.text(arena) != "- "+want+" - - -" {
			t.Errorf("%s: %s, %v", line, r.text(arena), err)
		}
		if want != "-" && !rules.Mentioned(h, arena) {
			t.Errorf("%s is not seen", line)
		}
	}
}

// forwarder is parsed, with a parser that knows gunicorn's forwarder_headers.
func forwarder(t testing.TB, rule httpparse.HeaderMap, lines ...string) (*httpparse.Request, []byte) {
	t.Helper()
	limits := httpparse.DefaultLimits()
	limits.HeaderMap = rule
	limits.Forwarder = []string{"SCRIPT_NAME", "PATH_INFO"}
	p := httpparse.NewParser(limits)
	head := []byte("GET /a/b HTTP/1.1\r\nHost: inside\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n")
	if n, err := p.Parse(head); err != nil || n != len(head) {
		t.Fatalf("%q: %d, %v", head, n, err)
	}
	return &p.Request, head
}

func TestScriptName(t *testing.T) {
	rules := allRules(t, "*")
	for value, want := range map[string]string{"/a": "/a", "/a/": "/a", "": "", "/": "", "a": "a"} {
		h, arena := forwarder(t, httpparse.HeaderMapDrop, "script_NAME: "+value, "PATH_INFO: /x", "X_Other: dropped")
		r, err := rules.Apply(h, arena)
		if err != nil || !h.Forwarder || !r.HasScript || string(r.Script.In(arena)) != want {
			t.Errorf("%q: %+v, %v", value, r, err)
		}
		if got := shown(h, arena); len(got) != 2 {
			t.Errorf("left are %q", got)
		}
		DropUnderscores(h, arena)
		if got := shown(h, arena); len(got) != 0 {
			t.Errorf("left are %q", got)
		}
	}
	h, arena := forwarder(t, httpparse.HeaderMapDangerous, "Script-Name: /a")
	if r, _ := rules.Apply(h, arena); r.HasScript || h.Forwarder {
		t.Error("a dash is an underscore")
	}
	none := NewRules(trust(t, "*"), AllFields, nil, []string{"PATH_INFO"})
	h, arena = forwarder(t, httpparse.HeaderMapDrop, "SCRIPT_NAME: /a")
	if r, _ := none.Apply(h, arena); r.HasScript {
		t.Error("SCRIPT_NAME, though it is not among the names")
	}
}

func TestMount(t *testing.T) {
	for _, test := range []struct {
		path, script, rest string
		ok                 bool
	}{
		{"/a/b", "/a", "/b", true}, {"/a", "/a", "", true}, {"/a/", "/a", "/", true}, {"/ab", "/a", "", false},
		{"/", "/a", "", false}, {"", "/a", "", false}, {"/A", "/a", "", false}, {"/a/b/c", "/a/b", "/c", true},
	} {
		arena := []byte("GET " + test.path)
		path := httpparse.Span{Off: 4, Len: uint32(len(test.path))}
		name, rest, ok := Mount(path, arena, []byte(test.script))
		if ok != test.ok || ok && (string(name.In(arena)) != test.script || string(rest.In(arena)) != test.rest) {
			t.Errorf("%+v: %q, %q, %v", test, name.In(arena), rest.In(arena), ok)
		}
	}
}

func TestUnderscoresNeverCount(t *testing.T) {
	rules := allRules(t, "*")
	h, arena := parsed(t, httpparse.HeaderMapDangerous, "X_Forwarded_For: 6.6.6.6", "X-Forwarded_Proto: https", "X_Real_IP: 6.6.6.6")
	r, err := rules.Apply(h, arena)
	if err != nil || r.text(arena) != "- - - - -" {
		t.Errorf("%s, %v", r.text(arena), err)
	}
	rules.Unpose(h, arena, true)
	if got := shown(h, arena); len(got) != 0 {
		t.Errorf("left are %q", got)
	}
	rules = NewRules(trust(t, "*"), AllFields, nil, []string{"X_FORWARDED_FOO"})
	for trusted, want := range map[bool]int{true: 1, false: 0} {
		h, arena = parsed(t, httpparse.HeaderMapDangerous, "X_Forwarded_Foo: 1", "X_Forwarded_For: 6.6.6.6")
		if rules.Unpose(h, arena, trusted); len(shown(h, arena)) != want {
			t.Errorf("trusted %v: left are %q", trusted, shown(h, arena))
		}
	}
}

func TestValidPrefix(t *testing.T) {
	for s, want := range map[string]bool{
		"/": true, "/a": true, "/a/": true, "/a/b-c_d.e~": true, "/a%20b": false, "/a%C3%A9": true, "/..a": true, "/a..": true,
		"": false, "a": false, "//a": false, "/a//b": false, "/a//": false, "/.": false, "/..": false, "/a/../b": false,
		"/a/./b": false, "/a/..": false, `/\evil`: false, "/a?b": false, "/a#b": false, "/a b": false, "/a\x7f": false,
		"/\xe9": false, "/%2e%2e": false, "/%2fevil": false, "/%": false, "/%4": false, "/%zz": false, "/%00": false,
		"/%0d%0aa": false, "/%252e": false, "/%5c": false, "http://evil/": false, `/"`: false, "/<": false,
	} {
		if got := validPrefix([]byte(s)); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

var browser = []string{"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Accept: text/html",
	"Accept-Language: en", "Accept-Encoding: gzip, br", "Connection: keep-alive", "Cookie: a=b", "Upgrade-Insecure-Requests: 1",
	"Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", "X-Requested-With: XMLHttpRequest", "X-Request-Id: 1234567890", "Priority: u=0"}

func TestNothingIsAllocatedWithoutSuchFields(t *testing.T) {
	h, arena := parsed(t, httpparse.HeaderMapDrop, browser...)
	rules := allRules(t)
	if n := testing.AllocsPerRun(100, func() {
		if rules.Mentioned(h, arena) {
			t.Error("seen where there is nothing")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMentioned(b *testing.B) {
	h, arena := parsed(b, httpparse.HeaderMapDrop, browser...)
	rules := allRules(b)
	b.ReportAllocs()
	for b.Loop() {
		rules.Mentioned(h, arena)
	}
}

func BenchmarkApply(b *testing.B) {
	lines := append(slices.Clone(browser), "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: example.org")
	h, arena := parsed(b, httpparse.HeaderMapDrop, lines...)
	rules := allRules(b, "127.0.0.1", "::1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rules.Apply(h, arena); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzForwarded looks for values that must not come out, whatever goes in.
func FuzzForwarded(f *testing.F) {
	f.Add("6.6.6.6, 203.0.113.9, 10.1.1.1", "https, http", "a.example:80", "443", "/app/", "", "")
	f.Add("unknown", "", "[::1]:1", "0", "//evil", `for="[2001:db8::1]:4711";proto=https;host="a:1"`, `for=_x, for=10.1.1.1`)
	f.Add("[::1]:80,,", "x", "", "", "/%2e", `for="a\"b", , ;;for=unknown;by=x`, `"`)
	rules := allRules(f, "10.0.0.0/8")
	f.Fuzz(func(t *testing.T, xff, proto, host, port, prefix, std1, std2 string) {
		var lines []string
		for _, l := range [][2]string{{"X-Forwarded-For", xff}, {"X-Forwarded-Proto", proto}, {"X-Forwarded-Host", host},
			{"X-Forwarded-Port", port}, {"X-Forwarded-Prefix", prefix}, {"Forwarded", std1}, {"Forwarded", std2},
			{"X-Forwarded-For", "198.51.100.1"}} {
			if l[1] != "" && httpparse.ValidFieldValue([]byte(l[1])) {
				lines = append(lines, l[0]+": "+l[1])
			}
		}
		limits := httpparse.DefaultLimits()
		p := httpparse.NewParser(limits)
		arena := []byte("GET / HTTP/1.1\r\nHost: x\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n")
		if n, err := p.Parse(arena); err != nil || n != len(arena) {
			t.Skip()
		}
		h := &p.Request
		before := len(h.Headers)
		r, err := rules.Apply(h, arena)
		if err != nil {
			return
		}
		// The last proxy vouches for 198.51.100.1, which is not trusted: nobody else can be the client.
		if r.Client.String() != "198.51.100.1" {
			t.Errorf("the client is %v", r.Client)
		}
		if b := r.Host.In(arena); len(b) > 0 && !httpparse.ValidHost(b) {
			t.Errorf("host %q", b)
		}
		if b := r.Port.In(arena); len(b) > 0 && strings.Trim(string(b), "0123456789") != "" {
			t.Errorf("port %q", b)
		}
		if b := r.Prefix.In(arena); len(b) > 0 && (b[0] != '/' || strings.HasPrefix(string(b), "//") || strings.ContainsAny(string(b), " ,?#\\")) {
			t.Errorf("prefix %q", b)
		}
		if got := len(h.Headers); got != before {
			t.Errorf("%d fields, %d before", got, before)
		}
	})
}
