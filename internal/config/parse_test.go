package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	dir := t.TempDir()
	tests := []struct {
		name   string
		args   []string
		change func(*Config) // what differs from the defaults and App "app:app"
	}{
		{"app only", []string{"app:app"}, func(*Config) {}},
		{"options behind the app", []string{"app:app", "-b", ":8000"}, func(c *Config) { c.Bind = []Bind{{"tcp", "0.0.0.0:8000", 0}} }},
		{"options before the app", []string{"--threads", "4", "app:app"}, func(c *Config) { c.Threads = 4 }},
		{"options around the app", []string{"--threads=4", "app:app", "--reuse-port"},
			func(c *Config) { c.Threads, c.ReusePort = 4, true }},
		{"app behind two dashes", []string{"--threads", "2", "--", "app:app"}, func(c *Config) { c.Threads = 2 }},
		{"value joined to a short flag", []string{"-b:1", "app:app", "-eA=b", "-e=C=d"}, func(c *Config) {
			c.Bind, c.Env = []Bind{{"tcp", "0.0.0.0:1", 0}}, []string{"A=b", "C=d"}
		}},
		{"two spellings of one option", []string{"-e", "A=1", "--env", "B=x=y, z", "app:app"},
			func(c *Config) { c.Env = []string{"A=1", "B=x=y, z"} }},
		{"last one wins", []string{"--threads", "2", "app:app", "--threads", "3"}, func(c *Config) { c.Threads = 3 }},
		{"switch with a value", []string{"app:app", "--reuse-port=true", "--no-sendfile=false"}, func(c *Config) { c.ReusePort = true }},
		{"negated switch", []string{"app:app", "--no-sendfile"}, func(c *Config) { c.Sendfile = false }},
		{"dash as a value", []string{"--access-logfile", "-", "app:app", "--log-file", "e.log"},
			func(c *Config) { c.AccessLog, c.ErrorLog = "-", "e.log" }},
		{"value that begins with a dash", []string{"--access-logformat", "- %(h)s", "app:app"},
			func(c *Config) { c.AccessLogFormat = "- %(h)s" }},
		{"empty values", []string{"--server-header", "", "--access-logfile=", "app:app"}, func(c *Config) { c.ServerHeader = "" }},
		{"JSON goes to standard output", []string{"app:app", "--access-log-json"},
			func(c *Config) { c.AccessLogJSON, c.AccessLog = true, "-" }},
		{"JSON into a file", []string{"app:app", "--access-log-json", "--access-logfile", "x"},
			func(c *Config) { c.AccessLogJSON, c.AccessLog = true, "x" }},
		{"gunicorn's spelling of the field size", []string{"app:app", "--limit-request-field_size", "10"},
			func(c *Config) { c.LimitRequestFieldSize = 10 }},
		{"hyphens", []string{"app:app", "--limit-request-field-size", "10"}, func(c *Config) { c.LimitRequestFieldSize = 10 }},
		{"sizes", []string{"app:app", "--limit-request-body", "2G", "--body-buffer", "1.5m", "--response-buffer", "4KiB"},
			func(c *Config) { c.LimitRequestBody, c.BodyBuffer, c.ResponseBuffer = 2<<30, 3<<19, 4096 }},
		{"seconds", []string{"app:app", "--keep-alive", "0", "--head-timeout", "0.25", "--body-timeout", "500ms", "--write-timeout", "2m"},
			func(c *Config) {
				c.KeepAlive, c.HeadTimeout, c.BodyTimeout, c.WriteTimeout = 0, 250*time.Millisecond, 500*time.Millisecond, 2*time.Minute
			}},
		{"masks", []string{"app:app", "-m", "0o27"}, func(c *Config) { c.Umask = 0o27 }},
		{"enumeration in capitals", []string{"app:app", "--log-level", "DEBUG", "--header-map", "refuse"},
			func(c *Config) { c.LogLevel, c.HeaderMap = "debug", "refuse" }},
		{"path list", []string{"app:app", "--pythonpath", "a, b,,c"}, func(c *Config) { c.PythonPath = []string{"a", "b", "c"} }},
		{"directories", []string{"app:app", "--chdir", dir, "--temp-dir", dir}, func(c *Config) { c.Chdir, c.TempDir = dir, dir }},
		{"proxies", []string{"app:app", "--forwarded-allow-ips", "10.0.0.0/8, ::1,unix", "--proxy-allow-from=*", "--proxy-protocol", "V2",
			"--forwarded-headers", "x-forwarded-for,Forwarded"}, func(c *Config) {
			c.ForwardedAllowIPs, c.ProxyAllowIPs = []string{"10.0.0.0/8", "::1", "unix"}, []string{"*"}
			c.ProxyProtocol, c.ForwardedHeaders = "v2", []string{"x-forwarded-for", "Forwarded"}
		}},
		{"what is made of their fields", []string{"app:app", "--forwarded-untrusted", "drop", "--secure-scheme-headers",
			"FRONT-END-HTTPS=on, X-FORWARDED-PROTO=https", "--forwarder-headers=SCRIPT_NAME,REMOTE_USER"}, func(c *Config) {
			c.ForwardedUntrusted, c.SecureSchemeHeaders = "drop", []string{"FRONT-END-HTTPS=on", "X-FORWARDED-PROTO=https"}
			c.ForwarderHeaders = []string{"SCRIPT_NAME", "REMOTE_USER"}
		}},
		{"a flag that may stand alone", []string{"--proxy-protocol", "app:app"}, func(c *Config) { c.ProxyProtocol = "auto" }},
		{"nobody is trusted", []string{"app:app", "--forwarded-allow-ips", ""}, func(c *Config) { c.ForwardedAllowIPs = []string{} }},
		{"limits by address", []string{"app:app", "--limit-address-connections", "5", "--limit-address-rate", "0.5", "--limit-address-burst", "3"},
			func(c *Config) { c.LimitAddressConnections, c.LimitAddressRate, c.LimitAddressBurst = 5, 0.5, 3 }},
		{"the rest", []string{"app:app", "-p", "x.pid", "--python", "/v", "--body-streaming", "--handover-after", "0.01", "--backlog", "5"},
			func(c *Config) {
				c.PidFile, c.Python, c.BodyStreaming, c.HandoverAfter, c.Backlog = "x.pid", "/v", true, 10*time.Millisecond, 5
			}},
	}
	for _, test := range tests {
		got, action, err := Parse(test.args, environment(nil), nil, nil)
		if err != nil || action != ActionServe {
			t.Errorf("%s: %v, %v", test.name, action, err)
			continue
		}
		want := Default()
		want.App = "app:app"
		test.change(want)
		got.origins = nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", test.name, got, want)
		}
	}
}

