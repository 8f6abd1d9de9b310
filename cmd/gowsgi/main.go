// Command gowsgi serves a WSGI application from a Go binary that embeds the user's CPython.
package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/server"
	"github.com/gowsgi/gowsgi/python"
)

// Python's main thread is the process's: main runs on it.
func init() { runtime.LockOSThread() }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	began := time.Now()
	if err := server.InitPoller(); err != nil { // first: anything may want it
		return server.Fail(err, config.ExitBoot)
	}
	if bridge.Begun() {
		if err := bridge.TakeEnviron(); err != nil {
			return server.Fail(err, config.ExitBoot)
		}
	}
	if err := server.Orphaned(); err != nil {
		return server.Fail(err, config.ExitBoot)
	}
	files := server.NewFiles(args, func(cfg *config.Config) (*server.Program, error) { return program(cfg, args) })
	defer files.Close()
	cfg, action, err := config.Parse(files.Args(), files.Getenv, files.Reader(), os.Stdout)
	if err != nil {
		return server.Fail(err, config.ExitUsage)
	}
	switch action {
	case config.ActionDone:
		return 0
	case config.ActionPrintConfig:
		if err := cfg.Print(os.Stdout); err != nil {
			return server.Fail(err, 1)
		}
		return 0
	}
	if action == config.ActionServe && server.WantsInit() {
		return server.Init()
	}
	if action == config.ActionServe && server.WantsDaemon(cfg) {
		files.Close() // the process in the background reads it
		return server.Daemon(cfg)
	}
	if action == config.ActionCheckConfig && files.HasRead() {
		return files.Check(cfg)
	}
	if action == config.ActionServe && server.WantsMaster(cfg) {
		return server.Master(cfg, files)
	}
	if bridge.Begun() {
		return forked(cfg, action, began)
	}
	found, err := locate(cfg)
	if err != nil {
		return server.Fail(err, config.ExitBoot)
	}
	if found.PipForm {
		return execPip(found, args) // which may be a worker's
	}
	if err := server.JoinMaster(cfg); err != nil {
		return server.Fail(err, config.ExitBoot)
	}
	if err := server.Prepare(cfg); err != nil {
		return server.Fail(err, config.ExitUsage)
	}
	bridge.Carry(python.Package, config.Version)
	if err := bridge.Start(found, []string{"gowsgi", cfg.App}); err != nil {
		return server.Fail(err, config.ExitBoot)
	}
	return finish(server.Command(cfg, action, bridge.MainState(), began))
}

// forked goes on in a worker whose Python has started already (bridge/internal/cpy/embed_zygote.c).
func forked(cfg *config.Config, action config.Action, began time.Time) int {
	if err := server.JoinMaster(cfg); err != nil {
		return server.Fail(err, config.ExitBoot)
	}
	bridge.Carry(python.Package, config.Version)
	if err := bridge.Attach(); err != nil {
		return server.Fail(err, config.ExitBoot)
	}
	return finish(server.Command(cfg, action, bridge.MainState(), began))
}

// finish ends Python, and returns the process's status.
func finish(status int) int {
	if !bridge.Finalize() && status == 0 {
		return 120 // Python's own status for output that could not be flushed
	}
	return status
}

// program is what runs Python for workers that are forked.
func program(cfg *config.Config, args []string) (*server.Program, error) {
	found, err := locate(cfg)
	if err != nil {
		return nil, err
	}
	if found.PipForm {
		return &server.Program{Argv: pipForm(found, args)}, nil
	}
	return &server.Program{Interpreter: found, Files: &python.Package}, nil
}

func locate(cfg *config.Config) (*bridge.Interpreter, error) {
	exe, err := os.Executable()
	if err != nil {
		exe = ""
	}
	return bridge.Locate(cfg.Python, os.Getenv("VIRTUAL_ENV"), filepath.Dir(exe), nil)
}

// execPip goes on in an interpreter that cannot be embedded but has the gowsgi package.
func execPip(python *bridge.Interpreter, args []string) int {
	err := syscall.Exec(python.Executable, pipForm(python, args), os.Environ())
	return server.Fail(errors.New("cannot run "+python.Executable+": "+err.Error()), config.ExitBoot)
}

func pipForm(python *bridge.Interpreter, args []string) []string {
	return append([]string{python.Executable, "-m", "gowsgi"}, withoutPython(args)...)
}

// withoutPython drops --python and its value: it has been used.
func withoutPython(args []string) []string {
	var rest []string
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "--python":
			i++
		case len(a) > 9 && a[:9] == "--python=":
		default:
			rest = append(rest, a)
		}
	}
	return rest
}
