package config

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// Where the values of options come from, besides places in a configuration file and names of environment variables.
const (
	originDefault     = "default"
	originCommandLine = "command line"
	originSystemd     = "systemd"
	originKeyword     = "keyword"
)

// from notes where the value of an option comes from.
func (c *Config) from(o *Option, origin string) {
	if c.origins == nil {
		c.origins = make(map[*Option]string)
	}
	c.origins[o] = origin
}

// Origin is where the value of an option comes from: default, command line, systemd, the name of an environment variable,
// or a place in the configuration file.
func (c *Config) Origin(name string) string { return c.origin(keywords[name]) }

func (c *Config) origin(o *Option) string {
	if origin := c.origins[o]; origin != "" {
		return origin
	}
	return originDefault
}

// Differing are those of the options whose values differ from another's.
func (c *Config) Differing(other *Config, names ...string) (differing []string) {
	for _, name := range names {
		if o := keywords[name]; o.Text(c) != o.Text(other) {
			differing = append(differing, name)
		}
	}
	return differing
}

const originColumn = 60

// Print writes the value of every option with its origin, one per line, for --print-config.
func (c *Config) Print(w io.Writer) error {
	width := 0
	for i := range table {
		width = max(width, len(table[i].Name))
	}
	for i := range table {
		o := &table[i]
		if o.NoValue {
			continue
		}
		values := []string{o.Text(c)}
		if list, ok := o.at(c).(*[]string); ok && !o.Split && len(*list) > 0 {
			values = *list // one line for each, since a comma may be part of a value
		}
		for _, value := range values {
			if strings.ContainsFunc(value, unicode.IsControl) {
				value = strconv.Quote(value)
			}
			line := fmt.Sprintf("%-*s = %s", width, o.Name, value)
			if _, err := fmt.Fprintf(w, "%-*s  # %s\n", originColumn, line, c.origin(o)); err != nil {
				return err
			}
		}
	}
	if c.File != nil && len(c.File.Hooks) > 0 {
		line := fmt.Sprintf("%-*s = %s", width, "hooks", strings.Join(c.File.Hooks, ","))
		_, err := fmt.Fprintf(w, "%-*s  # %s\n", originColumn, line, c.File.Path)
		return err
	}
	return nil
}
