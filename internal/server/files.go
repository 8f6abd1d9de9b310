package server

// The configuration file. A process that workers are forked from afterwards evaluates it (internal/master); such a worker has
// been told what it says.

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/master"
	"github.com/gowsgi/gowsgi/internal/systemd"
)

// Files has configuration files evaluated: Args, Getenv and Reader are for config.Parse.
type Files struct {
	args     []string
	program  func(*config.Config) (*Program, error)
	dir      string
	environ  []string  // as it was at the start, without what a configuration file adds
	children []string  // of it, what children get
	location string    // of the file that was read
	told     *fileTold // in a worker whose parent has evaluated it
	zygote   *master.Zygote
	until    context.Context // how long it may take
}

// fileTold is the content of master.FileVariable.
type fileTold struct {
	Settings  json.RawMessage   `json:"settings"`
	Variables map[string]string `json:"variables"`
}

// NewFiles is for a command line without the program's name. program tells what Python there is.
func NewFiles(args []string, program func(*config.Config) (*Program, error)) *Files {
	f := &Files{args: args, program: program, environ: os.Environ(), children: environForChildren(), until: context.Background()}
	if dir, err := os.Getwd(); err == nil {
		f.dir = dir
	}
	text, dir := os.Getenv(master.FileVariable), os.Getenv(master.StartedInVariable)
	_ = os.Unsetenv(master.FileVariable)
	_ = os.Unsetenv(master.StartedInVariable)
	if !master.IsForked() {
		return f
	}
	config.StartedIn(dir)
	if t := new(fileTold); text != "" && json.Unmarshal([]byte(text), t) == nil {
		f.told = t
	}
	return f
}

// Args is the command line. In a worker it names a file, which may be gone by now.
func (f *Files) Args() []string {
	if f.told == nil {
		return f.args
	}
	return append([]string{"--config", config.DefaultFile}, f.args...)
}

// Getenv is the environment that options depend on. That of a worker has what raw_env and the file have added.
func (f *Files) Getenv(name string) string {
	if f.told != nil && slices.Contains(config.Variables(), name) {
		return f.told.Variables[name]
	}
	for _, kv := range f.environ {
		if n, value, _ := strings.Cut(kv, "="); n == name {
			return value
		}
	}
	return ""
}

// Reader is for config.Parse. A worker whose master has read no file reads none, whatever has come to be there since.
func (f *Files) Reader() config.FileReader {
	if f.told == nil && master.IsWorker() {
		return nil
	}
	return f.Read
}

// Read implements config.FileReader.
func (f *Files) Read(location string, c *config.Config) ([]byte, error) {
	if f.told != nil {
		return f.told.Settings, nil
	}
	f.location = location
	keepFromChildren(f.Getenv, c)
	p, err := f.program(c)
	if err != nil {
		return nil, err
	}
	f.zygote, err = newZygote(p)
	if err != nil {
		return nil, err
	}
	variables := map[string]string{}
	for _, name := range config.Variables() {
		variables[name] = f.Getenv(name)
	}
	f.zygote.File = &master.File{Location: location, Variables: variables, Environ: f.children, Dir: f.dir}
	return f.zygote.Evaluate(f.until)
}

// environForChildren is the environment without what was said to this process alone.
func environForChildren() []string {
	ours := append([]string{detachedVariable, master.FileVariable, master.StartedInVariable}, systemd.Variables...)
	return slices.DeleteFunc(master.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(ours, name)
	})
}

// keepFromChildren keeps the process from having descriptors that are to be listened on.
func keepFromChildren(env func(string) string, c *config.Config) {
	master.KeepFromChildren()
	if fd, err := strconv.Atoi(os.Getenv(detachedVariable)); err == nil {
		unix.CloseOnExec(fd)
	}
	binds, _ := config.FromSystemd(env, os.Getpid())
	for _, b := range append(binds, c.Bind...) {
		if b.Network == "fd" {
			unix.CloseOnExec(b.FD)
		}
	}
}

// take is the process that has read the file, to load the application for all workers, or to fork them only.
func (f *Files) take(cfg *config.Config) (*master.Zygote, error) {
	z := f.zygote
	z.Setup, z.Chdir, z.Umask = pythonSetup(cfg).Text(), cfg.Chdir, cfg.Umask
	if cfg.Preload {
		z.App = cfg.App
	}
	if forHooks(cfg) {
		z.Life = &master.Life{Master: os.Getpid(), App: cfg.App, Settings: cfg.ForHooks()}
	}
	if z.File != nil {
		var err error
		if z.As, err = identityOf(cfg); err != nil {
			return nil, err
		}
	}
	f.zygote = nil
	return z, nil
}

// Close ends the process that has read the file, unless workers are forked from it.
func (f *Files) Close() {
	if f.zygote != nil {
		f.zygote.Close()
		f.zygote = nil
	}
}

// HasRead reports whether a file was evaluated for this process.
func (f *Files) HasRead() bool { return f.zygote != nil }

// Check has the application loaded where the file was evaluated, and tells whether that worked. The result is the status.
func (f *Files) Check(cfg *config.Config) int {
	z, err := f.take(cfg)
	if err != nil {
		return Fail(err, config.ExitUsage)
	}
	z.App = cfg.App
	if status := z.Check(); status != 0 {
		return status
	}
	tellValid(cfg)
	return 0
}

// again reads the file that was read at the start, and everything else with it, until ctx is over.
func (f *Files) again(ctx context.Context) (*master.Renewal, error) {
	next := &Files{args: f.args, program: f.program, dir: f.dir, environ: f.environ, children: f.children, until: ctx}
	defer next.Close()
	if f.location == "" {
		next.args = append([]string{"--config", filepath.Join(f.dir, config.DefaultFile)}, f.args...)
	}
	cfg, _, err := config.Parse(next.args, next.Getenv, next.Read, io.Discard)
	if err != nil {
		return nil, err
	}
	z, err := next.take(cfg)
	if err != nil {
		return nil, err
	}
	return &master.Renewal{Config: cfg, Zygote: z}, nil
}

// newZygote is a process that runs what workers have.
func newZygote(p *Program) (*master.Zygote, error) {
	text, err := bridge.Zygote(p.Interpreter, p.Files, config.Version)
	if err != nil {
		return nil, err
	}
	return &master.Zygote{Told: text, Argv: p.Argv}, nil
}

// tellValid is what --check-config says if all is well.
func tellValid(cfg *config.Config) {
	for _, warning := range cfg.Warnings {
		fmt.Fprintln(os.Stderr, "gowsgi: "+warning)
	}
	fmt.Fprintf(os.Stderr, "gowsgi: the configuration is valid and the application %s can be loaded\n", cfg.App)
}
