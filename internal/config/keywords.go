package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// keywords finds an option by its name for Python: gunicorn's setting, or a long flag with underscores.
var keywords = func() map[string]*Option {
	m := make(map[string]*Option)
	for i := range table {
		o := &table[i]
		for _, name := range append([]string{o.Name}, o.Aliases...) {
			m[name] = o
		}
		for _, flag := range o.spellings() {
			if strings.HasPrefix(flag, "--") && !o.Negated {
				m[keywordOf(flag)] = o
			}
		}
	}
	return m
}()

func keywordOf(flag string) string {
	return strings.ReplaceAll(strings.TrimLeft(flag, "-"), "-", "_")
}

// FromJSON makes a Config from the keywords of a Python call, which arrive as the text of one JSON object.
func FromJSON(text []byte) (*Config, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // a float64 would round large sizes
	var values map[string]any
	if err := d.Decode(&values); err != nil {
		return nil, usagef("the options are not a JSON object: %s", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, usagef("the options are followed by something else than the end of the text: give one JSON object")
	}
	return FromKeywords(values)
}

// FromKeywords makes a Config from the keywords of a Python call. Values are texts as on the command line, numbers,
// booleans, lists of texts; nil leaves the default. The environment is not consulted: a caller says what it wants.
func FromKeywords(values map[string]any) (*Config, error) {
	c := Default()
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	seen := make(map[*Option]string)
	var others foreign
	for _, name := range names {
		o := keywords[name]
		switch {
		case o == nil:
			others.takeKeyword(name, values[name])
			continue
		case o.CLIOnly && o.ofProcesses() && o.holds(values[name]):
			if values[name] != nil {
				others.idle = append(others.idle, printable(name+"="+pythonText(values[name])))
			}
			continue
		case o.CLIOnly && o.ofProcesses():
			others.complaints = append(others.complaints, name+" is for the command line only, since a program that calls the "+
				"server is one process: remove it")
			continue
		case o.CLIOnly:
			return nil, usagef("%s is for the command line only: remove it", name)
		case values[name] == nil:
			continue
		}
		if other, twice := seen[o]; twice {
			return nil, usagef("%s and %s are the same option: give one of them", other, name)
		}
		seen[o] = name
		if err := o.setValue(c, name, values[name]); err != nil {
			return nil, err
		}
		c.from(o, originKeyword)
	}
	if err := others.err(""); err != nil {
		return nil, err
	}
	if err := c.finish(); err != nil {
		return nil, err
	}
	c.Warnings = append(c.Warnings, others.warnings("")...)
	return c, nil
}

// pythonText is a keyword's value as Python shows it, a text without its quotes.
func pythonText(value any) string {
	if on, is := value.(bool); is {
		return map[bool]string{true: "True", false: "False"}[on]
	}
	return fmt.Sprint(value)
}

// takeKeyword looks at a keyword that is no option of gowsgi's. None is the default of any setting, as False is of switches.
func (f *foreign) takeKeyword(name string, value any) {
	text := pythonText(value)
	s := ofGunicorn[name]
	switch flag := "--" + strings.ReplaceAll(name, "_", "-"); {
	case (s != nil || slices.Contains(hooksOfGunicorn, name)) && value == nil:
	case s != nil && value == false:
		f.idle = append(f.idle, printable(name+"="+text))
	case s != nil && s.is != called:
		f.setting(s, name, name+"="+text, text)
	case s != nil, slices.Contains(hooksOfGunicorn, name):
		f.complaints = append(f.complaints, name+" is a hook of gunicorn's configuration file, which a program that calls the "+
			"server does not need: remove it and call the function yourself")
	case slices.Contains(elsewhere[:addressesElsewhere], flag):
		f.keywords = true
		f.note(flag, text)
	default:
		f.complaints = append(f.complaints, unknownKeyword(name))
	}
}

func unknownKeyword(name string) string {
	if o := keywords[strings.TrimPrefix(name, "no_")]; o != nil && o.Negated {
		return fmt.Sprintf("there is no option %s: write %s=False", name, o.Name)
	}
	var names []string
	for keyword, o := range keywords {
		if !o.CLIOnly {
			names = append(names, keyword)
		}
	}
	sort.Strings(names)
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf("there is no option %s: did you mean %s?", name, near)
	}
	return fmt.Sprintf("there is no option %s: gowsgi --help lists those there are", name)
}

