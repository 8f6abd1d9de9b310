package cpy

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/gowsgi/gowsgi/python"
)

func TestEmbedded(t *testing.T) {
	there := map[string]bool{}
	for _, file := range embedded(python.Package) {
		name, isDir := strings.CutSuffix(file.name, "/")
		there[name] = true
		if isDir {
			continue
		}
		if data, err := python.Package.ReadFile(name); err != nil || string(data) != file.data {
			t.Errorf("%s: %d bytes instead of %d, %v", name, len(file.data), len(data), err)
		}
	}
	_ = fs.WalkDir(python.Package, ".", func(path string, _ fs.DirEntry, err error) error {
		if path != "." && !there[path] || err != nil {
			t.Errorf("%s is not there, %v", path, err)
		}
		return nil
	})
}
