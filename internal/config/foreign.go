package config

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// What somebody types who comes from another server. All of it is told at once: a command line with six options that
// gowsgi does not have would otherwise take six attempts. Of gunicorn's options, those whose value holds here anyway are
// accepted, with one warning for all.

// switchesOfGunicorn take no value on the command line.
var switchesOfGunicorn = strings.Fields(`spew enable_stdio_inheritance
	disable_redirect_access_to_syslog capture_output syslog enable_backlog_metric do_handshake_on_connect
	suppress_ragged_eofs no_control_socket permit_obsolete_folding permit_unconventional_http_method
	permit_unconventional_http_version casefold_http_method strip_header_spaces`)

// holdAlready are the settings of gunicorn that have a value which asks for nothing else than what gowsgi does.
var holdAlready = map[string]func(value string) bool{
	"worker_class":      func(v string) bool { return v == "sync" || v == "gthread" },
	"worker_tmp_dir":    func(string) bool { return true }, // there is no heartbeat to write
	"no_control_socket": func(string) bool { return true },
	"protocol":          func(v string) bool { return v == "http" },
	"http_protocols":    func(v string) bool { return v == "h1" },
}

// settingOf finds the setting of gunicorn by its flag, with the dashes, or by its own name.
var settingOf = func() map[string]string {
	m := make(map[string]string)
	for _, s := range settingsOfGunicorn {
		m[s.name] = s.name
		for _, flag := range strings.Fields(s.flags) {
			m[flag] = s.name
		}
	}
	return m
}()

// elsewhere are options of uWSGI, waitress, uvicorn, hypercorn and Flask for what has to be said to any server: first
// the addresses, which are keywords of Python's functions as well, then the application.
var elsewhere = strings.Fields(`--host --port --http --http-socket --listen --unix-socket --uds --fd --wsgi-file --module
	--wsgi --app --callable`)

const addressesElsewhere = 8

// foreign gathers what a command line holds beside gowsgi's own options.
type foreign struct {
	idle       []string          // hold already, as typed
	gunicorn   []string          // flags that gowsgi does not have yet
	elsewhere  []string          // flags of other servers
	values     map[string]string // of those
	keywords   bool              // they were keywords of Python's
	complaints []string          // about what nobody has
}

// take looks at an argument that is no option of gowsgi's; next is the one behind it, and used tells whether that was its
// value. text is the value that stands in the same argument.
func (f *foreign) take(flag, text string, hasText bool, next []string) (used bool) {
	if setting := settingOf[flag]; setting != "" {
		shown := flag
		if !slices.Contains(switchesOfGunicorn, setting) {
			if !hasText && len(next) > 0 && !strings.HasPrefix(next[0], "-") {
				text, hasText, used = next[0], true, true
			}
			shown += " " + text
		}
		if holds := holdAlready[setting]; holds != nil && (hasText || shown == flag) && holds(text) {
			f.idle = append(f.idle, printable(shown))
		} else if !slices.Contains(f.gunicorn, flag) {
			f.gunicorn = append(f.gunicorn, flag)
		}
		return used
	}
	if slices.Contains(elsewhere, flag) {
		if !hasText && len(next) > 0 && !strings.HasPrefix(next[0], "-") {
			text = next[0] // and an application to whoever goes on; with these options there will be none
		}
		f.note(flag, text)
		return false
	}
	f.complaints = append(f.complaints, unknownOption(flag))
	return false
}

func (f *foreign) note(flag, value string) {
	if f.values == nil {
		f.values = make(map[string]string)
	}
	if !slices.Contains(f.elsewhere, flag) {
		f.elsewhere = append(f.elsewhere, flag)
	}
	f.values[flag] = printable(value)
}

// err is everything that cannot be accepted in one sentence, nil if there is nothing.
func (f *foreign) err(where string) error {
	var parts []string
	switch names := f.gunicorn; len(names) {
	case 0:
	case 1:
		parts = append(parts, notYet(names[0]))
	default:
		parts = append(parts, notYetAll(names))
	}
	if len(f.elsewhere) > 0 {
		there := "there is no option "
		if len(f.elsewhere) > 1 {
			there = "there are no options "
		}
		names := slices.Clone(f.elsewhere)
		for i := range names {
			if f.keywords {
				names[i] = keywordOf(names[i])
			}
		}
		parts = append(parts, there+enumerate(names)+": write "+f.instead())
	}
	parts = append(parts, f.complaints...)
	if parts == nil {
		return nil
	}
	return usagef("%s%s", where, strings.Join(parts, "; "))
}

