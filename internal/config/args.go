package config

import (
	"fmt"
	"strings"
)

// arguments is a command line taken apart. urfave/cli stops at the first argument that is no option, while gunicorn
// takes options on both sides of APP; so the order is settled here, before cli sees anything.
type arguments struct {
	options  []string // --name=value and --name
	apps     []string
	action   string   // help or version when one of them was met: what follows it does not matter
	warnings []string // about options that were accepted and do something else than in gunicorn
}

// spellings finds an option by the way it was typed.
var spellings = func() map[string]*Option {
	m := make(map[string]*Option)
	for i := range table {
		for _, flag := range table[i].spellings() {
			m[flag] = &table[i]
		}
	}
	return m
}()

func (o *Option) spellings() []string {
	return append(append([]string(nil), o.Flags...), o.Hidden...)
}

func splitArguments(args []string, where string) (*arguments, error) {
	a := new(arguments)
	var others foreign
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			a.apps = append(a.apps, args[i+1:]...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			a.apps = append(a.apps, arg)
			continue
		}
		flag, value, hasValue := cutValue(arg)
		o := spellings[flag]
		if o == nil {
			if others.take(flag, value, hasValue, args[i+1:]) {
				i++
			}
			continue
		}
		if o.Name == "help" || o.Name == "version" {
			a.action = o.Name
			return a, nil
		}
		switch {
		case o.Type == Bool, hasValue:
		case o.Alone != "" && (i+1 == len(args) || isOption(args[i+1]) || strings.ContainsAny(args[i+1], ".:")):
			value, hasValue = o.Alone, true
		default:
			if i+1 == len(args) || isOption(args[i+1]) {
				return nil, usagef("%s%s needs a value: give %s behind it", where, flag, o.accepts())
			}
			i++
			value, hasValue = args[i], true
		}
		if hasValue {
			flag += "=" + value
		}
		a.options = append(a.options, flag)
	}
	a.warnings = others.warnings(where)
	return a, others.err(where)
}

// cutValue separates --name=value, -nvalue and -n=value.
func cutValue(arg string) (flag, value string, hasValue bool) {
	if strings.HasPrefix(arg, "--") {
		return strings.Cut(arg, "=")
	}
	known := spellings[arg[:2]] != nil || ofGunicorn[arg[:2]] != nil
	if known && len(arg) > 2 && spellings["-"+arg] == nil {
		return arg[:2], strings.TrimPrefix(arg[2:], "="), true
	}
	return arg, "", false
}

// isOption tells whether an argument is an option rather than a value that begins with a dash, such as "-" or "-1".
func isOption(arg string) bool {
	flag, _, _ := strings.Cut(arg, "=")
	return arg == "--" || spellings[flag] != nil
}

// unknownOption is about an option that neither gowsgi nor gunicorn has.
func unknownOption(flag string) string {
	if spellings["-"+flag] != nil {
		return fmt.Sprintf("there is no option %s: write -%s, with two dashes", flag, flag)
	}
	var names []string
	for i := range table {
		names = append(names, table[i].Flags...)
	}
	if near := nearest(flag, names); near != "" {
		return fmt.Sprintf("there is no option %s: did you mean %s?", flag, near)
	}
	return fmt.Sprintf("there is no option %s: gowsgi --help lists those there are", flag)
}

// splitShell takes the text of an environment variable apart as a POSIX shell does, without any expansion, like Python's
// shlex.split.
func splitShell(variable, s string) ([]string, error) {
	var words []string
	var word []byte
	inWord := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ' ', '\t', '\r', '\n':
			if inWord {
				words, word, inWord = append(words, string(word)), nil, false
			}
		case '\\':
			if i++; i == len(s) {
				return nil, usagef("%s ends in a backslash: write two of them for one, or remove it", variable)
			}
			word, inWord = append(word, s[i]), true
		case '\'', '"':
			inWord = true
			closed := false
			for i++; i < len(s); i++ {
				if s[i] == c {
					closed = true
					break
				}
				if c == '"' && s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
					i++
				}
				word = append(word, s[i])
			}
			if !closed {
				return nil, usagef("%s has a quotation mark %c that is never closed: close it", variable, c)
			}
		default:
			word, inWord = append(word, c), true
		}
	}
	if inWord {
		words = append(words, string(word))
	}
	return words, nil
}
