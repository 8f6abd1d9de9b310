package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Type says how the text of an option is read and which Go type its field has.
type Type int

// The types of options, each with its Go field.
const (
	Bool      Type = iota // bool
	Int                   // int
	Seconds               // time.Duration
	Size                  // int or int64, in bytes
	String                // string
	List                  // []string
	Number                // float64
	Enum                  // string, one of Option.Values
	Count                 // string, a number or auto; "" when not given
	Mode                  // int, a file mode mask in octal, -1 when not given
	Addresses             // []Bind
)

// Group is a heading in the help and in the reference.
type Group string

// The groups in the order in which they are shown.
const (
	GroupListening   Group = "Listening"
	GroupWorkers     Group = "Worker processes"
	GroupApplication Group = "Application"
	GroupLogging     Group = "Logging"
	GroupLimits      Group = "Limits"
	GroupDeadlines   Group = "Deadlines"
	GroupBuffers     Group = "Bodies and buffers"
	GroupWebSockets  Group = "WebSockets"
	GroupProxies     Group = "Proxies in front"
	GroupProcess     Group = "Process"
	GroupServer      Group = "Server"
	GroupOther       Group = "Other"
)

var groups = []Group{
	GroupListening, GroupWorkers, GroupApplication, GroupLogging, GroupLimits, GroupDeadlines, GroupBuffers, GroupWebSockets,
	GroupProxies, GroupProcess, GroupServer, GroupOther,
}

// Option is one row of the table.
type Option struct {
	Name    string   // the keyword, gunicorn's setting name where the option exists there
	Aliases []string // further keywords; every long flag is one already
	Flags   []string // as typed, short ones first; the hidden spellings are in Hidden
	Hidden  []string // accepted, not shown
	Type    Type
	Metavar string // what stands for the value in the help
	Default string // in the form a user would write it
	Shown   string // how the help shows the default, when the text alone would not say it
	Env     string // environment variable that gives the default
	Values  []string
	Min     int64 // in the unit of the field: bytes, nanoseconds, pieces
	Max     int64 // 0: no upper limit
	Group   Group
	Help    string
	Compat  string // how it differs from gunicorn; empty when it does not, or when gunicorn has no such option

	Negated  bool   // the flag switches the option off
	Split    bool   // List: the text is separated by commas
	Repeats  bool   // may be given several times
	Alone    string // what the flag says without a value; empty: it needs one
	CLIOnly  bool   // makes no sense as a keyword
	NoValue  bool   // not part of the configuration that is printed
	validate func(string) string
	at       func(*Config) any
}

// Options returns the table, for those who print it in their own way.
func Options() []Option { return append([]Option(nil), table...) }

// setTexts sets the option from what the user typed; label is how the user named the option.
func (o *Option) setTexts(c *Config, label string, texts []string) error {
	switch field := o.at(c).(type) {
	case *[]string:
		list := []string{}
		for _, text := range texts {
			items := []string{text}
			if o.Split {
				items = strings.Split(text, ",")
			}
			for _, item := range items {
				if o.Split {
					item = strings.TrimSpace(item)
				}
				if item == "" {
					continue
				}
				if err := o.check(label, item); err != nil {
					return err
				}
				list = append(list, item)
			}
		}
		*field = list
		return nil
	case *[]Bind:
		var list []Bind
		for _, text := range texts {
			for _, item := range strings.Split(text, ",") {
				b, err := ParseBind(strings.TrimSpace(item))
				if err != nil {
					return usagef("%s: %s", label, err)
				}
				list = append(list, b)
			}
		}
		*field = list
		return nil
	}
	return o.setText(c, label, texts[len(texts)-1])
}

func (o *Option) setText(c *Config, label, text string) error {
	switch field := o.at(c).(type) {
	case *bool:
		v, ok := parseBool(text)
		if !ok {
			return o.refuse(label, text)
		}
		*field = v
	case *string:
		if o.Type == Enum {
			text = strings.ToLower(text)
		}
		if n, ok := parseInt(text); o.Type == Count && text != "" && text != "auto" && (!ok || !o.inRange(n)) {
			return o.refuse(label, text)
		}
		if err := o.check(label, text); err != nil {
			return err
		}
		*field = text
	case *float64:
		f, ok := parseNumber(text)
		if !ok || !o.numberInRange(f) {
			return o.refuse(label, text)
		}
		*field = f
	default:
		if o.Type == Mode && text == "" {
			return o.setNumber(c, label, text, -1)
		}
		n, ok := o.parseNumber(text)
		if !ok || !o.inRange(n) {
			return o.refuse(label, text)
		}
		return o.setNumber(c, label, text, n)
	}
	return nil
}

