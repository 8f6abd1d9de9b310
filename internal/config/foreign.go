package config

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// What somebody types who comes from another server. All of it is told at once: a command line with six options that
// gowsgi does not have would otherwise take six attempts. gunicorn's options are accepted, nearly all of them, with a sentence
// for each that does something else here, and one for all that do the same.

// elsewhere are options of uWSGI, waitress, uvicorn, hypercorn and Flask for what has to be said to any server: first
// the addresses, which are keywords of Python's functions as well, then the application.
var elsewhere = strings.Fields(`--host --port --http --http-socket --listen --unix-socket --uds --fd --wsgi-file --module
	--wsgi --app --callable`)

const addressesElsewhere = 8

// foreign gathers what a command line holds beside gowsgi's own options.
type foreign struct {
	idle       []string          // hold already, as typed
	remarks    []string          // about gunicorn's that do something else
	refused    []string          // about gunicorn's that cannot be served
	elsewhere  []string          // flags of other servers
	values     map[string]string // of those
	keywords   bool              // they were keywords of Python's
	complaints []string          // about what nobody has
}

// take looks at an argument that is no option of gowsgi's; next is the one behind it, and used tells whether that was its
// value. text is the value that stands in the same argument.
func (f *foreign) take(flag, text string, hasText bool, next []string) (used bool) {
	if s := ofGunicorn[flag]; s != nil {
		shown := flag
		if s.is != switched {
			if !hasText && len(next) > 0 && !strings.HasPrefix(next[0], "-") {
				text, used = next[0], true
			}
			shown += " " + text
		}
		f.setting(s, flag, shown, text)
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

// setting takes one of gunicorn's: label names it, shown has its value as well.
func (f *foreign) setting(s *setting, label, shown, value string) {
	switch about := label + ": " + s.says; {
	case s.holds != nil && s.holds(value):
		f.idle = append(f.idle, printable(shown))
	case s.refuses != nil && s.refuses(value):
		f.refused = append(f.refused, label+": "+s.refusal())
	case !slices.Contains(f.remarks, about):
		f.remarks = append(f.remarks, about)
	}
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
	parts := f.refused
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

// warnings are the sentences about what was accepted and does something else, or nothing.
func (f *foreign) warnings(where string) []string {
	var all []string
	for _, remark := range f.remarks {
		all = append(all, where+remark)
	}
	switch len(f.idle) {
	case 0:
	case 1:
		all = append(all, where+f.idle[0]+" changes nothing here and can be left out")
	default:
		all = append(all, where+enumerate(f.idle)+" change nothing here and can be left out")
	}
	return all
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
