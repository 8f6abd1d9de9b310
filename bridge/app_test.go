package bridge

import "testing"

func TestPythonSetupText(t *testing.T) {
	everything := PythonSetup{
		Env: []string{"A=b=c", "D="}, PythonPath: []string{"/x y", "/\xff"}, ErrorLog: "-", Argv: []string{"gowsgi", "a:b"},
		Unset: []string{"E"},
	}
	for _, c := range []struct {
		name  string
		setup PythonSetup
		want  string
	}{
		{"nothing", PythonSetup{}, "errorlog="},
		{"everything", everything,
			"errorlog=-\x00unset=E\x00env=A=b=c\x00env=D=\x00pythonpath=/x y\x00pythonpath=/\xff\x00argv=gowsgi\x00argv=a:b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.setup.Text(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
