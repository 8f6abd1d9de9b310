// Package config declares every option of gowsgi once, in one table, and makes from it the command line with its help,
// the keywords that Python callers use, the reference in README.md and the output of --print-config.
//
// Nothing here runs on the request path: a Config is made at start, by one goroutine, and only read afterwards.
package config

import (
	"fmt"
	"path/filepath"
	"time"
)

// Version is the version of gowsgi, written here and nowhere else: setup.py and the Python package read it from this
// line with a regular expression, so it has to stay a plain string constant.
const Version = "0.1.0"

// Exit statuses of the program. 3 and 4 are gunicorn's.
const (
	ExitUsage = 2 // the command line or a keyword is wrong
	ExitBoot  = 3 // the server could not start: address in use, no interpreter, no thread
	ExitApp   = 4 // the application could not be loaded
)

// BodyMinRateGrace is how long a request body may take before BodyMinRate is applied to it.
const BodyMinRateGrace = 20 * time.Second

// BodyTooSlow tells whether a body of which size bytes have come after that time is below BodyMinRate.
func (c *Config) BodyTooSlow(size int64, after time.Duration) bool {
	return c.BodyMinRate > 0 && after > BodyMinRateGrace && size < int64(c.BodyMinRate)*int64(after/time.Second)
}

// DefaultAccessLogFormat is gunicorn's.
const DefaultAccessLogFormat = `%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"`

// Action is what the command line asks for.
type Action int

// What Parse can ask its caller to do.
const (
	ActionServe       Action = iota // serve the application
	ActionDone                      // help or version: already printed, exit with 0
	ActionPrintConfig               // print the configuration with Config.Print and exit
	ActionCheckConfig               // load the application, say whether that worked, and exit
)

// Config holds one value for every option; table.go says what each means. Sizes are in bytes, and a limit or deadline
// of 0 is off unless its option says otherwise.
type Config struct {
	App string

	// Listening.
	Bind               []Bind
	SocketActivated    bool     // Bind came from systemd (LISTEN_FDS); not an option
	Owned              []string // the descriptors in Bind that a server before this one has bound, and no one else; not an option
	Backlog            int
	ReusePort          bool
	WorkerConnections  int
	Mongrel2           string // SEND_SPEC[,RECV_SPEC]; "" none
	Mongrel2Dispatcher string // DISP_SPEC[,PING_SPEC]; "" none
	Mongrel2Chroot     string

	// Application.
	Threads    int
	Chdir      string
	PythonPath []string
	Env        []string // NAME=VALUE
	Mount      string   // path without a slash at its end
	Python     string

	// Logging.
	AccessLog       string // "" none, "-" standard output
	AccessLogFormat string
	AccessLogJSON   bool
	ErrorLog        string // "-" standard error
	ErrorLogJSON    bool
	LogLevel        string
	RequestID       string // off, take, make

	// Logging by Python.
	LoggerClass      string
	LogConfig        string
	LogConfigJSON    string
	Syslog           bool
	NoAccessToSyslog bool
	SyslogAddress    string
	SyslogPrefix     string
	SyslogFacility   string
	StatsdHost       string
	StatsdPrefix     string
	StatsdTags       string
	BacklogMetric    bool
	CaptureOutput    bool // by Python, too; see Captures

	// Limits.
	LimitRequestLine      int
	LimitRequestFields    int
	LimitRequestFieldSize int
	LimitRequestHead      int
	LimitRequestBody      int64
	HeaderMap             string // drop, refuse, dangerous

	// Limits of one client address.
	LimitAddressConnections int
	LimitAddressRate        float64 // requests per second
	LimitAddressBurst       int

	// Proxies in front.
	ForwardedAllowIPs   []string // addresses, networks, unix, *
	ForwardedHeaders    []string // names of fields
	ForwardedUntrusted  string   // pass, drop
	SecureSchemeHeaders []string // NAME=VALUE
	ForwarderHeaders    []string // names of fields, *
	ProxyProtocol       string   // off, v1, v2, auto
	ProxyAllowIPs       []string

	// Deadlines.
	KeepAlive       time.Duration
	HeadTimeout     time.Duration
	BodyTimeout     time.Duration
	BodyMinRate     int // bytes per second, after BodyMinRateGrace
	WriteTimeout    time.Duration
	LingerTimeout   time.Duration
	GracefulTimeout time.Duration

	// Bodies and buffers.
	BodyBuffer     int
	BodyStreaming  bool
	ExpectContinue string // server or app
	ResponseBuffer int
	ResponseSpool  int64

	ResponseSpoolTotal int64
	BodySpoolTotal     int64

	// WebSockets.
	WebSocketMaxMessage   int
	WebSocketSendBuffer   int
	WebSocketPingInterval time.Duration
	WebSocketPingTimeout  time.Duration
	WebSocketCompression  bool

	TempDir  string // "" the system's
	Sendfile bool

	// Workers.
	Workers           string // a number or auto; "" one process, without a master
	Preload           bool
	Timeout           time.Duration
	MaxRequests       int
	MaxRequestsJitter int
	MaxLifetime       time.Duration
	MaxRSS            int64
	Rolling           bool
	Warmup            string // path; "" none
	DrainDelay        time.Duration
	Reload            bool
	ReloadEngine      string   // auto, poll, inotify
	ReloadExtraFiles  []string // absolute

	// Process.
	PidFile    string
	Umask      int    // -1 leave it as it is
	User       string // a name or number; "" who it is
	GroupName  string
	InitGroups bool
	Daemon     bool
	KeepStdio  bool
	ProcName   string // "" the application

	// Server.
	ServerHeader  string // "" sends none
	HandoverAfter time.Duration

	ConfigFile  string // where to look for one; "": DefaultFile, if it is there
	UwsgiIni    string
	CheckConfig bool
	PrintConfig bool

	// Meinheld is how meinheld did it, where its tests see that: errors of the server, methods, the Connection of a 101, and how
	// long what was spawned may go on when the server stops. No option: gowsgi.compat.meinheld sets it.
	Meinheld bool

	// Warnings are for the log: what was given and is not needed, or is there and not read.
	Warnings []string

	// File is the configuration file that was read, nil without one.
	File *File

	origins               map[*Option]string
	showHelp, showVersion bool
}

