package config

import (
	"slices"
	"strings"
)

// setting is one of gunicorn's that is no option here. It is accepted, wherever gunicorn takes it, with one sentence that says
// what it does here; only what would serve something else than the user asked for is refused.
type setting struct {
	name    string
	flags   string
	says    string                  // what it does here, to stand behind its name and a colon
	is      manner                  // how it is given
	holds   func(value string) bool // whether the value asks for nothing but what gowsgi does; nil: none does
	held    string                  // those values, for the documentation; empty: every one
	refuses func(value string) bool // whether gowsgi cannot do without; nil: no value
}

type manner int

const (
	valued   manner = iota // the flag has a value
	switched               // it has none
	called                 // a function of the configuration file
)

const (
	saysThreads = "requests run in threads here, so --threads (threads in the configuration file) says how many run at once"
	saysTLS     = "gowsgi has no TLS: remove it and let a proxy in front speak TLS"
	saysNoTLS   = "it says something about TLS, which gowsgi does not have"
	saysDict    = "the same, for a configuration file only"
	saysASGI    = "it is for ASGI applications, and gowsgi serves WSGI"
	saysNoWSGI  = "this worker class is for ASGI applications, and gowsgi serves WSGI: use uvicorn for those, and leave it out for others"
	saysHTTP1   = "gowsgi speaks HTTP/1.1"
	saysPaste   = "gowsgi reads no files of PasteDeploy: write paste.deploy.loadapp in a module and name that as the application"
	saysDirty   = "there are no dirty workers: what is to run aside runs by gowsgi.server.spawn, or in a queue of jobs"
	saysControl = "there is no control socket"
	saysName    = "the process keeps the name of its program"
	saysSpew    = "gowsgi does not trace lines: remove it and use sys.settrace in the application"
)

func always(string) bool { return true }

func oneOfThese(values ...string) func(string) bool {
	return func(v string) bool { return slices.Contains(values, v) }
}

// settingsOfGunicorn are the settings of gunicorn 20.1 to 27 that are no options here. Moving a row from here to the table is
// part of adding the option. How their values look in a configuration file is in python/gowsgi/_config_values.py.
var settingsOfGunicorn = []setting{
	{name: "worker_class", flags: "-k --worker-class", says: saysThreads,
		held: "`sync`, `gthread`, gowsgi's own and meinheld's", holds: workerOfThreads, refuses: workerOfASGI},
	{name: "worker_tmp_dir", flags: "--worker-tmp-dir", says: "there is no file that workers touch: they tell by a socket that they live", holds: always},
	{name: "tmp_upload_dir", says: "bodies that memory has no room for go where --temp-dir says"},
	{name: "paste", flags: "--paste --paster", says: saysPaste, refuses: always},
	{name: "raw_paste_global_conf", flags: "--paste-global", says: saysPaste},
	{name: "spew", flags: "--spew", is: switched, says: saysSpew, refuses: always},
	{name: "default_proc_name", says: saysName},
	{name: "logconfig_dict", says: saysDict, holds: always},
	{name: "keyfile", flags: "--keyfile", says: saysTLS, refuses: always},
	{name: "certfile", flags: "--certfile", says: saysTLS, refuses: always},
	{name: "ca_certs", flags: "--ca-certs", says: saysNoTLS},
	{name: "cert_reqs", flags: "--cert-reqs", says: saysNoTLS},
	{name: "ssl_version", flags: "--ssl-version", says: saysNoTLS},
	{name: "ciphers", flags: "--ciphers", says: saysNoTLS},
	{name: "do_handshake_on_connect", flags: "--do-handshake-on-connect", is: switched, says: saysNoTLS},
	{name: "suppress_ragged_eofs", flags: "--suppress-ragged-eofs --no-suppress-ragged-eofs", is: switched, says: saysNoTLS, holds: always},
	{name: "http_protocols", flags: "--http-protocols", says: saysHTTP1, held: "`h1`", holds: oneOfThese("h1")},
	{name: "http2_cleartext", flags: "--http2-cleartext", says: saysHTTP1, held: "`off`", holds: oneOfThese("off", "none")},
	{name: "http2_max_concurrent_streams", flags: "--http2-max-concurrent-streams", says: saysHTTP1},
	{name: "http2_initial_window_size", flags: "--http2-initial-window-size", says: saysHTTP1},
	{name: "http2_max_frame_size", flags: "--http2-max-frame-size", says: saysHTTP1},
	{name: "http2_max_header_list_size", flags: "--http2-max-header-list-size", says: saysHTTP1},
	{name: "protocol", flags: "--protocol", says: "gowsgi speaks HTTP only: remove it and let the proxy in front speak HTTP",
		held: "`http`", holds: oneOfThese("http"), refuses: always},
	{name: "uwsgi_allow_ips", flags: "--uwsgi-allow-from", says: saysHTTP1},
	{name: "http_parser", flags: "--http-parser", says: "there is one parser, gowsgi's own", held: "`auto`", holds: oneOfThese("auto")},
	{name: "control_socket", flags: "--control-socket", says: saysControl},
	{name: "control_socket_mode", flags: "--control-socket-mode", says: saysControl},
	{name: "control_socket_disable", flags: "--no-control-socket", is: switched, says: saysControl, holds: always},
	{name: "root_path", flags: "--root-path", says: saysASGI + "; see --mount"},
	{name: "asgi_loop", flags: "--asgi-loop", says: saysASGI, held: "`auto`", holds: oneOfThese("auto")},
	{name: "asgi_lifespan", flags: "--asgi-lifespan", says: saysASGI, held: "`auto`", holds: oneOfThese("auto")},
	{name: "asgi_disconnect_grace_period", flags: "--asgi-disconnect-grace-period", says: saysASGI},
	{name: "dirty_apps", flags: "--dirty-app", says: saysDirty},
	{name: "dirty_workers", flags: "--dirty-workers", says: saysDirty},
	{name: "dirty_timeout", flags: "--dirty-timeout", says: saysDirty},
	{name: "dirty_threads", flags: "--dirty-threads", says: saysDirty},
	{name: "dirty_graceful_timeout", flags: "--dirty-graceful-timeout", says: saysDirty},
	// As gowsgi's gunicorn worker says it: python/gowsgi/_gunicorn_settings.py.
	{name: "permit_obsolete_folding", flags: "--permit-obsolete-folding", is: switched, says: "folded header fields are always refused"},
	{name: "permit_unconventional_http_method", flags: "--permit-unconventional-http-method", is: switched,
		says: "any method that is a token is served"},
	{name: "permit_unconventional_http_version", flags: "--permit-unconventional-http-version", is: switched,
		says: "other versions of HTTP are always refused"},
	{name: "casefold_http_method", flags: "--casefold-http-method", is: switched, says: "methods are case-sensitive"},
	{name: "strip_header_spaces", flags: "--strip-header-spaces", is: switched,
		says: "a space before the colon of a header field is always refused"},
	{name: "tolerate_dangerous_framing", flags: "--tolerate-dangerous-framing", is: switched,
		says: "ambiguous framing is always refused"},

	{name: "ssl_context", is: called, says: saysNoTLS},
	{name: "on_dirty_starting", is: called, says: saysDirty},
	{name: "dirty_post_fork", is: called, says: saysDirty},
	{name: "dirty_worker_init", is: called, says: saysDirty},
	{name: "dirty_worker_exit", is: called, says: saysDirty},
}