// warning is one sentence about what was accepted and does nothing, "" if there is none.
func (f *foreign) warning(where string) string {
	switch len(f.idle) {
	case 0:
		return ""
	case 1:
		return where + f.idle[0] + " changes nothing here and can be left out"
	}
	return where + enumerate(f.idle) + " change nothing here and can be left out"
}

func notYet(name string) string {
	return fmt.Sprintf("%s is an option of gunicorn that gowsgi %s does not have yet: %s", name, Version, ofGunicorn[name])
}

func notYetAll(names []string) string {
	var hints []string
	together := make(map[string][]string)
	for _, name := range names {
		hint := ofGunicorn[name]
		if together[hint] == nil {
			hints = append(hints, hint)
		}
		together[hint] = append(together[hint], name)
	}
	for i, hint := range hints {
		about := together[hint]
		if len(about) > 1 {
			hint = strings.Replace(hint, "remove it", "remove them", 1)
		}
		hints[i] = enumerate(about) + " (" + hint + ")"
	}
	return fmt.Sprintf("gowsgi %s does not have these options of gunicorn yet: %s", Version, strings.Join(hints, ", "))
}

// instead is what to write for the options of other servers.
func (f *foreign) instead() string {
	has := func(flags ...string) bool {
		return slices.ContainsFunc(f.elsewhere, func(flag string) bool { return slices.Contains(flags, flag) })
	}
	var binds []string
	if has("--host", "--port") {
		host, port := orElse(f.values["--host"], "127.0.0.1"), f.values["--port"]
		bind := net.JoinHostPort(host, port)
		if port == "" {
			bind = strings.TrimSuffix(bind, ":")
		}
		binds = append(binds, bind)
	}
	for _, flag := range f.elsewhere {
		value := f.values[flag]
		switch flag {
		case "--http", "--http-socket", "--listen":
			binds = append(binds, orElse(anyHost(value), "HOST:PORT"))
		case "--unix-socket", "--uds":
			binds = append(binds, "unix:"+orElse(value, "PATH"))
		case "--fd":
			binds = append(binds, "fd://"+orElse(value, "N"))
		}
	}
	if f.keywords {
		if len(binds) == 1 {
			return fmt.Sprintf("bind=%q", binds[0])
		}
		return "bind=[\"" + strings.Join(binds, "\", \"") + "\"]"
	}
	var words []string
	for _, bind := range binds {
		words = append(words, "--bind "+bind)
	}
	if has("--wsgi-file", "--module", "--wsgi", "--app", "--callable") {
		app := "module"
		for _, flag := range []string{"--app", "--wsgi", "--module", "--wsgi-file"} {
			app = orElse(f.values[flag], app)
		}
		if callable := f.values["--callable"]; callable != "" && !strings.Contains(app, ":") {
			app += ":" + callable
		}
		words = append(append([]string{"gowsgi"}, words...), app)
	}
	return strings.Join(words, " ")
}

// anyHost turns the ways to write every interface into ours: *:8000, and 8000 for a port alone.
func anyHost(address string) string {
	address = strings.TrimPrefix(address, "*")
	if isDigits(address) {
		address = ":" + address
	}
	return address
}

// surroundings are warnings about what gunicorn would read and gowsgi does not yet.
func surroundings(env func(string) string) []string {
	var warnings []string
	if env("GUNICORN_CMD_ARGS") != "" {
		warnings = append(warnings, "the environment variable GUNICORN_CMD_ARGS is not read yet: give its options on the "+
			"command line or in "+cmdArgsVariable)
	}
	if info, err := os.Stat("gunicorn.conf.py"); err == nil && info.Mode().IsRegular() {
		warnings = append(warnings, "gunicorn.conf.py in this directory is not read yet: give its settings on the command "+
			"line or in "+cmdArgsVariable)
	}
	return warnings
}

func enumerate(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func printable(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return strconv.Quote(text)
	}
	return text
}
