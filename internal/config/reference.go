package config

import (
	"fmt"
	"strings"
)

// Where the reference stands in README.md.
const (
	ReferenceBegin = "<!-- options:begin -->"
	ReferenceEnd   = "<!-- options:end -->"
)

// ReferenceCommand rewrites the section of README.md.
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

// InsertReference returns the document with the current reference between its markers. A document without markers gets
// a section at its end.
func InsertReference(doc string) (string, error) {
	section := ReferenceBegin + "\n" + Reference() + ReferenceEnd
	begin := strings.Index(doc, ReferenceBegin)
	end := strings.Index(doc, ReferenceEnd)
	switch {
	case begin < 0 && end < 0:
		if doc != "" {
			doc = strings.TrimRight(doc, "\n") + "\n\n"
		}
		return doc + "## Options\n\n" + section + "\n", nil
	case begin < 0, end < begin:
		return "", fmt.Errorf("the marker %s has to stand before %s, each on a line of its own", ReferenceBegin, ReferenceEnd)
	}
	return doc[:begin] + section + doc[end+len(ReferenceEnd):], nil
}
