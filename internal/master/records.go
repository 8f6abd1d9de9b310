package master

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// relay lets the process that workers are forked from have the master's records, where they are to go to a logger in Python.
// As long as there is none that takes them, they are written as they would be without it.
type relay struct {
	slog.Handler
	to    *atomic.Pointer[zygoteProcess]
	first *firstRecords
}

// firstRecords are those from before it is known who gets them.
type firstRecords struct {
	mu    sync.Mutex
	holds bool
	held  []slog.Record
}

// record is one for a logger in Python.
type record struct {
	Level   string `json:"level"`
	Message string `json:"message"`
}

func newRelay(log *slog.Logger) (*slog.Logger, relay) {
	r := relay{log.Handler(), new(atomic.Pointer[zygoteProcess]), new(firstRecords)}
	return slog.New(r), r
}

// hold keeps records until release.
func (r relay) hold() {
	r.first.mu.Lock()
	defer r.first.mu.Unlock()
	r.first.holds = true
}

func (r relay) keeps(record slog.Record) bool {
	r.first.mu.Lock()
	defer r.first.mu.Unlock()
	if r.first.holds {
		r.first.held = append(r.first.held, record.Clone())
	}
	return r.first.holds
}

// kept are those that are held.
func (r relay) kept() (all []record) {
	r.first.mu.Lock()
	defer r.first.mu.Unlock()
	for _, each := range r.first.held {
		all = append(all, forPython(each))
	}
	return all
}

// release ends hold. told is how many of them Python has told of; the others are written.
func (r relay) release(told int) {
	r.first.mu.Lock()
	held := r.first.held
	r.first.holds, r.first.held = false, nil
	r.first.mu.Unlock()
	for _, each := range held[min(told, len(held)):] {
		_ = r.Handler.Handle(context.Background(), each)
	}
}

// take makes p the one that gets them, as long as it is there.
func (r relay) take(p *zygoteProcess) {
	p.earlier = r.to.Load()
	for p.earlier != nil && p.earlier.isGone() {
		p.earlier = p.earlier.earlier
	}
	r.to.Store(p)
}

// relayTime is how long a process that is in a hook may keep the master from what it has to do.
const relayTime = 100 * time.Millisecond

// Handle implements slog.Handler.
func (r relay) Handle(ctx context.Context, record slog.Record) error {
	if r.keeps(record) {
		return nil
	}
	p := r.to.Load()
	for p != nil && p.isGone() { // of new workers that could not start; the old ones go on
		p = p.earlier
	}
	if p == nil {
		return r.Handler.Handle(ctx, record)
	}
	text := forPython(record)
	data, err := json.Marshal(order{Do: "log", Level: text.Level, Message: text.Message})
	if err == nil {
		err = p.write(data, nil, relayTime)
	}
	if err != nil {
		return r.Handler.Handle(ctx, record)
	}
	return nil
}

func forPython(r slog.Record) record {
	var text strings.Builder
	text.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		value := fmt.Sprint(a.Value.Resolve().Any())
		if strings.ContainsAny(value, " \"=\n") {
			value = strconv.Quote(value)
		}
		text.WriteString(" " + a.Key + "=" + value)
		return true
	})
	name := r.Level.String()
	if r.Level == slog.LevelWarn {
		name = "WARNING"
	}
	return record{name, text.String()}
}
