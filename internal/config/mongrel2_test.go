package config

import (
	"os"
	"strings"
	"testing"
)

func TestParseMongrel2(t *testing.T) {
	for text, want := range map[string][2]Spec{
		"tcp://10.0.0.1:9997":                          {{Endpoint: "tcp://10.0.0.1:9997"}, {Endpoint: "tcp://10.0.0.1:9996"}},
		"tcp://a@[::1]:9997#connect":                   {{Identity: "a", Endpoint: "tcp://[::1]:9997"}, {Identity: "a", Endpoint: "tcp://[::1]:9996"}},
		"tcp://x@*:9997#BIND, ipc://y@/run/m2#connect": {{"x", "tcp://*:9997", true}, {"y", "ipc:///run/m2", false}},
		"ipc://@abstract,ipc:///run/b#bind":            {{"", "ipc://@abstract", false}, {"", "ipc:///run/b", true}},
	} {
		requests, answers, err := ParseMongrel2(text)
		if err != nil || requests != want[0] || answers != want[1] {
			t.Errorf("%s: %+v, %+v, %v", text, requests, answers, err)
		}
	}
	for text, says := range map[string]string{
		"10.0.0.1:9997":               "no place of a ZeroMQ socket",
		"udp://10.0.0.1:9997":         "no place of a ZeroMQ socket",
		"tcp://10.0.0.1":              "no host and port",
		"tcp://*:9997":                "* is for #bind",
		"tcp://:9997":                 "no host and port",
		"tcp://::1:9997":              "in brackets",
		"tcp://h:9997,tcp://i@h:9997": "one place twice",
		"tcp://h:x":                   "port \"x\"",
		"tcp://h:0":                   "port \"0\"",
		"tcp://h:1":                   "where answers go",
		"ipc:///run/m2":               "where answers go",
		"tcp://@h:9997":               "identity of 0 bytes",
		"tcp://h:9997#listen":         "#bind and #connect are known",
		"tcp://h:9997,":               "no place",
		"ipc://,tcp://h:9997":         "no endpoint",
		"ipc://" + strings.Repeat("x", 108) + ",tcp://h:1": "108 bytes",
	} {
		if _, _, err := ParseMongrel2(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestParseDispatcher(t *testing.T) {
	requests, pings, err := ParseDispatcher("tcp://me@10.0.0.1:8888")
	want := [2]Spec{{Identity: "me", Endpoint: "tcp://10.0.0.1:8888"}, {Identity: "me", Endpoint: "tcp://10.0.0.1:8889"}}
	if err != nil || requests != want[0] || pings != want[1] {
		t.Errorf("%+v, %+v, %v", requests, pings, err)
	}
	for text, says := range map[string]string{
		"--mongrel2-dispatcher tcp://h:65535 a":                           "where pings come from",
		"--mongrel2-dispatcher ipc:///run/d a":                            "where pings come from",
		"--mongrel2 tcp://h:9997 tcp://h:9996 a":                          "with a comma and no space",
		"a --mongrel2 tcp://h:9997 tcp://h:9996":                          "with a comma and no space",
		"dispatcher tcp://h:9997 tcp://h:8888":                            "gowsgi m2wsgi-device dispatcher",
		"--mongrel2-chroot . a":                                           "give one of them",
		"--mongrel2-dispatcher h:8888 a":                                  "no place of a ZeroMQ socket",
		"--mongrel2 tcp://h:9997 --mongrel2-dispatcher tcp://h:8888 a":    "exclude each other",
		"--mongrel2-dispatcher tcp://h:8888#bind --workers 2 a":           "only one process can do",
		"--mongrel2-dispatcher tcp://me@h:8888 --workers 2 a":             "only one process can have",
		"--mongrel2-dispatcher tcp://h:8888 --warmup / a":                 "--mongrel2-dispatcher alone listens nowhere",
		"--mongrel2-dispatcher ipc:///run/d,ipc:///run/p --workers 2 a":   "",
		"--mongrel2-dispatcher tcp://me@h:8888 --workers 1 --threads 2 a": "",
	} {
		c, _, err := Parse(strings.Fields(text), func(string) string { return "" }, nil, nil)
		if says == "" {
			if err != nil || len(c.Bind) != 0 {
				t.Errorf("%s: %v", text, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Paths are those of the directory that the server was started in, wherever the application goes.
func TestMongrel2Paths(t *testing.T) {
	c, _, err := Parse(strings.Fields("--mongrel2 ipc://me@m/send,ipc://@recv#bind --mongrel2-chroot . a"), func(string) string { return "" }, nil, nil)
	here, _ := os.Getwd()
	if err != nil || c.Mongrel2Chroot != here {
		t.Errorf("%q, %v", c.Mongrel2Chroot, err)
	}
	requests, answers, err := ParseMongrel2(c.Mongrel2)
	want := [2]Spec{{"me", "ipc://" + here + "/m/send", false}, {"", "ipc://@recv", true}}
	if err != nil || requests != want[0] || answers != want[1] {
		t.Errorf("%v %v, %v", requests, answers, err)
	}
}

func TestMongrel2AndBind(t *testing.T) {
	for text, want := range map[string]int{
		"--mongrel2 tcp://h:9997 app:app":       0,
		"--mongrel2 tcp://h:9997 -b :0 app:app": 1,
		"app:app":                               1,
	} {
		c, _, err := Parse(strings.Fields(text), func(string) string { return "" }, nil, nil)
		if err != nil || len(c.Bind) != want {
			t.Errorf("%s: %v, %v", text, c.Bind, err)
		}
	}
	c, err := FromKeywords(map[string]any{"mongrel2": "tcp://h:9997"})
	if err != nil || len(c.Bind) != 0 {
		t.Errorf("%v, %v", c.Bind, err)
	}
}
