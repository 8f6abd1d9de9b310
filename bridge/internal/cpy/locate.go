package cpy

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Finding the Python that the binary shall be: an interpreter, chosen as its user would expect, and the shared library
// with the same Python in it. Nothing of Python runs in this process yet: a plain interpreter is recognised by its files
// (recognize.go), any other is asked in a child.

// Interpreter is a Python that was found. If it was recognised, only Path, Executable, UTF8Mode, Library and X.Y of the
// version are known; if it was asked, the rest is in its own words.
type Interpreter struct {
	Path           string `json:"-"`          // as it was chosen; may be a link or a script that starts Executable
	Executable     string `json:"executable"` // sys.executable: what sys.executable shall be here too
	Implementation string `json:"implementation"`
	Version        string `json:"version"`    // "3.11.7"
	HexVersion     uint32 `json:"hexversion"` // sys.hexversion
	Prefix         string `json:"prefix"`
	BasePrefix     string `json:"base_prefix"`
	Debug          bool   `json:"debug"`         // built --with-pydebug
	FreeThreaded   bool   `json:"free_threaded"` // built --disable-gil
	UTF8Mode       int    `json:"utf8_mode"`     // sys.flags.utf8_mode, in our environment
	HasGowsgi      bool   `json:"has_gowsgi"`    // the pip form is installed there

	// Library is the path of the shared libpython. It is empty only if PipForm is set.
	Library string `json:"-"`

	// PipForm says that there is no shared libpython but the pip form is installed: run Executable -m gowsgi.
	PipForm bool `json:"-"`

	Hints libraryHints `json:"hints"`
}

// libraryHints is what an interpreter says about the place of its libpython.
type libraryHints struct {
	Mapped       []string `json:"mapped"` // libraries in its own address space
	InstSoname   string   `json:"instsoname"`
	LdLibrary    string   `json:"ldlibrary"`
	LibDir       string   `json:"libdir"`
	LibPL        string   `json:"libpl"`
	Multiarch    string   `json:"multiarch"`
	AbiFlags     string   `json:"abiflags"`
	EnableShared bool     `json:"enable_shared"`
}

// MinHexVersion is the oldest Python that gowsgi runs: the same number as in pyapi.c.
const MinHexVersion = 0x03080000

// probeMark starts the one line that counts: a sitecustomize may print too.
const probeMark = "gowsgi-probe:"

// probe runs in the interpreter. It must also run in those that are refused: Python 2, PyPy. It is not run isolated
// (-I), since what a Python is depends on its environment; but the empty path entry goes, lest a json.py in the working
// directory be taken.
const probe = `
import sys
sys.path[:] = [p for p in sys.path if p]
import json, platform
hints = {}
answer = {
    "implementation": platform.python_implementation(),
    "version": ".".join(str(n) for n in sys.version_info[:3]),
    "hexversion": sys.hexversion,
    "executable": sys.executable or "",
    "prefix": sys.prefix,
    "hints": hints,
}
if sys.hexversion >= 0x03080000 and answer["implementation"] == "CPython":
    import importlib.util, re, sysconfig
    var = sysconfig.get_config_var
    answer["base_prefix"] = sys.base_prefix
    answer["debug"] = bool(var("Py_DEBUG"))
    answer["free_threaded"] = bool(var("Py_GIL_DISABLED"))
    answer["utf8_mode"] = sys.flags.utf8_mode
    try:
        answer["has_gowsgi"] = importlib.util.find_spec("gowsgi._native") is not None
    except (ImportError, ValueError):
        answer["has_gowsgi"] = False
    for name in ("INSTSONAME", "LDLIBRARY", "LIBDIR", "LIBPL", "MULTIARCH"):
        hints[name.lower()] = str(var(name) or "")
    hints["abiflags"] = getattr(sys, "abiflags", "")
    hints["enable_shared"] = bool(var("Py_ENABLE_SHARED"))
    mapped = []
    try:
        with open("/proc/self/maps", errors="surrogateescape") as maps:
            for line in maps:
                path = line.rstrip("\n").partition("/")
                path = path[1] + path[2]
                if re.search(r"/libpython3\.\d+[a-z]*\.so[^/]*$", path) and path not in mapped:
                    mapped.append(path)
    except OSError:
        pass
    hints["mapped"] = mapped
print("` + probeMark + `" + json.dumps(answer))
`

// probeTimeout bounds the one run of the interpreter; a cold start on a slow disk takes seconds.
const probeTimeout = 60 * time.Second

// Locate finds the interpreter: explicit (a path, or a name on PATH) if given; else that of the virtual environment
// venv; else one beside the executable, in exeDir; else python3 on PATH. The first that exists counts: if gowsgi cannot
// run it, that is an error, and no other is tried. lookPath finds a name on PATH; nil is exec.LookPath.
//
// With a nil error either Library is set, or PipForm is.
func Locate(explicit, venv, exeDir string, lookPath func(string) (string, error)) (*Interpreter, error) {
	if lookPath == nil {
		lookPath = exec.LookPath
	}
	path, err := choose(explicit, venv, exeDir, lookPath)
	if err != nil {
		return nil, err
	}
	if i := recognize(path, os.Environ()); i != nil {
		return i, nil
	}
	return examine(path)
}

