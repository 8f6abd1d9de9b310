package config

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// iniOf writes a file and returns its name, which is relative: messages show it as it was given.
func iniOf(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestKeysOfUWSGI(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	parent := filepath.Base(dir)
	python := func(c *Config) { c.Python = "/srv/venv" }
	tests := []struct {
		name   string
		text   string
		change func(*Config) // what differs from the defaults and App "app:app"
	}{
		{"nothing", "", func(*Config) {}},
		{"http", "http = :8000", func(c *Config) { c.Bind = []Bind{{"tcp", "0.0.0.0:8000", 0}} }},
		{"http as people write it", "http-socket = *:80\nhttp=9090\nhttp = 127.0.0.1:1", func(c *Config) {
			c.Bind = []Bind{{"tcp", "0.0.0.0:80", 0}, {"tcp", "0.0.0.0:9090", 0}, {"tcp", "127.0.0.1:1", 0}}
		}},
		{"socket as HTTP", "socket = /run/a.sock", func(c *Config) {
			c.Bind = []Bind{{"unix", "/run/a.sock", 0}}
			c.Warnings = []string{"uwsgi.ini: socket speaks HTTP here, so nginx needs proxy_pass http://unix:/run/a.sock in the place of uwsgi_pass"}
		}},
		{"other sockets", "uwsgi-socket = 127.0.0.1:3031\nsocket = a.sock\nsocket = @abstract", func(c *Config) {
			c.Bind = []Bind{{"tcp", "127.0.0.1:3031", 0}, {"unix", "a.sock", 0}, {"unix", "@abstract", 0}}
			c.Warnings = []string{"uwsgi.ini: socket speaks HTTP here, so nginx needs proxy_pass http://127.0.0.1:3031 in the place of uwsgi_pass"}
		}},
		{"shared sockets", "shared-socket = :80\nshared-socket = :81\nhttp = =1", func(c *Config) { c.Bind = []Bind{{"tcp", "0.0.0.0:81", 0}} }},
		{"module", "module = site.wsgi", func(c *Config) { c.App = "site.wsgi" }},
		{"module and callable", "wsgi = site\ncallable = make()", func(c *Config) { c.App = "site:make()" }},
		{"module with its callable", "module = site:a\ncallable = b", func(c *Config) { c.App = "site:a" }},
		{"file", "wsgi-file = site.py\ncallable = b", func(c *Config) { c.App = "site.py:b" }},
		{"file that is no .py", "wsgi-file = site.wsgi", func(c *Config) { c.App = "./site.wsgi" }},
		{"mount", "mount = /sub=site:a\nmanage-script-name = true", func(c *Config) { c.App, c.Mount = "site:a", "/sub" }},
		{"processes", "master = true\nprocesses = 4\nthreads = 2\nenable-threads = 1", func(c *Config) { c.Workers, c.Threads = "4", 2 }},
		{"processes without a master", "workers = 2", func(c *Config) { c.Workers = "2" }},
		{"one process", "processes = 1", func(*Config) {}},
		{"one process and a master", "master", func(c *Config) { c.Workers = "1" }},
		{"no master", "master = false", func(*Config) {}},
		{"a process for each CPU", "processes = %k", func(c *Config) { c.Workers = strconv.Itoa(runtime.NumCPU()) }},
		{"limits", "max-requests = 100\nmax-requests-delta = 10\nmax-worker-lifetime = 3600\nreload-on-rss = 200\nlimit-post = 1000\n" +
			"worker-reload-mercy = 5\nlisten = 100", func(c *Config) {
			c.MaxRequests, c.MaxRequestsJitter, c.MaxLifetime, c.MaxRSS = 100, 10, time.Hour, 200<<20
			c.LimitRequestBody, c.GracefulTimeout, c.Backlog = 1000, 5*time.Second, 100
		}},
		{"harakiri", "harakiri = 60", func(c *Config) {
			c.Timeout = time.Minute
			c.Warnings = []string{"uwsgi.ini: harakiri is --timeout here, which ends a worker when all its threads are in one call for so long, and no single request"}
		}},
		{"places", "chdir = " + dir + "\nvirtualenv = /srv/venv\nenv = A=b c\nenv = D=%(chdir)\npythonpath = /x\npp = /y", func(c *Config) {
			python(c)
			c.Chdir, c.Env, c.PythonPath = dir, []string{"A=b c", "D=" + dir}, []string{"/x", "/y"}
		}},
		{"home", "home = /srv/venv", python},
		{"process", "pidfile = /run/a.pid\nuid = me\ngid = us\numask = 027\nprocname-prefix = mine\nreuse-port = true", func(c *Config) {
			c.PidFile, c.User, c.GroupName, c.Umask, c.ProcName, c.ReusePort = "/run/a.pid", "me", "us", 0o27, "mine", true
		}},
		{"daemon", "daemonize = /var/log/a.log", func(c *Config) {
			c.Daemon, c.ErrorLog, c.AccessLog = true, "/var/log/a.log", "/var/log/a.log"
		}},
		{"logs", "logto = a.log\ndisable-logging = true", func(c *Config) { c.ErrorLog = "a.log" }},
		{"loggers", "logger = file:e.log\nreq-logger = name file:a.log\n", func(c *Config) { c.ErrorLog, c.AccessLog = "e.log", "a.log" }},
		{"reload", "py-autoreload = 1", func(c *Config) { c.Reload, c.Workers = true, "1" }},
		{"what holds already", "vacuum = true\ndie-on-term = true\nlazy-apps = true\nneed-app = true\nplugins = python3\nbuffer-size=32768", func(*Config) {}},
		{"what is not read", "static-map = /s=/srv\ncheaper = 2\nstatic-map = /t=/srv\nhttps = :443,a,b", func(c *Config) {
			c.Warnings = []string{"uwsgi.ini has keys that gowsgi does not read: cheaper, https and static-map"}
		}},
		{"variables that are no placeholders", "log-format = %(addr) %(method) @(x)\nlog-encoder = json {\"t\": \"${micros}\", \"m\": \"%(msg)\"}", func(c *Config) {
			c.Warnings = []string{"uwsgi.ini has keys that gowsgi does not read: log-encoder and log-format"}
		}},
		{"placeholders", "base = /srv/%n\nset-placeholder = port=99\nwhere=%(base)/x\npidfile = %(where)/%%/$(NAME).pid\nhttp = :%(port)", func(c *Config) {
			c.PidFile, c.Bind = "/srv/uwsgi/x/%/value.pid", []Bind{{"tcp", "0.0.0.0:99", 0}}
		}},
		{"variables of one letter", "pidfile = %d%s.%e.%c.%x.%q", func(c *Config) { c.PidFile = dir + "/uwsgi.ini.ini." + parent + ".uwsgi.%q" }},
		{"contents of a file", "http = :@(port)", func(c *Config) { c.Bind = []Bind{{"tcp", "0.0.0.0:77", 0}} }},
		{"comments and other sections", "; http = :1\n# http = :2\n\n  threads=3  \n[other]\nthreads = 4", func(c *Config) { c.Threads = 3 }},
		{"another file", "ini = more.ini\nini = :extra\n[extra]\nthreads = 5", func(c *Config) { c.Threads, c.Backlog = 5, 7 }},
	}
	iniOf(t, "port", "77\n")
	iniOf(t, "more.ini", "[uwsgi]\nlisten = 7\n")
	for _, test := range tests {
		iniOf(t, "uwsgi.ini", "[uwsgi]\n"+test.text+"\n")
		want := Default()
		want.App, want.UwsgiIni = "app:app", "uwsgi.ini"
		test.change(want)
		args := []string{"--uwsgi-ini", "uwsgi.ini"}
		if want.App == "app:app" {
			args = append(args, "app:app")
		}
		got, _, err := Parse(args, environment(map[string]string{"NAME": "value"}), nil, nil)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got.PythonOfFile() != (want.Python != "") {
			t.Errorf("%s: Python of the file: %v", test.name, got.PythonOfFile())
		}
		got.origins = nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", test.name, got, want)
		}
	}
}

