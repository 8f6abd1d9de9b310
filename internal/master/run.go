package master

// From a command line to a master that runs.

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/systemd"
	"github.com/gowsgi/gowsgi/reactor"
)

// Wanted reports whether the process is to be a master: workers are asked for, and it is none.
func Wanted(cfg *config.Config) bool {
	if _, worker := parsePlace(os.Getenv(variable), os.Getppid()); worker {
		return false
	}
	return cfg.WorkerCount() > 0
}

// Run is a master's life. dir is where the program was started; listeners are bound, and stay the caller's. zygote has what
// the process is told that loads the application and is forked, nil where each worker loads it. reopen opens the log files
// again. The result is the exit status.
func Run(cfg *config.Config, log *slog.Logger, dir string, listeners []*reactor.Listener, zygote *Zygote, reopen func()) (int, error) {
	how, err := thisProgram(dir)
	if err != nil {
		return config.ExitBoot, err
	}
	files := make([]*os.File, len(listeners))
	for i, ln := range listeners {
		fd, err := unix.FcntlInt(uintptr(ln.FD()), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return config.ExitBoot, fmt.Errorf("a listener cannot be handed over: %w", err)
		}
		files[i] = os.NewFile(uintptr(fd), ln.Addr())
		defer files[i].Close()
	}
	m := newMaster(cfg, log)
	m.reopen = reopen
	m.announcer.manager = systemd.Take()
	m.start = func(age, _ int) (process, error) { return spawn(how, age, files, m.events) }
	if zygote != nil {
		all := &zygotes{told: zygote, how: how, listeners: files, log: log, events: m.events, of: map[int]*zygoteProcess{}}
		m.start, m.over = all.fork, all.over
	}
	return m.run(Signals()), nil
}

func newMaster(cfg *config.Config, log *slog.Logger) *Master {
	return &Master{
		cfg: cfg, log: log, now: time.Now, reopen: func() {}, over: func(int) {},
		want: cfg.WorkerCount(), previous: -1, workers: map[int]*worker{}, events: make(chan event, 64),
	}
}

var errNoProgram = errors.New("how this program was started cannot be found out, so it cannot start workers")
