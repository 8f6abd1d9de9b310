package cpytest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gowsgi/gowsgi/bridge/internal/cpy"
)

// The helper programs are built once for all tests, and only if one asks.
var built struct {
	sync.Mutex
	dir   string
	paths map[string]string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// build returns the program made from a package below this one.
func build(t *testing.T, name, file string, flags ...string) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if path := built.paths[name]; path != "" {
		return path
	}
	if built.dir == "" {
		dir, err := os.MkdirTemp("", "cpytest")
		if err != nil {
			t.Fatal(err)
		}
		built.dir, built.paths = dir, map[string]string{}
	}
	path := filepath.Join(built.dir, file)
	out, err := exec.Command("go", append(append([]string{"build"}, flags...), "-o", path, "./"+name)...).CombinedOutput()
	if err != nil {
		t.Fatalf("go build %s: %v\n%s", name, err, out)
	}
	built.paths[name] = path
	return path
}

func embedpy(t *testing.T) string { return build(t, "embedpy", "embedpy") }

// run returns what the command printed; env replaces single variables ("NAME=" removes one).
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	out, err := try(env, name, args...)
	if err != nil {
		t.Fatalf("%s %q with %v: %v\n%s", name, args, env, err, out)
	}
	return out
}

// Variables that would decide what a test wants to decide, or that belong to the tests.
var ours = []string{"LANG", "LC_", "PYTHON", "VIRTUAL_ENV", "EMBEDPY_"}

func try(env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	for _, v := range os.Environ() {
		keep := true
		for _, prefix := range ours {
			keep = keep && !strings.HasPrefix(v, prefix)
		}
		if keep {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		return stdout.String() + stderr.String(), err
	}
	return stdout.String(), nil
}

// forEach runs a test with every supported Python of this machine.
func forEach(t *testing.T, test func(t *testing.T, python string)) {
	tested := 0
	for _, python := range Pythons() {
		version := run(t, nil, python, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3], sys.hexversion >= 0x3080000)")
		name, supported, _ := strings.Cut(strings.TrimSpace(version), " ")
		if supported != "True" {
			continue
		}
		tested++
		t.Run(name+strings.ReplaceAll(filepath.Dir(python), "/", "_"), func(t *testing.T) { test(t, python) })
	}
	if tested == 0 {
		t.Skip("no Python 3.8 or later on this machine")
	}
}

// forEachEmbeddable leaves out those without a shared libpython: there the binary runs the package instead.
func forEachEmbeddable(t *testing.T, test func(t *testing.T, python string)) {
	forEach(t, func(t *testing.T, python string) {
		if i, err := cpy.Locate(python, "", "", nil); err != nil || i.Library == "" {
			t.Skip("this Python has no shared libpython")
		}
		test(t, python)
	})
}

// Everything by which a program can tell one Python from another, or its settings, a line each.
const describe = `
import sys, os, locale, signal, site, json
def show(name, value):
    print(name, ascii(value))
show("path", [p for p in sys.path if p])
for name in ("version", "executable", "_base_executable", "prefix", "base_prefix", "exec_prefix", "base_exec_prefix",
             "platlibdir", "abiflags", "flags", "dont_write_bytecode", "pycache_prefix", "warnoptions", "_xoptions"):
    show(name, getattr(sys, name, None))
show("fs", (sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()))
for f in (sys.stdin, sys.stdout, sys.stderr):
    show(f.name, (f.encoding, f.errors, f.line_buffering))
show("locale", [locale.setlocale(c) for c in (locale.LC_CTYPE, locale.LC_NUMERIC, locale.LC_TIME)])
show("preferred", locale.getpreferredencoding(False))
show("environ", {k: v for k, v in os.environ.items() if k[:3] in ("LC_", "LAN", "PYT")})
show("signals", [signal.getsignal(s) for s in (signal.SIGPIPE, signal.SIGXFSZ)])
show("site", (site.ENABLE_USER_SITE, "site" in sys.modules))
if os.environ.get("PYTHONHASHSEED", "random") != "random":
    show("hash", hash("gowsgi"))
import tracemalloc, faulthandler, gc
show("debug", (tracemalloc.is_tracing(), faulthandler.is_enabled(), gc.isenabled(), gc.get_threshold()))
import threading
show("main thread", threading.current_thread() is threading.main_thread())
`

