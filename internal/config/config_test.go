package config

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/internal/accesslog"
)

var update = flag.Bool("update", false, "rewrite the snapshots in testdata")

func TestDefaults(t *testing.T) {
	want := &Config{
		Bind: []Bind{{"tcp", "127.0.0.1:8000", 0}}, Backlog: 2048, WorkerConnections: 10000, Threads: 1,
		PythonPath: []string{}, Env: []string{}, AccessLogFormat: DefaultAccessLogFormat, ErrorLog: "-", LogLevel: "info", RequestID: "off",
		LimitRequestLine: 4094, LimitRequestFields: 100, LimitRequestFieldSize: 8190, LimitRequestHead: 256 << 10,
		LimitRequestBody: 1 << 30, HeaderMap: "drop", LimitAddressBurst: 20,
		ForwardedAllowIPs: []string{"127.0.0.1", "::1", "unix"}, ForwardedHeaders: forwardedFields[:2], ProxyProtocol: "off",
		ForwardedUntrusted: "pass", ForwarderHeaders: []string{"SCRIPT_NAME", "PATH_INFO"},
		SecureSchemeHeaders: []string{"X-FORWARDED-PROTOCOL=ssl", "X-FORWARDED-PROTO=https", "X-FORWARDED-SSL=on"},
		ProxyAllowIPs:       []string{"127.0.0.1", "::1", "unix"},
		KeepAlive:           75 * time.Second, HeadTimeout: 30 * time.Second, BodyTimeout: time.Minute, BodyMinRate: 240,
		WriteTimeout: time.Minute, LingerTimeout: 2 * time.Second, GracefulTimeout: 30 * time.Second,
		BodyBuffer: 2 << 20, ExpectContinue: "server", ResponseBuffer: 1 << 20, ResponseSpool: 1 << 30,
		ResponseSpoolTotal: 1 << 30, BodySpoolTotal: 1 << 30, Sendfile: true,
		WebSocketMaxMessage: 1 << 20, WebSocketSendBuffer: 1 << 20, WebSocketPingInterval: 20 * time.Second,
		WebSocketPingTimeout: 20 * time.Second, WebSocketCompression: true,
		SyslogAddress: "udp://localhost:514", SyslogFacility: "user",
		Timeout: 30 * time.Second, ReloadEngine: "auto", ReloadExtraFiles: []string{}, Umask: -1, ServerHeader: "gowsgi", HandoverAfter: time.Millisecond,
	}
	if got := Default(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if DefaultAccessLogFormat != accesslog.DefaultFormat {
		t.Error("config and accesslog have different default formats")
	}
}

// TestTable checks what the compiler cannot: that each row is whole, and that no two rows share a name or a field.
func TestTable(t *testing.T) {
	c := new(Config)
	taken := make(map[string]string)
	claim := func(what, by string) {
		if other, twice := taken[what]; twice {
			t.Errorf("%s belongs to %s and %s", what, other, by)
		}
		taken[what] = by
	}
	fields := make(map[any]string)
	for i := range table {
		o := &table[i]
		claim(o.Name, o.Name)
		for _, name := range o.Aliases {
			claim(name, o.Name)
		}
		for _, f := range o.spellings() {
			claim(f, o.Name)
			if !regexp.MustCompile(`^(-[a-zA-Z]|--[a-z][a-z0-9_-]+)$`).MatchString(f) {
				t.Errorf("%s has the flag %q", o.Name, f)
			}
			if _, both := ofGunicorn[f]; both {
				t.Errorf("%s is an option here and listed as missing", f)
			}
		}
		if _, both := ofGunicorn[o.Name]; both {
			t.Errorf("%s is an option here and listed as missing", o.Name)
		}
		field := o.at(c)
		if other, twice := fields[field]; twice {
			t.Errorf("%s and %s fill the same field", other, o.Name)
		}
		fields[field] = o.Name
		wantField := map[Type][]any{
			Bool: {new(bool)}, Int: {new(int)}, Seconds: {new(time.Duration)}, Size: {new(int), new(int64)},
			Number: {new(float64)}, String: {new(string)}, Enum: {new(string)}, Count: {new(string)}, List: {new([]string)}, Mode: {new(int)}, Addresses: {new([]Bind)},
		}[o.Type]
		found := false
		for _, w := range wantField {
			found = found || reflect.TypeOf(w) == reflect.TypeOf(field)
		}
		if !found {
			t.Errorf("%s has a field of type %T", o.Name, field)
		}
		if o.Type != Bool && o.Metavar == "" || o.Help == "" || !strings.HasSuffix(o.Help, ".") {
			t.Errorf("%s lacks a metavar or a help that ends in a full stop", o.Name)
		}
		if o.Type == Bool && o.Negated != (o.Default == "true") {
			t.Errorf("the switch %s changes nothing", o.Name)
		}
		if !containsGroup(o.Group) {
			t.Errorf("%s is in group %q, which is not shown", o.Name, o.Group)
		}
	}
	v := reflect.ValueOf(c).Elem()
	for i := 0; i < v.NumField(); i++ {
		name := v.Type().Field(i).Name
		if _, filled := fields[addressOf(v.Field(i))]; !filled && !slices.Contains(notOptions, name) {
			t.Errorf("no option fills Config.%s", name)
		}
	}
}

var notOptions = []string{"SocketActivated", "Owned", "Meinheld", "Warnings", "File", "origins"}

func addressOf(v reflect.Value) any {
	return reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Interface()
}

func containsGroup(g Group) bool {
	for _, other := range groups {
		if g == other {
			return true
		}
	}
	return false
}

// TestVersionIsReadable holds the line that setup.py reads in the form it expects.
func TestVersionIsReadable(t *testing.T) {
	source, err := os.ReadFile("config.go")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^const Version = "([^"]+)"$`).FindSubmatch(source)
	if m == nil || string(m[1]) != Version {
		t.Errorf("config.go has no line that says const Version = %q", Version)
	}
}