func TestOthersOverrideTheFileOfUWSGI(t *testing.T) {
	t.Chdir(t.TempDir())
	iniOf(t, "uwsgi.ini", "[uwsgi]\nhttp = :1\nmodule = site:app\nthreads = 2\nlisten = 3\n[live]\nmodule = live:app\n")
	env := environment(map[string]string{"GOWSGI_CMD_ARGS": "--threads 4 --uwsgi-ini uwsgi.ini", "PORT": "5", "WEB_CONCURRENCY": "6"})
	c, _, err := Parse([]string{"--backlog", "7"}, env, nil, nil)
	if err != nil || c.App != "site:app" || c.Threads != 4 || c.Backlog != 7 || c.Workers != "6" || c.Bind[0].Address != "0.0.0.0:1" {
		t.Errorf("%+v, %v", c, err)
	}
	c, _, err = Parse([]string{"--uwsgi-ini=uwsgi.ini:live", "other:app"}, env, nil, nil)
	if err != nil || c.App != "other:app" || c.Backlog != 2048 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestMistakesInFilesOfUWSGI(t *testing.T) {
	t.Chdir(t.TempDir())
	iniOf(t, "loop.ini", "[uwsgi]\nini = loop.ini\n")
	for _, test := range []struct{ text, want string }{
		{"threads = many", "in uwsgi.ini, --threads does not accept \"many\": give a whole number from 1 to 4096"},
		{"pidfile = %(nothing)", "uwsgi.ini, line 2: %(nothing) stands for nothing: set nothing = … above it"},
		{"base = %(nothing)/a\npidfile = %(base)/pid", "uwsgi.ini, line 3: %(nothing) stands for nothing: set nothing = … above it"},
		{"pidfile = %(nothing", "uwsgi.ini, line 2: %( has no closing parenthesis"},
		{"http = :@(no-such-file)", "uwsgi.ini, line 2: @(no-such-file) cannot be read: make it a readable file"},
		{"if-env = X\nhttp = :1\nendif =", "uwsgi.ini: gowsgi does not read conditions (if-env): write the lines that are to hold without them"},
		{"for = a b\nendfor =", "uwsgi.ini: gowsgi does not read loops (for): write out what they make"},
		{"ini = no-such.ini", "--uwsgi-ini: no-such.ini cannot be read: give a file in uWSGI's ini format"},
		{"ini = loop.ini", "loop.ini: files name one another by ini = …: write them into one"},
		{"ini = :other", "uwsgi.ini has no section [other]: name the section, as in --uwsgi-ini uwsgi.ini:name"},
	} {
		iniOf(t, "uwsgi.ini", "[uwsgi]\n"+test.text+"\n")
		_, _, err := Parse([]string{"--uwsgi-ini", "uwsgi.ini", "app:app"}, environment(nil), nil, nil)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s\n got %v\nwant %s", test.text, err, test.want)
		}
	}
	if _, _, err := Parse([]string{"--uwsgi-ini", "none.ini"}, environment(nil), nil, nil); err == nil || !strings.Contains(err.Error(), "none.ini") {
		t.Error(err)
	}
}
