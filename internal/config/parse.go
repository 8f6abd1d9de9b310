package config

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// Environment variables that hold options; the command line may override them. The first one is gunicorn's.
const (
	gunicornArgsVariable = "GUNICORN_CMD_ARGS"
	cmdArgsVariable      = "GOWSGI_CMD_ARGS"
)

// Variables are those of the environment that options depend on, systemd's apart.
func Variables() []string {
	names := []string{gunicornArgsVariable, cmdArgsVariable}
	for i := range table {
		if table[i].Env != "" {
			names = append(names, table[i].Env)
		}
	}
	return names
}

// given holds what a user typed for each option, in the order typed.
type given map[*Option][]typed

type typed struct{ flag, text string }

// source is some options, as words.
type source struct {
	args   []string
	where  string // to stand in front of a complaint
	origin string
}

// Parse reads a command line without the program's name. Later sources win: defaults with PORT and other variables, the
// configuration file, the file of --uwsgi-ini, GUNICORN_CMD_ARGS, GOWSGI_CMD_ARGS, the command line; the sockets of systemd
// replace every other address. Help and version are printed to out. read has a configuration file evaluated; nil: there is none
// for this process.
func Parse(args []string, env func(string) string, read FileReader, out io.Writer) (*Config, Action, error) {
	return parse(args, env, startedAs(env), read, out)
}

func parse(args []string, env func(string) string, pid int, read FileReader, out io.Writer) (*Config, Action, error) {
	var sources []source
	for _, name := range []string{gunicornArgsVariable, cmdArgsVariable} {
		words, err := splitShell(name, env(name))
		if err != nil {
			return nil, ActionDone, err
		}
		if len(words) > 0 {
			sources = append(sources, source{words, "in " + name + ", ", name})
		}
	}
	sources = append(sources, source{args, "", originCommandLine})
	ini, remarks, err := uwsgiSource(env, sources)
	if err != nil {
		return nil, ActionDone, err
	}
	sources = append(ini, sources...)
	// Once without the configuration file, as they say which one, and once with it.
	c, done, err := layered(env, nil, sources, out)
	if done || err != nil {
		return c, ActionDone, err
	}
	file, err := readFile(read, c)
	if err == nil && file != nil {
		c, _, err = layered(env, file, sources, out)
	}
	if err != nil {
		return nil, ActionDone, err
	}
	c.Warnings = append(remarks, c.Warnings...)
	if err := c.applyEnvironment(env, pid); err != nil {
		return nil, ActionDone, err
	}
	if err := c.finish(); err != nil {
		return nil, ActionDone, err
	}
	switch {
	case c.PrintConfig:
		return c, ActionPrintConfig, nil
	case c.App == "":
		return nil, ActionDone, usagef("no application is given: name one, as in gowsgi module:app, or see gowsgi --help")
	case c.CheckConfig:
		return c, ActionCheckConfig, nil
	}
	return c, ActionServe, nil
}

// layered is the defaults with all sources on top; done means that help or version was printed.
func layered(env func(string) string, file *fileSettings, sources []source, out io.Writer) (c *Config, done bool, err error) {
	c = Default()
	if err := c.applyVariables(env); err != nil {
		return nil, false, err
	}
	if file != nil {
		if err := c.applyFile(file); err != nil {
			return nil, false, err
		}
	}
	for _, source := range sources {
		if done, err := c.applyArguments(source, out); done || err != nil {
			return c, done, err
		}
	}
	return c, false, nil
}

// applyVariables sets the defaults that have an environment variable of their own; PORT is in applyEnvironment.
func (c *Config) applyVariables(env func(string) string) error {
	for i := range table {
		o := &table[i]
		if o.Env == "" || o.Type == Addresses || env(o.Env) == "" {
			continue
		}
		if err := o.setTexts(c, "the environment variable "+o.Env, []string{env(o.Env)}); err != nil {
			return err
		}
		c.from(o, o.Env)
	}
	if c.Workers == "1" { // a platform's default, and no reason for a master
		c.Workers = ""
	}
	return nil
}

