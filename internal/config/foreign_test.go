package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestEveryOptionOfGunicornIsKnown(t *testing.T) {
	for name := range ofGunicorn {
		var c *Config
		var err error
		if strings.HasPrefix(name, "-") {
			c, _, err = Parse([]string{"a", name}, environment(nil), nil)
		} else {
			c, err = FromKeywords(map[string]any{name: 7})
		}
		accepted := err == nil && len(c.Warnings) == 1 && strings.HasPrefix(c.Warnings[0], name)
		refused := err != nil && strings.HasPrefix(err.Error(), name+" is an option of gunicorn that gowsgi")
		if holds := holdAlready[settingOf[name]]; holds != nil && holds("7") {
			refused = refused || accepted
		}
		if !refused {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func TestForeignOptionsAreToldTogether(t *testing.T) {
	notYet := "gowsgi " + Version + " does not have these options of gunicorn yet: "
	for _, test := range []struct{ args, want string }{
		{"-k gevent app:app --certfile x --spew", notYet + "-k (" + hintThreads + "), --certfile (" + hintTLS + "), --spew (remove it)"},
		{"-k gevent app:app", "-k is an option of gunicorn that gowsgi " + Version + " does not have yet: " + hintThreads},
		{"--spew --thraeds 3 --nonsense x app:app", "--spew is an option of gunicorn that gowsgi " + Version +
			" does not have yet: remove it; there is no option --thraeds: did you mean --threads?; " +
			"there is no option --nonsense: gowsgi --help lists those there are"},
		{"--nonsense --thraeds --host --port 1", "there are no options --host and --port: write --bind 127.0.0.1:1; " +
			"there is no option --nonsense: gowsgi --help lists those there are; there is no option --thraeds: did you mean --threads?"},
		{"--host 0.0.0.0 --port 8080 app:app", "there are no options --host and --port: write --bind 0.0.0.0:8080"},
		{"--port=8080 app:app", "there is no option --port: write --bind 127.0.0.1:8080"},
		{"--host ::1 app:app", "there is no option --host: write --bind [::1]"},
		{"--host ::1 --port 1 app:app", "there are no options --host and --port: write --bind [::1]:1"},
		{"--listen=*:8080 app:app", "there is no option --listen: write --bind :8080"},
		{"--http 8080 --wsgi-file a.py --callable site", "there are no options --http, --wsgi-file and --callable: " +
			"write gowsgi --bind :8080 a.py:site"},
		{"--http-socket :1 --module a:b", "there are no options --http-socket and --module: write gowsgi --bind :1 a:b"},
		{"--unix-socket /run/a app:app", "there is no option --unix-socket: write --bind unix:/run/a"},
		{"--uds /run/a app:app", "there is no option --uds: write --bind unix:/run/a"},
		{"--wsgi-file", "there is no option --wsgi-file: write gowsgi module"},
		{"--http", "there is no option --http: write --bind HOST:PORT"},
	} {
		_, _, err := Parse(strings.Fields(test.args), environment(nil), nil)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s\n got %v\nwant %s", test.args, err, test.want)
		}
	}
}

func TestOptionsWhoseValueHoldsAlready(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"app:app -w 1 -k gthread --preload --worker-tmp-dir /dev/shm",
			"-k gthread and --worker-tmp-dir /dev/shm change nothing here and can be left out"},
		{"--protocol http --http-protocols h1 --no-control-socket app:app",
			"--protocol http, --http-protocols h1 and --no-control-socket change nothing here and can be left out"},
		{"--worker-class sync app:app", "--worker-class sync changes nothing here and can be left out"},
	} {
		c, action, err := Parse(strings.Fields(test.args), environment(nil), nil)
		if err != nil || action != ActionServe || c.App != "app:app" || !reflect.DeepEqual(c.Warnings, []string{test.want}) {
			t.Errorf("%s: %v\n got %q\nwant %q", test.args, err, c.Warnings, test.want)
		}
	}
	c, err := FromKeywords(map[string]any{
		"workers": 1, "timeout": 0, "max_requests": nil, "worker_class": "sync", "preload_app": true, "reload": false, "user": nil, "threads": 2})
	want := []string{"preload_app=True, reload=False, timeout=0, worker_class=sync and workers=1 change nothing here and can be left out"}
	if err != nil || c.Threads != 2 || !reflect.DeepEqual(c.Warnings, want) {
		t.Errorf("keywords: %v\n got %q\nwant %q", err, c.Warnings, want)
	}
}

// programs is what is said of a worker's option where there are no workers.
func programs(name string) string {
	return name + " is for the command line only, since a program that calls the server is one process: remove it"
}

func TestForeignKeywords(t *testing.T) {
	for _, test := range []struct {
		values map[string]any
		want   string
	}{
		{map[string]any{"host": "0.0.0.0", "port": 8080}, `there are no options host and port: write bind="0.0.0.0:8080"`},
		{map[string]any{"listen": "*:80", "unix_socket": "/a"},
			`there are no options listen and unix_socket: write bind=[":80", "unix:/a"]`},
		{map[string]any{"fd": 3}, `there is no option fd: write bind="fd://3"`},
		{map[string]any{"wsgi_file": "a.py"}, "there is no option wsgi_file: gowsgi --help lists those there are"},
		{map[string]any{"workers": 4, "spew": true, "thread": 1, "daemon": true}, "spew is an option of gunicorn that gowsgi " + Version +
			" does not have yet: remove it; " + programs("daemon") + "; there is no option thread: did you mean threads?; " + programs("workers")},
	} {
		_, err := FromKeywords(test.values)
		if err == nil || err.Error() != test.want {
			t.Errorf("%v\n got %v\nwant %s", test.values, err, test.want)
		}
	}
}

func TestSurroundingsOfGunicorn(t *testing.T) {
	t.Chdir(t.TempDir())
	warned := func(env map[string]string) string {
		c, _, err := Parse([]string{"app:app"}, environment(env), nil)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(c.Warnings, "\n")
	}
	if got := warned(map[string]string{"WEB_CONCURRENCY": "1"}); got != "" {
		t.Errorf("warned without need: %q", got)
	}
	if err := os.WriteFile("gunicorn.conf.py", []byte("workers = 4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := warned(map[string]string{"GUNICORN_CMD_ARGS": "--workers 4"})
	for _, name := range []string{"GUNICORN_CMD_ARGS", filepath.Base("gunicorn.conf.py")} {
		if strings.Count(got, name+" is not read yet")+strings.Count(got, name+" in this directory is not read yet") != 1 {
			t.Errorf("not one warning about %s:\n%s", name, got)
		}
	}
}

func TestSuggestionsAreClose(t *testing.T) {
	names := []string{"--log-file", "--bind", "--threads", "--limit-request-body", "--pid"}
	for given, want := range map[string]string{
		"--wsgi-file": "", "--lof-file": "--log-file", "--thred": "", "--thread": "--threads", "--limit-request-b": "--limit-request-body",
		"--limit_requst_bdy": "--limit-request-body", "--kind": "--bind", "--pod": "--pid", "--http": "", "--band": "--bind",
	} {
		if got := nearest(given, names); got != want {
			t.Errorf("%s: %q, want %q", given, got, want)
		}
	}
}
