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
		"X-Forwarded: kept", "Forward: kept", "X-Forwardedfor: kept", "X-Real-Name: kept", "Forwarders: kept", "X-Forwarded-Ssl: on")
	if !Mentioned(h, arena) {
		t.Error("nothing is seen")
	}
	Strip(h, arena)
	want := []string{"Accept: */*", "X-Forwarded: kept", "Forward: kept", "X-Forwardedfor: kept", "X-Real-Name: kept", "Forwarders: kept"}
	if got := shown(h, arena); !slices.Equal(got, want) {
		t.Errorf("left are %q", got)
	}
	if Mentioned(h, arena) {
		t.Error("something is still seen")
	}
}

func TestApply(t *testing.T) {
	const inner = "10.0.0.0/8"
	tests := []struct {
		name  string
		lines []string
		want  string   // client scheme host port prefix, "-" for what was not said
		left  []string // fields, when they differ from the lines
	}{
		{"nothing", nil, "- - - - -", nil},
		{"one proxy", []string{"X-Forwarded-For: 203.0.113.9"}, "203.0.113.9 - - - -", nil},
		{"the client's own words on the left", []string{"X-Forwarded-For: 6.6.6.6, 203.0.113.9"}, "203.0.113.9 - - - -",
			[]string{"X-Forwarded-For: 203.0.113.9"}},
		{"two proxies", []string{"X-Forwarded-For: 6.6.6.6 , 203.0.113.9,10.1.1.1"}, "203.0.113.9 - - - -",
			[]string{"X-Forwarded-For: 203.0.113.9,10.1.1.1"}},
		{"repeated fields are one list", []string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.1.1.1"},
			"203.0.113.9 - - - -", []string{"X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.1.1.1"}},
		{"only trusted ones", []string{"X-Forwarded-For: 10.1.1.1, 10.1.1.2"}, "10.1.1.1 - - - -", nil},
		{"a trusted client behind a stranger's claim", []string{"X-Forwarded-For: 10.9.9.9, 203.0.113.9"}, "203.0.113.9 - - - -",
			[]string{"X-Forwarded-For: 203.0.113.9"}},
		{"unknown ends the walk", []string{"X-Forwarded-For: 6.6.6.6, unknown, 10.1.1.1"}, "10.1.1.1 - - - -",
			[]string{"X-Forwarded-For: 10.1.1.1"}},
		{"unknown at the right end", []string{"X-Forwarded-For: 6.6.6.6, unknown"}, "- - - - -", []string{}},
		{"nonsense", []string{"X-Forwarded-For: <script>"}, "- - - - -", []string{}},
		{"empty", []string{"X-Forwarded-For:"}, "- - - - -", []string{}},
		{"empty elements", []string{"X-Forwarded-For: ,6.6.6.6,, 203.0.113.9 ,,"}, "203.0.113.9 - - - -",
			[]string{"X-Forwarded-For: 203.0.113.9 ,,"}},
		{"ports", []string{"X-Forwarded-For: 203.0.113.9:4711"}, "203.0.113.9:4711 - - - -", nil},
		{"IPv6", []string{"X-Forwarded-For: 2001:DB8::1"}, "2001:db8::1 - - - -", nil},
		{"IPv6 with a port", []string{"X-Forwarded-For: [2001:db8::1]:80"}, "[2001:db8::1]:80 - - - -", nil},
		{"mapped IPv4", []string{"X-Forwarded-For: ::ffff:203.0.113.9"}, "203.0.113.9 - - - -", nil},
		{"a mapped proxy is the proxy", []string{"X-Forwarded-For: 203.0.113.9, ::ffff:10.1.1.1"}, "203.0.113.9 - - - -", nil},
		{"zone", []string{"X-Forwarded-For: fe80::1%eth0"}, "- - - - -", []string{}},
		{"leading zeros", []string{"X-Forwarded-For: 203.0.113.010"}, "- - - - -", []string{}},
		{"bad port", []string{"X-Forwarded-For: 203.0.113.9:99999"}, "- - - - -", []string{}},
		{"case of the name", []string{"x-FORWARDED-for: 203.0.113.9"}, "203.0.113.9 - - - -", nil},

		{"https", []string{"X-Forwarded-Proto: HTTPS"}, "- https - - -", nil},
		{"http", []string{"X-Forwarded-Proto: http"}, "- http - - -", nil},
		{"another scheme", []string{"X-Forwarded-Proto: gopher"}, "- http - - -", nil},
		{"gunicorn's other names", []string{"X-Forwarded-Protocol: ssl", "X-Forwarded-Ssl: on"}, "- https - - -", nil},
		{"all three", []string{"X-Forwarded-Ssl: on", "X-Forwarded-Proto: https", "X-Forwarded-Protocol: https"}, "- https - - -", nil},
		{"a list without addresses: the right-most", []string{"X-Forwarded-Proto: https, http"}, "- http - - -",
			[]string{"X-Forwarded-Proto: http"}},
		{"a list beside addresses: as far from the right", []string{"X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.1.1.1",
			"X-Forwarded-Proto: gopher, https, http"}, "203.0.113.9 https - - -",
			[]string{"X-Forwarded-For: 203.0.113.9, 10.1.1.1", "X-Forwarded-Proto: https, http"}},
		{"a shorter list: its left end", []string{"X-Forwarded-For: 203.0.113.9, 10.1.1.1", "X-Forwarded-Proto: https"},
			"203.0.113.9 https - - -", nil},

		{"host", []string{"X-Forwarded-Host: example.org"}, "- - example.org - -", nil},
		{"host and its port", []string{"X-Forwarded-Host: example.org:8443"}, "- - example.org:8443 8443 -", nil},
		{"IPv6 host", []string{"X-Forwarded-Host: [2001:db8::1]"}, "- - [2001:db8::1] - -", nil},
		{"IPv6 host and port", []string{"X-Forwarded-Host: [2001:db8::1]:81"}, "- - [2001:db8::1]:81 81 -", nil},
		{"two hosts", []string{"X-Forwarded-Host: evil, example.org"}, "- - example.org - -", []string{"X-Forwarded-Host: example.org"}},
		{"user in host", []string{"X-Forwarded-Host: a@evil"}, "- - - - -", []string{}},
		{"path in host", []string{"X-Forwarded-Host: a/b"}, "- - - - -", []string{}},
		{"space in host", []string{"X-Forwarded-Host: a b"}, "- - - - -", []string{}},
		{"the same host twice", []string{"X-Forwarded-Host: A", "X-Forwarded-Host: a"}, "- - A - -", []string{"X-Forwarded-Host: A"}},
		{"port", []string{"X-Forwarded-Port: 443", "X-Forwarded-Host: a:80"}, "- - a:80 443 -", nil},
		{"port 0", []string{"X-Forwarded-Port: 0"}, "- - - - -", []string{}},
		{"port with a sign", []string{"X-Forwarded-Port: +80"}, "- - - - -", []string{}},
		{"port too large", []string{"X-Forwarded-Port: 65536"}, "- - - - -", []string{}},
		{"prefix", []string{"X-Forwarded-Prefix: /app/one"}, "- - - - /app/one", nil},
		{"prefix with a slash behind", []string{"X-Forwarded-Prefix: /app/"}, "- - - - /app", nil},
		{"prefix of nothing", []string{"X-Forwarded-Prefix: /"}, "- - - - -", nil},
		{"relative prefix", []string{"X-Forwarded-Prefix: app"}, "- - - - -", []string{}},

		{"others of a trusted peer", []string{"X-Real-IP: 203.0.113.9", "X-Forwarded-Server: a"}, "- - - - -", nil},

		{"Forwarded", []string{`Forwarded: for=203.0.113.9;proto=https;host=example.org;by=10.0.0.1`}, "203.0.113.9 https example.org - -", nil},
		{"Forwarded in full", []string{`forwarded: FOR="[2001:db8::1]:4711" ; Proto=HTTPS; Host="example.org:81"`},
			"[2001:db8::1]:4711 https example.org:81 81 -", nil},
		{"Forwarded of two proxies", []string{`Forwarded: for=6.6.6.6;host=evil, for=203.0.113.9;proto=https;host=real`, `Forwarded: for=10.1.1.1;proto=http;host=inner`},
			"203.0.113.9 https real - -",
			[]string{`Forwarded: for=203.0.113.9;proto=https;host=real`, `Forwarded: for=10.1.1.1;proto=http;host=inner`}},
		{"Forwarded with a made-up name", []string{"Forwarded: for=6.6.6.6, for=_hidden;proto=https"}, "- https - - -",
			[]string{"Forwarded: for=_hidden;proto=https"}},
		{"Forwarded with a made-up name inside", []string{"Forwarded: for=_hidden;host=evil, for=10.1.1.1;host=inner"}, "10.1.1.1 - inner - -",
			[]string{"Forwarded: for=10.1.1.1;host=inner"}},
		{"Forwarded with a made-up port", []string{`Forwarded: for="203.0.113.9:_p"`}, "203.0.113.9 - - - -", nil},
		{"Forwarded unknown", []string{"Forwarded: for=unknown"}, "- - - - -", nil},
		{"Forwarded without for", []string{"Forwarded: proto=https"}, "- https - - -", nil},
		{"Forwarded, IPv6 without quotes", []string{"Forwarded: for=[2001:db8::1]"}, "2001:db8::1 - - - -", nil},
		{"Forwarded with an escape", []string{`Forwarded: for="203.0.113.9\""`}, "- - - - -", nil},
		{"Forwarded with a comma in quotes", []string{`Forwarded: for="6.6.6.6, for=1.1.1.1";x=1, for=203.0.113.9`}, "203.0.113.9 - - - -",
			[]string{"Forwarded: for=203.0.113.9"}},
		{"Forwarded with a bad host", []string{"Forwarded: for=203.0.113.9;host=\"a/b\""}, "203.0.113.9 - - - -", nil},
		{"Forwarded of nothing", []string{"Forwarded: ,"}, "- - - - -", []string{}},
		{"both, in agreement", []string{"Forwarded: for=203.0.113.9;proto=https;host=a", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https"},
			"203.0.113.9 https - - -", nil},
		{"both, of different kinds", []string{"Forwarded: for=203.0.113.9", "X-Forwarded-Proto: https"}, "203.0.113.9 https - - -", nil},
	}
	rules := &Rules{Trust: trust(t, inner), Fields: AllFields}
	for _, test := range tests {
		h, arena := parsed(t, httpparse.HeaderMapDrop, test.lines...)
		r, err := rules.Apply(h, arena)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := r.text(arena); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
		left := test.left
		if left == nil {
			left = test.lines
		}
		for i, l := range left {
			left[i] = strings.TrimSpace(l)
		}
		if got := shown(h, arena); !slices.Equal(got, left) && len(got)+len(left) > 0 {
			t.Errorf("%s: left are %q, want %q", test.name, got, left)
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
	rules := &Rules{Trust: trust(t, "10.0.0.0/8"), Fields: AllFields}
	for _, test := range []struct {
		want  error
		lines []string
	}{
		{ErrScheme, []string{"X-Forwarded-Proto: https", "X-Forwarded-Ssl: off"}},
		{ErrScheme, []string{"X-Forwarded-Proto: https", "X-Forwarded-Proto: http"}},
		{ErrScheme, []string{"X-Forwarded-Protocol: ssl", "X-Forwarded-Proto: http"}},
		{ErrScheme, []string{"Forwarded: proto=http", "X-Forwarded-Proto: https"}},
		{ErrRepeated, []string{"X-Forwarded-Host: a", "X-Forwarded-Host: b"}},
		{ErrRepeated, []string{"X-Forwarded-Port: 80", "X-Forwarded-Port: 81"}},
		{ErrRepeated, []string{"X-Forwarded-Prefix: /a", "X-Forwarded-Prefix: //b"}},
		{ErrRepeated, []string{"X-Forwarded-Host: a/b", "X-Forwarded-Host: b"}},
		{ErrHost, []string{"X-Forwarded-Host: a", "Forwarded: host=b"}},
		{ErrClient, []string{"X-Forwarded-For: 203.0.113.9", "Forwarded: for=6.6.6.6"}},
		{ErrClient, []string{"X-Forwarded-For: 6.6.6.6", "Forwarded: for=203.0.113.9"}},
		{ErrClient, []string{"X-Forwarded-For: 203.0.113.9", "Forwarded: host=evil"}},
		{ErrForwarded, []string{`Forwarded: for="6.6.6.6`, "Forwarded: for=203.0.113.9"}},
		{ErrForwarded, []string{`Forwarded: for="6.6.6.6, for=203.0.113.9`}},
		{ErrForwarded, []string{`Forwarded: for="6.6.6.6\`}},
		{ErrForwarded, []string{`Forwarded: for="6.6.6.6"x`}},
		{ErrForwarded, []string{"Forwarded: for"}},
		{ErrForwarded, []string{"Forwarded: for="}},
		{ErrForwarded, []string{`Forwarded: for=""`}},
		{ErrForwarded, []string{"Forwarded: for =1.1.1.1"}},
		{ErrForwarded, []string{"Forwarded: =1"}},
		{ErrForwarded, []string{"Forwarded: for=1.1.1.1 for=2.2.2.2"}},
		{ErrForwarded, []string{"Forwarded: for=1.1.1.1;for=2.2.2.2"}},
		{ErrForwarded, []string{"Forwarded: for=1.1.1.1/24"}},
	} {
		h, arena := parsed(t, httpparse.HeaderMapDrop, test.lines...)
		if _, err := rules.Apply(h, arena); !errors.Is(err, test.want) {
			t.Errorf("%q: %v, want %v", test.lines, err, test.want)
		}
	}
}

func TestOnlySomeFields(t *testing.T) {
	rules := &Rules{Trust: trust(t), Fields: For | Proto}
	h, arena := parsed(t, httpparse.HeaderMapDrop, "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Ssl: on", "X-Forwarded-Host: evil",
		"X-Forwarded-Port: 1", "X-Forwarded-Prefix: /evil", `Forwarded: for="`)
	r, err := rules.Apply(h, arena)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.text(arena); got != "203.0.113.9 https - - -" {
		t.Error(got)
	}
	if got := shown(h, arena); !slices.Equal(got, []string{"X-Forwarded-For: 203.0.113.9", "X-Forwarded-Ssl: on"}) {
		t.Errorf("left are %q", got)
	}
}

func TestUnderscoresNeverCount(t *testing.T) {
	rules := &Rules{Trust: trust(t, "*"), Fields: AllFields}
	h, arena := parsed(t, httpparse.HeaderMapDangerous, "X_Forwarded_For: 6.6.6.6", "X-Forwarded_Proto: https", "X_Real_IP: 6.6.6.6")
	r, err := rules.Apply(h, arena)
	if err != nil || r.text(arena) != "- - - - -" || len(shown(h, arena)) != 0 {
		t.Errorf("%s, %q, %v", r.text(arena), shown(h, arena), err)
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
	if n := testing.AllocsPerRun(100, func() {
		if Mentioned(h, arena) {
			t.Error("seen where there is nothing")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMentioned(b *testing.B) {
	h, arena := parsed(b, httpparse.HeaderMapDrop, browser...)
	b.ReportAllocs()
	for b.Loop() {
		Mentioned(h, arena)
	}
}

func BenchmarkApply(b *testing.B) {
	lines := append(slices.Clone(browser), "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: example.org")
	h, arena := parsed(b, httpparse.HeaderMapDrop, lines...)
	rules := &Rules{Trust: trust(b, "127.0.0.1", "::1"), Fields: AllFields}
	all := slices.Clone(h.Headers)
	b.ReportAllocs()
	for b.Loop() {
		h.Headers = h.Headers[:copy(h.Headers[:len(all)], all)]
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
	rules := &Rules{Trust: trust(f, "10.0.0.0/8"), Fields: AllFields}
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
		if len(h.Headers) > before {
			t.Error("more fields than before")
		}
		for _, f := range h.Headers {
			v := string(f.Value.In(arena))
			if strings.EqualFold(string(f.Name.In(arena)), "X-Forwarded-For") && v != "198.51.100.1" {
				t.Errorf("left is %q", v)
			}
		}
	})
}
