package config

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

func TestFromJSON(t *testing.T) {
	tests := []struct {
		in     string
		change func(*Config)
	}{
		{`{}`, func(*Config) {}},
		{`{"bind": "127.0.0.1:1", "threads": 4}`, func(c *Config) { c.Bind, c.Threads = []Bind{{"tcp", "127.0.0.1:1", 0}}, 4 }},
		{`{"bind": ["unix:a", "fd://3"]}`, func(c *Config) { c.Bind = []Bind{{"unix", "a", 0}, {"fd", "3", 3}} }},
		{`{"keepalive": 0.5, "head_timeout": 3, "body_timeout": "2m"}`,
			func(c *Config) {
				c.KeepAlive, c.HeadTimeout, c.BodyTimeout = time.Second/2, 3*time.Second, 2*time.Minute
			}},
		{`{"keep_alive": 1}`, func(c *Config) { c.KeepAlive = time.Second }},
		{`{"limit_address_rate": 0.5, "limit_address_burst": 3}`, func(c *Config) { c.LimitAddressRate, c.LimitAddressBurst = 0.5, 3 }},
		{`{"limit_address_rate": 7, "forwarded_allow_ips": ["10.0.0.0/8"]}`, func(c *Config) {
			c.LimitAddressRate, c.ForwardedAllowIPs = 7, []string{"10.0.0.0/8"}
		}},
		{`{"forwarded_allow_ips": "*", "proxy_allow_ips": []}`, func(c *Config) {
			c.ForwardedAllowIPs, c.ProxyAllowIPs = []string{"*"}, []string{}
		}},
		{`{"limit_request_body": 9007199254740993}`, func(c *Config) { c.LimitRequestBody = 9007199254740993 }},
		{`{"limit_request_body": "2g", "body_buffer": 4096.0}`, func(c *Config) { c.LimitRequestBody, c.BodyBuffer = 2<<30, 4096 }},
		{`{"umask": 18}`, func(c *Config) { c.Umask = 0o22 }},
		{`{"umask": "022"}`, func(c *Config) { c.Umask = 0o22 }},
		{`{"sendfile": false, "reuse_port": true}`, func(c *Config) { c.Sendfile, c.ReusePort = false, true }},
		{`{"raw_env": ["A=1,2"], "pythonpath": ["a,b", "c"]}`,
			func(c *Config) { c.Env, c.PythonPath = []string{"A=1,2"}, []string{"a,b", "c"} }},
		{`{"env": "A=1", "pythonpath": "a,b"}`, func(c *Config) { c.Env, c.PythonPath = []string{"A=1"}, []string{"a", "b"} }},
		{`{"accesslog": null, "access_logfile": "-"}`, func(c *Config) { c.AccessLog = "-" }},
		{`{"app": "a:b"}`, func(c *Config) { c.App = "a:b" }},
		{`{"secure_scheme_headers": {"X-FORWARDED-PROTO": "https", "FRONT-END-HTTPS": "on"}, "forwarder_headers": "*"}`, func(c *Config) {
			c.SecureSchemeHeaders, c.ForwarderHeaders = []string{"FRONT-END-HTTPS=on", "X-FORWARDED-PROTO=https"}, []string{"*"}
		}},
		{`{"secure_scheme_headers": {}}`, func(c *Config) { c.SecureSchemeHeaders = []string{} }},
		{`{"loglevel": "debug"}`, func(c *Config) { c.LogLevel = "debug" }},
	}
	for _, test := range tests {
		got, err := FromJSON([]byte(test.in))
		if err != nil {
			t.Errorf("%s: %v", test.in, err)
			continue
		}
		got.origins = nil
		want := Default()
		test.change(want)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", test.in, got, want)
		}
	}
}

