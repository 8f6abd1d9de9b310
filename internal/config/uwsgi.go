package config

// What the keys of a file of uWSGI's mean here: each becomes an option of ours, as if it stood in front of the command line.

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// optionsOfUWSGI are the keys whose values are those of an option.
var optionsOfUWSGI = map[string]string{
	"threads": "--threads", "max-requests": "--max-requests", "max-requests-delta": "--max-requests-jitter",
	"max-worker-lifetime": "--max-lifetime", "harakiri": "--timeout", "reload-mercy": "--graceful-timeout",
	"worker-reload-mercy": "--graceful-timeout", "chdir": "--chdir",
	"virtualenv": "--python", "home": "--python", "venv": "--python", "pyhome": "--python",
	"env": "--env", "pythonpath": "--pythonpath", "python-path": "--pythonpath", "pp": "--pythonpath",
	"listen": "--backlog", "pidfile": "--pid", "pidfile2": "--pid", "safe-pidfile": "--pid", "safe-pidfile2": "--pid",
	"uid": "--user", "gid": "--group", "umask": "--umask", "limit-post": "--limit-request-body",
	"procname": "--name", "procname-prefix": "--name", "procname-prefix-spaced": "--name", "procname-master": "--name",
}

// switchesOfUWSGI are those that have a value only to say true or false.
var switchesOfUWSGI = map[string]string{"reuse-port": "--reuse-port", "py-autoreload": "--reload", "py-auto-reload": "--reload"}

// heldOfUWSGI ask for what gowsgi does anyway, or about what it has no need of.
var heldOfUWSGI = strings.Fields(`die-on-term vacuum lazy lazy-apps need-app enable-threads single-interpreter strict thunder-lock
	no-orphans buffer-size post-buffering auto-procname so-keepalive http-keepalive ignore-sigpipe ignore-write-errors
	disable-write-exception harakiri-verbose log-master optimize plugin plugins manage-script-name threads-stacksize
	close-on-exec py-call-osafterfork log-date http-auto-chunked http-websockets offload-threads tcp-nodelay show-config
	wsgi-env-behaviour wsgi-env-behavior master-as-root`)

// uwsgi is a file of uWSGI's on its way to a command line.
type uwsgi struct {
	args      []string
	app       string // module or file
	callable  string
	master    bool
	processes string
	errorLog  string
	accessLog string
	quiet     bool     // no access log
	shared    []string // shared-socket
	spoke     []string // addresses that spoke uWSGI's own protocol
	harakiri  bool
	unread    []string // keys
}

// uwsgiArguments reads the file as options, and returns what is to be said of it, without the option's own name. The last
// word may be the application.
func uwsgiArguments(name string, env func(string) string) (args, warnings []string, err error) {
	u := new(uwsgi)
	r := &iniReader{take: u.take, env: env, now: time.Now(), set: map[string]string{}, used: map[string]bool{}, wrong: map[string]error{}}
	if err := r.read(name); err != nil {
		return nil, nil, err
	}
	var unread []string
	for _, key := range u.unread {
		if !r.used[key] && !slices.Contains(unread, key) {
			unread = append(unread, key)
		}
	}
	sort.Strings(unread)
	if len(unread) > 0 {
		warnings = append(warnings, fmt.Sprintf("%s has keys that gowsgi does not read: %s", name, enumerate(unread)))
	}
	if len(u.spoke) > 0 {
		warnings = append(warnings, fmt.Sprintf("%s: socket speaks HTTP here, so nginx needs %s in the place of uwsgi_pass", name,
			proxyPass(u.spoke[0])))
	}
	if u.harakiri {
		warnings = append(warnings, name+": harakiri is --timeout here, which ends a worker when all its threads are in one call for so "+
			"long, and no single request")
	}
	return u.finish(), warnings, nil
}

func proxyPass(bind string) string {
	if path, unix := strings.CutPrefix(bind, "unix:"); unix {
		return "proxy_pass http://unix:" + path
	}
	return "proxy_pass http://" + bind
}

func (u *uwsgi) option(flag, value string) { u.args = append(u.args, flag+"="+value) }

// take reports whether the key is one that gowsgi reads.
func (u *uwsgi) take(key, value string) bool {
	before := len(u.unread)
	u.apply(key, value)
	return len(u.unread) == before
}

