package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// reads is a FileReader that has evaluated conf.py.
func reads(settings string) FileReader {
	return func(string, *Config) ([]byte, error) { return []byte(`{"path": "conf.py", ` + settings + `}`), nil }
}

func withFile(t *testing.T, settings string, args ...string) *Config {
	t.Helper()
	c, _, err := Parse(append([]string{"-c", "conf.py", "a:a"}, args...), environment(nil), reads(settings), nil)
	if err != nil {
		t.Fatalf("%s: %v", settings, err)
	}
	return c
}

// theirs is a line of testdata/gunicorn-settings.txt.
type theirs struct {
	name, value, text string
	flags             []string
}

func everySetting(t *testing.T) []theirs {
	text, err := os.ReadFile("testdata/gunicorn-settings.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []theirs
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		cells := append(strings.Split(line, "|"), "")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		all = append(all, theirs{cells[0], cells[2], cells[3], strings.Fields(cells[1])})
	}
	return all
}

// refusedHere are those whose value in the table would have the server do something else than what it was told to.
var refusedHere = strings.Fields("paste spew keyfile certfile protocol")

// TestEverySettingOfGunicorn: in the configuration file, in its variable and on the command line each is an option that is
// then set, or a sentence says what it does here, or the value holds already.
func TestEverySettingOfGunicorn(t *testing.T) {
	for _, s := range everySetting(t) {
		if s.value == "hook" {
			c := withFile(t, `"hooks": ["`+s.name+`"], "lines": {"`+s.name+`": [7]}`)
			remarked := len(c.Warnings) == 1 && strings.HasPrefix(c.Warnings[0], "conf.py, line 7: "+s.name+": ")
			if called := slices.Contains(hooksOfGunicorn, s.name); called == remarked || !slices.Equal(c.File.Hooks, []string{s.name}) {
				t.Errorf("%s: %v, %q", s.name, called, c.Warnings)
			}
			continue
		}
		check := func(source string, c *Config, err error, label, origin string) {
			t.Helper()
			o, setting := keywords[s.name], ofGunicorn[s.name]
			switch refused := slices.Contains(refusedHere, s.name); {
			case (o == nil) == (setting == nil):
				t.Errorf("%s has to be an option or in settingsOfGunicorn", s.name)
			case refused && (err == nil || !strings.HasPrefix(err.Error(), label+": ")):
				t.Errorf("%s in %s: %v", s.name, source, err)
			case refused:
			case err != nil:
				t.Errorf("%s in %s: %v", s.name, source, err)
			case s.name == "config":
			case o != nil && (c.origin(o) != origin || len(c.Warnings) > 0 && s.name != "daemon"):
				t.Errorf("%s in %s comes from %s, with %q", s.name, source, c.origin(o), c.Warnings)
			case o != nil:
			case source == "file" && setting.holds != nil && setting.holds("true") && len(c.Warnings) == 0:
			case len(c.Warnings) != 1 || !strings.HasPrefix(c.Warnings[0], label):
				t.Errorf("%s in %s: %q", s.name, source, c.Warnings)
			}
		}
		file := reads(`"settings": {"` + s.name + `": ` + s.value + `}, "lines": {"` + s.name + `": [3, 5]}`)
		c, _, err := Parse([]string{"-c", "conf.py", "a:a"}, environment(nil), file, nil)
		if s.name == "wsgi_app" {
			c, _, err = Parse([]string{"-c", "conf.py"}, environment(nil), file, nil)
		}
		check("file", c, err, "conf.py, line 3 or 5: "+s.name, "conf.py, line 3 or 5")
		for _, flag := range s.flags {
			words := strings.TrimSpace(flag + " " + s.text)
			c, _, err := Parse(append(strings.Fields(words), "a:a"), environment(nil), reads("\"own\": {}"), nil)
			check("the command line", c, err, flag, originCommandLine)
			c, _, err = Parse([]string{"a:a"}, environment(map[string]string{"GUNICORN_CMD_ARGS": words}), reads("\"own\": {}"), nil)
			check("the environment", c, err, "in GUNICORN_CMD_ARGS, "+flag, "GUNICORN_CMD_ARGS")
		}
	}
}

