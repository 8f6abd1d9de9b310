package cpy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gowsgi/gowsgi/bridge/internal/cpytest"
)

// compile makes a program or library from one line of C.
func compile(t *testing.T, path, source string, flags ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "source.c")
	if err := os.WriteFile(file, []byte(source+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", append([]string{"-o", path, file}, flags...)...).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
}

const (
	libpython = "int Py_BytesMain(int c, char **v) { return 0; } void Py_Initialize(void) {}"
	program   = "int Py_BytesMain(int, char **); int main(int c, char **v) { return Py_BytesMain(c, v); }"
	embedding = "int Py_BytesMain(int, char **); void Py_Initialize(void);" +
		"int main(int c, char **v) { Py_Initialize(); return Py_BytesMain(c, v); }"
	wrapper = "void Py_Initialize(void); int main(void) { Py_Initialize(); return 0; }"
)

// installation makes the files of a Python X.Y, program and library, in dir: linked (to its library, with its directory
// inside), or with a Python of its own.
func installation(t *testing.T, dir, short, source string, linked bool, flags ...string) (python, library string) {
	t.Helper()
	soname := "libpython" + short + ".so.1.0"
	python, library = filepath.Join(dir, "bin", "python"+short), filepath.Join(dir, "lib", soname)
	compile(t, library, libpython, "-shared", "-fPIC", "-Wl,-soname,"+soname)
	for _, name := range []string{"encodings", "lib-dynload"} {
		if err := os.MkdirAll(filepath.Join(dir, "lib", "python"+short, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "lib", "python"+short, "os.py"), "")
	if linked {
		if flags == nil {
			flags = []string{"-Wl,-rpath,$ORIGIN/../lib"}
		}
		compile(t, python, source, append(flags, library)...)
	} else {
		compile(t, python, source, "-rdynamic")
	}
	return python, library
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func TestRecognize(t *testing.T) {
	for _, c := range []struct {
		name, short, source string
		linked              bool
		flags               []string
	}{
		{"linked", "3.11", program, true, nil},
		{"linked, RPATH", "3.8", program, true, []string{"-Wl,--disable-new-dtags,-rpath,/nowhere:$ORIGIN/../lib"}},
		{"linked, free-threaded", "3.13t", program, true, nil},
		{"static", "3.12", libpython + "int main(void) { return 0; }", false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, _ := filepath.EvalSymlinks(t.TempDir())
			python, library := installation(t, dir, c.short, c.source, c.linked, c.flags...)
			venv := filepath.Join(t.TempDir(), "bin", "python")
			link(t, python, venv)
			write(t, filepath.Join(filepath.Dir(filepath.Dir(venv)), "pyvenv.cfg"), "home = "+filepath.Dir(python)+"\nversion = 3\n")
			elsewhere := filepath.Join(t.TempDir(), "snake")
			link(t, python, elsewhere)
			for _, path := range []string{python, venv, elsewhere} {
				i := recognize(path, []string{"PATH=/bin", "PYTHONPATH=/x", "PYTHON_VERSION=3.11.7"})
				if i == nil {
					t.Fatalf("%s is not recognised", path)
				}
				if i.Executable != path || i.Path != path || i.Library != library || i.short() != c.short || i.Version != c.short {
					t.Errorf("%s: %+v", path, i)
				}
			}
		})
	}
}

// This one would not answer, if it were asked.
func TestLocateDoesNotAskWhatItRecognizes(t *testing.T) {
	if !plainEnvironment(os.Environ()) {
		t.Skip("the environment of this test is unusual for a Python")
	}
	dir, _ := filepath.EvalSymlinks(t.TempDir())
	python, library := installation(t, dir, "3.11", program, true)
	if _, err := examine(python); err == nil {
		t.Fatal("it answered")
	}
	if i, err := Locate(python, "", "", nil); err != nil || i.Library != library {
		t.Errorf("got %+v, %v", i, err)
	}
}

// What is unusual has to be asked.
func TestRecognizeDoubts(t *testing.T) {
	static := libpython + "int main(void) { return 0; }"
	for _, c := range []struct {
		name, short, source string
		linked              bool
		change              func(t *testing.T, dir, python string)
		environ             string
	}{
		{"another home for Python", "3.11", program, true, nil, "PYTHONHOME=/usr"},
		{"UTF-8 mode by wish", "3.11", program, true, nil, "PYTHONUTF8=1"},
		{"a library path", "3.11", program, true, nil, "LD_LIBRARY_PATH=/lib"},
		{"a preloaded library", "3.11", program, true, nil, "LD_PRELOAD=/lib/x.so"},
		{"too old", "3.7", program, true, nil, ""},
		{"unknown yet", "3.15", program, true, nil, ""},
		{"unknown yet, static", "3.15", static, false, nil, ""},
		{"another program with Python in it", "3.11", embedding, true, nil, ""},
		{"another program of this name", "3.11", wrapper, true, nil, ""},
		{"static without Python", "3.11", "int main(void) { return 0; }", false, nil, ""},
		{"no standard library", "3.11", program, true, func(t *testing.T, dir, _ string) {
			remove(t, filepath.Join(dir, "lib", "python3.11", "os.py"))
		}, ""},
		{"no standard library, static", "3.11", static, false, func(t *testing.T, dir, _ string) {
			remove(t, filepath.Join(dir, "lib", "python3.11", "os.py"))
		}, ""},
		{"no library", "3.11", program, true, func(t *testing.T, dir, _ string) {
			remove(t, filepath.Join(dir, "lib", "libpython3.11.so.1.0"))
		}, ""},
		{"no library, static", "3.11", static, false, func(t *testing.T, dir, _ string) {
			remove(t, filepath.Join(dir, "lib", "libpython3.11.so.1.0"))
		}, ""},
		{"two libraries, static", "3.11", static, false, func(t *testing.T, dir, _ string) {
			sharedLibrary(t, filepath.Join(dir, "lib64", "libpython3.11.so.1.0"), "libpython3.11.so.1.0")
		}, ""},
		{"a library of another version", "3.11", program, true, func(t *testing.T, dir, _ string) {
			sharedLibrary(t, filepath.Join(dir, "lib", "libpython3.11.so.1.0"), "libpython3.12.so.1.0")
		}, ""},
		{"libraries for certain processors", "3.11", program, true, func(t *testing.T, dir, _ string) {
			write(t, filepath.Join(dir, "lib", "glibc-hwcaps", "x"), "")
		}, ""},
		{"a build directory", "3.11", program, true, func(t *testing.T, dir, _ string) {
			write(t, filepath.Join(dir, "bin", "pybuilddir.txt"), "")
		}, ""},
		{"an environment of another Python", "3.11", program, true, func(t *testing.T, dir, _ string) {
			write(t, filepath.Join(dir, "pyvenv.cfg"), "home = /usr/bin\n")
		}, ""},
		{"an environment without a home", "3.11", program, true, func(t *testing.T, dir, _ string) {
			write(t, filepath.Join(dir, "bin", "pyvenv.cfg"), "version = 3.11\n")
		}, ""},
		{"a script", "3.11", program, true, func(t *testing.T, _, python string) {
			remove(t, python)
			script(t, python, "exec python3\n")
		}, ""},
		{"a copy", "3.11", static, false, func(t *testing.T, _, python string) {
			if err := os.Rename(python, python+"-copy"); err != nil {
				t.Fatal(err)
			}
			link(t, python+"-copy", python)
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, _ := filepath.EvalSymlinks(t.TempDir())
			python, _ := installation(t, dir, c.short, c.source, c.linked)
			if c.change != nil {
				c.change(t, dir, python)
			}
			if i := recognize(python, []string{"PATH=/bin", c.environ}); i != nil {
				t.Errorf("recognised: %+v", i)
			}
		})
	}
}

func TestRecognizeNeedsAPathInTheProgram(t *testing.T) {
	dir := t.TempDir()
	for _, flags := range [][]string{{"-Wl,-z,now"}, {"-Wl,-rpath,lib"}, {"-Wl,-rpath,$LIB"}} {
		python, _ := installation(t, filepath.Join(dir, strings.Trim(flags[0], "-")), "3.11", program, true, flags...)
		if i := recognize(python, nil); i != nil {
			t.Errorf("with %v recognised: %+v", flags, i)
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// Whatever is recognised says, asked, the same: the Pythons of this machine, in every way to name them.
func TestRecognizedAsAsked(t *testing.T) {
	recognised := 0
	for _, python := range cpytest.Pythons() {
		asked, err := examine(python)
		if err != nil || asked.Library == "" {
			continue
		}
		t.Run(python, func(t *testing.T) {
			dir := t.TempDir()
			paths := []string{python, filepath.Join(dir, "link"), filepath.Join(dir, "other", "bin", "python")}
			for _, path := range paths[1:] {
				link(t, python, path)
			}
			for _, how := range []string{"--symlinks", "--copies"} {
				venv := filepath.Join(dir, "venv"+how)
				if out, err := exec.Command(python, "-m", "venv", "--without-pip", how, venv).CombinedOutput(); err != nil {
					t.Logf("no virtual environment: %s", out)
					continue
				}
				inside := filepath.Join(venv, "bin", "python")
				link(t, inside, filepath.Join(dir, "inside"+how))
				link(t, venv, filepath.Join(dir, "moved"+how))
				paths = append(paths, inside, filepath.Join(dir, "inside"+how), filepath.Join(dir, "moved"+how, "bin", "python"))
			}
			for _, locale := range []string{"C", "POSIX", "C.UTF-8", "xx_XX.nonsense", ""} {
				t.Setenv("LC_ALL", locale)
				for _, path := range paths {
					quick := recognize(path, os.Environ())
					if quick == nil {
						continue
					}
					recognised++
					slow, err := examine(path)
					if err != nil {
						t.Errorf("%s is recognised, but asked: %v", path, err)
						continue
					}
					if quick.Executable != slow.Executable || quick.Library != slow.Library || quick.UTF8Mode != slow.UTF8Mode ||
						quick.HexVersion>>16 != slow.HexVersion>>16 || quick.PipForm != slow.PipForm || quick.Path != slow.Path {
						t.Errorf("%s with LC_ALL=%s:\nrecognised %+v\nasked      %+v", path, locale, quick, slow)
					}
				}
			}
		})
	}
	t.Logf("%d recognised", recognised)
}
