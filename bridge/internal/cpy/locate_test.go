package cpy

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gowsgi/gowsgi/bridge/internal/cpytest"
)

// fakePython writes a script that answers the probe with this JSON, and returns its path.
func fakePython(t *testing.T, name, answer string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	script(t, path, "cat <<'END'\nsitecustomize says hello\n"+probeMark+answer+"\nEND\n")
	return path
}

func script(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
}

func noPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return exec.LookPath(name)
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

func TestChoose(t *testing.T) {
	dir := t.TempDir()
	venv, exe, onPath := filepath.Join(dir, "venv"), filepath.Join(dir, "exe"), filepath.Join(dir, "path", "python3")
	for _, path := range []string{venv + "/bin/python", exe + "/python3", onPath, dir + "/plain/python"} {
		script(t, path, "")
	}
	if err := os.WriteFile(dir+"/text", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	look := func(name string) (string, error) {
		if name == "python3" || name == "python3.9" {
			return onPath, nil
		}
		return noPath(name)
	}
	none := filepath.Join(dir, "none")
	for _, c := range []struct {
		name, explicit, venv, exe string
		look                      func(string) (string, error)
		want, problem             string
	}{
		{"explicit path wins", dir + "/plain/python", venv, exe, look, dir + "/plain/python", ""},
		{"explicit name", "python3.9", venv, exe, look, onPath, ""},
		{"explicit name missing", "python3.99", venv, exe, look, "", "--python: there is no python3.99 on PATH"},
		{"explicit path missing", none, venv, exe, look, "", "--python: there is no file " + none},
		{"explicit path not executable", dir + "/text", venv, exe, look, "", "--python: " + dir + "/text is not an executable file"},
		{"venv", "", venv, exe, look, venv + "/bin/python", ""},
		{"deleted venv", "", none, exe, look, exe + "/python3", ""},
		{"beside", "", "", exe, look, exe + "/python3", ""},
		{"beside, other name", "", "", dir + "/plain", look, dir + "/plain/python", ""},
		{"PATH", "", "", none, look, onPath, ""},
		{"nothing", "", "", none, noPath, "", "no python3 was found, neither in VIRTUAL_ENV, nor beside gowsgi, nor on PATH: " +
			"install Python 3.8 or later, or name one with --python"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := choose(c.explicit, c.venv, c.exe, c.look)
			if got != c.want || (err == nil) != (c.problem == "") || err != nil && err.Error() != c.problem {
				t.Errorf("got %q, %v; want %q, %q", got, err, c.want, c.problem)
			}
		})
	}
}

func TestLocateRefuses(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "python")
	script(t, broken, "echo first >&2; echo it broke >&2; exit 3\n")
	silent := filepath.Join(t.TempDir(), "python")
	script(t, silent, "echo 3.11\n")
	for _, c := range []struct{ name, python, problem string }{
		{"fails", broken, "PYTHON could not be run as Python: exit status 3: it broke"},
		{"answers nonsense", silent, "PYTHON does not answer like a Python"},
		{"PyPy", fakePython(t, "pypy", `{"implementation": "PyPy", "version": "3.10.14", "hexversion": 51056368}`),
			"PYTHON is PyPy 3.10.14, and gowsgi runs CPython only"},
		{"old", fakePython(t, "python3", `{"implementation": "CPython", "version": "3.7.16", "hexversion": 50794736}`),
			"PYTHON is Python 3.7.16, and gowsgi needs 3.8 or later"},
		{"Python 2", fakePython(t, "python", `{"implementation": "CPython", "version": "2.7.18", "hexversion": 34017008}`),
			"PYTHON is Python 2.7.18, and gowsgi needs 3.8 or later"},
		{"no library", fakePython(t, "python", `{"implementation": "CPython", "version": "3.13.0", "hexversion": 51183856,
			"executable": "/opt/python", "hints": {"abiflags": "t", "libdir": "/nowhere", "instsoname": "libpython3.13t.a"}}`),
			"PYTHON does not answer like a Python"}, // more than one line
		{"no library, one line", fakePython(t, "python", `{"implementation": "CPython", "version": "3.13.0", "hexversion": 51183856, `+
			`"executable": "/opt/python", "hints": {"abiflags": "t", "libdir": "/nowhere", "instsoname": "libpython3.13t.a"}}`),
			"PYTHON (Python 3.13.0) has no shared libpython3.13t: install that library, build Python with --enable-shared, " +
				"or run /opt/python -m pip install . in gowsgi's source directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i, err := Locate(c.python, "", "", nil)
			want := strings.ReplaceAll(c.problem, "PYTHON", c.python)
			if i != nil || err == nil || err.Error() != want {
				t.Errorf("got %v, %v; want %q", i, err, want)
			}
		})
	}
}

func TestLocateMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gone")
	if _, err := ask(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an interpreter that went away: %v", err)
	}
}

func TestLocatePipForm(t *testing.T) {
	python := fakePython(t, "python", `{"implementation": "CPython", "version": "3.13.0", "hexversion": 51183856, `+
		`"executable": "/opt/python", "has_gowsgi": true, "hints": {"libdir": "/nowhere"}}`)
	i, err := Locate(python, "", "", nil)
	if err != nil || !i.PipForm || i.Library != "" || i.Executable != "/opt/python" || i.Path != python {
		t.Errorf("got %+v, %v", i, err)
	}
	if err := Start(i, nil); err == nil {
		t.Error("started without a library")
	}
}

