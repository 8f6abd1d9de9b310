package accesslog

import (
	"testing"
	"time"
)

func TestLocal(t *testing.T) {
	defer func() {
		UTCOffset = nil
		newestZone.Store(nil)
	}()
	offset, asked := 9*3600, 0
	UTCOffset = func(int64) int { asked++; return offset }
	begin := time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC)
	f, err := Compile("%(t)s")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		after  time.Duration
		offset int
		want   string
		asked  int
	}{
		{0, 9 * 3600, "[01/Feb/2026:08:00:00 +0900]", 1},
		{time.Second / 2, 0, "[01/Feb/2026:08:00:00 +0900]", 1}, // not before the next second
		{time.Second, -5*3600 - 1800, "[31/Jan/2026:17:30:01 -0530]", 2},
		{-time.Hour, -5*3600 - 1800, "[31/Jan/2026:16:30:00 -0530]", 2}, // of a long request
	} {
		offset = tc.offset
		if got := string(f.Append(nil, &Record{Start: begin.Add(tc.after)})); got != tc.want || asked != tc.asked {
			t.Errorf("after %v: %s, asked %d times; want %s, %d", tc.after, got, asked, tc.want, tc.asked)
		}
	}
	r := &Record{Start: begin.Add(time.Second)}
	if n := testing.AllocsPerRun(100, func() { Local(r.Start) }); n > 0 {
		t.Errorf("%v allocations in the same second", n)
	}
}
