package config

import "strings"

const (
	hintRemove  = "remove it"
	hintThreads = "remove it and give --threads or --workers for concurrency"
	hintConfig  = "remove it and give the options on the command line or in " + cmdArgsVariable
	hintTLS     = "remove it and let a proxy in front speak TLS"
	hintLog     = "remove it; --access-logfile, --error-logfile and --log-level choose where logs go"
)

// settingsOfGunicorn are settings that exist in gunicorn and not here yet, with what to do instead. Moving a row from
// here to the table is part of adding the option.
var settingsOfGunicorn = []struct {
	name  string // the setting, when its flag is not spelled alike
	flags string
	hint  string
}{
	{"worker_class", "-k --worker-class", hintThreads},
	{"worker_tmp_dir", "--worker-tmp-dir", hintRemove},
	{"config", "-c --config", hintConfig},
	{"paste", "--paste --paster", hintRemove},
	{"spew", "--spew", hintRemove},
	{"disable_redirect_access_to_syslog", "--disable-redirect-access-to-syslog", hintLog},
	{"capture_output", "--capture-output", hintLog},
	{"logger_class", "--logger-class", hintLog},
	{"logconfig", "--log-config", hintLog},
	{"logconfig_dict", "", hintLog},
	{"logconfig_json", "--log-config-json", hintLog},
	{"syslog", "--log-syslog", hintLog},
	{"syslog_addr", "--log-syslog-to", hintLog},
	{"syslog_prefix", "--log-syslog-prefix", hintLog},
	{"syslog_facility", "--log-syslog-facility", hintLog},
	{"statsd_host", "--statsd-host", hintRemove},
	{"statsd_prefix", "--statsd-prefix", hintRemove},
	{"dogstatsd_tags", "--dogstatsd-tags", hintRemove},
	{"enable_backlog_metric", "--enable-backlog-metric", hintRemove},
	{"keyfile", "--keyfile", hintTLS},
	{"certfile", "--certfile", hintTLS},
	{"ca_certs", "--ca-certs", hintTLS},
	{"cert_reqs", "--cert-reqs", hintTLS},
	{"ssl_version", "--ssl-version", hintTLS},
	{"ciphers", "--ciphers", hintTLS},
	{"do_handshake_on_connect", "--do-handshake-on-connect", hintTLS},
	{"suppress_ragged_eofs", "--no-suppress-ragged-eofs", hintTLS},
	{"http_protocols", "--http-protocols", "remove it, since gowsgi speaks HTTP/1.1"},
	{"protocol", "--protocol", "remove it, since gowsgi speaks HTTP/1.1"},
	{"control_socket", "--control-socket", hintRemove},
	{"no_control_socket", "--no-control-socket", hintRemove},
	{"root_path", "--root-path", hintRemove},
	{"permit_obsolete_folding", "--permit-obsolete-folding", hintRemove},
	{"permit_unconventional_http_method", "--permit-unconventional-http-method", hintRemove},
	{"permit_unconventional_http_version", "--permit-unconventional-http-version", hintRemove},
	{"casefold_http_method", "--casefold-http-method", hintRemove},
	{"strip_header_spaces", "--strip-header-spaces", hintRemove},
}

// hooksOfGunicorn are functions of its configuration file.
var hooksOfGunicorn = strings.Fields(`on_starting on_reload when_ready pre_fork post_fork post_worker_init worker_int
	worker_abort pre_exec pre_request post_request child_exit worker_exit nworkers_changed on_exit ssl_context`)

// ofGunicorn finds the hint by flag, with its dashes, and by setting, without.
var ofGunicorn = func() map[string]string {
	m := make(map[string]string)
	for _, s := range settingsOfGunicorn {
		m[s.name] = s.hint
		for _, flag := range strings.Fields(s.flags) {
			m[flag] = s.hint
		}
	}
	for _, hook := range hooksOfGunicorn {
		m[hook] = "remove it"
	}
	return m
}()
