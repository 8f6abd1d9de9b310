package config

import (
	"fmt"
	"runtime"
	"strconv"
)

var tableOfWorkers = []Option{
	{Name: "workers", Flags: []string{"-w", "--workers"}, Type: Count, Metavar: "N", Env: "WEB_CONCURRENCY", CLIOnly: true,
		Min: 1, Max: mostWorkers,
		Shown: "$WEB_CONCURRENCY, else one process without a master", Group: GroupWorkers,
		Help:   "How many processes serve, below a master that replaces those that end; auto: one for each CPU.",
		Compat: "gunicorn has a master always, and no auto. Here there is one with a configuration file, too.",
		at:     func(c *Config) any { return &c.Workers }},
	{Name: "preload_app", Flags: []string{"--preload"}, Type: Bool, Default: "false", CLIOnly: true, Group: GroupWorkers,
		Help: "The application is loaded once, and workers are forked from that process: they share its memory, and a " +
			"replacement serves at once.",
		Compat: "With gunicorn, HUP does not bring new code then.",
		at:     func(c *Config) any { return &c.Preload }},
	{Name: "timeout", Flags: []string{"-t", "--timeout"}, Type: Seconds, Metavar: "SECONDS", Default: "30", CLIOnly: true,
		Group: GroupWorkers,
		Help: "A worker whose threads have all been in one call for so long, or do not get the GIL, is replaced; 0 is never. " +
			"It is no limit of a request as long as another thread is free.",
		Compat: "gunicorn counts the time to load the application, too, and for its sync worker it limits each request.",
		at:     func(c *Config) any { return &c.Timeout }},
	{Name: "max_requests", Flags: []string{"--max-requests"}, Type: Int, Metavar: "N", Default: "0", CLIOnly: true,
		Group:  GroupWorkers,
		Help:   "A worker is replaced when it has answered so many requests; 0 is never. Its replacement is ready first.",
		Compat: "gunicorn ends the worker first.",
		at:     func(c *Config) any { return &c.MaxRequests }},
	{Name: "max_requests_jitter", Flags: []string{"--max-requests-jitter"}, Type: Int, Metavar: "N", Default: "0", CLIOnly: true,
		Group: GroupWorkers, Help: "Up to so many requests more, different for each worker.",
		at: func(c *Config) any { return &c.MaxRequestsJitter }},
	{Name: "max_lifetime", Flags: []string{"--max-lifetime"}, Type: Seconds, Metavar: "SECONDS", Default: "0", CLIOnly: true,
		Group: GroupWorkers, Help: "A worker is replaced when it has served for so long; 0 is never.",
		at: func(c *Config) any { return &c.MaxLifetime }},
	{Name: "max_rss", Flags: []string{"--max-rss"}, Type: Size, Metavar: "SIZE", Default: "0", CLIOnly: true,
		Group: GroupWorkers, Help: "A worker is replaced when it takes more memory (resident set size) than this; 0 is never.",
		at: func(c *Config) any { return &c.MaxRSS }},
	{Name: "reload", Flags: []string{"--reload"}, Type: Bool, Default: "false", CLIOnly: true, Group: GroupWorkers,
		Help: "Start new workers when a file changes that the application has loaded, or a .py file comes to be beside one; " +
			"without --workers there is one, below a master. For development.",
		Compat: "gunicorn ends the worker first, and serves an error page while the code does not load.",
		at:     func(c *Config) any { return &c.Reload }},
	{Name: "reload_engine", Flags: []string{"--reload-engine"}, Type: Enum, Metavar: "ENGINE", Default: "auto",
		Values: []string{"auto", "poll", "inotify"}, CLIOnly: true, Group: GroupWorkers,
		Help: "How --reload learns of it: told by the system (auto, inotify), or by looking once a second (poll), which it also " +
			"does where the system does not tell.",
		at: func(c *Config) any { return &c.ReloadEngine }},
	{Name: "reload_extra_files", Flags: []string{"--reload-extra-file"}, Type: List, Repeats: true, Metavar: "FILE", CLIOnly: true,
		Group: GroupWorkers, Help: "A file that --reload is to watch, too.", validate: fileExists,
		at: func(c *Config) any { return &c.ReloadExtraFiles }},
}

// mostWorkers is more than any machine has CPUs for.
const mostWorkers = 1024

// WorkerCount is how many workers are asked for; 0: one process without a master.
func (c *Config) WorkerCount() int {
	if c.Workers == "auto" {
		return runtime.NumCPU()
	}
	n, _ := strconv.Atoi(c.Workers)
	if n == 0 && (c.File != nil || c.LogsByPython()) {
		return 1 // hooks are a master's, and loggers a forked worker's
	}
	return n
}

// ofProcesses reports whether it is about what becomes of processes, which are a calling program's own affair.
func (o *Option) ofProcesses() bool { return o.Group == GroupWorkers || o.Group == GroupProcess }

// holds reports whether a keyword's value asks for nothing else than what a program that calls the server gets: one process.
func (o *Option) holds(value any) bool {
	text := fmt.Sprint(value)
	return value == nil || o.Name == "preload_app" || text == "0" || text == "false" || o.Name == "workers" && text == "1"
}
