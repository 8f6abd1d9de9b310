package master

// A configuration file is a program in Python. The process that evaluates it is the one that workers are forked from
// afterwards, so that they have all that it has left.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// FileVariable has what a configuration file says, in a worker that was forked from who evaluated it; see File.
const FileVariable = "GOWSGI_FILE"

// StartedInVariable has the directory in which the program was started, in a worker that was forked.
const StartedInVariable = "GOWSGI_STARTED_IN"

// File is a configuration file that is to be evaluated before anything else.
type File struct {
	Location  string            `json:"location"`
	Variables map[string]string `json:"variables"` // those of the environment that the options depend on; workers are told them
	Settings  json.RawMessage   `json:"settings"`  // what it said the first time, which holds until the next SIGHUP
	Environ   []string          `json:"-"`         // the whole environment
	Dir       string            `json:"-"`         // the current directory
}

// IsForked reports whether this process is a worker that was forked with Python in it.
func IsForked() bool {
	p := told()
	return p.worker && p.forked != nil
}

// mostSettings is how much one message can hold, and more than any configuration file says.
const mostSettings = 1 << 20

// Evaluate starts the process and returns what the file says, as python/gowsgi/_config_file.py tells it. It runs on, for
// workers to be forked from it, or until Close. It is killed if ctx is over before it has said that. The error is one sentence.
func (z *Zygote) Evaluate(ctx context.Context) ([]byte, error) {
	how, err := thisProgram(z.File.Dir)
	if err != nil {
		return nil, err
	}
	p, err := launch(z, how)
	if err != nil {
		return nil, err
	}
	z.process = p
	kept := context.AfterFunc(ctx, func() {
		p.kill(unix.SIGKILL)
		_ = p.link.SetReadDeadline(time.Now()) // what the file has started may have the link
	})
	r, err := p.next()
	if !kept() {
		err = ctx.Err()
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("the process that reads the configuration file %s %s", z.File.Location, describe(z.Close()))
	case r.Does == "refused":
		z.Close()
		return nil, errors.New(r.Sentence)
	}
	z.File.Settings = r.Settings
	return r.Settings, nil
}

// Check has the application loaded; the result is the status with which the process has ended, who says what is wrong.
func (z *Zygote) Check() int {
	z.Life = nil
	_ = z.process.send(z.load())
	if _, err := z.process.next(); err == nil {
		_ = z.process.send(order{Do: "end"})
	}
	return z.Close().ExitStatus()
}

// Close ends the process if no workers were forked from it. The result is how it has ended.
func (z *Zygote) Close() (status syscall.WaitStatus) {
	p := z.process
	if p == nil {
		return 0
	}
	z.process = nil
	_ = unix.Shutdown(p.descriptor(), unix.SHUT_WR)
	patience := time.AfterFunc(pastGrace, func() { p.kill(unix.SIGKILL) }) // the file may have started a thread that does not end
	defer patience.Stop()
	_ = p.cmd.Wait()
	_ = p.link.Close()
	status, _ = p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return status
}

// next waits for what the process says.
func (p *zygoteProcess) next() (r report, err error) {
	buf := make([]byte, mostSettings)
	n, err := p.link.Read(buf)
	if err == nil && n == 0 {
		err = os.ErrClosed
	}
	if err == nil {
		err = json.Unmarshal(buf[:n], &r)
	}
	return r, err
}

func (p *zygoteProcess) descriptor() (fd int) {
	if raw, err := p.link.SyscallConn(); err == nil {
		_ = raw.Control(func(number uintptr) { fd = int(number) })
	}
	return fd
}
