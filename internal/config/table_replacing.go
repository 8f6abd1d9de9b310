package config

import "strings"

// Options on how workers, and servers, come and go.
var tableOfReplacing = []Option{
	{Name: "rolling", Flags: []string{"--rolling"}, Type: Bool, Default: "false", CLIOnly: true, Group: GroupWorkers,
		Help: "HUP replaces the workers one by one, each when its successor is ready, and not by as many new ones at once: slower, and with " +
			"memory for one worker more only.",
		at: func(c *Config) any { return &c.Rolling }},
	{Name: "warmup", Flags: []string{"--warmup"}, Type: String, Metavar: "PATH", CLIOnly: true, Group: GroupWorkers,
		Help: "A new process first answers GET PATH itself, and accepts connections when the status was below 500; if it was not, or none " +
			"came within --timeout, its start has failed.",
		validate: warmupPath, at: func(c *Config) any { return &c.Warmup }},
	{Name: "drain_delay", Flags: []string{"--drain-delay"}, Type: Seconds, Metavar: "SECONDS", Default: "0", Max: day,
		Group: GroupDeadlines,
		Help: "For so long after TERM connections are accepted and answered on, each answer with Connection: close, before the server " +
			"stops: load balancers have time to go elsewhere.",
		at: func(c *Config) any { return &c.DrainDelay }},
}

func warmupPath(text string) string {
	if text != "" && (text[0] != '/' || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })) {
		return "give a path as in a request, such as /ready?quick=1, with anything but printable ASCII escaped"
	}
	return ""
}