func TestMount(t *testing.T) {
	for _, test := range []struct {
		args []string
		env  string
		want string
	}{
		{nil, "", ""},
		{[]string{"--mount", "/app"}, "", "/app"},
		{[]string{"--mount=/app/"}, "", "/app"},
		{[]string{"--mount=/"}, "", ""},
		{[]string{"-e", "SCRIPT_NAME=/sub"}, "", "/sub"},
		{nil, "/env", "/env"},
		{[]string{"-e", "SCRIPT_NAME=/sub"}, "/env", "/sub"},
		{[]string{"-e", "SCRIPT_NAME="}, "/env", ""},
		{[]string{"-e", "SCRIPT_NAME=/sub", "--mount", "/app"}, "/env", "/app"},
		{[]string{"-e", "SCRIPT_NAME=/sub", "--mount", ""}, "/env", ""},
		{[]string{"-e", "SCRIPT_NAMES=/sub"}, "", ""},
	} {
		got, _, err := Parse(append(test.args, "app"), environment(map[string]string{"SCRIPT_NAME": test.env}), nil, nil)
		if err != nil || got.Mount != test.want {
			t.Errorf("%+v: %+v, %v", test, got, err)
		}
	}
	for text, want := range map[string]string{`{"raw_env": ["SCRIPT_NAME=/sub"]}`: "/sub", `{"raw_env": "SCRIPT_NAME=/sub", "mount": "/app"}`: "/app"} {
		if got, err := FromJSON([]byte(text)); err != nil || got.Mount != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args []string
		env  map[string]string
		want string
	}{
		{nil, nil, `no application is given: name one, as in gowsgi module:app, or see gowsgi --help`},
		{[]string{"--check-config"}, nil, `no application is given: name one, as in gowsgi module:app, or see gowsgi --help`},
		{[]string{"a", "b"}, nil, `there are 2 applications, a and b: give one, and its options with a dash in front`},
		{[]string{"a", "--thread", "4"}, nil, `there is no option --thread: did you mean --threads?`},
		{[]string{"a", "--keepalive", "4"}, nil, `there is no option --keepalive: did you mean --keep-alive?`},
		{[]string{"a", "--bnid=:1"}, nil, `there is no option --bnid: did you mean --bind?`},
		{[]string{"a", "--print_config"}, nil, `there is no option --print_config: did you mean --print-config?`},
		{[]string{"a", "--nonsense"}, nil, `there is no option --nonsense: gowsgi --help lists those there are`},
		{[]string{"a", "--mount", "sub"}, nil, `--mount does not accept "sub": give a path that begins with one slash, such as /app`},
		{[]string{"a", "--mount", "//sub"}, nil, `--mount does not accept "//sub": give a path that begins with one slash, such as /app`},
		{[]string{"a", "--mount", "/a b"}, nil, `--mount does not accept "/a b": give it as it stands in a URL, with %20 for a space and so on`},
		{[]string{"a", "-e", "SCRIPT_NAME=sub"}, nil, `the environment variable SCRIPT_NAME does not accept "sub": give a path that begins with one slash, such as /app`},
		{[]string{"a"}, map[string]string{"SCRIPT_NAME": "/a?"}, `the environment variable SCRIPT_NAME does not accept "/a?": give it as it stands in a URL, with %20 for a space and so on`},
		{[]string{"a", "--secure-scheme-headers", "X-FORWARDED-PROTO"}, nil, `--secure-scheme-headers does not accept "X-FORWARDED-PROTO": give the name of a field and its value, as in X-FORWARDED-PROTO=https`},
		{[]string{"a", "--forwarded-untrusted", "keep"}, nil, `--forwarded-untrusted does not accept "keep": give pass or drop`},
		{[]string{"a", "-x"}, nil, `there is no option -x: gowsgi --help lists those there are`},
		{[]string{"a", "-threads", "4"}, nil, `there is no option -threads: write --threads, with two dashes`},
		{[]string{"a", "-bind", "4"}, nil, `there is no option -bind: write --bind, with two dashes`},
		{[]string{"a", "-w", "0"}, nil, `-w does not accept "0": give a number from 1 to 1024, or auto`},
		{[]string{"a", "--workers=1025"}, nil, `--workers does not accept "1025": give a number from 1 to 1024, or auto`},
		{[]string{"a"}, map[string]string{"WEB_CONCURRENCY": "many"}, `the environment variable WEB_CONCURRENCY does not accept "many": give a number from 1 to 1024, or auto`},
		{[]string{"a"}, map[string]string{"SENDFILE": "perhaps"}, `the environment variable SENDFILE does not accept "perhaps": give true or false`},
		{[]string{"a"}, map[string]string{"GUNICORN_CMD_ARGS": "-e 'A=1"}, `GUNICORN_CMD_ARGS has a quotation mark ' that is never closed: close it`},
		{[]string{"a"}, map[string]string{"GUNICORN_CMD_ARGS": "--keyfile k"}, `in GUNICORN_CMD_ARGS, --keyfile: ` + saysTLS},
		{[]string{"a", "--bind"}, nil, `--bind needs a value: give an address or a list of addresses, such as 127.0.0.1:8000 or unix:/run/app.sock behind it`},
		{[]string{"a", "--threads", "--reuse-port"}, nil, `--threads needs a value: give a whole number from 1 to 4096 behind it`},
		{[]string{"a", "--threads", "four"}, nil, `--threads does not accept "four": give a whole number from 1 to 4096`},
		{[]string{"a", "--threads", "0"}, nil, `--threads does not accept "0": give a whole number from 1 to 4096`},
		{[]string{"a", "--threads="}, nil, `--threads does not accept "": give a whole number from 1 to 4096`},
		{[]string{"a", "--threads", "1.5"}, nil, `--threads does not accept "1.5": give a whole number from 1 to 4096`},
		{[]string{"a", "--threads", "99999999999999999999"}, nil, `--threads does not accept "99999999999999999999": give a whole number from 1 to 4096`},
		{[]string{"a", "--keep-alive", "-1"}, nil, `--keep-alive does not accept "-1": give a number of seconds from 0 to 86400, such as 30 or 0.5`},
		{[]string{"a", "--keep-alive", "NaN"}, nil, `--keep-alive does not accept "NaN": give a number of seconds from 0 to 86400, such as 30 or 0.5`},
		{[]string{"a", "--keep-alive", "1e3"}, nil, `--keep-alive does not accept "1e3": give a number of seconds from 0 to 86400, such as 30 or 0.5`},
		{[]string{"a", "--limit-request-body", "1t"}, nil, `--limit-request-body does not accept "1t": give a number of bytes, 0 or more, such as 8190, 64k, 10m or 1g`},
		{[]string{"a", "--limit-request-body", "9999999999g"}, nil, `--limit-request-body does not accept "9999999999g": give a number of bytes, 0 or more, such as 8190, 64k, 10m or 1g`},
		{[]string{"a", "--limit-request-head", "10"}, nil, `--limit-request-head does not accept "10": give a number of bytes from 1k to 16m, such as 8190, 64k, 10m or 1g`},
		{[]string{"a", "--log-level", "loud"}, nil, `--log-level does not accept "loud": give debug, info, warning, error or critical`},
		{[]string{"a", "--reuse-port=maybe"}, nil, `--reuse-port does not accept "maybe": give true or false`},
		{[]string{"a", "-m", "8"}, nil, `-m does not accept "8": give a mask in octal, such as 022 or 007`},
		{[]string{"a", "-m", "1000"}, nil, `-m does not accept "1000": give a mask in octal, such as 022 or 007`},
		{[]string{"a", "-e", "A"}, nil, `-e does not accept "A": give NAME=VALUE`},
		{[]string{"a", "-e", "=A"}, nil, `-e does not accept "=A": give NAME=VALUE`},
		{[]string{"a", "--chdir", file + "x"}, nil, `--chdir does not accept "` + file + `x": there is no such directory`},
		{[]string{"a", "--chdir", file}, nil, `--chdir does not accept "` + file + `": it is not a directory`},
		{[]string{"a", "--server-header", "a\r\nb"}, nil, `--server-header does not accept "a\r\nb": give printable ASCII, or nothing to send no such header`},
		{[]string{"a", "--access-logformat", "a\nb"}, nil, `--access-logformat does not accept "a\nb": give it on one line`},
		{[]string{"a", "-b", "8000"}, nil, `-b: "8000" is a port without a colon: write :8000 for every interface, or 127.0.0.1:8000`},
		{[]string{"a", "--limit-request-line", "300k"}, nil, `limit_request_line (307200) is larger than limit_request_head (262144), ` +
			`which counts the line as well: raise --limit-request-head or lower --limit-request-line`},
		{[]string{"a", "--forwarded-allow-ips", "proxy"}, nil, `--forwarded-allow-ips does not accept "proxy": give an address, a network such as 10.0.0.0/8, unix or *`},
		{[]string{"a", "--proxy-allow-from", "10.0.0.1/8"}, nil, `--proxy-allow-from does not accept "10.0.0.1/8": the network has bits behind its length; did you mean 10.0.0.0/8?`},
		{[]string{"a", "--forwarded-allow-ips", "fe80::1%a"}, nil, `--forwarded-allow-ips does not accept "fe80::1%a": give an address, a network such as 10.0.0.0/8, unix or *`},
		{[]string{"a", "--forwarded-headers", "x-real-ip"}, nil, `--forwarded-headers does not accept "x-real-ip": give x-forwarded-for, x-forwarded-proto, x-forwarded-host, x-forwarded-port, x-forwarded-prefix or forwarded`},
		{[]string{"a", "--proxy-protocol", "v3"}, nil, `--proxy-protocol does not accept "v3": give off, v1, v2 or auto`},
		{[]string{"a", "--limit-address-rate", "-1"}, nil, `--limit-address-rate does not accept "-1": give a number from 0 to 1000000, such as 10 or 0.5`},
		{[]string{"a", "--limit-address-rate", "1e3"}, nil, `--limit-address-rate does not accept "1e3": give a number from 0 to 1000000, such as 10 or 0.5`},
		{[]string{"a"}, map[string]string{"FORWARDED_ALLOW_IPS": "x"}, `the environment variable FORWARDED_ALLOW_IPS does not accept "x": give an address, a network such as 10.0.0.0/8, unix or *`},
		{[]string{"a"}, map[string]string{"PORT": "x"}, `the environment variable PORT is "x": give a port number, or --bind instead`},
		{[]string{"a"}, map[string]string{"PORT": "99999"}, `the environment variable PORT is "99999": give a number from 0 to 65535, or --bind instead`},
		{[]string{"a"}, map[string]string{"LISTEN_PID": "77"}, `the environment variable LISTEN_FDS is "": unset LISTEN_PID and LISTEN_FDS, or start the server by its systemd socket unit`},
		{[]string{"a"}, map[string]string{"GOWSGI_CMD_ARGS": "--threads 0"}, `in GOWSGI_CMD_ARGS, --threads does not accept "0": give a whole number from 1 to 4096`},
		{[]string{"a"}, map[string]string{"GOWSGI_CMD_ARGS": "--thraeds 1"}, `in GOWSGI_CMD_ARGS, there is no option --thraeds: did you mean --threads?`},
		{[]string{"a"}, map[string]string{"GOWSGI_CMD_ARGS": "-e 'A=1"}, `GOWSGI_CMD_ARGS has a quotation mark ' that is never closed: close it`},
	}
	for _, test := range tests {
		_, _, err := parse(test.args, environment(test.env), 77, nil, nil)
		var usage *UsageError
		if !errors.As(err, &usage) || err.Error() != test.want {
			t.Errorf("%q %v\n got %v\nwant %s", test.args, test.env, err, test.want)
		}
	}
}