func (u *uwsgi) apply(key, value string) {
	on, isSwitch := parseBool(value)
	on = on || !isSwitch
	if flag := optionsOfUWSGI[key]; flag != "" {
		u.harakiri = u.harakiri || key == "harakiri"
		u.option(flag, strings.TrimSpace(value))
		return
	}
	if flag := switchesOfUWSGI[key]; flag != "" {
		if on {
			u.args = append(u.args, flag)
		}
		return
	}
	if slices.Contains(heldOfUWSGI, key) {
		return
	}
	switch key {
	case "http", "http-socket", "http11-socket":
		u.option("--bind", u.address(value))
	case "socket", "uwsgi-socket":
		u.option("--bind", u.address(value))
		u.spoke = append(u.spoke, u.address(value))
	case "shared-socket":
		u.shared = append(u.shared, value)
	case "module", "wsgi":
		u.app = value
	case "wsgi-file", "file":
		if u.app = value; !strings.HasSuffix(value, ".py") && !strings.Contains(value, "/") {
			u.app = "./" + value // and no module
		}
	case "callable":
		u.callable = value
	case "mount":
		path, app, found := strings.Cut(value, "=")
		if !found {
			u.unread = append(u.unread, key)
			return
		}
		u.option("--mount", path)
		u.app = app
	case "master":
		u.master = on
	case "processes", "workers":
		u.processes = value
	case "reload-on-rss":
		u.option("--max-rss", value+"m")
	case "logto", "logto2":
		u.errorLog, u.accessLog = value, value
	case "daemonize", "daemonize2":
		u.args = append(u.args, "--daemon")
		u.errorLog, u.accessLog = value, value
	case "logger", "log-route":
		u.toFile(&u.errorLog, key, value)
	case "req-logger":
		u.toFile(&u.accessLog, key, value)
	case "disable-logging":
		u.quiet = on
	default:
		u.unread = append(u.unread, key)
	}
}

// toFile takes the file of a logger; the others, to syslog for instance, are not there.
func (u *uwsgi) toFile(log *string, key, value string) {
	path, file := strings.CutPrefix(value[strings.IndexByte(value, ' ')+1:], "file:")
	if !file {
		u.unread = append(u.unread, key)
		return
	}
	*log = path
}

// address is uWSGI's way to write one: =0 is the first shared socket, and what has no port is a path.
func (u *uwsgi) address(value string) string {
	if n, err := strconv.Atoi(strings.TrimPrefix(value, "=")); value != "" && value[0] == '=' && err == nil && n >= 0 && n < len(u.shared) {
		value = u.shared[n]
	}
	_, port, hasPort := strings.Cut(value, ":")
	switch {
	case strings.HasPrefix(value, "fd://"), strings.HasPrefix(value, "unix:"):
		return value
	case strings.HasPrefix(value, "@"), strings.Contains(value, "/"), !hasPort && !isDigits(value):
		return "unix:" + value
	case hasPort && port == "":
		return value
	}
	return anyHost(value)
}

// finish is the command line.
func (u *uwsgi) finish() []string {
	if n, err := strconv.Atoi(u.processes); u.processes != "" && (err != nil || n != 1 || u.master) {
		u.option("--workers", u.processes)
	} else if u.master {
		u.option("--workers", "1")
	}
	if u.errorLog != "" {
		u.option("--error-logfile", u.errorLog)
	}
	if u.accessLog != "" && !u.quiet {
		u.option("--access-logfile", u.accessLog)
	}
	if u.app != "" {
		if u.callable != "" && !strings.Contains(u.app, ":") {
			u.app += ":" + u.callable
		}
		u.args = append(u.args, u.app)
	}
	return u.args
}

// uwsgiSource is what the file of --uwsgi-ini says, if one of the others names one, and what is to be said of it. The last one
// counts.
func uwsgiSource(env func(string) string, others []source) (ini []source, remarks []string, err error) {
	name := ""
	for _, other := range others {
		a, err := splitArguments(other.args, "")
		if err != nil {
			continue // which is told when it is its turn
		}
		for _, option := range a.options {
			if value, is := strings.CutPrefix(option, "--uwsgi-ini="); is {
				name = value
			}
		}
	}
	if name == "" {
		return nil, nil, nil
	}
	args, remarks, err := uwsgiArguments(name, env)
	return []source{{args, "in " + name + ", ", name}}, remarks, err
}

// PythonOfFile reports whether it is --uwsgi-ini's file that names the Python to use: a Python that serves already is the
// user's choice.
func (c *Config) PythonOfFile() bool { return c.UwsgiIni != "" && c.Origin("python") == c.UwsgiIni }