// setValue sets the option from a value of JSON or Go.
func (o *Option) setValue(c *Config, label string, value any) error {
	switch v := value.(type) {
	case string:
		return o.setTexts(c, label, []string{v})
	case []string:
		return o.setList(c, label, v)
	case []any:
		texts := make([]string, len(v))
		for i, item := range v {
			text, ok := item.(string)
			if !ok {
				return o.refuseValue(label, value)
			}
			texts[i] = text
		}
		return o.setList(c, label, texts)
	case map[string]any: // pairs, as NAME=VALUE
		return o.setPairs(c, label, v)
	case bool:
		if o.Type == Bool {
			*o.at(c).(*bool) = v
			return nil
		}
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return o.setInteger(c, label, n)
		}
		if f, err := v.Float64(); err == nil {
			return o.setFloat(c, label, f)
		}
	case int:
		return o.setInteger(c, label, int64(v))
	case int64:
		return o.setInteger(c, label, v)
	case float64:
		return o.setFloat(c, label, v)
	}
	return o.refuseValue(label, value)
}

func (o *Option) setList(c *Config, label string, texts []string) error {
	switch o.Type {
	case Addresses:
		if len(texts) == 0 {
			return usagef("%s is an empty list: give at least one address, or leave it out", label)
		}
	case List:
		// The items of a list are whole: a comma in one is part of it.
		plain := *o
		plain.Split = false
		return plain.setTexts(c, label, texts)
	default:
		return o.refuseValue(label, texts)
	}
	return o.setTexts(c, label, texts)
}

func (o *Option) setPairs(c *Config, label string, pairs map[string]any) error {
	if !strings.Contains(o.Metavar, "=") {
		return o.refuseValue(label, pairs)
	}
	texts := make([]string, 0, len(pairs))
	for name, value := range pairs {
		text, ok := value.(string)
		if !ok {
			return o.refuseValue(label, pairs)
		}
		texts = append(texts, name+"="+text)
	}
	sort.Strings(texts)
	return o.setList(c, label, texts)
}

// setInteger takes a number as Python has it: a mask is a number already, and not to be read as octal.
func (o *Option) setInteger(c *Config, label string, n int64) error {
	text := strconv.FormatInt(n, 10)
	switch o.Type {
	case Count:
		return o.setText(c, label, text)
	case Int, Size, Mode, Number:
	case Seconds:
		if n > math.MaxInt64/int64(time.Second) || n < 0 {
			return o.refuse(label, text)
		}
		n *= int64(time.Second)
	default:
		return o.refuseValue(label, n)
	}
	if !o.inRange(n) {
		return o.refuse(label, text)
	}
	return o.setNumber(c, label, text, n)
}

func (o *Option) setFloat(c *Config, label string, f float64) error {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	unit := int64(1)
	switch {
	case o.Type == Number:
		if !o.numberInRange(f) { // nor is NaN
			return o.refuse(label, text)
		}
		*o.at(c).(*float64) = f
		return nil
	case o.Type == Seconds:
		unit = int64(time.Second)
	case o.Type != Int && o.Type != Size, f != math.Trunc(f):
		return o.refuseValue(label, f)
	}
	n, ok := scaleFloat(f, unit)
	if !ok || !o.inRange(n) {
		return o.refuse(label, text)
	}
	return o.setNumber(c, label, text, n)
}

func (o *Option) refuseValue(label string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		text = []byte(fmt.Sprintf("a value of type %T", value))
	}
	return usagef("%s does not accept %s: give %s", label, text, o.accepts())
}