// applyArguments applies one source of options to c; done means that help or version was printed.
func (c *Config) applyArguments(from source, out io.Writer) (done bool, err error) {
	where := from.where
	a, err := splitArguments(from.args, where)
	if err != nil {
		return false, err
	}
	switch a.action {
	case "help":
		_, err = io.WriteString(out, Help())
		return true, err
	case "version":
		_, err = fmt.Fprintf(out, "gowsgi %s\n", Version)
		return true, err
	}
	if len(a.apps) > 1 {
		for i, app := range a.apps {
			if name := a.apps[0]; i > 0 && (name == "dispatcher" || name == "pull2xreq" || name == "response") && strings.Contains(app, "://") {
				return false, usagef("%sthe device %s is started by: gowsgi m2wsgi-device %s ADDRESSES", where, name, name)
			}
			if strings.Contains(app, "://") {
				return false, usagef("%s%s is no application: a second address of --mongrel2 or --mongrel2-dispatcher goes behind the first one, "+
					"with a comma and no space between", where, app)
			}
		}
		return false, usagef("%sthere are %d applications, %s: give one, and its options with a dash in front",
			where, len(a.apps), strings.Join(a.apps, " and "))
	}
	values := make(given)
	if err := newApp(values, out).Run(append([]string{"gowsgi"}, a.options...)); err != nil {
		return false, usagef("%s%s", where, err)
	}
	for i := range table { // in the order of the table, so that the first complaint is always the same one
		if err := values.apply(c, &table[i], from); err != nil {
			return false, err
		}
	}
	if len(a.apps) == 1 {
		c.App = a.apps[0]
		c.from(keywords["wsgi_app"], from.origin)
	}
	c.Warnings = append(c.Warnings, a.warnings...)
	return false, nil
}

func (g given) apply(c *Config, o *Option, from source) error {
	values := g[o]
	if len(values) == 0 {
		return nil
	}
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = v.text
	}
	label := from.where + values[len(values)-1].flag
	if err := o.setTexts(c, label, texts); err != nil {
		return err
	}
	if o.Negated {
		field := o.at(c).(*bool)
		*field = !*field
	}
	c.from(o, from.origin)
	return nil
}

// applyEnvironment chooses the addresses that the environment decides about.
func (c *Config) applyEnvironment(env func(string) string, pid int) error {
	binds, err := FromSystemd(env, pid)
	if err != nil {
		return err
	}
	if len(binds) > 0 {
		c.Bind, c.SocketActivated = binds, true
		c.from(keywords["bind"], originSystemd)
		return nil
	}
	if port := env("PORT"); port != "" && c.origins[keywords["bind"]] == "" && !c.BehindMongrel2() {
		b, err := fromPort(port)
		if err != nil {
			return err
		}
		c.Bind = []Bind{b}
		c.from(keywords["bind"], "PORT")
	}
	return nil
}

// newApp makes the command of urfave/cli from the table. Its flags only collect texts: the meaning of a text, and every
// complaint about it, is the table's, so that the command line and Python's keywords cannot differ.
func newApp(values given, out io.Writer) *cli.App {
	app := &cli.App{
		Name: "gowsgi", Usage: "serve a Python WSGI application", UsageText: "gowsgi [options] APP", Version: Version,
		HideHelp: true, HideVersion: true, Writer: out, ErrWriter: out,
		Action:         func(*cli.Context) error { return nil },
		OnUsageError:   func(_ *cli.Context, err error, _ bool) error { return err },
		ExitErrHandler: func(*cli.Context, error) {},
	}
	for i := range table {
		o := &table[i]
		for _, flag := range o.spellings() {
			// Each spelling is a flag of its own: cli refuses two aliases of one flag in the same command line.
			name := strings.TrimLeft(flag, "-")
			app.Flags = append(app.Flags, &namedFlag{names: []string{name}, GenericFlag: &cli.GenericFlag{
				Name: name, Usage: o.Help, Category: string(o.Group),
				Value: &collector{values: values, option: o, flag: flag},
			}})
		}
	}
	return app
}

// namedFlag knows its names. A cli.GenericFlag makes them by a regular expression, and cli asks each flag for each option
// given: 0.3 of the 1.1 MB that were allocated by the time the server was up.
type namedFlag struct {
	*cli.GenericFlag
	names []string
}

// Names implements cli.Flag.
func (f *namedFlag) Names() []string { return f.names }

// collector is the cli.Generic behind one spelling of an option.
type collector struct {
	values given
	option *Option
	flag   string
}

func (f *collector) Set(text string) error {
	f.values[f.option] = append(f.values[f.option], typed{f.flag, text})
	return nil
}

func (f *collector) String() string { return "" }

// IsBoolFlag tells the flag package that no value follows.
func (f *collector) IsBoolFlag() bool { return f.option.Type == Bool }
