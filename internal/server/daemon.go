package server

// --daemon. A Go program cannot fork, so it starts itself once more in a session of its own, and waits at a pipe until that
// process serves: what goes wrong before is still said on the terminal, and the exit status is that process's.

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/master"
)

// detachedVariable is the number of the pipe's end in the process in the background.
const detachedVariable = "GOWSGI_DETACHED"

// WantsDaemon reports whether this process is to start the server in the background.
func WantsDaemon(cfg *config.Config) bool {
	return cfg.Daemon && !master.IsWorker() && !master.IsHeir() && os.Getenv(detachedVariable) == ""
}

// Daemon starts the server in the background. The result is the exit status, 0 when it is up.
func Daemon(cfg *config.Config) int {
	if cfg.SocketActivated {
		return Fail(errors.New("--daemon is not for a service of systemd, which looks after the process that it has started: leave it out"),
			config.ExitUsage)
	}
	up, cmd, err := startDetached()
	if err != nil {
		return Fail(fmt.Errorf("the server cannot be started in the background: %w", err), config.ExitBoot)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	go func() {
		for sig := range signals { // it is in another session, where the terminal's do not go
			_ = cmd.Process.Signal(sig)
		}
	}()
	var word [1]byte
	if n, _ := up.Read(word[:]); n == 1 {
		return 0
	}
	_ = cmd.Wait()
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case status.Signaled():
		return Fail(fmt.Errorf("the server was ended by %s before it was up", unix.SignalName(status.Signal())), config.ExitBoot)
	case status.ExitStatus() == 0:
		return Fail(errors.New("the server was stopped before it was up"), config.ExitBoot)
	}
	return status.ExitStatus()
}

func startDetached() (up *os.File, cmd *exec.Cmd, err error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, nil, err
	}
	if cmd, err = master.Again(dir); err != nil {
		return nil, nil, err
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe", err)
	}
	defer unix.Close(fds[1])
	// Inherited under its own number: those from 3 on may be sockets for fd:// addresses.
	its, err := unix.Dup(fds[1])
	if err != nil {
		return nil, nil, os.NewSyscallError("dup", err)
	}
	defer unix.Close(its)
	cmd.Env = append(os.Environ(), detachedVariable+"="+strconv.Itoa(its))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return os.NewFile(uintptr(fds[0]), "pipe"), cmd, cmd.Start()
}

// takeDetached returns what tells the foreground process that the server is up, if there is one.
func takeDetached() (up func()) {
	fd, err := strconv.Atoi(os.Getenv(detachedVariable))
	_ = os.Unsetenv(detachedVariable)
	if err != nil {
		return func() {}
	}
	unix.CloseOnExec(fd)
	return func() {
		_, _ = unix.Write(fd, []byte{1})
		_ = unix.Close(fd)
	}
}

// streamsAtStart are what the standard streams were when the process was started, or who it was forked from.
var streamsAtStart = [3]string{streamOf(0), streamOf(1), streamOf(2)}

// streamOf tells a stream from others, in the words of python/gowsgi/_zygote.py; "": it is closed.
func streamOf(fd int) string {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", st.Dev, st.Ino, st.Rdev)
}

// streamsToLeave is how many of them a daemon leaves, from standard input on. What is captured is not the terminal, but may
// be the same file.
func streamsToLeave(cfg *config.Config) int {
	if cfg.KeepStdio || forked() != nil && cfg.Captures() {
		return 1
	}
	return 3
}

// leaveTerminal gives a daemon, which serves from now on, nothing to read and nobody to write to. Its logs follow.
func leaveTerminal(cfg *config.Config, log *slog.Logger, others ...func() error) {
	if !cfg.Daemon {
		return
	}
	fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		log.Warn("/dev/null cannot be opened, so the terminal is kept", "error", err)
		return
	}
	defer closeFD(fd)
	started := streamsAtStart
	if f := forked(); f != nil {
		started = f.Streams
	}
	for n := range streamsToLeave(cfg) {
		if streamOf(n) == started[n] { // else the application, or who captures its output, has put something there
			_ = unix.Dup2(fd, n)
		}
	}
	if h, ok := log.Handler().(*handler); ok {
		others = append(others, h.w.Follow)
	}
	for _, follow := range others {
		if err := follow(); err != nil {
			log.Warn("a log keeps the terminal", "error", err)
		}
	}
}
