package master

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// relay lets the process that workers are forked from have the master's records, where they are to go to a logger in Python.
// As long as there is none that takes them, they are written as they would be without it.
type relay struct {
	slog.Handler
	to *atomic.Pointer[zygoteProcess]
}

func newRelay(log *slog.Logger) (*slog.Logger, relay) {
	r := relay{log.Handler(), new(atomic.Pointer[zygoteProcess])}
	return slog.New(r), r
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
	p := r.to.Load()
	for p != nil && p.isGone() { // of new workers that could not start; the old ones go on
		p = p.earlier
	}
	if p == nil {
		return r.Handler.Handle(ctx, record)
	}
	var text strings.Builder
	text.WriteString(record.Message)
	record.Attrs(func(a slog.Attr) bool {
		value := fmt.Sprint(a.Value.Resolve().Any())
		if strings.ContainsAny(value, " \"=\n") {
			value = strconv.Quote(value)
		}
		text.WriteString(" " + a.Key + "=" + value)
		return true
	})
	name := record.Level.String()
	if record.Level == slog.LevelWarn {
		name = "WARNING"
	}
	data, err := json.Marshal(order{Do: "log", Level: name, Message: text.String()})
	if err == nil {
		err = p.write(data, nil, relayTime)
	}
	if err != nil {
		return r.Handler.Handle(ctx, record)
	}
	return nil
}