func TestWhatGunicornTakesInAFile(t *testing.T) {
	for _, test := range []struct {
		settings string
		change   func(*Config)
		remark   string
	}{
		{`{}`, func(*Config) {}, ""},
		{`{"workers": 4, "threads": 2}`, func(c *Config) { c.Workers, c.Threads = "4", 2 }, ""},
		{`{"workers": "auto"}`, func(c *Config) { c.Workers = "auto" }, ""},
		{`{"workers": 0}`, func(c *Config) { c.Workers = "1" }, "conf.py: workers = 0 is taken as 1"},
		{`{"threads": 0}`, func(*Config) {}, "conf.py: threads = 0 is taken as 1"},
		{`{"keepalive": 100000}`, func(c *Config) { c.KeepAlive = 24 * time.Hour }, "conf.py: keepalive = 100000 is taken as 86400"},
		{`{"timeout": 30.5, "graceful_timeout": 5}`, func(c *Config) {
			c.Timeout, c.GracefulTimeout = 30500*time.Millisecond, 5*time.Second
		}, ""},
		{`{"limit_request_fields": 0}`, func(c *Config) { c.LimitRequestFields = 32768 }, ""},
		{`{"limit_request_line": 1000000}`, func(c *Config) { c.LimitRequestLine, c.LimitRequestHead = 1000000, 1000000 }, ""},
		{`{"sendfile": false, "umask": 18, "max_requests": 7}`, func(c *Config) {
			c.Sendfile, c.Umask, c.MaxRequests = false, 0o22, 7
		}, ""},
		{`{"raw_env": ["A=1,2", "SCRIPT_NAME=/sub"]}`, func(c *Config) {
			c.Env, c.Mount = []string{"A=1,2", "SCRIPT_NAME=/sub"}, "/sub"
		}, ""},
		{`{"secure_scheme_headers": {"X-FORWARDED-PROTO": "https"}}`, func(c *Config) {
			c.SecureSchemeHeaders = []string{"X-FORWARDED-PROTO=https"}
		}, ""},
		{`{"wsgi_app": "b:b", "worker_class": "gthread", "preload_app": true, "reload": false, "daemon": false, "statsd_prefix": ""}`,
			func(c *Config) { c.Preload = true }, ""},
		{`{"user": 33, "group": "www"}`, func(c *Config) { c.User, c.GroupName = "33", "www" }, ""},
		{`{"config": "x.py"}`, func(*Config) {}, "conf.py: config: another file is not read from here, nor does gunicorn"},
		{`{"root_path": "/x"}`, func(*Config) {}, "conf.py: root_path: " + saysASGI + "; see --mount"},
		{`{"enable_backlog_metric": true}`, func(c *Config) { c.BacklogMetric = true }, ""},
	} {
		got := withFile(t, `"settings": `+test.settings)
		var remarks []string
		if test.remark != "" {
			remarks = []string{test.remark}
		}
		if !slices.Equal(got.Warnings, remarks) {
			t.Errorf("%s: said %q", test.settings, got.Warnings)
		}
		want := Default()
		want.App, want.ConfigFile, want.File, want.Warnings = "a:a", "conf.py", &File{Path: "conf.py"}, got.Warnings
		test.change(want)
		got.origins = nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", test.settings, got, want)
		}
	}
}