// UsageError is a mistake of the user: one plain sentence that says what to do.
type UsageError struct{ Message string }

func (e *UsageError) Error() string { return e.Message }

func usagef(format string, args ...any) *UsageError {
	return &UsageError{Message: fmt.Sprintf(format, args...)}
}

// Default returns a Config in which every option has its default.
func Default() *Config {
	c := new(Config)
	for i := range table {
		o := &table[i]
		if err := o.setTexts(c, o.Name, []string{o.Default}); err != nil {
			panic("config: default of " + o.Name + ": " + err.Error())
		}
	}
	return c
}

// finish applies the rules that concern more than one option.
func (c *Config) finish() error {
	if c.LimitRequestFields == 0 {
		c.LimitRequestFields = mostFields
	}
	if c.LimitRequestLine > c.LimitRequestHead {
		return usagef("limit_request_line (%d) is larger than limit_request_head (%d), which counts the line as well: "+
			"raise --limit-request-head or lower --limit-request-line", c.LimitRequestLine, c.LimitRequestHead)
	}
	if err := c.finishMount(); err != nil {
		return err
	}
	if err := c.finishMongrel2(); err != nil {
		return err
	}
	if c.Reload && c.WorkerCount() == 0 {
		c.Workers = "1"
	}
	for i, path := range c.ReloadExtraFiles {
		if abs, err := filepath.Abs(path); err == nil {
			c.ReloadExtraFiles[i] = abs
		}
	}
	if c.Daemon && c.ErrorLog == "-" && !c.KeepStdio {
		c.Warnings = append(c.Warnings, "with --daemon and without --error-logfile nobody hears what the server says when it is up")
	}
	if c.Chdir != "" && c.TempDir != "" && !filepath.IsAbs(c.TempDir) {
		dir, err := filepath.Abs(filepath.Join(startedIn, c.TempDir)) // --chdir comes later
		if err != nil {
			return usagef("temp_dir: the current directory is not there: %s", err)
		}
		c.TempDir = dir
	}
	if c.AccessLogJSON && c.AccessLog == "" {
		c.AccessLog = "-"
	}
	return nil
}
