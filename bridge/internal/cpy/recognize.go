package cpy

// #include "embed.h"
import "C"

import (
	"debug/elf"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// Recognising an interpreter by its files. Asking it costs the start of a second Python, 27 of the 70 ms that a start
// took. What is not exactly as a plain build of CPython leaves it, in an environment that changes nothing about it, is
// not recognised, and asked.

// recognize knows of the interpreter at path what Start needs, as ask would tell it: Executable, Library, UTF8Mode, and
// of the version X.Y. Nil: ask.
func recognize(path string, environ []string) *Interpreter {
	if !plainEnvironment(environ) {
		return nil
	}
	program, err := filepath.EvalSymlinks(path)
	if err != nil || !homeIs(path, filepath.Dir(program)) {
		return nil
	}
	file, err := elf.Open(program)
	if err != nil {
		return nil // a script that starts some Python, such as pyenv's
	}
	defer file.Close()
	i := &Interpreter{Path: path, Executable: path, Implementation: "CPython"}
	if here := platforms[runtime.GOARCH]; here.multiarch == "" || here.machine != file.Machine {
		return nil
	}
	needed, err := file.DynString(elf.DT_NEEDED)
	if err != nil {
		return nil
	}
	if soname := onlyLibpython(needed); soname != "" {
		i.Library = i.sharedLibrary(program, file, soname)
	} else {
		i.Library = i.libraryBeside(program, file)
	}
	if i.Library == "" || !libraryFits(i.Library, i.short()) {
		return nil
	}
	i.Version = i.short()
	i.UTF8Mode = int(C.gw_embed_utf8_mode())
	return i
}

type platform struct {
	machine   elf.Machine
	multiarch string
}

var platforms = map[string]platform{
	"amd64": {elf.EM_X86_64, "x86_64-linux-gnu"},
	"arm64": {elf.EM_AARCH64, "aarch64-linux-gnu"},
}

// Variables that neither change which Python starts nor keep it from starting; the last six are for people, set by the
// Docker images of Python.
var plainVariables = map[string]bool{
	"PYTHONPATH": true, "PYTHONUNBUFFERED": true, "PYTHONDONTWRITEBYTECODE": true, "PYTHONNOUSERSITE": true,
	"PYTHONFAULTHANDLER": true,
	"PYTHON_VERSION":     true, "PYTHON_SHA256": true, "PYTHON_PIP_VERSION": true, "PYTHON_SETUPTOOLS_VERSION": true,
	"PYTHON_GET_PIP_URL": true, "PYTHON_GET_PIP_SHA256": true,
}

func plainEnvironment(environ []string) bool {
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		for _, prefix := range []string{"LD_", "PYTHON", "_PYTHON", "__PYVENV"} {
			if strings.HasPrefix(name, prefix) && !plainVariables[name] {
				return false
			}
		}
	}
	return true
}

// homeIs reports whether the interpreter path is in no virtual environment, or in one made for the Python in bin.
func homeIs(path, bin string) bool {
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
		text, err := os.ReadFile(filepath.Join(dir, "pyvenv.cfg"))
		if os.IsNotExist(err) {
			continue
		}
		for _, line := range strings.Split(string(text), "\n") {
			if key, value, found := strings.Cut(line, "="); found && strings.TrimSpace(key) == "home" {
				home, err := filepath.EvalSymlinks(strings.TrimSpace(value))
				return err == nil && home == bin
			}
		}
		return false
	}
	return true
}

// onlyLibpython returns the libpython among the libraries, "" if there is none or more than one.
func onlyLibpython(needed []string) string {
	soname := ""
	for _, name := range needed {
		if strings.Contains(name, "libpython") {
			if soname != "" {
				return ""
			}
			soname = name
		}
	}
	return soname
}