func TestFileRefuses(t *testing.T) {
	for settings, want := range map[string]string{
		`"settings": {"bind": "8000"}, "lines": {"bind": [3]}`: `conf.py, line 3: bind: "8000" is a port without a colon: ` +
			`write :8000 for every interface, or 127.0.0.1:8000`,
		`"settings": {"raw_env": ["A"]}`:                                `conf.py: raw_env does not accept "A": give NAME=VALUE`,
		`"settings": {"header_map": "keep"}`:                            `conf.py: header_map does not accept "keep": give drop, refuse or dangerous`,
		`"settings": {"keyfile": "k", "certfile": "c"}`:                 `conf.py: certfile: ` + saysTLS + `; conf.py: keyfile: ` + saysTLS,
		`"settings": {"worker_class": "uvicorn.workers.UvicornWorker"}`: `conf.py: worker_class: ` + saysNoWSGI,
		`"own": {"body_straeming": true}, "lines": {"gowsgi_body_straeming": [9]}`: `conf.py, line 9: there is no option ` +
			`body_straeming: did you mean body_streaming?`,
		`"own": {"python": "x"}`: `conf.py: gowsgi_python is for the command line only: remove it`,
		`"own": {"body_buffer": []}`: `conf.py: gowsgi_body_buffer does not accept []: give a number of bytes from 0 to 1g, ` +
			`such as 8190, 64k, 10m or 1g`,
		`"own": {}} {`: `the settings of the configuration file cannot be read: something else follows`,
		`[`:            `the settings of the configuration file cannot be read: invalid character '[' looking for beginning of object key string`,
	} {
		_, _, err := Parse([]string{"-c", "conf.py", "a:a"}, environment(nil), reads(settings), nil)
		var usage *UsageError
		if !errors.As(err, &usage) || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", settings, err, want)
		}
	}
	fails := func(string, *Config) ([]byte, error) { return nil, errors.New("conf.py, line 3: SyntaxError") }
	_, _, err := Parse([]string{"-c", "conf.py", "a:a"}, environment(nil), fails, nil)
	if usage := new(UsageError); !errors.As(err, &usage) || err.Error() != "conf.py, line 3: SyntaxError" {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

// TestOrderOfSources: each source is stronger than those before it.
func TestOrderOfSources(t *testing.T) {
	env := map[string]string{}
	var args []string
	file := `"settings": {}`
	read := func(location string, c *Config) ([]byte, error) { return reads(file)(location, c) }
	for _, step := range []struct {
		add                            func()
		workers, bind, allowed, origin string
	}{
		{func() {}, "", "127.0.0.1:8000", trustedByDefault, "default default default"},
		{func() { env["WEB_CONCURRENCY"], env["PORT"], env["FORWARDED_ALLOW_IPS"] = "2", "81", "10.0.0.1" },
			"2", "0.0.0.0:81", "10.0.0.1", "WEB_CONCURRENCY PORT FORWARDED_ALLOW_IPS"},
		{func() { file = `"settings": {"workers": 3, "bind": ["a:82"], "forwarded_allow_ips": ["10.0.0.2"]}` },
			"3", "a:82", "10.0.0.2", "conf.py conf.py conf.py"},
		{func() { env["GUNICORN_CMD_ARGS"] = "-w 4 -b :83 --forwarded-allow-ips=10.0.0.3" },
			"4", "0.0.0.0:83", "10.0.0.3", "GUNICORN_CMD_ARGS GUNICORN_CMD_ARGS GUNICORN_CMD_ARGS"},
		{func() { env["GOWSGI_CMD_ARGS"] = "-w 5 -b :84" }, "5", "0.0.0.0:84", "10.0.0.3", "GOWSGI_CMD_ARGS GOWSGI_CMD_ARGS GUNICORN_CMD_ARGS"},
		{func() { args = []string{"-w", "6"} }, "6", "0.0.0.0:84", "10.0.0.3", "command line GOWSGI_CMD_ARGS GUNICORN_CMD_ARGS"},
		{func() { env["LISTEN_PID"], env["LISTEN_FDS"] = "77", "1" }, "6", "fd://3", "10.0.0.3", "command line systemd GUNICORN_CMD_ARGS"},
	} {
		step.add()
		c, _, err := parse(append([]string{"-c", "conf.py", "a:a"}, args...), environment(env), 77, read, nil)
		if err != nil {
			t.Fatal(err)
		}
		var binds []string
		for _, b := range c.Bind {
			binds = append(binds, b.String())
		}
		origin := c.Origin("workers") + " " + c.Origin("bind") + " " + c.Origin("forwarded_allow_ips")
		if c.Workers != step.workers || strings.Join(binds, ",") != step.bind || strings.Join(c.ForwardedAllowIPs, ",") != step.allowed ||
			origin != step.origin {
			t.Errorf("%v %v %s: %s %v %v from %s", env, args, file, c.Workers, binds, c.ForwardedAllowIPs, origin)
		}
	}
}

// TestWhichFile: the one that is named, the command line first; else gunicorn.conf.py where the program was started.
func TestWhichFile(t *testing.T) {
	for _, test := range []struct {
		args string
		env  map[string]string
		file bool // whether there is a gunicorn.conf.py
		want []string
	}{
		{"a:a", nil, false, nil},
		{"a:a", nil, true, []string{""}},
		{"a:a -c x.py", nil, true, []string{"x.py"}},
		{"a:a --config=python:x.y", nil, false, []string{"python:x.y"}},
		{"a:a -c x.py", map[string]string{"GUNICORN_CMD_ARGS": "-c y.py"}, true, []string{"x.py"}},
		{"a:a", map[string]string{"GUNICORN_CMD_ARGS": "--config y.py"}, true, []string{"y.py"}},
		{"--help -c x.py", nil, true, nil},
	} {
		t.Chdir(t.TempDir())
		if test.file {
			if err := os.WriteFile(DefaultFile, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var asked []string
		var python string
		read := func(location string, c *Config) ([]byte, error) {
			asked, python = append(asked, location), c.Python
			return reads(`"own": {}`)(location, c)
		}
		c, _, err := Parse(append(strings.Fields(test.args), "--python", "/p"), environment(test.env), read, new(bytes.Buffer))
		if err != nil || !slices.Equal(asked, test.want) || asked != nil && python != "/p" {
			t.Errorf("%+v: %q with %q, %v", test, asked, python, err)
		}
		if err == nil && asked != nil && (c.WorkerCount() != 1 || c.File == nil) {
			t.Errorf("%+v: %d workers", test, c.WorkerCount())
		}
	}
}

func TestPrintConfigOfAFile(t *testing.T) {
	c := withFile(t, `"settings": {"workers": 3, "raw_env": ["A=1"]}, "own": {"body_streaming": true}, "hooks": ["post_fork", "when_ready"],
		"lines": {"workers": [1], "raw_env": [2, 8], "gowsgi_body_streaming": [4]}`, "--threads", "2")
	var out bytes.Buffer
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	lines := make(map[string]string)
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		name, rest, _ := strings.Cut(line, " = ")
		lines[strings.TrimSpace(name)] = strings.Join(strings.Fields(rest), " ")
	}
	want := map[string]string{
		"workers": "3 # conf.py, line 1", "threads": "2 # command line", "raw_env": "A=1 # conf.py, line 2 or 8", "timeout": "30 # default",
		"body_streaming": "true # conf.py, line 4", "hooks": "post_fork,when_ready # conf.py", "wsgi_app": "a:a # command line",
	}
	for name, line := range want {
		if lines[name] != line {
			t.Errorf("%s = %s, not %s", name, lines[name], line)
		}
	}
}

// TestPythonKnowsTheSameSettings: what _config_values.py hands over, and in what words the worker in gunicorn says the same.
func TestPythonKnowsTheSameSettings(t *testing.T) {
	text, err := os.ReadFile("../../python/gowsgi/_config_values.py")
	if err != nil {
		t.Fatal(err)
	}
	words := make(map[string]bool)
	for _, word := range strings.FieldsFunc(string(text), func(r rune) bool { return r == '"' || r == ' ' || r == '\n' }) {
		words[word] = true
	}
	ours := maps.Clone(ofGunicorn)
	reference := settingsReference()
	for _, s := range everySetting(t) {
		if strings.Count(reference, "| `"+s.name+"` |") != 1 {
			t.Errorf("docs/migrate-gunicorn.md does not say once what %s does", s.name)
		}
		if !words[s.name] {
			t.Errorf("_config_values.py does not know %s", s.name)
		}
		delete(ours, s.name)
	}
	for name := range ours {
		if !strings.HasPrefix(name, "-") {
			t.Errorf("%s is not in the list of settings", name)
		}
	}
	worker, err := os.ReadFile("../../python/gowsgi/_gunicorn_settings.py")
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range ofGunicorn {
		if i := strings.Index(string(worker), `"`+name+`": "`); i >= 0 && !strings.HasPrefix(string(worker)[i:], `"`+name+`": "`+s.says+`"`) &&
			!strings.HasPrefix(string(worker)[i:], `"`+name+`": ""`) {
			t.Errorf("%s: the worker of gunicorn says something else", name)
		}
	}
}

// TestNamesThatAreNearlySettings: what gunicorn would not say a word about.
func TestNamesThatAreNearlySettings(t *testing.T) {
	c := withFile(t, `"settings": {"workers": 2}, "hooks": ["worker_exit"], "own": {"temp_dir": "/tmp"}, "lines": {"treads": [4]}, "others": {
		"treads": "value", "log_level": "value", "access_logfile": "value", "max_rss": "value", "preload": "value", "time_out": "value",
		"post_frok": "function",
		"worker": "value", "temp_dir": "value", "worker_exits": "function", "cores": "value", "env": "value", "bindd": "value",
		"name": "value", "use_loglevel": "value", "keepalive_str": "value", "post_froks": "function", "max_lifetime": "function"}`)
	want := []string{
		"conf.py: access_logfile is no setting, so it does nothing: is accesslog meant?",
		"conf.py: log_level is no setting, so it does nothing: is loglevel meant?",
		"conf.py: max_rss is no setting, so it does nothing: is gowsgi_max_rss meant?",
		"conf.py: post_frok is no setting, so it does nothing: is post_fork meant?",
		"conf.py: preload is no setting, so it does nothing: is preload_app meant?",
		"conf.py: time_out is no setting, so it does nothing: is timeout meant?",
		"conf.py, line 4: treads is no setting, so it does nothing: is threads meant?",
	}
	if !slices.Equal(c.Warnings, want) {
		t.Errorf("%q", c.Warnings)
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(`{"settings": {"bind": ["a:1"], "workers": 2, "umask": 7, "user": 0}, "hooks": ["post_fork"], "own": {"mount": "/a"}}`))
	f.Add([]byte(`{"settings": {"keepalive": 1e99, "raw_env": null}, "lines": {"keepalive": []}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		read := func(string, *Config) ([]byte, error) { return text, nil }
		c, _, err := Parse([]string{"-c", "x", "a:a"}, environment(nil), read, nil)
		if usage := new(UsageError); err != nil && !errors.As(err, &usage) {
			t.Fatalf("error of type %T: %v", err, err)
		}
		if err == nil && (c.Threads < 1 || c.WorkerCount() < 1 || len(c.Bind) == 0 || !json.Valid(text)) {
			t.Fatalf("accepted %+v", c)
		}
	})
}

// TestRelativePathsAreThoseOfTheStart, wherever the process goes afterwards.
func TestRelativePathsAreThoseOfTheStart(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/sub", 0o700); err != nil {
		t.Fatal(err)
	}
	args := strings.Fields("a:a --chdir sub --temp-dir sub")
	t.Chdir(dir)
	here, _, err := Parse(args, environment(nil), nil, nil)
	if err != nil || here.TempDir != dir+"/sub" || here.Chdir != "sub" {
		t.Errorf("%+v, %v", here, err)
	}
	t.Chdir("sub")
	StartedIn(dir)
	defer StartedIn("")
	there, _, err := Parse(args, environment(nil), nil, nil)
	if err != nil || there.TempDir != dir+"/sub" {
		t.Errorf("%+v, %v", there, err)
	}
}
