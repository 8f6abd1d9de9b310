package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseBind(t *testing.T) {
	tests := []struct {
		in   string
		want Bind
		text string // "" the address
	}{
		{"localhost", Bind{"tcp", "localhost:8000", 0}, ""},
		{"LOCALHOST:80", Bind{"tcp", "localhost:80", 0}, ""},
		{"127.0.0.1:0", Bind{"tcp", "127.0.0.1:0", 0}, ""},
		{":9000", Bind{"tcp", "0.0.0.0:9000", 0}, ""},
		{"[::1]:65535", Bind{"tcp", "[::1]:65535", 0}, ""},
		{"[::]", Bind{"tcp", "[::]:8000", 0}, ""},
		{"[fe80::1%eth0]:1", Bind{"tcp", "[fe80::1%eth0]:1", 0}, ""},
		{"tcp://example.org:81", Bind{"tcp", "example.org:81", 0}, ""},
		{"tcp://[::1]", Bind{"tcp", "[::1]:8000", 0}, ""},
		{"unix:/run/a.sock", Bind{"unix", "/run/a.sock", 0}, "unix:/run/a.sock"},
		{"unix:///run/a.sock", Bind{"unix", "/run/a.sock", 0}, "unix:/run/a.sock"},
		{"unix://a.sock", Bind{"unix", "a.sock", 0}, "unix:a.sock"},
		{"unix:a b:c.sock", Bind{"unix", "a b:c.sock", 0}, "unix:a b:c.sock"},
		{"unix:@name", Bind{"unix", "@name", 0}, "unix:@name"},
		{"fd://3", Bind{"fd", "3", 3}, "fd://3"},
	}
	for _, test := range tests {
		got, err := ParseBind(test.in)
		if err != nil || got != test.want {
			t.Errorf("ParseBind(%q) = %+v, %v, want %+v", test.in, got, err, test.want)
			continue
		}
		if test.text == "" {
			test.text = test.want.Address
		}
		if got.String() != test.text {
			t.Errorf("%q prints as %q, want %q", test.in, got, test.text)
		}
		if again, err := ParseBind(got.String()); err != nil || again != got {
			t.Errorf("%q reads back as %+v, %v", got, again, err)
		}
	}
}

func TestParseBindRefuses(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", `the address is empty: give HOST:PORT, unix:PATH or fd://N`},
		{"8000", `"8000" is a port without a colon: write :8000 for every interface, or 127.0.0.1:8000`},
		{"localhost:", `"localhost:" has a colon and no port: give a number from 0 to 65535 behind it`},
		{":", `":" has a colon and no port: give a number from 0 to 65535 behind it`},
		{"[::1]:", `"[::1]:" has a colon and no port: give a number from 0 to 65535 behind it`},
		{"a:http", `"a:http" has the port "http": give a number from 0 to 65535, 0 to have the system choose one`},
		{"a:65536", `"a:65536" has the port "65536": give a number from 0 to 65535, 0 to have the system choose one`},
		{"a:-1", `"a:-1" has the port "-1": give a number from 0 to 65535, 0 to have the system choose one`},
		{"a:+1", `"a:+1" has the port "+1": give a number from 0 to 65535, 0 to have the system choose one`},
		{"::1", `"::1" is an IPv6 address without brackets: write [::1]:8000`},
		{"a:1:2", `"a:1:2" has more than one colon: write HOST:PORT, or [ADDRESS]:PORT for IPv6`},
		{"[::1", `"[::1" has no closing bracket: write [ADDRESS]:PORT`},
		{"[::1]8000", `"[::1]8000" has something else than a port behind the bracket: write [::1]:PORT`},
		{"[1.2.3.4]:1", `"[1.2.3.4]:1" does not hold an IPv6 address between its brackets: write [::1]:8000, for instance`},
		{"a b:1", `"a b:1" does not name a host: give HOST:PORT, unix:PATH or fd://N`},
		{"/run/a.sock", `"/run/a.sock" is not an address to listen on: for a unix socket write unix:/run/a.sock`},
		{"http://a:1/", `"http://a:1/" is not an address to listen on: gowsgi knows tcp://, unix: and fd://, not http://; ` +
			`give HOST:PORT, for instance a:1`},
		{"unix:", `"unix:" has no path: give one, as in unix:/run/app.sock`},
		{"unix:" + strings.Repeat("x", 108), `the path of the unix socket "` + strings.Repeat("x", 108) +
			`" has 108 bytes, and the system takes no more than 107: choose a shorter one`},
		{"fd://x", `"fd://x" names no descriptor: give its number, as in fd://3`},
		{"fd://-1", `"fd://-1" names no descriptor: give its number, as in fd://3`},
		{"a\nb", `"a\nb" holds a control character: give HOST:PORT, unix:PATH or fd://N`},
	}
	for _, test := range tests {
		_, err := ParseBind(test.in)
		if err == nil || err.Error() != test.want {
			t.Errorf("ParseBind(%q)\n got %v\nwant %s", test.in, err, test.want)
		}
	}
}

func TestAddressesFromTheEnvironment(t *testing.T) {
	tests := []struct {
		name      string
		args      string
		env       map[string]string
		want      string
		activated bool
	}{
		{"default", "a", nil, "127.0.0.1:8000", false},
		{"PORT", "a", map[string]string{"PORT": "5000"}, "0.0.0.0:5000", false},
		{"bind before PORT", "a -b :1", map[string]string{"PORT": "5000"}, "0.0.0.0:1", false},
		{"bind in the variable before PORT", "a", map[string]string{"PORT": "5000", "GOWSGI_CMD_ARGS": "-b :2"}, "0.0.0.0:2", false},
		{"command line before the variable", "a -b :1 -b :3", map[string]string{"GOWSGI_CMD_ARGS": "-b :2"}, "0.0.0.0:1 0.0.0.0:3", false},
		{"list in one value", "a -b :1,[::1]:2", nil, "0.0.0.0:1 [::1]:2", false},
		{"systemd", "a -b :1", map[string]string{"LISTEN_PID": "77", "LISTEN_FDS": "2", "PORT": "1"}, "fd://3 fd://4", true},
		{"systemd for another process", "a", map[string]string{"LISTEN_PID": "78", "LISTEN_FDS": "2"}, "127.0.0.1:8000", false},
		{"systemd without sockets", "a", map[string]string{"LISTEN_PID": "77", "LISTEN_FDS": "0"}, "127.0.0.1:8000", false},
	}
	for _, test := range tests {
		c, _, err := parse(strings.Fields(test.args), environment(test.env), 77, nil, nil)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var got []string
		for _, b := range c.Bind {
			got = append(got, b.String())
		}
		if !reflect.DeepEqual(got, strings.Fields(test.want)) || c.SocketActivated != test.activated {
			t.Errorf("%s: got %v, %v, want %s", test.name, got, c.SocketActivated, test.want)
		}
	}
}

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}
