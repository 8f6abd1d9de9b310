package config

import (
	"fmt"
	"strings"
)

const (
	helpWidth  = 100
	helpColumn = 32 // where the text about an option begins
)

const helpIntro = `gowsgi %s - an HTTP server for Python WSGI applications

Usage: gowsgi [options] APP

APP is module (its attribute application, else app), module:name, module:factory("argument"),
package.module.name or a .py file. Options may stand before and behind it.

Examples:
  gowsgi hello:app                                serve app of hello.py on 127.0.0.1:8000
  gowsgi -b :8080 --threads 8 mysite.wsgi         a Django project, on every interface
  gowsgi -b unix:/run/app.sock "app:create(1)"    an application factory, on a unix socket
  gowsgi --access-logfile - app:app               with an access log on standard output
  gowsgi --check-config app:app                   see whether the application can be loaded

Sizes take k, m or g for powers of 1024; times are in seconds and may be decimal, or end in ms, s,
m or h. Further options may stand in a configuration file of gunicorn's, in GUNICORN_CMD_ARGS and in
GOWSGI_CMD_ARGS; later ones override earlier ones, and the command line all of them.
`

// Help returns the text of --help.
func Help() string {
	var b strings.Builder
	fmt.Fprintf(&b, helpIntro, Version)
	for _, group := range groups {
		fmt.Fprintf(&b, "\n%s:\n", group)
		for i := range table {
			if o := &table[i]; o.Group == group && len(o.Flags) > 0 {
				o.writeHelp(&b)
			}
		}
	}
	return b.String()
}

func (o *Option) writeHelp(b *strings.Builder) {
	left := "  "
	if strings.HasPrefix(o.Flags[0], "--") {
		left += "    " // no short flag: the long ones stand under each other
	}
	left += o.FlagText()
	text := o.Help
	if note := o.defaultNote(); note != "" {
		text += " [" + note + "]"
	}
	lines := wrap(text, helpWidth-helpColumn)
	if len(left) > helpColumn-2 {
		b.WriteString(left + "\n")
		left = ""
	}
	for _, line := range lines {
		fmt.Fprintf(b, "%-*s%s\n", helpColumn, left, line)
		left = ""
	}
}

// FlagText returns the flags with what stands for their value, as in "-b, --bind ADDRESS".
func (o *Option) FlagText() string {
	text := strings.Join(o.Flags, ", ")
	if o.Type != Bool {
		text += " " + o.Metavar
	}
	return text
}

// defaultNote describes the default; switches need none.
func (o *Option) defaultNote() string {
	var notes []string
	if o.Repeats {
		notes = append(notes, "may be repeated")
	}
	if text := o.DefaultText(); text != "" && o.Type != Bool {
		notes = append(notes, "default: "+text)
	}
	return strings.Join(notes, "; ")
}

// DefaultText returns the default as a user would write it, or what it amounts to.
func (o *Option) DefaultText() string {
	if o.Shown != "" {
		return o.Shown
	}
	return o.Default
}

// wrap breaks a text at spaces; a word longer than the width has a line of its own.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
