package config

// gunicorn's configuration file as a layer of options: it is a program, which Python evaluates (python/gowsgi/_config_file.py).

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// FileReader has a configuration file evaluated, and returns what it says as _config_file.ConfigFile.options tells it.
// location is PATH, file:PATH or python:MODULE, and "" is DefaultFile in the current directory; c is what is known without the
// file, which says what Python to use. The error is one sentence.
type FileReader func(location string, c *Config) (settings []byte, err error)

// DefaultFile is what gunicorn looks for in the directory in which it is started.
const DefaultFile = "gunicorn.conf.py"

// ownPrefix stands in front of gowsgi's own options in a configuration file, so that they are no names of the user's.
const ownPrefix = "gowsgi_"

// File is a configuration file that was read.
type File struct {
	Path  string   // as the file was named, or python: and the module
	Hooks []string // the names of those that it has
}

// fileSettings is what a FileReader returns.
type fileSettings struct {
	Path     string            `json:"path"`
	Settings map[string]any    `json:"settings"`
	Own      map[string]any    `json:"own"`
	Hooks    []string          `json:"hooks"`
	Others   map[string]string `json:"others"` // further names: "value" or "function"
	Lines    map[string][]int  `json:"lines"`
	Remarks  []string          `json:"remarks"`
}

// readFile finds the configuration file that is to be read, if there is one.
func readFile(read FileReader, c *Config) (*fileSettings, error) {
	if read == nil {
		return nil, nil
	}
	location := c.ConfigFile
	if location == "" {
		if _, err := os.Stat(DefaultFile); err != nil {
			return nil, nil
		}
	}
	text, err := read(location, c)
	if err != nil {
		var usage *UsageError
		if !errors.As(err, &usage) {
			err = usagef("%s", err)
		}
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	f := new(fileSettings)
	err = d.Decode(f)
	if err == nil && d.InputOffset() != int64(len(bytes.TrimRight(text, " \t\r\n"))) {
		err = errors.New("something else follows")
	}
	if err != nil {
		return nil, usagef("the settings of the configuration file cannot be read: %s", err)
	}
	return f, nil
}

// place is where a name stands, to be in front of what is said about it.
func (f *fileSettings) place(name string) string {
	if lines := f.lines(name); lines != "" {
		return f.Path + ", line " + lines
	}
	return f.Path
}

func (f *fileSettings) lines(name string) string {
	var texts []string
	for _, n := range f.Lines[name] {
		texts = append(texts, strconv.Itoa(n))
	}
	return strings.Join(texts, " or ")
}

// applyFile applies a configuration file to c.
func (c *Config) applyFile(f *fileSettings) error {
	c.File = &File{Path: f.Path, Hooks: f.Hooks}
	c.Warnings = append(append(c.Warnings, f.Remarks...), f.misnamed()...)
	var others foreign
	for _, name := range sortedKeys(f.Settings) {
		if err := c.applySetting(f, name, f.Settings[name], &others); err != nil {
			return err
		}
	}
	for _, name := range f.Hooks {
		if s := ofGunicorn[name]; s != nil {
			others.setting(s, f.place(name)+": "+name, name, "")
		}
	}
	for _, name := range sortedKeys(f.Own) {
		if err := c.applyOwn(f, name, f.Own[name]); err != nil {
			return err
		}
	}
	if err := others.err(""); err != nil {
		return err
	}
	c.Warnings = append(c.Warnings, others.remarks...) // what holds already needs no words here
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// applySetting applies one of gunicorn's settings: it takes what gunicorn takes.
func (c *Config) applySetting(f *fileSettings, name string, value any, others *foreign) error {
	place := f.place(name)
	label := place + ": " + name
	if name == "config" {
		c.Warnings = append(c.Warnings, label+": another file is not read from here, nor does gunicorn")
		return nil
	}
	o := keywords[name]
	if o == nil {
		if s := ofGunicorn[name]; s != nil && !isOff(value) {
			text := valueText(value)
			others.setting(s, label, name+" = "+text, text)
		}
		return nil
	}
	taken, clamped := o.nearest(value)
	if clamped {
		c.Warnings = append(c.Warnings, fmt.Sprintf("%s = %s is taken as %s", label, valueText(value), valueText(taken)))
	}
	if number, ok := taken.(json.Number); ok && o.Type == String { // a user's, for instance
		taken = string(number)
	}
	if err := o.setValue(c, label, taken); err != nil {
		return err
	}
	c.from(o, place)
	// gunicorn has no limit of the whole head that could contradict this one.
	c.LimitRequestHead = max(c.LimitRequestHead, c.LimitRequestLine)
	return nil
}

// applyOwn applies an option that gunicorn does not have.
func (c *Config) applyOwn(f *fileSettings, name string, value any) error {
	place := f.place(ownPrefix + name)
	o := keywords[name]
	switch {
	case o == nil:
		return usagef("%s: %s", place, unknownKeyword(name))
	case o.CLIOnly && o.Group != GroupWorkers:
		return usagef("%s: %s is for the command line only: remove it", place, ownPrefix+name)
	case value == nil:
		return nil
	}
	if err := o.setValue(c, place+": "+ownPrefix+name, value); err != nil {
		return err
	}
	c.from(o, place)
	return nil
}

// nearest is the value of a number that the option takes, where gunicorn takes others.
func (o *Option) nearest(value any) (taken any, clamped bool) {
	number, ok := value.(json.Number)
	if !ok || o.Type == Mode {
		return value, false
	}
	n, err := number.Float64()
	unit := 1.0
	if o.Type == Seconds {
		unit = 1e9
	}
	switch low, high := float64(o.Min)/unit, float64(o.Max)/unit; {
	case err != nil, n < 0:
	case n < low:
		return json.Number(strconv.FormatFloat(low, 'f', -1, 64)), true
	case high > 0 && n > high:
		return json.Number(strconv.FormatFloat(high, 'f', -1, 64)), true
	}
	return value, false
}

// isOff: values that ask for nothing.
func isOff(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case json.Number:
		return v == "0"
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// valueText is a value of JSON as a command line would have it.
func valueText(value any) string {
	if list, ok := value.([]any); ok {
		texts := make([]string, len(list))
		for i, item := range list {
			texts[i] = valueText(item)
		}
		return strings.Join(texts, ",")
	}
	return fmt.Sprint(value)
}
