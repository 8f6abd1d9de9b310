// Package pythontest finds interpreters for Go's tests: those of the live suite.
package pythontest

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// With is an interpreter that has the module; without one the test is skipped, with the reason. By the tests of packages two
// directories below the root.
func With(t testing.TB, module string) string {
	t.Helper()
	list := os.Getenv("GOWSGI_PYTHONS")
	if list == "" {
		list = "../../.cache/interpreters.json"
	}
	b, err := os.ReadFile(list)
	if err != nil {
		t.Skip("no environments for tests; make envs makes them: ", err)
	}
	var all []struct{ Python string }
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if exec.Command(one.Python, "-c", "import "+module).Run() == nil {
			return one.Python
		}
	}
	t.Skip("no interpreter of ", list, " has ", module)
	return ""
}