func (o *Option) parseNumber(text string) (int64, bool) {
	switch o.Type {
	case Seconds:
		return parseSeconds(text)
	case Size:
		return parseSize(text)
	case Mode:
		return parseMode(text)
	}
	return parseInt(text)
}

func (o *Option) inRange(n int64) bool {
	return n >= o.Min && (o.Max == 0 || n <= o.Max)
}

func (o *Option) numberInRange(f float64) bool { return f >= float64(o.Min) && f <= float64(o.Max) }

func (o *Option) setNumber(c *Config, label, text string, n int64) error {
	switch field := o.at(c).(type) {
	case *int:
		if int64(int(n)) != n {
			return o.refuse(label, text)
		}
		*field = int(n)
	case *int64:
		*field = n
	case *time.Duration:
		*field = time.Duration(n)
	case *float64:
		*field = float64(n)
	default:
		panic(fmt.Sprintf("config: option %s has a field of type %T", o.Name, field))
	}
	return nil
}

// check applies the enumeration and the validator to one string.
func (o *Option) check(label, text string) error {
	if strings.ContainsRune(text, 0) {
		return usagef("%s does not accept a NUL byte: give the value without it", label)
	}
	if o.Type == Enum {
		for _, v := range o.Values {
			if text == v {
				return nil
			}
		}
		return o.refuse(label, text)
	}
	if o.validate != nil {
		if complaint := o.validate(text); complaint != "" {
			return usagef("%s does not accept %q: %s", label, text, complaint)
		}
	}
	return nil
}

func (o *Option) refuse(label, text string) error {
	return usagef("%s does not accept %q: give %s", label, text, o.accepts())
}

// accepts describes the values of the option, to follow "give".
func (o *Option) accepts() string {
	switch o.Type {
	case Bool:
		return "true or false"
	case Int:
		return "a whole number" + o.rangeText(func(n int64) string { return fmt.Sprint(n) })
	case Number:
		return "a number" + o.rangeText(func(n int64) string { return fmt.Sprint(n) }) + ", such as 10 or 0.5"
	case Seconds:
		return "a number of seconds" + o.rangeText(formatSeconds) + ", such as 30 or 0.5"
	case Size:
		return "a number of bytes" + o.rangeText(formatSize) + ", such as 8190, 64k, 10m or 1g"
	case Mode:
		return "a mask in octal, such as 022 or 007"
	case Enum:
		return oneOf(o.Values)
	case Count:
		return "a number" + o.rangeText(func(n int64) string { return fmt.Sprint(n) }) + ", or auto"
	case List:
		return "a text or a list of texts"
	case Addresses:
		return "an address or a list of addresses, such as 127.0.0.1:8000 or unix:/run/app.sock"
	}
	return "a text"
}

func (o *Option) rangeText(format func(int64) string) string {
	if o.Max != 0 {
		return " from " + format(o.Min) + " to " + format(o.Max)
	}
	return ", " + format(o.Min) + " or more"
}

func oneOf(values []string) string {
	last := len(values) - 1
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

// Text returns the value of the option in c in the form in which a user would give it.
func (o *Option) Text(c *Config) string {
	switch field := o.at(c).(type) {
	case *bool:
		return fmt.Sprint(*field)
	case *string:
		return *field
	case *[]string:
		return strings.Join(*field, ",")
	case *[]Bind:
		texts := make([]string, len(*field))
		for i, b := range *field {
			texts[i] = b.String()
		}
		return strings.Join(texts, ",")
	case *time.Duration:
		return formatSeconds(int64(*field))
	case *int64:
		return fmt.Sprint(*field)
	case *float64:
		return strconv.FormatFloat(*field, 'f', -1, 64)
	case *int:
		if o.Type == Mode {
			if *field < 0 {
				return ""
			}
			return fmt.Sprintf("%04o", *field)
		}
		return fmt.Sprint(*field)
	}
	panic("config: no text for option " + o.Name)
}