func TestFromJSONRefuses(t *testing.T) {
	tests := []struct{ in, want string }{
		{`{"thread": 1}`, `there is no option thread: did you mean threads?`},
		{`{"zzzzzzz": 1}`, `there is no option zzzzzzz: gowsgi --help lists those there are`},
		{`{"workers": 2}`, programs("workers")},
		{`{"post_fork": "f"}`, hookOfAProgram("post_fork")},
		{`{"python": "x"}`, `python is for the command line only: remove it`},
		{`{"no_sendfile": true}`, `there is no option no_sendfile: write sendfile=False`},
		{`{"keepalive": 1, "keep_alive": 2}`, `keep_alive and keepalive are the same option: give one of them`},
		{`{"threads": true}`, `threads does not accept true: give a whole number from 1 to 4096`},
		{`{"threads": 1.5}`, `threads does not accept 1.5: give a whole number from 1 to 4096`},
		{`{"threads": 0}`, `threads does not accept "0": give a whole number from 1 to 4096`},
		{`{"threads": {}}`, `threads does not accept {}: give a whole number from 1 to 4096`},
		{`{"secure_scheme_headers": {"X-FORWARDED-PROTO": 1}}`, `secure_scheme_headers does not accept {"X-FORWARDED-PROTO":1}: give a text or a list of texts`},
		{`{"threads": [1]}`, `threads does not accept [1]: give a whole number from 1 to 4096`},
		{`{"threads": ["1"]}`, `threads does not accept ["1"]: give a whole number from 1 to 4096`},
		{`{"threads": 1e400}`, `threads does not accept 1e400: give a whole number from 1 to 4096`},
		{`{"bind": 8000}`, `bind does not accept 8000: give an address or a list of addresses, such as 127.0.0.1:8000 or unix:/run/app.sock`},
		{`{"bind": []}`, `bind is an empty list: give at least one address, or leave it out`},
		{`{"bind": "8000"}`, `bind: "8000" is a port without a colon: write :8000 for every interface, or 127.0.0.1:8000`},
		{`{"sendfile": 1}`, `sendfile does not accept 1: give true or false`},
		{`{"keepalive": -1}`, `keepalive does not accept "-1": give a number of seconds from 0 to 86400, such as 30 or 0.5`},
		{`{"keepalive": 1e300}`, `keepalive does not accept "1e+300": give a number of seconds from 0 to 86400, such as 30 or 0.5`},
		{`{"raw_env": [1]}`, `raw_env does not accept [1]: give a text or a list of texts`},
		{`{"pidfile": 5}`, `pidfile does not accept 5: give a text`},
		{`{"pidfile": "a\u0000b"}`, `pidfile does not accept a NUL byte: give the value without it`},
		{`[]`, `the options are not a JSON object: json: cannot unmarshal array into Go value of type map[string]interface {}`},
		{`{} {}`, `the options are followed by something else than the end of the text: give one JSON object`},
	}
	for _, test := range tests {
		_, err := FromJSON([]byte(test.in))
		var usage *UsageError
		if !errors.As(err, &usage) || err.Error() != test.want {
			t.Errorf("%s\n got %v\nwant %s", test.in, err, test.want)
		}
	}
}

func TestFromKeywordsTakesGoValues(t *testing.T) {
	c, err := FromKeywords(map[string]any{
		"threads": 3, "limit_request_body": int64(5), "keepalive": 1.5, "bind": []string{":1"}, "sendfile": false,
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Threads != 3 || c.LimitRequestBody != 5 || c.KeepAlive != 1500*time.Millisecond || c.Sendfile ||
		c.Bind[0].Address != "0.0.0.0:1" {
		t.Errorf("got %+v", c)
	}
}

func FuzzFromJSON(f *testing.F) {
	f.Add([]byte(`{"bind": ["a:1"], "threads": 2, "keepalive": 0.1}`))
	f.Add([]byte(`{"limit_request_body": 1e99, "umask": "9"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := FromJSON(text)
		var usage *UsageError
		if err != nil && !errors.As(err, &usage) {
			t.Fatalf("error of type %T: %v", err, err)
		}
		if err == nil && (c.Threads < 1 || c.KeepAlive < 0 || c.LimitRequestBody < 0 || len(c.Bind) == 0) {
			t.Fatalf("accepted %+v", c)
		}
	})
}
