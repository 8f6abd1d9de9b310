package master

// What is listened on. The configuration file may name other addresses at a HUP: those that are new are bound before anything else
// happens, and those that are no longer named are closed when the last workers that accept from them are told to stop.

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/spread"
	"github.com/gowsgi/gowsgi/reactor"
)

// Listener is one that workers accept from.
type Listener struct {
	*reactor.Listener
	Bind config.Bind // as the configuration names it

	Owned bool // by the master before this one, which has handed it over: systemd's are not

	file *os.File // for processes that are started
}

// Listening is what those workers accept from that are started with one configuration.
type Listening struct {
	Said []config.Bind // what the configuration says
	All  []*Listener

	shared *os.File // what they share; see internal/spread
}

// NewListening pairs listeners with what they were bound for. One that another master has handed over may be for something else.
func NewListening(said []config.Bind, listeners []*reactor.Listener) (*Listening, error) {
	l, err := newListening(said)
	if err != nil {
		return nil, err
	}
	for i, ln := range listeners {
		b := config.Bind{Network: "fd"} // not what any configuration says
		if len(said) == len(listeners) && mayBe(said[i], ln) {
			b = said[i]
		}
		each, err := newListener(b, ln)
		if err != nil {
			l.drop(nil)
			return nil, err
		}
		l.All = append(l.All, each)
	}
	return l, nil
}

func newListening(said []config.Bind) (*Listening, error) {
	shared, err := spread.New()
	if err != nil { // an old kernel; then they have nothing to share
		shared, err = os.Open(os.DevNull)
	}
	return &Listening{Said: said, shared: shared}, err
}

func mayBe(b config.Bind, ln *reactor.Listener) bool {
	switch {
	case b.Network == "fd":
		return true
	case b.Network != ln.Network():
		return false
	case b.Network == "unix":
		return b.Address == ln.Path()
	}
	port := b.Address[strings.LastIndexByte(b.Address, ':')+1:]
	return port == "0" || port == strconv.Itoa(ln.Port())
}

func newListener(b config.Bind, ln *reactor.Listener) (*Listener, error) {
	fd, err := unix.FcntlInt(uintptr(ln.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("a listener cannot be handed over: %w", err)
	}
	return &Listener{Listener: ln, Bind: b, file: os.NewFile(uintptr(fd), ln.Addr())}, nil
}

func (ln *Listener) close() {
	_ = ln.file.Close()
	_ = ln.Listener.Close()
}

func (l *Listening) files() (all []*os.File) {
	if l != nil {
		for _, ln := range l.All {
			all = append(all, ln.file)
		}
	}
	return all
}

// forWorkers is what they are handed: the listeners, and what they share.
func (l *Listening) forWorkers() []*os.File { return append(l.files(), l.shared) }

// URLs are the addresses.
func (l *Listening) URLs() (urls []string) {
	if l != nil {
		for _, ln := range l.All {
			urls = append(urls, ln.URL())
		}
	}
	return urls
}

func (l *Listening) has(ln *Listener) bool { return l != nil && slices.Contains(l.All, ln) }

// find is one that was bound for b and is not in other; nil if there is none.
func (l *Listening) find(b config.Bind, other *Listening) *Listener {
	for _, ln := range l.All {
		if ln.Bind == b && !other.has(ln) {
			return ln
		}
	}
	return nil
}

// listenFunc binds one address of cfg for workers that are as.
type listenFunc func(b config.Bind, cfg *config.Config, as *syscall.Credential) (*reactor.Listener, error)

// bind is what workers of cfg accept from: those of l that are still wanted, and new ones.
func (l *Listening) bind(cfg *config.Config, as *syscall.Credential, listen listenFunc) (*Listening, error) {
	if l == nil || slices.Equal(l.Said, cfg.Bind) {
		return l, nil
	}
	next, err := newListening(cfg.Bind)
	if err != nil {
		return nil, err
	}
	for _, b := range cfg.Bind {
		ln := l.find(b, next)
		if ln == nil {
			bound, err := listen(b, cfg, as)
			if err == nil {
				ln, err = newListener(b, bound)
			}
			if err != nil {
				next.drop(l)
				return nil, err
			}
		}
		next.All = append(next.All, ln)
	}
	return next, nil
}

// drop closes those that are not in other.
func (l *Listening) drop(other *Listening) {
	if l == nil {
		return
	}
	for _, ln := range l.All {
		if !other.has(ln) {
			ln.close()
		}
	}
	if l != other {
		_ = l.shared.Close()
	}
}

// leaves are the numbers of w's listeners that nobody will accept from when it has stopped: what waits there is its own.
func (m *Master) leaves(w *worker) (numbers []string) {
	if w.listening == nil {
		return nil
	}
	for i, ln := range w.listening.All {
		if ln.Bind.Network != "fd" && !m.othersHave(ln) && !m.keeps(ln, w) {
			numbers = append(numbers, strconv.Itoa(i))
		}
	}
	return numbers
}

// othersHave reports whether another master has ln as well.
func (m *Master) othersHave(ln *Listener) bool { return m.shared() && m.heirs.have.has(ln) }

// keeps reports whether somebody else than w accepts from ln, or will.
func (m *Master) keeps(ln *Listener, w *worker) bool {
	switch {
	case m.listening.has(ln) && !m.stopping:
		return true
	case m.previous >= 0 && m.before.listening.has(ln) && (w == nil || w.generation != m.previous):
		return true
	}
	for _, other := range m.workers {
		if other != w && !other.ready.IsZero() && other.stopBy.IsZero() && other.listening.has(ln) {
			return true
		}
	}
	return false
}

// listenOn has workers that are started from now on accept from these.
func (m *Master) listenOn(l *Listening) {
	m.listening = l
	for _, ln := range l.All {
		if !slices.Contains(m.bound, ln) {
			m.bound = append(m.bound, ln)
		}
	}
}

// closeUnused closes those that all workers have been told to leave. They have them for as long as they need.
func (m *Master) closeUnused() {
	m.bound = slices.DeleteFunc(m.bound, func(ln *Listener) bool {
		if m.keeps(ln, nil) {
			return false
		}
		if m.othersHave(ln) {
			ln.Give()
		}
		ln.close()
		m.log.Info("no longer listening on " + ln.URL())
		return true
	})
}
