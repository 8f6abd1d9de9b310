package config

// tableOfPythonLogs is gunicorn's settings for logging by Python: the server's records, and with them the access log, go to
// loggers there (python/gowsgi/_gunicorn_logger.py), which have the values from ForHooks.
var tableOfPythonLogs = []Option{
	{Name: "logger_class", Flags: []string{"--logger-class"}, Type: String, Metavar: "CLASS", Shown: "none", CLIOnly: true, Group: GroupLogging,
		Help: "A Python class, as package.module.Class, that gets what goes to the error log and the access log: " +
			"gunicorn.glogging.Logger, a class derived from it, or one with its methods. gunicorn need not be " +
			"installed for its own.",
		Compat: "With it, and with each of the options for logging by Python, there is a master here.",
		at:     func(c *Config) any { return &c.LoggerClass }},
	{Name: "logconfig", Flags: []string{"--log-config"}, Type: String, Metavar: "FILE", Shown: "none", CLIOnly: true, Group: GroupLogging,
		Help: "File with a configuration of Python's logging (logging.config.fileConfig), for the loggers " +
			"gunicorn.error and gunicorn.access.",
		at: func(c *Config) any { return &c.LogConfig }},
	{Name: "logconfig_json", Flags: []string{"--log-config-json"}, Type: String, Metavar: "FILE", Shown: "none", CLIOnly: true, Group: GroupLogging,
		Help: "The same as JSON (logging.config.dictConfig).",
		at:   func(c *Config) any { return &c.LogConfigJSON }},
	{Name: "syslog", Flags: []string{"--log-syslog"}, Type: Bool, Default: "false", CLIOnly: true, Group: GroupLogging,
		Help: "Send the error log and the access log to syslog as well.",
		at:   func(c *Config) any { return &c.Syslog }},
	{Name: "syslog_addr", Flags: []string{"--log-syslog-to"}, Type: String, Metavar: "ADDRESS", Default: "udp://localhost:514", CLIOnly: true, Group: GroupLogging,
		Help:   "Where syslog is: unix://PATH, with #dgram for datagrams, udp://HOST:PORT or tcp://HOST:PORT.",
		Compat: "The default in gunicorn is a unix socket on macOS and BSD.",
		at:     func(c *Config) any { return &c.SyslogAddress }},
	{Name: "syslog_prefix", Flags: []string{"--log-syslog-prefix"}, Type: String, Metavar: "TEXT", Shown: "the application", CLIOnly: true, Group: GroupLogging,
		Help: "What stands between gunicorn. and .error or .access in front of each line.",
		at:   func(c *Config) any { return &c.SyslogPrefix }},
	{Name: "syslog_facility", Flags: []string{"--log-syslog-facility"}, Type: String, Metavar: "NAME", Default: "user", CLIOnly: true, Group: GroupLogging,
		Help: "Facility of syslog.",
		at:   func(c *Config) any { return &c.SyslogFacility }},
	{Name: "disable_redirect_access_to_syslog", Flags: []string{"--disable-redirect-access-to-syslog"}, Type: Bool, Default: "false", CLIOnly: true, Group: GroupLogging,
		Help: "Do not send the access log to syslog.",
		at:   func(c *Config) any { return &c.NoAccessToSyslog }},
	{Name: "statsd_host", Flags: []string{"--statsd-host"}, Type: String, Metavar: "ADDRESS", Shown: "none", CLIOnly: true, Group: GroupLogging,
		Help: "HOST:PORT or unix://PATH of a statsd, which gets gunicorn's metrics: gunicorn.requests, " +
			"gunicorn.request.duration, gunicorn.request.status.N, gunicorn.workers, gunicorn.log.LEVEL.",
		at: func(c *Config) any { return &c.StatsdHost }},
	{Name: "statsd_prefix", Flags: []string{"--statsd-prefix"}, Type: String, Metavar: "TEXT", Shown: "none", CLIOnly: true, Group: GroupLogging,
		Help: "What stands in front of these names.",
		at:   func(c *Config) any { return &c.StatsdPrefix }},
	{Name: "dogstatsd_tags", Flags: []string{"--dogstatsd-tags"}, Type: String, Metavar: "TAGS", Shown: "none", CLIOnly: true, Group: GroupLogging,
		Help: "Tags for each metric, with a comma between.",
		at:   func(c *Config) any { return &c.StatsdTags }},
	{Name: "enable_backlog_metric", Flags: []string{"--enable-backlog-metric"}, Type: Bool, Default: "false", CLIOnly: true, Group: GroupLogging,
		Help: "Tell statsd each second how many connections wait to be accepted, as gunicorn.backlog. Those of unix " +
			"sockets are not known.",
		at: func(c *Config) any { return &c.BacklogMetric }},
	{Name: "capture_output", Flags: []string{"--capture-output"}, Type: Bool, Default: "false", CLIOnly: true, Group: GroupLogging,
		Help: "What the application prints goes to the error log, if that is a file.",
		at:   func(c *Config) any { return &c.CaptureOutput }},
}

// Captures reports whether what the application prints goes to a file.
func (c *Config) Captures() bool { return c.CaptureOutput && c.ErrorLog != "-" && c.ErrorLog != "" }

// LogsByPython reports whether any of it is asked for.
func (c *Config) LogsByPython() bool {
	for i := range tableOfPythonLogs {
		if c.Origin(tableOfPythonLogs[i].Name) != originDefault {
			return true
		}
	}
	return false
}