func TestStartIsLikePython(t *testing.T) {
	helper := embedpy(t)
	package1 := t.TempDir()
	forEachEmbeddable(t, func(t *testing.T, python string) {
		for _, env := range [][]string{
			{},
			{"LANG=C"},
			{"LANG=C.UTF-8"},
			{"LC_ALL=C"},
			{"LC_ALL=C.UTF-8"},
			{"LC_CTYPE=POSIX"},
			{"LANG=xx_XX.nonsense"},
			{"LANG=C", "PYTHONUTF8=0"},
			{"LANG=C", "PYTHONCOERCECLOCALE=0"},
			{"LANG=C", "PYTHONCOERCECLOCALE=0", "PYTHONUTF8=0"},
			{"LANG=C.UTF-8", "PYTHONUTF8=1"},
			{"PYTHONHASHSEED=17"},
			{"PYTHONHASHSEED=random"},
			{"PYTHONDEVMODE=1"},
			{"PYTHONNOUSERSITE=1"},
			{"PYTHONSAFEPATH=1"},
			{"PYTHONOPTIMIZE=2", "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1"},
			{"PYTHONPATH=" + package1, "PYTHONWARNINGS=error"},
			{"PYTHONIOENCODING=latin-1:replace", "PYTHONPYCACHEPREFIX=/nowhere"},
			{"PYTHONTRACEMALLOC=2", "PYTHONFAULTHANDLER=1"},
		} {
			want := run(t, env, python, "-c", describe)
			got := run(t, env, helper, python, describe)
			if got != want {
				t.Errorf("with %v:\n%s", env, difference(want, got))
			}
		}
	})
}

func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out strings.Builder
	for i := 0; i < len(w) || i < len(g); i++ {
		a, b := "(nothing)", "(nothing)"
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			out.WriteString("python: " + a + "\ngowsgi: " + b + "\n")
		}
	}
	return out.String()
}

func TestStartArgv(t *testing.T) {
	helper := embedpy(t)
	forEachEmbeddable(t, func(t *testing.T, python string) {
		got := run(t, []string{"LC_ALL=C.UTF-8"}, helper, python,
			"import sys; print(ascii(sys.argv), getattr(sys, 'orig_argv', sys.argv) == sys.argv)", "a b", "", "\xc3\xa9\xff")
		if want := `['gowsgi', 'a b', '', '\xe9\udcff'] True` + "\n"; got != want {
			t.Errorf("sys.argv is %s", got)
		}
	})
}

// Extension modules take the API from the process: libpython must be global.
func TestStartExtensionModules(t *testing.T) {
	helper := embedpy(t)
	forEachEmbeddable(t, func(t *testing.T, python string) {
		run(t, nil, helper, python, "import _socket, _json, _struct, select, mmap, array, math, zlib")
	})
}

func TestStartTwice(t *testing.T) {
	helper := embedpy(t)
	forEachEmbeddable(t, func(t *testing.T, python string) {
		out, err := try([]string{"EMBEDPY_TWICE=1"}, helper, python, "")
		if err == nil || !strings.Contains(out, "Python was already started in this process") {
			t.Errorf("a second start: %v, %s", err, out)
		}
	})
}

