package config

var tableOfService = []Option{
	{Name: "user", Flags: []string{"-u", "--user"}, Type: String, Metavar: "USER", Shown: "who started it", CLIOnly: true,
		Group: GroupProcess,
		Help: "User, by name or number, that the application runs as: workers from their start, a single process when it has " +
			"bound its addresses. Log files and unix sockets become that user's.",
		Compat: "gunicorn keeps the group and the supplementary groups of who started it.",
		at:     func(c *Config) any { return &c.User }},
	{Name: "group", Flags: []string{"-g", "--group"}, Type: String, Metavar: "GROUP", Shown: "that of --user", CLIOnly: true,
		Group: GroupProcess, Help: "The same for the group, which is then the only one.",
		at: func(c *Config) any { return &c.GroupName }},
	{Name: "initgroups", Flags: []string{"--initgroups"}, Type: Bool, Default: "false", CLIOnly: true, Group: GroupProcess,
		Help: "Have all groups that --user is a member of.", at: func(c *Config) any { return &c.InitGroups }},
	{Name: "daemon", Flags: []string{"-D", "--daemon"}, Type: Bool, Default: "false", CLIOnly: true, Group: GroupProcess,
		Help: "Serve in the background: the command ends with status 0 when the server is up, or says why it is not. What goes " +
			"to standard output and standard error is lost from then on.",
		Compat: "gunicorn ends before it has bound anything.",
		at:     func(c *Config) any { return &c.Daemon }},
	{Name: "enable_stdio_inheritance", Flags: []string{"-R", "--enable-stdio-inheritance"}, Type: Bool, Default: "false",
		CLIOnly: true, Group: GroupProcess, Help: "With --daemon, keep standard output and standard error.",
		at: func(c *Config) any { return &c.KeepStdio }},
	{Name: "proc_name", Flags: []string{"-n", "--name"}, Hidden: []string{"--proc-name"}, Type: String, Metavar: "NAME",
		Shown: "the application", CLIOnly: true, Group: GroupProcess, validate: oneLine,
		Help:   "What ps shows behind gowsgi: master and gowsgi: worker; a single process shows it if it is given. On Linux.",
		Compat: "gunicorn needs the package setproctitle for it.",
		at:     func(c *Config) any { return &c.ProcName }},
	{Name: "uwsgi_ini", Flags: []string{"--uwsgi-ini"}, Type: String, Metavar: "FILE", Shown: "none", CLIOnly: true, NoValue: true,
		Group: GroupOther,
		Help: "Take the options from a file in uWSGI's ini format, of its section [uwsgi] or of another one as in FILE:SECTION. " +
			"GOWSGI_CMD_ARGS and the command line override them.",
		at: func(c *Config) any { return &c.UwsgiIni }},
}
