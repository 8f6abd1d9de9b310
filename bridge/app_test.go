package bridge

import "testing"

func TestPythonSetupText(t *testing.T) {
	for _, c := range []struct {
		name    string
		setup   PythonSetup
		want    string
		problem string
	}{
		{"nothing", PythonSetup{}, "errorlog=", ""},
		{"everything", PythonSetup{Env: []string{"A=b=c", "D="}, PythonPath: []string{"/x y", "/\xff"}, ErrorLog: "-", Argv: []string{"gowsgi", "a:b"}},
			"errorlog=-\x00env=A=b=c\x00env=D=\x00pythonpath=/x y\x00pythonpath=/\xff\x00argv=gowsgi\x00argv=a:b", ""},
		{"what would be two items", PythonSetup{PythonPath: []string{"/x\x00argv=y"}}, "", `a NUL character in "pythonpath=/x\x00argv=y"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.setup.text()
			if got != c.want || (err == nil) != (c.problem == "") || err != nil && err.Error() != c.problem {
				t.Errorf("got %q, %v; want %q, %q", got, err, c.want, c.problem)
			}
		})
	}
}
