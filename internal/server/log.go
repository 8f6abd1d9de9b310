package server

// The error log: one line a record, in the shape gunicorn's users know: [time] [pid] [LEVEL] message key=value.

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gowsgi/gowsgi/internal/accesslog"
	"github.com/gowsgi/gowsgi/internal/config"
)

const levelCritical = slog.LevelError + 4

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
	return slog.New(&handler{w: w, level: levels[cfg.LogLevel]}), nil
}

type handler struct {
	w     *accesslog.Writer
	level slog.Level
	attrs string
}

func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	name := map[slog.Level]string{slog.LevelWarn: "WARNING", levelCritical: "CRITICAL"}[r.Level]
	if name == "" {
		name = r.Level.String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[%s] [%d] [%s] %s%s", r.Time.Format("2006-01-02 15:04:05 -0700"), os.Getpid(), name, r.Message, h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString(attrText(a))
		return true
	})
	h.w.WriteLine([]byte(b.String()))
	h.w.Flush()
	return nil
}

func attrText(a slog.Attr) string {
	v := a.Value.Resolve()
	text := v.String()
	if v.Kind() == slog.KindDuration {
		text = v.Duration().Round(time.Millisecond).String()
	}
	if strings.ContainsAny(text, " \t\r\n\"=") || text == "" {
		text = strconv.Quote(text)
	}
	return " " + a.Key + "=" + text
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *h
	for _, a := range attrs {
		more.attrs += attrText(a)
	}
	return &more
}

func (h *handler) WithGroup(string) slog.Handler { return h }