func TestStartInVenv(t *testing.T) {
	helper := embedpy(t)
	forEachEmbeddable(t, func(t *testing.T, python string) {
		venv := filepath.Join(t.TempDir(), "v")
		if out, err := try(nil, python, "-m", "venv", "--without-pip", venv); err != nil {
			t.Skipf("this Python makes no virtual environments: %s", out)
		}
		inside := filepath.Join(venv, "bin", "python")
		dir := strings.TrimSpace(run(t, nil, inside, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
		if err := os.WriteFile(filepath.Join(dir, "only_in_venv.py"), []byte("where = __file__\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		code := describe + "import only_in_venv; print(only_in_venv.where)\n"
		want, got := run(t, nil, inside, "-c", code), run(t, nil, helper, inside, code)
		if got != want {
			t.Errorf("in a virtual environment:\n%s", difference(want, got))
		}
	})
}

// Output is flushed and atexit runs, as at the end of any Python program.
func TestFinish(t *testing.T) {
	helper := embedpy(t)
	forEachEmbeddable(t, func(t *testing.T, python string) {
		got := run(t, nil, helper, python, "import atexit; atexit.register(print, 'end'); print('begin', end=' ')")
		if got != "begin end\n" {
			t.Errorf("printed %q", got)
		}
	})
}

// extension makes a package gowsgi that is nothing but the shared object, and returns the directory it is in.
func extension(t *testing.T) string {
	t.Helper()
	library := build(t, "extpy", "_gowsgi.so", "-buildmode=c-shared")
	dir := t.TempDir()
	pkg := filepath.Join(dir, "gowsgi")
	if err := os.Mkdir(pkg, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(library, filepath.Join(pkg, "_gowsgi.so")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pkg, "__init__.py"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestExtensionModule(t *testing.T) {
	env := []string{"PYTHONPATH=" + extension(t), "PYTHONWARNINGS=error"}
	forEach(t, func(t *testing.T, python string) {
		got := run(t, env, python, "-c", `
import sys
before = getattr(sys, "_is_gil_enabled", bool)()
import gowsgi._gowsgi as m
print(m.__name__, m.__doc__.split(";")[0], m.__spec__.origin == m.__file__, before == getattr(sys, "_is_gil_enabled", bool)())
assert sys.getrefcount(m) < 1000
`)
		if want := "gowsgi._gowsgi Native part of gowsgi True True\n"; got != want {
			t.Errorf("printed %q", got)
		}
	})
}

// The thread that imports the module has its own timer slack again, which it lent to Go's first thread (sysmon_linux.c).
func TestExtensionGivesTheTimerSlackBack(t *testing.T) {
	const file = "/proc/self/timerslack_ns"
	if _, err := os.Stat(file); err != nil {
		t.Skip(err) // not Linux
	}
	env := []string{"PYTHONPATH=" + extension(t)}
	forEach(t, func(t *testing.T, python string) {
		got := run(t, env, python, "-c", `
slack = lambda: open("`+file+`").read()
before = slack()
import gowsgi._gowsgi
print(slack() == before or (before, slack()))
`)
		if got != "True\n" {
			t.Errorf("printed %q", got)
		}
	})
}

// A child made by fork has no Go runtime: it must be told so, and end.
func TestExtensionAfterFork(t *testing.T) {
	env := []string{"PYTHONPATH=" + extension(t)}
	forEach(t, func(t *testing.T, python string) {
		got := run(t, env, python, "-W", "ignore", "-c", `
import os, sys
import gowsgi._gowsgi
pid = os.fork()
if pid == 0:
    del sys.modules["gowsgi._gowsgi"], gowsgi._gowsgi
    try:
        import gowsgi._gowsgi
    except (ImportError, RuntimeError) as e:
        print(e, flush=True)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
`)
		if !strings.HasPrefix(got, "gowsgi was loaded before this process forked") {
			t.Errorf("the child printed %q", got)
		}
	})
}

// Loaded before a fork by the parent's child only: nothing inherited, so it works.
func TestExtensionLoadedInChild(t *testing.T) {
	env := []string{"PYTHONPATH=" + extension(t)}
	forEach(t, func(t *testing.T, python string) {
		run(t, env, python, "-c", `
import os
pid = os.fork()
if pid == 0:
    try:
        import gowsgi._gowsgi
    except BaseException as e:
        print(e, flush=True)
        os._exit(1)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
`)
	})
}
