package master

// SIGHUP with a configuration file: it is read again, aside, before the new workers are started.

import (
	"strings"
	"syscall"

	"github.com/gowsgi/gowsgi/internal/config"
)

// Renewal is what the file says now, and who has evaluated it.
type Renewal struct {
	Config *config.Config
	Zygote *Zygote
}

// reading is what comes of reading it.
type reading struct {
	*Renewal
	err error
}

// settings are those of one generation: a renewal that comes to nothing is as if it had not been.
type settings struct {
	cfg    *config.Config
	want   int
	zygote *Zygote
}

// hangUp renews the workers, by what the configuration file says now.
func (m *Master) hangUp() {
	switch {
	case m.stopping:
	case m.read == nil:
		m.renew()
	case m.isReading:
		m.readAgain = true // it may have changed since
	default:
		m.isReading = true
		go func() {
			r, err := m.read()
			m.readings <- reading{r, err}
		}()
	}
}

// hasRead goes on with it.
func (m *Master) hasRead(r reading) {
	m.isReading = false
	again := m.readAgain
	m.readAgain = false
	switch {
	case m.stopping || again:
		if r.err == nil {
			go r.Zygote.Close()
		}
		if again {
			m.hangUp()
		}
	case r.err != nil:
		m.log.Error("the configuration file cannot be used, so everything stays as it is", "error", r.err)
	default:
		if m.previous < 0 {
			m.before = settings{m.cfg, m.want, m.zygote}
		}
		m.cfg, m.want, m.zygote = r.Config, r.Config.WorkerCount(), r.Zygote
		for _, warning := range r.Config.Warnings {
			m.log.Warn(warning)
		}
		if names := r.Config.Differing(m.started, "bind", "backlog", "reuse_port", "pidfile", "errorlog", "daemon"); len(names) > 0 {
			m.log.Warn("changes take effect when the server is started again", "settings", strings.Join(names, ", "))
		}
		m.renew()
	}
}

// restore goes back to the settings of the workers that serve.
func (m *Master) restore() {
	if m.before.cfg != nil {
		m.cfg, m.want, m.zygote = m.before.cfg, m.before.want, m.before.zygote
	}
}

// as is who the next workers are; started is who the first ones are.
func (m *Master) as(started *syscall.Credential) *syscall.Credential {
	if m.zygote != nil && m.zygote.File != nil {
		return m.zygote.As
	}
	return started
}
