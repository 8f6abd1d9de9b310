package server

// The error log: one line a record, in the shape gunicorn's users know: [time] [pid] [LEVEL] message key=value.

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/accesslog"
	"github.com/gowsgi/gowsgi/internal/config"
)

func init() { accesslog.UTCOffset = bridge.UTCOffset }

const levelCritical = slog.LevelError + 4

// logTime is how long a log that takes nothing may keep who writes to it. Later records wait in memory, and some are lost.
const logTime = 100 * time.Millisecond

// OpenLog opens the error log that cfg asks for.
func OpenLog(cfg *config.Config) (*slog.Logger, error) {
	w, err := accesslog.OpenError(cfg.ErrorLog, nil)
	if err != nil {
		return nil, &config.UsageError{Message: "the error log cannot be opened: " + err.Error() + "; name another file with --error-logfile"}
	}
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warning": slog.LevelWarn, "error": slog.LevelError,
		"critical": levelCritical,
	}
	return slog.New(&handler{w: w, level: levels[cfg.LogLevel], json: cfg.ErrorLogJSON}), nil
}

// closeLog closes the file behind it: a program may run one server after the other.
func closeLog(log *slog.Logger) {
	if h, ok := log.Handler().(*handler); ok {
		accesslog.Within(logTime, func() { _ = h.w.Close() })
	}
}

type handler struct {
	w     *accesslog.Writer
	level slog.Level
	json  bool
	attrs string
}

func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	name := map[slog.Level]string{slog.LevelWarn: "WARNING", levelCritical: "CRITICAL"}[r.Level]
	if name == "" {
		name = r.Level.String()
	}
	var b strings.Builder
	if h.json {
		fmt.Fprintf(&b, `{"time":%q,"level":%q,"pid":%d,"message":%s%s`, accesslog.Local(r.Time).Format("2006-01-02T15:04:05.000Z07:00"), name,
			os.Getpid(), jsonText(r.Message), h.attrs)
	} else {
		fmt.Fprintf(&b, "[%s] [%d] [%s] %s%s", accesslog.Local(r.Time).Format("2006-01-02 15:04:05 -0700"), os.Getpid(), name, r.Message,
			h.attrs)
	}
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString(h.attr(a))
		return true
	})
	if h.json {
		b.WriteByte('}')
	}
	h.w.WriteLine([]byte(b.String()))
	if bridge.HoldsGIL() {
		go h.w.Flush() // nobody waits for a disk with it
	} else {
		accesslog.Within(logTime, h.w.Flush)
	}
	return nil
}

func (h *handler) attr(a slog.Attr) string {
	v := a.Value.Resolve()
	text := v.String()
	if v.Kind() == slog.KindDuration {
		text = v.Duration().Round(time.Millisecond).String()
	}
	if h.json {
		if v.Kind() != slog.KindInt64 {
			text = jsonText(text)
		}
		return "," + jsonText(a.Key) + ":" + text
	}
	if strings.ContainsAny(text, " \"=") || text == "" || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		text = strconv.Quote(text)
	}
	return " " + a.Key + "=" + text
}

func jsonText(text string) string {
	b, err := json.Marshal(text)
	if err != nil { // cannot be
		return `""`
	}
	return string(b)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *h
	for _, a := range attrs {
		more.attrs += h.attr(a)
	}
	return &more
}

func (h *handler) WithGroup(string) slog.Handler { return h }
