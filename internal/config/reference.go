package config

import (
	"fmt"
	"strings"
)

// A Section is a part of a document that is written from the tables, between two marks.
type Section struct {
	Document string // from the root of the repository
	name     string
	title    string // of the section that a document without marks gets
	text     func() string
}

// Sections are all there are.
var Sections = []Section{
	{"README.md", "options", "Options", Reference},
	{"docs/migrate-gunicorn.md", "settings", "Settings", settingsReference},
}

// ReferenceCommand rewrites the sections.
const ReferenceCommand = "go run ./internal/config/refdoc"

// Reference returns the table of all options in Markdown, one section per group.
func Reference() string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- Written by `%s` from the table in internal/config; do not edit by hand. -->\n", ReferenceCommand)
	for _, group := range groups {
		fmt.Fprintf(&b, "\n#### %s\n\n| option | keyword | default | |\n|---|---|---|---|\n", group)
		for i := range table {
			if o := &table[i]; o.Group == group {
				o.writeReference(&b)
			}
		}
	}
	return b.String()
}

// settingsReference returns what each setting of gunicorn does here, in Markdown.
func settingsReference() string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- Written by `%s` from the tables in internal/config; do not edit by hand. -->\n\n| setting | here |\n|---|---|\n", ReferenceCommand)
	for _, name := range optionsOfGunicorn {
		o := keywords[name]
		fmt.Fprintf(&b, "| %s | %s |\n", code(name), joinSentences("the same", escapeCell(o.Compat), escapeCell(inFiles[name])))
	}
	for i := range settingsOfGunicorn {
		if s := &settingsOfGunicorn[i]; s.is != called {
			fmt.Fprintf(&b, "| %s | %s |\n", code(s.name), s.reference())
		}
	}
	for _, name := range hooksOfGunicorn {
		fmt.Fprintf(&b, "| %s | called |\n", code(name))
	}
	for i := range settingsOfGunicorn {
		if s := &settingsOfGunicorn[i]; s.is == called {
			fmt.Fprintf(&b, "| %s | not called: %s |\n", code(s.name), escapeCell(s.says))
		}
	}
	return b.String()
}

func (s *setting) reference() string {
	text := escapeCell(s.says)
	switch {
	case s.refuses != nil && s.name == "worker_class":
		text += "; worker classes for ASGI are refused"
	case s.refuses != nil:
		text = "refused: " + text
	}
	if s.held != "" {
		text = s.held + ": the same. Else " + text
	}
	return text
}

func joinSentences(sentences ...string) string {
	text := ""
	for _, s := range sentences {
		if s != "" && text != "" {
			text += ". " + strings.TrimSuffix(s, ".")
		} else {
			text += s
		}
	}
	return text
}

func (o *Option) writeReference(b *strings.Builder) {
	var flags []string
	for i, flag := range o.Flags {
		if i == len(o.Flags)-1 && o.Type != Bool {
			flag += " " + o.Metavar
		}
		flags = append(flags, code(flag))
	}
	option := strings.Join(flags, ", ")
	if option == "" {
		option = code(o.Metavar)
	}
	keyword := code(o.Name)
	if o.CLIOnly {
		keyword = "–"
	}
	text := escapeCell(o.Help)
	if o.Repeats {
		text += " May be repeated."
	}
	if o.Negated {
		text += " As a keyword: " + code(o.Name+"=False") + "."
	}
	if o.Compat != "" {
		text += " *" + escapeCell(o.Compat) + "*"
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s |\n", option, keyword, o.referenceDefault(), text)
}

func (o *Option) referenceDefault() string {
	switch {
	case o.Shown != "":
		return escapeCell(o.Shown)
	case o.NoValue, o.Default == "":
		return ""
	case o.Type == Bool:
		return map[string]string{"true": "on", "false": "off"}[o.Default]
	}
	return code(o.Default)
}

func code(s string) string { return "`" + strings.ReplaceAll(s, "|", `\|`) + "`" }

var cellEscaper = strings.NewReplacer("|", `\|`, "_", `\_`, "*", `\*`, "<", "&lt;")

func escapeCell(s string) string { return cellEscaper.Replace(s) }

// Begin and End are the marks.
func (s Section) Begin() string { return "<!-- " + s.name + ":begin -->" }

// End is the second one.
func (s Section) End() string { return "<!-- " + s.name + ":end -->" }

// Insert returns the document with what is current between the marks. A document without marks gets a section at its end.
func (s Section) Insert(doc string) (string, error) {
	section := s.Begin() + "\n" + s.text() + s.End()
	begin := strings.Index(doc, s.Begin())
	end := strings.Index(doc, s.End())
	switch {
	case begin < 0 && end < 0:
		if doc != "" {
			doc = strings.TrimRight(doc, "\n") + "\n\n"
		}
		return doc + "## " + s.title + "\n\n" + section + "\n", nil
	case begin < 0, end < begin:
		return "", fmt.Errorf("the marker %s has to stand before %s, each on a line of its own", s.Begin(), s.End())
	}
	return doc[:begin] + section + doc[end+len(s.End()):], nil
}
