package config

import "time"

// table is the one place where options are declared: the Config fields they fill are named in the last column, and
// everything a user sees about them is made from these rows. Limits, deadlines and buffers are in tableOfLimits, proxies
// and limits by address in tableOfProxies, workers in tableOfWorkers and tableOfReplacing, logging by Python in tableOfPythonLogs,
// what a service manager would do in tableOfService.
var table = join(tableOfListening, tableOfWorkers, tableOfReplacing, tableOfLimits, tableOfProxies, tableOfPythonLogs, tableOfService, tableOfProcess)

func join(parts ...[]Option) []Option {
	var all []Option
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

var logLevels = []string{"debug", "info", "warning", "error", "critical"}

var tableOfListening = []Option{
	{Name: "bind", Flags: []string{"-b", "--bind"}, Type: Addresses, Metavar: "ADDRESS", Default: "127.0.0.1:8000",
		Env: "PORT", Shown: "127.0.0.1:8000, or 0.0.0.0:$PORT when PORT is set", Group: GroupListening, Repeats: true,
		Help: "Where to listen: HOST, HOST:PORT, :PORT, [IPV6]:PORT, unix:PATH, unix:@NAME (abstract) or fd://N. " +
			"Port 0 lets the system choose. Sockets handed over by systemd take the place of these.",
		at: func(c *Config) any { return &c.Bind }},
	{Name: "backlog", Flags: []string{"--backlog"}, Type: Int, Metavar: "N", Default: "2048", Min: 1, Max: 1 << 20,
		Group: GroupListening, Help: "How many connections may wait to be accepted.",
		at: func(c *Config) any { return &c.Backlog }},
	{Name: "reuse_port", Flags: []string{"--reuse-port"}, Type: Bool, Default: "false", Group: GroupListening,
		Help: "Set SO_REUSEPORT, so that several processes may listen on the same address.",
		at:   func(c *Config) any { return &c.ReusePort }},
	{Name: "worker_connections", Flags: []string{"--worker-connections"}, Type: Int, Metavar: "N", Default: "10000",
		Min: 1, Max: 1 << 24, Group: GroupListening,
		Help:   "How many connections may be open at once; further ones wait in the backlog.",
		Compat: "The default in gunicorn is 1000, and its sync worker ignores the option.",
		at:     func(c *Config) any { return &c.WorkerConnections }},
	{Name: "mongrel2", Flags: []string{"--mongrel2"}, Type: String, Metavar: "SEND_SPEC[,RECV_SPEC]", Group: GroupListening,
		Help: "Serve behind Mongrel2: pull requests from its send_spec and publish answers to its recv_spec, such as " +
			"tcp://10.0.0.1:9997,tcp://10.0.0.1:9996. A spec is PROTO://[IDENTITY@]ENDPOINT[#bind or #connect], PROTO tcp or ipc. " +
			"RECV_SPEC may be left out where it is the same host and the port before. Nothing else is listened on unless --bind is given.",
		validate: mongrel2Specs, at: func(c *Config) any { return &c.Mongrel2 }},
	{Name: "mongrel2_dispatcher", Flags: []string{"--mongrel2-dispatcher"}, Type: String, Metavar: "DISP_SPEC[,PING_SPEC]", Group: GroupListening,
		Help: "Serve behind a dispatcher (gowsgi m2wsgi-device dispatcher), which is between Mongrel2 and its handlers, in place of --mongrel2: have requests from its disp_spec " +
			"and its pings from its ping_spec, such as tcp://10.0.0.1:8888,tcp://10.0.0.1:8889. A spec is as there. " +
			"PING_SPEC may be left out where it is the same host and the port after.",
		validate: dispatcherSpecs, at: func(c *Config) any { return &c.Mongrel2Dispatcher }},
	{Name: "mongrel2_chroot", Flags: []string{"--mongrel2-chroot"}, Type: String, Metavar: "DIR", Group: GroupListening,
		Help:     "The directory that is Mongrel2's root, if it is confined to one: its uploads have their names in there.",
		validate: directoryExists, at: func(c *Config) any { return &c.Mongrel2Chroot }},

	{Name: "wsgi_app", Aliases: []string{"app"}, Type: String, Metavar: "APP", Group: GroupApplication,
		Help: "The application: module (its attribute application, else app), module:name, module:factory(arguments), " +
			"package.module.name or a .py file.",
		at: func(c *Config) any { return &c.App }},
	{Name: "threads", Flags: []string{"--threads"}, Type: Int, Metavar: "N", Default: "1", Min: 1, Max: 4096,
		Group: GroupApplication, Help: "How many threads run the application.",
		at: func(c *Config) any { return &c.Threads }},
	{Name: "chdir", Flags: []string{"--chdir"}, Type: String, Metavar: "DIR", Shown: "the current directory",
		Group: GroupApplication, Help: "Directory to change to before the application is loaded.",
		validate: directoryExists, at: func(c *Config) any { return &c.Chdir }},
	{Name: "pythonpath", Flags: []string{"--pythonpath"}, Type: List, Split: true, Metavar: "DIRS",
		Group: GroupApplication, Help: "Directories to put in front of sys.path, separated by commas.",
		at: func(c *Config) any { return &c.PythonPath }},
	{Name: "raw_env", Flags: []string{"-e", "--env"}, Type: List, Repeats: true, Metavar: "NAME=VALUE",
		Group: GroupApplication, Help: "Set an environment variable before the application is loaded.",
		validate: environmentPair, at: func(c *Config) any { return &c.Env }},
	{Name: "mount", Flags: []string{"--mount"}, Type: String, Metavar: "PATH", Env: "SCRIPT_NAME",
		Shown: "$SCRIPT_NAME, else the root", Group: GroupApplication,
		Help: "Where the application is mounted, such as /app: SCRIPT_NAME, taken off the front of each path. Paths that do not " +
			"begin with it get 404. A trusted proxy may say it for each request by a field named SCRIPT_NAME.",
		Compat:   "gunicorn has the environment variable and the field, and answers 500.",
		validate: mountPath, at: func(c *Config) any { return &c.Mount }},
	{Name: "python", Flags: []string{"--python"}, Type: String, Metavar: "PATH", CLIOnly: true,
		Shown: "$VIRTUAL_ENV, a python beside the program, python3 on PATH", Group: GroupApplication,
		Help: "The Python interpreter, or the directory of a virtual environment, to run the application with. For the " +
			"stand-alone program only; an installed package serves its own interpreter.",
		at: func(c *Config) any { return &c.Python }},

	{Name: "accesslog", Flags: []string{"--access-logfile"}, Type: String, Metavar: "FILE", Shown: "no access log",
		Group: GroupLogging, Help: "File for the access log; - is standard output.",
		at: func(c *Config) any { return &c.AccessLog }},
	{Name: "access_log_format", Flags: []string{"--access-logformat"}, Type: String, Metavar: "FORMAT",
		Default: DefaultAccessLogFormat, Group: GroupLogging,
		Help: "Format of the access log, from gunicorn's atoms: h l u t r s m U q H b B f a T D M L p, I for bytes received on a WebSocket, {NAME}i request " +
			"header, {NAME}o response header, {NAME}e environ.",
		validate: oneLine, at: func(c *Config) any { return &c.AccessLogFormat }},
	{Name: "access_log_json", Flags: []string{"--access-log-json"}, Type: Bool, Default: "false", Group: GroupLogging,
		Help: "Write the access log as one JSON object per line; to standard output when no file is given.",
		at:   func(c *Config) any { return &c.AccessLogJSON }},
	{Name: "errorlog", Flags: []string{"--error-logfile", "--log-file"}, Type: String, Metavar: "FILE", Default: "-",
		Group: GroupLogging, Help: "File for the error log; - is standard error.",
		at: func(c *Config) any { return &c.ErrorLog }},
	{Name: "error_log_json", Flags: []string{"--error-log-json"}, Type: Bool, Default: "false", Group: GroupLogging,
		Help: "Write what the server says in the error log as one JSON object per line, errors of the application with their " +
			"traceback among it. What the application itself writes there stays as it is.",
		at: func(c *Config) any { return &c.ErrorLogJSON }},
	{Name: "loglevel", Flags: []string{"--log-level"}, Type: Enum, Metavar: "LEVEL", Default: "info", Values: logLevels,
		Group: GroupLogging, Help: "How much the error log tells: debug, info, warning, error or critical.",
		at: func(c *Config) any { return &c.LogLevel }},
	{Name: "request_id", Flags: []string{"--request-id"}, Type: Enum, Metavar: "RULE", Default: "off",
		Values: []string{"off", "take", "make"}, Group: GroupLogging,
		Help: "Give each request an X-Request-Id: take the client's or make one where there is none or no good one, or " +
			"make one always. It is in environ (HTTP_X_REQUEST_ID), in the access log and with errors of the application.",
		at: func(c *Config) any { return &c.RequestID }},
}

var tableOfProcess = []Option{
	{Name: "pidfile", Flags: []string{"-p", "--pid"}, Type: String, Metavar: "FILE", Shown: "none",
		Group: GroupProcess, Help: "File to write the process id to; that of a process that runs is not written over.", at: func(c *Config) any { return &c.PidFile }},
	{Name: "umask", Flags: []string{"-m", "--umask"}, Type: Mode, Metavar: "MASK", Shown: "left as it is", Max: 0o777,
		Group:  GroupProcess,
		Help:   "File mode mask of the process in octal; it decides who may connect to unix sockets as well.",
		Compat: "The default in gunicorn is 0, which makes sockets and files writable for everybody.",
		at:     func(c *Config) any { return &c.Umask }},

	{Name: "server_header", Flags: []string{"--server-header"}, Type: String, Metavar: "TEXT", Default: "gowsgi",
		Group: GroupServer, Help: "The Server header of responses that bring none; empty sends none.",
		validate: headerValue, at: func(c *Config) any { return &c.ServerHeader }},
	{Name: "handover_after", Flags: []string{"--handover-after"}, Type: Seconds, Metavar: "SECONDS", Default: "0.001",
		Min: int64(100 * time.Microsecond), Max: int64(10 * time.Second), Group: GroupServer,
		Help: "Advanced: how long a call of the application may run before another thread takes over the connections.",
		at:   func(c *Config) any { return &c.HandoverAfter }},

	{Name: "config", Flags: []string{"-c", "--config"}, Type: String, Metavar: "FILE", CLIOnly: true, NoValue: true,
		Shown: "./gunicorn.conf.py, if it is there", Group: GroupOther,
		Help: "gunicorn's configuration file: a path, file:PATH or python:MODULE.",
		at:   func(c *Config) any { return &c.ConfigFile }},
	{Name: "check_config", Flags: []string{"--check-config"}, Type: Bool, Default: "false", CLIOnly: true, NoValue: true,
		Group: GroupOther, Help: "Load the application, report whether that worked, and exit.",
		at: func(c *Config) any { return &c.CheckConfig }},
	{Name: "print_config", Flags: []string{"--print-config"}, Type: Bool, Default: "false", CLIOnly: true, NoValue: true,
		Group: GroupOther, Help: "Print the value of every option and where it comes from, and exit.",
		at: func(c *Config) any { return &c.PrintConfig }},
	{Name: "version", Flags: []string{"-v", "--version"}, Type: Bool, Default: "false", CLIOnly: true, NoValue: true,
		Group: GroupOther, Help: "Print the version and exit.", at: func(c *Config) any { return &c.showVersion }},
	{Name: "help", Flags: []string{"-h", "--help"}, Type: Bool, Default: "false", CLIOnly: true, NoValue: true,
		Group: GroupOther, Help: "Print this help and exit.", at: func(c *Config) any { return &c.showHelp }},
}
