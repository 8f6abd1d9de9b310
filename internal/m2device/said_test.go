package m2device

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/time/rate"
)

func TestNonsenseDoesNotFillTheLog(t *testing.T) {
	var log bytes.Buffer
	s := newSpeaker("dispatcher", &log)
	for range 100000 {
		s.say("a handler sent a message that is not of Mongrel2's form")
	}
	if n := strings.Count(log.String(), "\n"); n < saidAtOnce || n > 20*saidAtOnce {
		t.Errorf("%d lines", n)
	}
	log.Reset()
	s.limit.SetLimit(rate.Inf)
	s.silent = 7
	s.say("handler is here")
	if text := log.String(); !strings.Contains(text, "7 lines were left out") || !strings.HasSuffix(text, "handler is here\n") {
		t.Error(text)
	}
}
