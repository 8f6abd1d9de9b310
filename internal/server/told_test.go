package server

import "testing"

func TestTakeTold(t *testing.T) {
	tests := []struct {
		options, left string
		want          told
	}{
		{`{}`, `{}`, told{Listen: true}},
		{`{"bind": "x", "threads": 2}`, `{"bind": "x", "threads": 2}`, told{Listen: true}},
		{`{"gowsgi.listen": false, "threads": 2}`, `{"threads":2}`, told{}},
		{`{"gowsgi.like": "meinheld", "big": 12345678901234567890}`, `{"big":12345678901234567890}`, told{Listen: true, Like: "meinheld"}},
		{`["gowsgi.listen"]`, `["gowsgi.listen"]`, told{Listen: true}},
	}
	for _, tt := range tests {
		left, got, err := takeTold(tt.options)
		if err != nil || left != tt.left || got != tt.want {
			t.Errorf("%s: %s, %+v, %v; want %s, %+v", tt.options, left, got, err, tt.left, tt.want)
		}
	}
	if _, _, err := takeTold(`{"gowsgi.listen": 5}`); err == nil {
		t.Error("a number was taken for a switch")
	}
}
