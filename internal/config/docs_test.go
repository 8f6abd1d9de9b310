package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	inCode  = regexp.MustCompile("`[^`]+`")
	anyFlag = regexp.MustCompile(`(?:^|[\s(])(--?[a-zA-Z][\w-]*)`)
)

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestOptionsOfDocuments: what stands on our side of the tables, and in commands, exists.
func TestOptionsOfDocuments(t *testing.T) {
	for _, name := range []string{"migrate-uwsgi.md", "migrate-waitress.md", "migrate-mod_wsgi-express.md", "deployment.md", "workers.md"} {
		found := 0
		for _, line := range strings.Split(document(t, name), "\n") {
			cells := strings.Split(strings.Trim(line, "|"), " | ")
			switch {
			case strings.HasPrefix(line, "|"):
				first := 1
				if !strings.HasPrefix(name, "migrate-") {
					first = 0
				}
				for _, cell := range cells[first:] {
					for _, code := range inCode.FindAllString(cell, -1) {
						for _, m := range anyFlag.FindAllStringSubmatch(strings.Trim(code, "`"), -1) {
							found++
							if spellings[m[1]] == nil && !strings.HasPrefix(code, "`kill ") {
								t.Errorf("%s: there is no %s", name, m[1])
							}
						}
					}
				}
			case strings.HasPrefix(strings.TrimSpace(line), "gowsgi "):
				found++
				args := strings.Fields(strings.TrimSpace(line))[1:]
				if slices.Contains(args, "--uwsgi-ini") {
					continue // tested with a file that exists
				}
				if _, _, err := Parse(args, environment(nil), nil, nil); err != nil {
					t.Errorf("%s: %s\n%v", name, line, err)
				}
			}
		}
		if found == 0 {
			t.Errorf("%s: no option", name)
		}
	}
}

// TestDocumentOfUWSGI: its keys are those that are read, and what it says they are is what they become.
func TestDocumentOfUWSGI(t *testing.T) {
	text := document(t, "migrate-uwsgi.md")
	_, keys, _ := strings.Cut(text, "## Keys")
	keys, others, _ := strings.Cut(keys, "All others are named")
	var documented []string
	for _, line := range strings.Split(keys, "\n") {
		left, right, isRow := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if !isRow || !strings.HasPrefix(line, "| `") {
			continue
		}
		for _, code := range inCode.FindAllString(left, -1) {
			key := strings.Trim(code, "`")
			documented = append(documented, key)
			flag := optionsOfUWSGI[key] + switchesOfUWSGI[key]
			if flag != "" && !strings.Contains(right, "`"+flag+"`") {
				t.Errorf("%s is %s, and the document says %s", key, flag, right)
			}
			if !wantsTake(key) {
				continue
			}
			u := new(uwsgi)
			u.take(key, "file:x=y")
			if len(u.unread) > 0 {
				t.Errorf("%s is documented and not read", key)
			}
		}
	}
	for _, key := range slices.Concat(mapKeys(optionsOfUWSGI), mapKeys(switchesOfUWSGI)) {
		if !slices.Contains(documented, key) {
			t.Errorf("%s is not documented", key)
		}
	}
	for _, key := range heldOfUWSGI {
		if !strings.Contains(keys, "`"+key+"`") {
			t.Errorf("%s is not documented as held", key)
		}
	}
	for _, code := range inCode.FindAllString(strings.Split(others, "## Signals")[0], -1) {
		u := new(uwsgi)
		if u.take(strings.Trim(code, "`"), ""); strings.HasPrefix(code, "`--") || strings.Contains(code, " ") {
			continue
		} else if len(u.unread) == 0 {
			t.Errorf("%s is read", code)
		}
	}
}

// wantsTake: the reader itself sees to the others.
func wantsTake(key string) bool {
	return !slices.Contains([]string{"=0", "ini", "include", "inherit", "set-placeholder", "set-ph"}, key)
}

func mapKeys(m map[string]string) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}
