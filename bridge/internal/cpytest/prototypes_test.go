package cpytest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// pyapi.h declares the Python API by hand. Here every row meets the real headers of every Python on this machine: the
// compiler says whether the two have the same type.

const header = "../cpy/pyapi.h"

// rows returns the macro list of that name, without its first line: the rows as written, and the names in them.
func rows(t *testing.T, text, list string) (names []string) {
	t.Helper()
	_, after, found := strings.Cut(text, "#define "+list+"(X)")
	if !found {
		t.Fatalf("%s has no list %s", header, list)
	}
	body := after
	for i, line := range strings.SplitAfter(after, "\n") {
		if i == 0 {
			body = ""
		}
		body += line
		if !strings.HasSuffix(strings.TrimRight(line, "\n"), "\\") {
			break
		}
	}
	row := regexp.MustCompile(`X\((?:[^,()]*[ *], |[^,()]+, )?(\w+)(?:\)|, )`)
	for _, m := range row.FindAllStringSubmatch(body, -1) {
		names = append(names, m[1])
	}
	if len(names) == 0 {
		t.Fatalf("%s: no rows found in %s", header, list)
	}
	return names
}

// includeDirs finds Python.h files: what the pythons on this machine say, and the system's directory. The variable
// GOWSGI_TEST_INCLUDES, a list like PATH, adds more: unpacked headers need no Python that runs.
func includeDirs(t *testing.T) []string {
	t.Helper()
	var dirs []string
	seen := map[string]bool{}
	add := func(dir string) {
		if real, err := filepath.EvalSymlinks(dir); err == nil && !seen[real] {
			if _, err := os.Stat(filepath.Join(real, "Python.h")); err == nil {
				seen[real] = true
				dirs = append(dirs, real)
			}
		}
	}
	for _, dir := range filepath.SplitList(os.Getenv("GOWSGI_TEST_INCLUDES")) {
		add(dir)
	}
	for _, python := range Pythons() {
		out, err := exec.Command(python, "-c", "import sysconfig; print(sysconfig.get_path('include'))").Output()
		if err == nil {
			add(strings.TrimSpace(string(out)))
		}
	}
	for _, pattern := range []string{"/usr/include/python3*", "/usr/local/include/python3*"} {
		found, _ := filepath.Glob(pattern)
		for _, dir := range found {
			add(dir)
		}
	}
	return dirs
}

func headerVersion(t *testing.T, dir string) (text string, minor int) {
	t.Helper()
	patch, err := os.ReadFile(filepath.Join(dir, "patchlevel.h"))
	if err != nil {
		t.Fatal(err)
	}
	number := func(name string) int {
		m := regexp.MustCompile(`#define ` + name + `\s+(\d+)`).FindSubmatch(patch)
		if m == nil {
			t.Fatalf("%s/patchlevel.h has no %s", dir, name)
		}
		n, _ := strconv.Atoi(string(m[1]))
		return n
	}
	minor = number("PY_MINOR_VERSION")
	return fmt.Sprintf("%d.%d.%d", number("PY_MAJOR_VERSION"), minor, number("PY_MICRO_VERSION")), minor
}

func TestPrototypes(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler named cc on PATH, so nothing can be compared")
	}
	source, err := os.ReadFile(header)
	if err != nil {
		t.Fatal(err)
	}
	dirs := includeDirs(t)
	if len(dirs) == 0 {
		t.Skip("no Python.h on this machine, so nothing can be compared: install python3-dev")
	}
	checked := 0
	for _, dir := range dirs {
		version, minor := headerVersion(t, dir)
		if minor < 8 {
			continue
		}
		checked++
		name := version + strings.ReplaceAll(dir, "/", "_")
		t.Run(name, func(t *testing.T) {
			checkHeaders(t, cc, dir, string(source))
		})
		if minor >= 13 {
			// The same headers with the larger object head; pyconfig.h of a usual build leaves the macro alone.
			t.Run(name+"_free_threaded", func(t *testing.T) {
				checkHeaders(t, cc, dir, string(source), "-DPy_GIL_DISABLED=1")
			})
		}
	}
	if checked == 0 {
		t.Skip("only headers of Pythons below 3.8 on this machine, so nothing can be compared")
	}
}

