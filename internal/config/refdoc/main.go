// Command refdoc writes the reference of all options into README.md at the root of the repository, and that of gunicorn's
// settings into docs/migrate-gunicorn.md.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gowsgi/gowsgi/internal/config"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "refdoc:", err)
		os.Exit(1)
	}
}

func run() error {
	root, err := findRoot()
	if err != nil {
		return err
	}
	for _, section := range config.Sections {
		if err := update(filepath.Join(root, section.Document), section); err != nil {
			return err
		}
	}
	return nil
}

func update(name string, section config.Section) error {
	doc, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	updated, err := section.Insert(string(doc))
	if err != nil || updated == string(doc) {
		return err
	}
	return os.WriteFile(name, []byte(updated), 0o644)
}

// findRoot returns the directory that holds go.mod, here or above.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			err = errors.New("no go.mod here or above: run it inside the repository")
		}
	}
	return "", err
}