// sharedLibrary is the libpython that the dynamic linker takes for a program that is linked to it, has its directory
// inside, and does nothing but call Py_BytesMain (3.8 and later).
func (i *Interpreter) sharedLibrary(program string, file *elf.File, soname string) string {
	m := sonameVersion.FindStringSubmatch(soname)
	if m == nil || !i.installed(m[1], program) {
		return ""
	}
	imported, err := file.ImportedSymbols()
	if err != nil {
		return ""
	}
	main := false
	for _, symbol := range imported {
		switch {
		case symbol.Name == "Py_BytesMain":
			main = true
		case strings.HasPrefix(symbol.Name, "Py"), strings.HasPrefix(symbol.Name, "_Py"):
			return ""
		}
	}
	if !main {
		return ""
	}
	paths, err := file.DynString(elf.DT_RUNPATH)
	if err == nil && len(paths) == 0 {
		paths, err = file.DynString(elf.DT_RPATH)
	}
	if err != nil || len(paths) != 1 {
		return ""
	}
	for _, dir := range strings.Split(paths[0], ":") {
		dir = strings.NewReplacer("$ORIGIN", filepath.Dir(program), "${ORIGIN}", filepath.Dir(program)).Replace(dir)
		if !filepath.IsAbs(dir) || strings.Contains(dir, "$") {
			return ""
		}
		// Directories for certain processors are looked into first.
		for _, special := range []string{"glibc-hwcaps", "tls", "haswell", "x86_64", "aarch64", "atomics"} {
			if exists(filepath.Join(dir, special)) {
				return ""
			}
		}
		if library, err := filepath.EvalSymlinks(filepath.Join(dir, soname)); err == nil {
			return library
		}
	}
	return ""
}

var programVersion = regexp.MustCompile(`^python(3\.\d+t?)$`)

// libraryBeside is the libpython for a program that has its Python inside, as Debian's: if there is exactly one in the
// places for it.
func (i *Interpreter) libraryBeside(program string, file *elf.File) string {
	m := programVersion.FindStringSubmatch(filepath.Base(program))
	if m == nil || !i.installed(m[1], program) {
		return ""
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return ""
	}
	main := false
	for _, symbol := range symbols {
		main = main || symbol.Name == "Py_BytesMain" && symbol.Section != elf.SHN_UNDEF
	}
	if !main {
		return ""
	}
	found, real := "", ""
	for _, dir := range []string{"lib", "lib64", filepath.Join("lib", platforms[runtime.GOARCH].multiarch)} {
		library := filepath.Join(i.BasePrefix, dir, "libpython"+m[1]+".so.1.0")
		target, err := filepath.EvalSymlinks(library)
		switch {
		case err != nil || target == real:
		case real != "":
			return ""
		default:
			found, real = library, target
		}
	}
	return found
}

// installed takes the version, "3.11" or "3.13t", and looks for the standard library of the installation that program
// belongs to: without it Python does not start.
func (i *Interpreter) installed(short, program string) bool {
	number, threads := strings.CutSuffix(short, "t")
	minor, err := strconv.ParseUint(strings.TrimPrefix(number, "3."), 10, 8)
	// From 3.15 on UTF-8 mode does not depend on the locale (PEP 686).
	if err != nil || minor < MinHexVersion>>16&0xFF || minor > 14 {
		return false
	}
	i.HexVersion = 3<<24 | uint32(minor)<<16
	if threads {
		i.Hints.AbiFlags = "t"
	}
	bin := filepath.Dir(program)
	i.BasePrefix = filepath.Dir(bin)
	if filepath.Base(bin) != "bin" || exists(filepath.Join(bin, "pybuilddir.txt")) {
		return false
	}
	for _, lib := range []string{"lib", "lib64"} {
		dir := filepath.Join(i.BasePrefix, lib, "python"+short)
		if exists(filepath.Join(dir, "os.py")) && exists(filepath.Join(dir, "encodings")) && exists(filepath.Join(dir, "lib-dynload")) {
			return true
		}
	}
	return false
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