const includes = "#define GW_PYAPI_CHECK\n#include <Python.h>\n#include <structmember.h>\n"

func checkHeaders(t *testing.T, cc, dir, source string, flags ...string) {
	work := t.TempDir()
	abs, err := filepath.Abs(header)
	if err != nil {
		t.Fatal(err)
	}
	compile := func(mode, text string) (string, error) {
		file := filepath.Join(work, "check.c")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		// The parent too: Debian's pyconfig.h includes another one by its path from there.
		args := append([]string{"-std=gnu11", mode, "-Wall", "-Wno-deprecated-declarations", "-I" + dir, "-idirafter", filepath.Dir(dir)}, flags...)
		out, err := exec.Command(cc, append(args, file)...).CombinedOutput()
		return string(out), err
	}
	expanded, err := compile("-E", includes)
	if err != nil {
		t.Fatalf("Python.h does not compile:\n%s", expanded)
	}
	// Linemarkers are dropped, since file names are words too.
	declared := map[string]bool{}
	for _, line := range strings.Split(expanded, "\n") {
		if !strings.HasPrefix(line, "#") {
			for _, word := range regexp.MustCompile(`\w+`).FindAllString(line, -1) {
				declared[word] = true
			}
		}
	}

	var c strings.Builder
	c.WriteString(includes)
	fmt.Fprintf(&c, "#include %q\n", abs)

	// Functions. Mandatory rows have no way out; an optional one is compared wherever these headers declare it.
	var absent []string
	c.WriteString("#define GW_SAME(ret, name, args) _Static_assert(__builtin_types_compatible_p(__typeof__(name), ret args), #name);\n")
	c.WriteString("#define GW_X(ret, name, args) GW_SAME(ret, name, args)\nGW_PYAPI_FUNCS(GW_X)\nGW_PYAPI_SIZET(GW_X)\n#undef GW_X\n")
	for _, name := range rows(t, source, "GW_PYAPI_OPTIONAL") {
		if declared[name] {
			fmt.Fprintf(&c, "#define GW_IF_%s(...) GW_SAME(__VA_ARGS__)\n", name)
		} else {
			fmt.Fprintf(&c, "#define GW_IF_%s(...)\n", name)
			absent = append(absent, name)
		}
	}
	c.WriteString("#define GW_X(ret, name, args) GW_IF_##name(ret, name, args)\nGW_PYAPI_OPTIONAL(GW_X)\n#undef GW_X\n")
	t.Logf("not declared here: %s", strings.Join(absent, " "))

	// Data.
	c.WriteString("#define GW_X(name) _Static_assert(__builtin_types_compatible_p(__typeof__(name), PyTypeObject), #name);\nGW_PYAPI_TYPES(GW_X)\n#undef GW_X\n")
	c.WriteString("#define GW_X(name) _Static_assert(__builtin_types_compatible_p(__typeof__(name), PyObject *), #name);\nGW_PYAPI_EXCEPTIONS(GW_X)\n#undef GW_X\n")
	c.WriteString("#define GW_X(name) _Static_assert(sizeof(name) >= sizeof(PyObject), #name);\nGW_PYAPI_SINGLETONS(GW_X)\n#undef GW_X\n")
	for _, name := range rows(t, source, "GW_PYAPI_INTS") {
		if declared[name] {
			fmt.Fprintf(&c, "_Static_assert(__builtin_types_compatible_p(__typeof__(%s), int), %q);\n", name, name)
		}
	}

	// Constants. The flags are macros, which -E does not show; the preprocessor itself tells.
	// From 3.15 on a slot may have two numbers; ours is the one that all versions take.
	c.WriteString("#ifdef _Py_SLOT_COMPAT_VALUE\n#undef _Py_SLOT_COMPAT_VALUE\n#define _Py_SLOT_COMPAT_VALUE(OLD, NEW) OLD\n#endif\n")
	for _, name := range []string{"MULTIPLE_INTERPRETERS", "GIL"} {
		fmt.Fprintf(&c, "#ifdef Py_mod_%s\n_Static_assert(Py_mod_%s == GW_MOD_%s, \"GW_MOD_%s\");\n#endif\n", strings.ToLower(name), strings.ToLower(name), name, name)
	}
	c.WriteString("#define GW_X(name, value) _Static_assert(name == value, #name);\nGW_PYAPI_CONSTS(GW_X)\n#undef GW_X\n")
	for _, name := range rows(t, source, "GW_PYAPI_FLAGS") {
		fmt.Fprintf(&c, "#ifdef %s\n#define GW_IF_%s(name, value) _Static_assert((size_t)(name) == (size_t)(value), #name);\n#else\n#define GW_IF_%s(...)\n#endif\n", name, name, name)
	}
	// Pasted before the name is expanded, so that the macro's own value is what is compared.
	c.WriteString("#define GW_X(name, value) GW_IF_##name(name, value)\nGW_PYAPI_FLAGS(GW_X)\n#undef GW_X\n")
	c.WriteString("_Static_assert(T_INT == 1 && T_OBJECT_EX == 16 && T_PYSSIZET == 19 && READONLY == 1, \"structmember.h\");\n")

	// Structs: as large, and every field where Python has it.
	for _, s := range []struct{ name, fields string }{
		{"PyMethodDef", "ml_name ml_meth ml_flags ml_doc"},
		{"PyMemberDef", "name type offset flags doc"},
		{"Py_buffer", "buf obj len itemsize readonly ndim format shape strides suboffsets internal"},
		{"PyGetSetDef", "name get set doc closure"},
		{"PyType_Slot", "slot pfunc"},
		{"PyType_Spec", "name basicsize itemsize flags slots"},
		{"PyModuleDef_Slot", "slot value"},
	} {
		fmt.Fprintf(&c, "_Static_assert(sizeof(%s) == sizeof(gw_check_%s), %q);\n", s.name, s.name, s.name)
		for _, field := range strings.Fields(s.fields) {
			fmt.Fprintf(&c, "_Static_assert(offsetof(%s, %s) == offsetof(gw_check_%s, %s), \"%s.%s\");\n", s.name, field, s.name, field, s.name, field)
			fmt.Fprintf(&c, "_Static_assert(sizeof(((%s *)0)->%s) == sizeof(((gw_check_%s *)0)->%s), \"size of %s.%s\");\n", s.name, field, s.name, field, s.name, field)
		}
	}
	fmt.Fprintf(&c, "_Static_assert(sizeof(PyModuleDef) == sizeof(PyObject) + sizeof(gw_module_def_tail), \"PyModuleDef\");\n")
	for _, field := range strings.Fields("m_base.m_init m_base.m_index m_base.m_copy m_name m_doc m_size m_methods m_slots m_traverse m_clear m_free") {
		fmt.Fprintf(&c, "_Static_assert(offsetof(PyModuleDef, %s) == sizeof(PyObject) + offsetof(gw_module_def_tail, %s), \"PyModuleDef.%s\");\n",
			field, strings.TrimPrefix(field, "m_base."), field)
	}

	if out, err := compile("-fsyntax-only", c.String()); err != nil {
		t.Errorf("%s differs from the headers in %s:\n%s", header, dir, out)
	}
}

// A check that cannot fail says nothing: a wrong row must be caught.
func TestPrototypesFindsDifference(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler named cc on PATH, so nothing can be compared")
	}
	for _, dir := range includeDirs(t) {
		if _, minor := headerVersion(t, dir); minor < 8 {
			continue
		}
		text := includes + "_Static_assert(__builtin_types_compatible_p(__typeof__(PyList_Size), int (PyObject *)), \"PyList_Size\");\n"
		file := filepath.Join(t.TempDir(), "wrong.c")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(cc, "-std=gnu11", "-fsyntax-only", "-I"+dir, "-idirafter", filepath.Dir(dir), file).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "PyList_Size") {
			t.Fatalf("a wrong prototype was not noticed: %v\n%s", err, out)
		}
		return
	}
	t.Skip("no Python.h on this machine, so nothing can be compared: install python3-dev")
}