func TestHelpSnapshot(t *testing.T) {
	var out bytes.Buffer
	for _, args := range [][]string{{"--help"}, {"app:app", "-h", "--nonsense"}} {
		out.Reset()
		_, action, err := Parse(args, environment(nil), nil, &out)
		if err != nil || action != ActionDone {
			t.Fatalf("%v: %v, %v", args, action, err)
		}
		compare(t, "testdata/help.txt", out.String())
	}
	for i, line := range strings.Split(out.String(), "\n") {
		if len(line) > helpWidth {
			t.Errorf("line %d is %d wide: %s", i+1, len(line), line)
		}
	}
}

func TestPrintConfigSnapshot(t *testing.T) {
	c, action, err := Parse(strings.Fields("--print-config -e A=1,2 -e B=3 --keep-alive 0.25 -m 27 --no-sendfile --pythonpath a,b"),
		environment(nil), nil, nil)
	if err != nil || action != ActionPrintConfig {
		t.Fatalf("%v, %v", action, err)
	}
	var out bytes.Buffer
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	compare(t, "testdata/print-config.txt", out.String())
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is out of date, review the difference and run: go test ./internal/config -update\ngot:\n%s", name, got)
	}
}

// TestReferenceIsCurrent fails when a document does not show the options, or gunicorn's settings, as they are.
func TestReferenceIsCurrent(t *testing.T) {
	for _, section := range Sections {
		doc, err := os.ReadFile(filepath.Join("..", "..", section.Document))
		if err != nil {
			t.Fatal(err)
		}
		want, err := section.Insert(string(doc))
		switch {
		case err != nil:
			t.Errorf("%s: %v", section.Document, err)
		case want == string(doc):
		case !strings.Contains(string(doc), section.Begin()):
			t.Errorf("%s has no reference: put %s and %s where it belongs and run: %s",
				section.Document, section.Begin(), section.End(), ReferenceCommand)
		default:
			t.Errorf("the reference in %s is out of date, run: %s", section.Document, ReferenceCommand)
		}
	}
}

func TestInsertReference(t *testing.T) {
	options := Sections[0]
	section := options.Begin() + "\n" + Reference() + options.End()
	tests := []struct{ doc, want string }{
		{"", "## Options\n\n" + section + "\n"},
		{"# x\n", "# x\n\n## Options\n\n" + section + "\n"},
		{"a " + options.Begin() + "old" + options.End() + " b", "a " + section + " b"},
		{"a " + section + " b", "a " + section + " b"},
	}
	for _, test := range tests {
		if got, err := options.Insert(test.doc); err != nil || got != test.want {
			t.Errorf("%q: got %q, %v", test.doc, got, err)
		}
	}
	for _, doc := range []string{options.Begin(), options.End(), options.End() + options.Begin()} {
		if _, err := options.Insert(doc); err == nil {
			t.Errorf("%q was accepted", doc)
		}
	}
	for i := range table {
		for _, f := range table[i].Flags {
			if !strings.Contains(section, "`"+f) {
				t.Errorf("the reference does not mention %s", f)
			}
		}
	}
	for _, line := range strings.Split(section, "\n") {
		if strings.HasPrefix(line, "|") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 5 {
			t.Errorf("not four cells: %s", line)
		}
	}
}
