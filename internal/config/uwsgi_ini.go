package config

// Files of uWSGI's in the ini format, as --uwsgi-ini names them: lines, sections, placeholders. What their keys mean is in
// uwsgi.go.

import (
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// deepestIni is how many files may read one another by "ini = FILE".
const deepestIni = 10

// iniReader reads one file and those that it names, and calls take with each key in the order of the lines.
type iniReader struct {
	take  func(key, value string) (read bool)
	env   func(string) string
	now   time.Time
	set   map[string]string // what keys had last, for %(key)
	used  map[string]bool   // which were asked for so
	wrong map[string]error  // what is wrong with the value of a key that only serves as %(key), or nobody reads
	depth int
}

// read reads FILE or FILE:SECTION; the section is uwsgi unless it is named.
func (r *iniReader) read(name string) error {
	path, section := name, "uwsgi"
	text, err := os.ReadFile(path)
	if cut := strings.LastIndexByte(name, ':'); err != nil && cut > 0 {
		path, section = name[:cut], name[cut+1:]
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return usagef("--uwsgi-ini: %s cannot be read: give a file in uWSGI's ini format", path)
	}
	if r.depth++; r.depth > deepestIni {
		return usagef("%s: files name one another by ini = …: write them into one", path)
	}
	defer func() { r.depth-- }()
	magic := r.magic(path, section)
	here, found := false, false
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			here = strings.Trim(line, "[] \t") == section
			found = found || here
		case here:
			key, value, given := strings.Cut(line, "=")
			key, value = strings.TrimSpace(key), strings.TrimSpace(value)
			if !given {
				value = "true"
			}
			full, err := r.expand(value, magic)
			switch {
			case err == nil:
				err = r.line(path, key, full)
			case slices.Contains(directivesOfIni, key) || r.take(key, value):
				err = usagef("%s, line %d: %s", path, i+1, err)
			default: // log-format has names in such parentheses that are no placeholders
				r.wrong[key], err = err, nil
			}
			if err != nil {
				return err
			}
		}
	}
	if !found {
		return usagef("%s has no section [%s]: name the section, as in --uwsgi-ini %s:name", path, section, path)
	}
	return nil
}

// directivesOfIni are the keys that are about the file itself.
var directivesOfIni = strings.Fields("ini include inherit set-placeholder set-ph")

func (r *iniReader) line(path, key, value string) error {
	switch key {
	case "ini", "include", "inherit":
		if rest, other := strings.CutPrefix(value, ":"); other {
			return r.read(path + ":" + rest)
		}
		return r.read(value)
	case "set-placeholder", "set-ph":
		name, text, _ := strings.Cut(value, "=")
		r.set[strings.TrimSpace(name)] = strings.TrimSpace(text)
		return nil
	case "for", "for-glob", "for-times", "for-readline", "endfor", "end-for":
		return usagef("%s: gowsgi does not read loops (%s): write out what they make", path, key)
	}
	if strings.HasPrefix(key, "if-") || key == "endif" || key == "end-if" {
		return usagef("%s: gowsgi does not read conditions (%s): write the lines that are to hold without them", path, key)
	}
	r.set[key] = value
	delete(r.wrong, key)
	r.take(key, value)
	return nil
}

// expand puts in what %(key), $(VARIABLE), @(file) and uWSGI's one-letter variables stand for.
func (r *iniReader) expand(value string, magic map[byte]string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		c := value[i]
		if i+1 == len(value) || !strings.ContainsRune("%$@", rune(c)) {
			b.WriteByte(c)
			continue
		}
		if value[i+1] == '(' {
			end := strings.IndexByte(value[i:], ')')
			if end < 0 {
				return "", usagef("%s( has no closing parenthesis", value[i:i+1])
			}
			name := value[i+2 : i+end]
			text, err := r.lookUp(c, name)
			if err != nil {
				return "", err
			}
			b.WriteString(text)
			i += end
			continue
		}
		text, known := magic[value[i+1]]
		if c != '%' || !known {
			b.WriteByte(c)
			continue
		}
		b.WriteString(text)
		i++
	}
	return b.String(), nil
}

func (r *iniReader) lookUp(kind byte, name string) (string, error) {
	switch kind {
	case '$':
		return r.env(name), nil
	case '@':
		text, err := os.ReadFile(name)
		if err != nil {
			return "", usagef("@(%s) cannot be read: make it a readable file", name)
		}
		return strings.TrimRight(string(text), "\r\n"), nil
	}
	value, there := r.set[name]
	if err := r.wrong[name]; err != nil {
		return "", err
	}
	if !there {
		return "", usagef("%%(%s) stands for nothing: set %s = … above it", name, name)
	}
	r.used[name] = true
	return value, nil
}

// magic are the variables of one letter. The capital ones are of the first file in uWSGI, which is the same where there is one.
func (r *iniReader) magic(path, section string) map[byte]string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	dir, base := filepath.Split(path)
	ext := filepath.Ext(base)
	m := map[byte]string{
		'%': "%", 'p': path, 'o': path, 's': base, 'd': dir, 'n': strings.TrimSuffix(base, ext), 'e': strings.TrimPrefix(ext, "."),
		'c': filepath.Base(dir), 'x': section, 't': strconv.FormatInt(r.now.Unix(), 10), 'k': strconv.Itoa(runtime.NumCPU()),
	}
	if cwd, err := os.Getwd(); err == nil {
		m['v'] = cwd
	}
	for _, letter := range "posdnecx" {
		m[byte(letter)-'a'+'A'] = m[byte(letter)]
	}
	for i, part := range strings.Split(strings.Trim(dir, "/"), "/") {
		if i < 10 {
			m['0'+byte(i)] = part
		}
	}
	if host, err := os.Hostname(); err == nil {
		m['h'] = host
	}
	m['u'], m['g'] = strconv.Itoa(os.Getuid()), strconv.Itoa(os.Getgid())
	if u, err := user.Current(); err == nil {
		m['U'] = u.Username
		if g, err := user.LookupGroupId(u.Gid); err == nil {
			m['G'] = g.Name
		}
	}
	return m
}