func TestActions(t *testing.T) {
	tests := []struct {
		args string
		env  string
		want Action
		out  string
	}{
		{"a", "", ActionServe, ""},
		{"", "a --threads 2", ActionServe, ""},
		{"--check-config a", "", ActionCheckConfig, ""},
		{"--print-config", "", ActionPrintConfig, ""},
		{"a --print-config --check-config", "", ActionPrintConfig, ""},
		{"--version", "", ActionDone, "gowsgi " + Version + "\n"},
		{"a -v", "", ActionDone, "gowsgi " + Version + "\n"},
	}
	for _, test := range tests {
		var out bytes.Buffer
		_, got, err := Parse(strings.Fields(test.args), environment(map[string]string{cmdArgsVariable: test.env}), nil, &out)
		if err != nil || got != test.want || out.String() != test.out {
			t.Errorf("%q: action %d, %v, printed %q", test.args, got, err, out.String())
		}
	}
}

func TestSplitShell(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"  a\tb\nc ", []string{"a", "b", "c"}},
		{`'a b' "c d"e`, []string{"a b", "c de"}},
		{`a\ b \'`, []string{"a b", "'"}},
		{`"a\"b\\c\d" '\'`, []string{`a"b\c\d`, `\`}},
		{`'' ""`, []string{"", ""}},
		{`--x='%(h)s "%(r)s"'`, []string{`--x=%(h)s "%(r)s"`}},
	}
	for _, test := range tests {
		if got, err := splitShell("X", test.in); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: got %q, %v", test.in, got, err)
		}
	}
	for _, in := range []string{`'a`, `"a`, `a\`, `"a\"`} {
		if _, err := splitShell("X", in); err == nil {
			t.Errorf("%q was accepted", in)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("app:app -b :8000 --threads=4", "-e A=1")
	f.Add("-- --threads", `"x`)
	f.Add("-b= --=x -=- --no-sendfile=", "--keep-alive .")
	f.Fuzz(func(t *testing.T, line, env string) {
		var out bytes.Buffer
		c, action, err := parse(strings.Split(line, " "), environment(map[string]string{cmdArgsVariable: env}), 1, reads(`"own": {}`), &out)
		var usage *UsageError
		switch {
		case err != nil && !errors.As(err, &usage):
			t.Fatalf("error of type %T: %v", err, err)
		case err == nil && action != ActionDone && (c.Threads < 1 || c.Backlog < 1 || len(c.Bind) == 0 && !c.PrintConfig):
			t.Fatalf("accepted %+v", c)
		}
	})
}

func TestForwardedAllowIPsOfTheEnvironment(t *testing.T) {
	env := environment(map[string]string{"FORWARDED_ALLOW_IPS": "10.0.0.1, unix"})
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"a"}, []string{"10.0.0.1", "unix"}},
		{[]string{"a", "--forwarded-allow-ips", "::1"}, []string{"::1"}},
	} {
		if c, _, err := Parse(test.args, env, nil, nil); err != nil || !reflect.DeepEqual(c.ForwardedAllowIPs, test.want) {
			t.Errorf("%q: %v, %v", test.args, c, err)
		}
	}
}

// TestParseAllocations: what the command line leaves behind stays in the process's memory.
func TestParseAllocations(t *testing.T) {
	args := []string{"--bind", "127.0.0.1:0", "--threads", "4", "app:app"}
	n := testing.AllocsPerRun(10, func() {
		if _, _, err := Parse(args, func(string) string { return "" }, nil, &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
	})
	if n > 5000 {
		t.Errorf("%v allocations", n)
	}
}