// examine asks the interpreter at path, and judges the answer.
func examine(path string) (*Interpreter, error) {
	i, err := ask(path)
	if err != nil {
		return nil, err
	}
	switch {
	case i.Implementation != "CPython":
		return nil, fmt.Errorf("%s is %s %s, and gowsgi runs CPython only", path, i.Implementation, i.Version)
	case i.HexVersion < MinHexVersion:
		return nil, fmt.Errorf("%s is Python %s, and gowsgi needs 3.8 or later", path, i.Version)
	}
	i.Library = findLibrary(i)
	if i.Library == "" {
		if i.HasGowsgi {
			i.PipForm = true
			return i, nil
		}
		return nil, fmt.Errorf("%s (Python %s) has no shared libpython%s: install that library, build Python with "+
			"--enable-shared, or run %s -m pip install . in gowsgi's source directory", path, i.Version, i.short(), i.Executable)
	}
	return i, nil
}

// short is X.Y with the letters that go into file names: "3.11", "3.13t".
func (i *Interpreter) short() string {
	return fmt.Sprintf("%d.%d%s", i.HexVersion>>24, i.HexVersion>>16&0xFF, i.Hints.AbiFlags)
}

func choose(explicit, venv, exeDir string, lookPath func(string) (string, error)) (string, error) {
	if explicit != "" {
		if info, err := os.Stat(explicit); err == nil && info.IsDir() && strings.Contains(explicit, "/") {
			explicit = filepath.Join(explicit, "bin", "python") // a virtual environment
		}
		path, err := lookPath(explicit)
		switch {
		case err == nil:
			return absolute(path), nil
		case errors.Is(err, fs.ErrPermission):
			return "", fmt.Errorf("--python: %s is not an executable file", explicit)
		case strings.Contains(explicit, "/"):
			return "", fmt.Errorf("--python: there is no file %s", explicit)
		}
		return "", fmt.Errorf("--python: there is no %s on PATH", explicit)
	}
	var beside []string
	if venv != "" {
		// An activated environment that was deleted since is no reason to stop.
		beside = append(beside, filepath.Join(venv, "bin", "python"))
	}
	if exeDir != "" {
		beside = append(beside, filepath.Join(exeDir, "python3"), filepath.Join(exeDir, "python"))
	}
	for _, path := range beside {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return absolute(path), nil
		}
	}
	if path, err := lookPath("python3"); err == nil {
		return absolute(path), nil
	}
	return "", errors.New("no python3 was found, neither in VIRTUAL_ENV, nor beside gowsgi, nor on PATH: " +
		"install Python 3.8 or later, or name one with --python")
}

func absolute(path string) string {
	// Not EvalSymlinks: a virtual environment is known by the place of its link.
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

func ask(path string) (*Interpreter, error) {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, "-c", probe)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s did not say its version within %s", path, probeTimeout)
	}
	// Only what is called so is worth a word of why it failed as a Python: ls complains of the program it was given.
	another := !strings.Contains(filepath.Base(path), "py")
	if exit := (*exec.ExitError)(nil); another && errors.As(err, &exit) {
		return nil, noPython(path)
	}
	if err != nil {
		if said := lastLine(stderr.String()); said != "" && len(said) < 300 {
			return nil, fmt.Errorf("%s could not be run as Python: %w: %s", path, err, said)
		}
		return nil, fmt.Errorf("%s could not be run as Python: %w", path, err)
	}
	_, after, found := strings.Cut(stdout.String(), probeMark)
	line, _, _ := strings.Cut(after, "\n")
	i := &Interpreter{Path: path}
	if !found || json.Unmarshal([]byte(line), i) != nil {
		if another {
			return nil, noPython(path)
		}
		return nil, fmt.Errorf("%s does not answer like a Python", path)
	}
	if i.Executable == "" {
		i.Executable = path
	}
	return i, nil
}

func noPython(path string) error {
	return fmt.Errorf("%s is no Python: name an interpreter, or the directory of a virtual environment", path)
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// findLibrary returns the shared libpython of i, or "". What the interpreter itself has loaded comes first; then where
// it was installed; then Debian's directory, where the library is a package of its own and python3 does not use it.
func findLibrary(i *Interpreter) string {
	h := i.Hints
	candidates := append([]string(nil), h.Mapped...)
	var names []string
	for _, name := range []string{h.InstSoname, h.LdLibrary, "libpython" + i.short() + ".so.1.0", "libpython" + i.short() + ".so"} {
		if strings.Contains(name, ".so") {
			names = append(names, name)
		}
	}
	var dirs []string
	if h.LibDir != "" {
		dirs = append(dirs, h.LibDir)
		if h.Multiarch != "" {
			dirs = append(dirs, filepath.Join(h.LibDir, h.Multiarch))
		}
	}
	if i.BasePrefix != "" {
		dirs = append(dirs, filepath.Join(i.BasePrefix, "lib"), filepath.Join(i.BasePrefix, "lib64"))
		if h.Multiarch != "" {
			dirs = append(dirs, filepath.Join(i.BasePrefix, "lib", h.Multiarch))
		}
	}
	if h.LibPL != "" {
		dirs = append(dirs, h.LibPL)
	}
	for _, dir := range dirs {
		for _, name := range names {
			candidates = append(candidates, filepath.Join(dir, name))
		}
	}
	for _, path := range candidates {
		if libraryFits(path, i.short()) {
			return path
		}
	}
	return ""
}

var sonameVersion = regexp.MustCompile(`^libpython(\d+\.\d+[a-z]*)\.so`)

// libraryFits reports whether path is a shared library that calls itself libpython of this version. gw_embed_start asks
// the library itself once more, when it is loaded.
func libraryFits(path, short string) bool {
	file, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	if file.Type != elf.ET_DYN {
		return false
	}
	names, err := file.DynString(elf.DT_SONAME)
	if err != nil || len(names) == 0 {
		// Built without a soname: its file name has to do.
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return false
		}
		names = []string{filepath.Base(real)}
	}
	m := sonameVersion.FindStringSubmatch(names[0])
	return m != nil && m[1] == short
}
