package master

// SIGHUP with a configuration file: it is read again, aside, before the new workers are started.

import (
	"context"
	"strings"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/internal/config"
)

// Renewal is what the file says now, and who has evaluated it.
type Renewal struct {
	Config *config.Config
	Zygote *Zygote
}

// reading is one that is under way.
type reading struct {
	cancel context.CancelFunc
	over   chan struct{} // closed when nothing of it is left
	began  time.Time
	again  bool // another HUP has come, and the file may have changed since
	late   bool // the log tells that it takes long

	// What has come since the last HUP, and is to hold after it.
	steps  steps // TTIN and TTOU
	folded bool  // WINCH
}

// hasRead is what comes of it.
type hasRead struct {
	*Renewal
	listening *Listening // what its workers accept from
	from      *Listening // that it was made from
	err       error
}

// discard is for what nobody uses.
func (r hasRead) discard() {
	r.listening.drop(r.from)
	if r.Renewal != nil {
		r.Zygote.Close()
	}
}

// settings are those of one generation: a renewal that comes to nothing is as if it had not been.
type settings struct {
	cfg       *config.Config
	want      int
	zygote    *Zygote
	listening *Listening
}

// readingTime is how long the file may take without a word about it, and without another HUP beginning anew.
const readingTime = 10 * time.Second

// hangUp renews the workers, by what the configuration file says now.
func (m *Master) hangUp() {
	switch {
	case m.stopping:
	case m.read == nil:
		m.renew()
	case m.reading != nil:
		m.reading.again, m.reading.steps, m.reading.folded = true, nil, false
		m.lookAtReading()
	default:
		ctx, cancel := context.WithCancel(context.Background())
		m.reading = &reading{cancel: cancel, over: make(chan struct{}), began: m.now()}
		go m.readAside(ctx, m.reading, m.listening)
	}
}

// readAside reads the file and binds what it names, beside the loop. When ctx is over nobody waits for that.
func (m *Master) readAside(ctx context.Context, about *reading, from *Listening) {
	done := make(chan hasRead, 1)
	go func() {
		defer close(about.over)
		r := hasRead{from: from}
		if r.Renewal, r.err = m.read(ctx); r.err == nil {
			r.listening, r.err = from.bind(r.Config, r.Zygote.As, m.listen)
		}
		if r.err != nil {
			r.discard()
			r.Renewal, r.listening = nil, nil
		}
		done <- r
	}()
	select {
	case r := <-done:
		m.readings <- r
	case <-ctx.Done():
		m.readings <- hasRead{err: ctx.Err()}
		(<-done).discard()
	}
}

// lookAtReading sees to a file that does not come to its end.
func (m *Master) lookAtReading() {
	r := m.reading
	if r == nil || m.now().Sub(r.began) < readingTime {
		return
	}
	switch {
	case r.again:
		r.cancel()
	case !r.late:
		r.late = true
		m.log.Warn("the configuration file is still being read, and everything stays as it is until then; another HUP begins anew",
			"for", m.now().Sub(r.began))
	}
}

// endReading ends the process that reads the file when the server ends.
func (m *Master) endReading() {
	if m.reading == nil {
		return
	}
	m.reading.cancel()
	select {
	case r := <-m.readings:
		r.discard()
	case <-time.After(pastGrace):
	}
	select {
	case <-m.reading.over:
	case <-time.After(pastGrace):
	}
}

// goOnWith goes on with what was read.
func (m *Master) goOnWith(r hasRead) {
	again := m.reading.again || r.err == nil && r.from != m.listening // which has come back, meanwhile
	was := m.reading
	was.cancel()
	m.reading = nil
	switch {
	case m.stopping || again:
		go r.discard()
		if m.hangUp(); m.reading != nil {
			m.reading.steps, m.reading.folded = was.steps, was.folded
		}
	case r.err != nil:
		m.log.Error("the configuration file cannot be used, so everything stays as it is", "error", r.err)
	default:
		if m.previous < 0 {
			m.before = settings{m.cfg, m.want, m.zygote, m.listening}
		}
		m.cfg, m.want, m.zygote = r.Config, was.steps.from(r.Config.WorkerCount()), r.Zygote
		m.title(m.cfg)
		for _, warning := range r.Config.Warnings {
			m.log.Warn(warning)
		}
		if names := r.Config.Differing(m.started, "backlog", "reuse_port", "pidfile", "errorlog", "daemon"); len(names) > 0 {
			m.log.Warn("changes take effect when the server is started again", "settings", strings.Join(names, ", "))
		}
		if r.listening != r.from {
			m.listenOn(r.listening)
			m.log.Info("the configuration file names other addresses; new workers will be listening on " + strings.Join(m.listening.URLs(), ", "))
		}
		if !was.folded || !m.heirs.folded { // else workers are started again when they are wanted, by these settings
			m.renew()
		}
		m.closeUnused()
	}
}

// restore goes back to the settings of the workers that serve.
func (m *Master) restore() {
	if m.before.cfg != nil {
		m.title(m.before.cfg)
		m.cfg, m.want, m.zygote, m.listening = m.before.cfg, m.before.want, m.before.zygote, m.before.listening
	}
}

// as is who the next workers are; started is who the first ones are.
func (m *Master) as(started *syscall.Credential) *syscall.Credential {
	if m.zygote != nil && m.zygote.File != nil {
		return m.zygote.As
	}
	return started
}
