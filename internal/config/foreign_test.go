package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestForeignOptionsAreToldTogether(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"-k asgi app:app --keyfile k --spew", "-k: " + saysNoWSGI + "; --keyfile: " + saysTLS + "; --spew: " + saysSpew},
		{"--certfile=c --thraeds 3 --nonsense x app:app", "--certfile: " + saysTLS + "; there is no option --thraeds: did you mean " +
			"--threads?; there is no option --nonsense: gowsgi --help lists those there are"},
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
		_, _, err := Parse(strings.Fields(test.args), environment(nil), nil, nil)
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
		{"-k gevent app:app", "-k: " + saysThreads},
	} {
		c, action, err := Parse(strings.Fields(test.args), environment(nil), nil, nil)
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

func hookOfAProgram(name string) string {
	return name + " is a hook of gunicorn's configuration file, which a program that calls the server does not need: remove it and " +
		"call the function yourself"
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
		{map[string]any{"workers": 4, "certfile": "c", "thread": 1}, "certfile: " + saysTLS +
			"; there is no option thread: did you mean threads?; " + programs("workers")},
		{map[string]any{"post_fork": "f"}, hookOfAProgram("post_fork")},
	} {
		_, err := FromKeywords(test.values)
		if err == nil || err.Error() != test.want {
			t.Errorf("%v\n got %v\nwant %s", test.values, err, test.want)
		}
	}
}

func TestSuggestionsAreClose(t *testing.T) {
	names := []string{"--log-file", "--bind", "--threads", "--limit-request-body", "--pid", "--worker-connections", "--workers"}
	for given, want := range map[string]string{
		"--wsgi-file": "", "--lof-file": "--log-file", "--thred": "", "--thread": "--threads", "--limit-request-b": "--limit-request-body",
		"--limit_requst_bdy": "--limit-request-body", "--kind": "--bind", "--pod": "--pid", "--worker": "--workers", "--worker-c": "--worker-connections",
		"--http": "", "--band": "--bind",
	} {
		if got := nearest(given, names); got != want {
			t.Errorf("%s: %q, want %q", given, got, want)
		}
	}
}
