package config

import (
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func parseBool(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "true", "yes", "y", "on", "1":
		return true, true
	case "false", "no", "n", "off", "0":
		return false, true
	}
	return false, false
}

func parseInt(s string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	return n, err == nil
}

// parseNumber reads a decimal number; no exponents, hexadecimal, inf or nan.
func parseNumber(s string) (float64, bool) {
	s = strings.TrimSpace(s)
	if strings.Trim(s, "0123456789.-") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// parseMode reads octal, with or without its 0 or 0o in front, as umask and chmod do.
func parseMode(s string) (int64, bool) {
	s = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(s)), "0o")
	n, err := strconv.ParseUint(s, 8, 32)
	return int64(n), err == nil
}

// parseSeconds reads a number of seconds, whole or decimal; ms, s, m and h are understood behind it.
func parseSeconds(s string) (int64, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	unit := time.Second
	for _, u := range []struct {
		suffix string
		unit   time.Duration
	}{{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}} {
		if rest, found := strings.CutSuffix(s, u.suffix); found {
			s, unit = strings.TrimSpace(rest), u.unit
			break
		}
	}
	return parseScaled(s, int64(unit))
}

// parseSize reads a number of bytes; k, m and g (also kb, kib, …) behind it stand for powers of 1024.
func parseSize(s string) (int64, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	unit := int64(1)
	number := strings.TrimSuffix(strings.TrimSuffix(s, "b"), "i")
	if n := len(number) - 1; n >= 0 {
		switch number[n] {
		case 'k':
			unit = 1 << 10
		case 'm':
			unit = 1 << 20
		case 'g':
			unit = 1 << 30
		}
		if unit > 1 {
			number = strings.TrimSpace(number[:n])
		}
	}
	if unit == 1 {
		if strings.HasSuffix(s, "ib") { // "12ib" is nothing
			return 0, false
		}
		return parseInt(strings.TrimSuffix(s, "b"))
	}
	return parseScaled(number, unit)
}

// parseScaled reads a decimal number and multiplies it; whole numbers stay exact.
func parseScaled(s string, unit int64) (int64, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n > math.MaxInt64/unit || n < math.MinInt64/unit {
			return 0, false
		}
		return n * unit, true
	}
	f, ok := parseNumber(s)
	if !ok {
		return 0, false
	}
	return scaleFloat(f, unit)
}

func scaleFloat(f float64, unit int64) (int64, bool) {
	f = math.Round(f * float64(unit))
	if math.IsNaN(f) || math.Abs(f) >= 1<<62 {
		return 0, false
	}
	return int64(f), true
}

// formatSeconds is the shortest decimal number of seconds.
func formatSeconds(ns int64) string {
	return strconv.FormatFloat(float64(ns)/1e9, 'f', -1, 64)
}

func formatSize(n int64) string {
	for _, u := range []struct {
		unit   int64
		suffix string
	}{{1 << 30, "g"}, {1 << 20, "m"}, {1 << 10, "k"}} {
		if n != 0 && n%u.unit == 0 {
			return strconv.FormatInt(n/u.unit, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

// startedIn is the directory that paths are relative to, if it is not the current one any more.
var startedIn string

// StartedIn says where the program was started, before the process goes elsewhere.
func StartedIn(dir string) { startedIn = dir }

// The validators return what is wrong with the value and what to do, or "".

func directoryExists(s string) string {
	if s == "" {
		return ""
	}
	if !filepath.IsAbs(s) {
		s = filepath.Join(startedIn, s)
	}
	info, err := os.Stat(s)
	switch {
	case err != nil:
		return "there is no such directory"
	case !info.IsDir():
		return "it is not a directory"
	}
	return ""
}

func fileExists(s string) string {
	if _, err := os.Stat(s); err != nil {
		return "there is no such file"
	}
	return ""
}

func environmentPair(s string) string {
	if i := strings.IndexByte(s, '='); i < 1 {
		return "give NAME=VALUE"
	}
	return ""
}

func headerValue(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return "give printable ASCII, or nothing to send no such header"
		}
	}
	if strings.TrimSpace(s) != s {
		return "give it without spaces around it"
	}
	return ""
}

func oneLine(s string) string {
	if strings.ContainsAny(s, "\r\n") {
		return "give it on one line"
	}
	return ""
}

func trustedPeer(s string) string {
	if s == "*" || s == "unix" {
		return ""
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return ""
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return "give an address, a network such as 10.0.0.0/8, unix or *"
	case p.Masked() != p:
		return "the network has bits behind its length; did you mean " + p.Masked().String() + "?"
	}
	return ""
}

func forwardedField(s string) string {
	if slices.Contains(forwardedFields, strings.ToLower(s)) {
		return ""
	}
	return "give " + oneOf(forwardedFields)
}

// schemeField is a pair of secure_scheme_headers.
func schemeField(s string) string {
	name, value, found := strings.Cut(s, "=")
	if name, value = strings.TrimSpace(name), strings.TrimSpace(value); !found || name == "" || value == "" {
		return "give the name of a field and its value, as in X-FORWARDED-PROTO=https"
	}
	return ""
}

// mountPath is a value of SCRIPT_NAME.
func mountPath(s string) string {
	if s == "" || s == "/" {
		return ""
	}
	if s[0] != '/' || strings.Contains(s, "//") {
		return "give a path that begins with one slash, such as /app"
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' || strings.IndexByte(`?#"<>\`, s[i]) >= 0 {
			return "give it as it stands in a URL, with %20 for a space and so on"
		}
	}
	return ""
}

// finishMount finds SCRIPT_NAME among the variables that the user sets, where --mount is not given, and takes off the slash
// that it must not end with.
func (c *Config) finishMount() error {
	mount := keywords["mount"]
	given := c.origins[mount] != "" && c.origins[mount] != mount.Env
	for _, pair := range c.Env {
		if value, found := strings.CutPrefix(pair, "SCRIPT_NAME="); found && !given {
			if complaint := mountPath(value); complaint != "" {
				return usagef("the environment variable SCRIPT_NAME does not accept %q: %s", value, complaint)
			}
			c.Mount = value
		}
	}
	c.Mount = strings.TrimRight(c.Mount, "/")
	return nil
}
