package config

import (
	"io"
	"reflect"
	"testing"
)

func TestForHooks(t *testing.T) {
	file := func(string, *Config) ([]byte, error) {
		return []byte(`{"path": "conf.py", "settings": {"workers": 3, "threads": 2, "loglevel": "debug"}, "lines": {"workers": [1]}}`), nil
	}
	for _, c := range []struct {
		line []string
		read FileReader
		want map[string]any
	}{
		{nil, nil, map[string]any{"wsgi_app": "a"}},
		{[]string{"--threads", "4", "--timeout", "2", "--keep-alive", "0.5", "-b", "127.0.0.1:80", "-b", "unix:/x", "-e", "A=b=c",
			"--log-syslog", "--statsd-host", "h:1", "--secure-scheme-headers", "X-A=b", "--max-rss", "1m"}, nil,
			map[string]any{"threads": 4, "timeout": int64(2), "keepalive": 0.5, "bind": []string{"127.0.0.1:80", "unix:/x"},
				"raw_env": []string{"A=b=c"}, "syslog": true, "statsd_host": "h:1", "secure_scheme_headers": map[string]string{"X-A": "b"},
				"wsgi_app": "a", "workers": 1}},
		{[]string{"-c", "conf.py", "--threads", "4"}, file, map[string]any{"threads": 4, "wsgi_app": "a", "config": "conf.py", "workers": 3}},
	} {
		cfg, _, err := Parse(append(c.line, "a"), func(string) string { return "" }, c.read, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		got := cfg.ForHooks()
		if c.read == nil && !cfg.LogsByPython() {
			delete(got, "workers")
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %v, want %v", c.line, got, c.want)
		}
	}
}

func TestLoggingByPythonHasAMaster(t *testing.T) {
	for _, line := range [][]string{{"--log-syslog"}, {"--logger-class", "m.C"}, {"--capture-output"}, {"--log-config", "x"}} {
		cfg, _, err := Parse(append(line, "a"), func(string) string { return "" }, nil, io.Discard)
		if err != nil || !cfg.LogsByPython() || cfg.WorkerCount() != 1 {
			t.Errorf("%q: %v, %v", line, cfg, err)
		}
	}
	if cfg, _, _ := Parse([]string{"a"}, func(string) string { return "" }, nil, io.Discard); cfg.LogsByPython() || cfg.WorkerCount() != 0 {
		t.Error("without them there is none")
	}
}
