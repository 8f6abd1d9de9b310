package config

import (
	"slices"
	"strings"
	"time"
)

// ForHooks are gunicorn's settings by their names, as far as they come from elsewhere than the configuration file: what hooks and
// loggers find in cfg beside it.
func (c *Config) ForHooks() map[string]any {
	values := map[string]any{}
	for i := range table {
		o := &table[i]
		origin := c.origin(o)
		inFile := c.File != nil && strings.HasPrefix(origin, c.File.Path)
		if origin == originDefault || inFile || !slices.Contains(optionsOfGunicorn, o.Name) {
			continue
		}
		values[o.Name] = o.forHooks(c)
	}
	if c.File != nil || len(values) > 0 {
		values["workers"] = c.WorkerCount()
	}
	return values
}

// forHooks is the value as gunicorn's configuration has it.
func (o *Option) forHooks(c *Config) any {
	switch v := o.at(c).(type) {
	case *bool:
		return *v
	case *int:
		return *v
	case *string:
		return *v
	case *time.Duration:
		if whole := *v / time.Second; whole*time.Second == *v {
			return int64(whole)
		}
		return v.Seconds()
	case *[]Bind:
		texts := []string{}
		for _, b := range *v {
			texts = append(texts, b.String())
		}
		return texts
	case *[]string:
		if o.Name != "secure_scheme_headers" {
			return *v
		}
		pairs := map[string]string{}
		for _, text := range *v {
			name, value, _ := strings.Cut(text, "=")
			pairs[name] = value
		}
		return pairs
	}
	return o.Text(c)
}