// sharedLibrary compiles an empty library with this soname.
func sharedLibrary(t *testing.T, path, soname string) {
	t.Helper()
	source := filepath.Join(t.TempDir(), "empty.c")
	if err := os.WriteFile(source, []byte("int empty;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{"-shared", "-o", path, source}
	if soname != "" {
		args = append(args, "-Wl,-soname,"+soname)
	}
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
}

func TestFindLibrary(t *testing.T) {
	dir := t.TempDir()
	wrong, right, multi, base := dir+"/mapped/libpython3.10.so.1.0", dir+"/lib/libpython3.11.so.1.0",
		dir+"/multi/x86_64/libpython3.11.so.1.0", dir+"/base/lib/libpython3.11.so"
	sharedLibrary(t, wrong, "libpython3.10.so.1.0")
	sharedLibrary(t, right, "libpython3.11.so.1.0")
	sharedLibrary(t, multi, "libpython3.11.so.1.0")
	sharedLibrary(t, base, "") // no soname: its name counts
	sharedLibrary(t, dir+"/lying/libpython3.11.so.1.0", "libpython3.12.so.1.0")
	sharedLibrary(t, dir+"/threads/libpython3.11.so.1.0", "libpython3.11t.so.1.0")
	if err := os.MkdirAll(dir+"/static", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"libpython3.11.a", "libpython3.11.so"} { // the second is a linker script
		if err := os.WriteFile(dir+"/static/"+name, []byte("GROUP ( libpython3.11.so.1.0 )\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		hints libraryHints
		base  string
		want  string
	}{
		{"mapped first", libraryHints{Mapped: []string{multi}, LibDir: dir + "/lib", InstSoname: "libpython3.11.so.1.0"}, "", multi},
		{"mapped by another version", libraryHints{Mapped: []string{wrong}, LibDir: dir + "/lib", InstSoname: "libpython3.11.so.1.0"}, "", right},
		{"LIBDIR", libraryHints{LibDir: dir + "/lib", InstSoname: "libpython3.11.so.1.0"}, "", right},
		{"LIBDIR, static by itself", libraryHints{LibDir: dir + "/lib", InstSoname: "libpython3.11.a", LdLibrary: "libpython3.11.a"}, "", right},
		{"MULTIARCH", libraryHints{LibDir: dir + "/multi", Multiarch: "x86_64"}, "", multi},
		{"base_prefix", libraryHints{LibDir: "/nowhere"}, dir + "/base", base},
		{"LIBPL", libraryHints{LibPL: dir + "/lib"}, "", right},
		{"another version inside", libraryHints{LibDir: dir + "/lying"}, "", ""},
		{"free-threaded inside", libraryHints{LibDir: dir + "/threads"}, "", ""},
		{"not a library", libraryHints{LibDir: dir + "/static"}, "", ""},
		{"nothing known", libraryHints{}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := &Interpreter{HexVersion: 0x030B07F0, BasePrefix: c.base, Hints: c.hints}
			if got := findLibrary(i); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// The real ones: whatever this machine has must be found, or refused for the right reason.
func TestLocateReal(t *testing.T) {
	if len(cpytest.Pythons()) == 0 {
		t.Skip("no Python 3 on this machine")
	}
	for _, python := range cpytest.Pythons() {
		t.Run(python, func(t *testing.T) {
			i, err := examine(python)
			if err != nil {
				if text := err.Error(); !strings.Contains(text, "needs 3.8 or later") && !strings.Contains(text, "no shared libpython") {
					t.Error(err)
				}
				return
			}
			if i.HexVersion < MinHexVersion || i.Executable == "" || i.Prefix == "" || i.BasePrefix == "" || i.Version == "" {
				t.Errorf("incomplete: %+v", i)
			}
			if !i.PipForm && !libraryFits(i.Library, i.short()) {
				t.Errorf("library %q", i.Library)
			}
			if runtime.GOOS == "linux" && i.Hints.EnableShared && len(i.Hints.Mapped) > 0 && i.Library != i.Hints.Mapped[0] {
				t.Errorf("library %q, but Python itself uses %q", i.Library, i.Hints.Mapped[0])
			}
		})
	}
}

func TestLocateVenvAndWorkingDirectory(t *testing.T) {
	var python string
	for _, path := range cpytest.Pythons() {
		if i, err := examine(path); err == nil && !i.PipForm {
			python = path
			break
		}
	}
	if python == "" {
		t.Skip("no Python with a shared libpython on this machine")
	}
	venv := filepath.Join(t.TempDir(), "v")
	if out, err := exec.Command(python, "-m", "venv", "--without-pip", venv).CombinedOutput(); err != nil {
		t.Skipf("this Python makes no virtual environments: %s", out)
	}
	// Modules of these names in the working directory are the user's, and none of the probe's.
	work := t.TempDir()
	for _, name := range []string{"json.py", "platform.py", "gowsgi.py"} {
		if err := os.WriteFile(filepath.Join(work, name), []byte("raise SystemExit('wrong module')\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(work)
	path, err := choose("", venv, "", noPath)
	if err != nil {
		t.Fatal(err)
	}
	i, err := examine(path)
	if err != nil {
		t.Fatal(err)
	}
	if i.Executable != filepath.Join(venv, "bin", "python") || i.Prefix != venv || i.BasePrefix == venv || i.HasGowsgi {
		t.Errorf("in the virtual environment %s: %+v", venv, i)
	}
}
