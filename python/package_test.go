package python

import (
	"io/fs"
	"os"
	"strings"
	"testing"
)

func TestEveryModuleIsCarried(t *testing.T) {
	carried := map[string]bool{}
	err := fs.WalkDir(Package, ".", func(path string, d fs.DirEntry, err error) error {
		carried[path] = !d.IsDir()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	there := 0
	err = fs.WalkDir(os.DirFS("."), "gowsgi", func(path string, d fs.DirEntry, err error) error {
		if !d.IsDir() && strings.HasSuffix(path, ".py") {
			there++
			if !carried[path] {
				t.Errorf("%s is not in Package: add a pattern for its depth to package.go", path)
			}
		}
		return err
	})
	if err != nil || there < 4 {
		t.Fatalf("%d modules, %v", there, err)
	}
}