// optionsOfGunicorn are the settings that are options here; inFiles is what there is to say about some in its files.
var optionsOfGunicorn = strings.Fields(`config wsgi_app bind backlog workers threads worker_connections preload_app max_requests
	max_requests_jitter timeout graceful_timeout keepalive limit_request_line limit_request_fields limit_request_field_size
	check_config print_config sendfile reuse_port chdir raw_env pidfile umask secure_scheme_headers forwarded_allow_ips accesslog
	access_log_format errorlog loglevel pythonpath proxy_protocol proxy_allow_ips forwarder_headers header_map
	websocket_max_message_size
	reload reload_engine reload_extra_files daemon user group initgroups enable_stdio_inheritance proc_name
	logger_class logconfig logconfig_json syslog syslog_addr syslog_prefix syslog_facility
	disable_redirect_access_to_syslog statsd_host statsd_prefix dogstatsd_tags enable_backlog_metric capture_output`)

var inFiles = map[string]string{
	"config":              "It does nothing in a configuration file, as with gunicorn.",
	"forwarded_allow_ips": "In a configuration file unix sockets are trusted as well, as by gunicorn.",
	"proxy_allow_ips":     "In a configuration file unix sockets are trusted as well, as by gunicorn.",
	"loglevel":            "Other names are info in a configuration file, as with gunicorn.",
	"access_log_format":   "Line breaks are spaces.",
	"proxy_protocol":      "True is auto.",
	"chdir":               "The configuration file is read first, as by gunicorn.",
}

// hooksOfGunicorn are the functions of its configuration file that are called here, too.
var hooksOfGunicorn = strings.Fields(`on_starting on_reload when_ready pre_fork post_fork post_worker_init worker_int
	worker_abort pre_exec pre_request post_request child_exit worker_exit nworkers_changed on_exit`)

// ofGunicorn finds a setting by its name, and by its flags, with their dashes.
var ofGunicorn = func() map[string]*setting {
	m := make(map[string]*setting)
	for i := range settingsOfGunicorn {
		s := &settingsOfGunicorn[i]
		m[s.name] = s
		for _, flag := range strings.Fields(s.flags) {
			m[flag] = s
		}
	}
	return m
}()

// refusal is what the user is told who gives a value that gowsgi cannot serve.
func (s *setting) refusal() string {
	if s.name == "worker_class" {
		return saysNoWSGI
	}
	return s.says
}

// namesOfGunicorn are all of its settings but the hooks.
var namesOfGunicorn = func() []string {
	names := slices.Clone(optionsOfGunicorn)
	for i := range settingsOfGunicorn {
		if s := &settingsOfGunicorn[i]; s.is != called {
			names = append(names, s.name)
		}
	}
	return names
}()

func ofGunicorns(name string) bool { return slices.Contains(namesOfGunicorn, name) }

// workerOfThreads: the worker classes that do what gowsgi does, its own and meinheld's among them.
func workerOfThreads(class string) bool {
	switch class {
	case "sync", "gthread", "gunicorn.workers.sync.SyncWorker", "gunicorn.workers.gthread.ThreadWorker",
		"gowsgi.gunicorn.Worker", "egg:gowsgi-server#gunicorn_worker", "egg:gowsgi-server#meinheld",
		"meinheld.gmeinheld.MeinheldWorker", "egg:meinheld#gunicorn_worker", "gowsgi.compat.meinheld.gmeinheld.MeinheldWorker":
		return true
	}
	return false
}

// workerOfASGI: what those serve is no WSGI application.
func workerOfASGI(class string) bool {
	return class == "asgi" || strings.HasPrefix(class, "uvicorn") || strings.HasPrefix(class, "gunicorn.workers.gasgi")
}
