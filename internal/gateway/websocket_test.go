package gateway

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/websocket"
)

// upgrading is a request that may become a WebSocket, begun.
func (r *rig) upgrading() *exchange {
	r.srv.Sockets = websocket.Options{MaxMessage: 1 << 20, SendBuffer: 1 << 20, Count: func(websocket.Counter, int64) {}}
	ask := `{"PATH":"/","host":"x","METHOD":"WEBSOCKET_HANDSHAKE","VERSION":"HTTP/1.1","URI":"/","REMOTE_ADDR":"192.0.2.1"}`
	r.take([]byte(message(7, ask, "accept")))
	return r.offered()
}

func (x *exchange) upgrades(t *testing.T) *socket {
	t.Helper()
	if got := x.Upgrade(bridge.UpgradeRequest{Key: []byte("dGhlIHNhbXBsZSBub25jZQ==")}, true); got <= bridge.WSAgain {
		t.Fatal(got)
	}
	return x.l.socket
}

func (r *rig) says(text string) {
	r.take([]byte(message(7, `{"METHOD":"WEBSOCKET","FLAGS":"0x81"}`, text)))
}

// TestFramesThatNobodyTakes cost what they are, in order, and have an end.
func TestFramesThatNobodyTakes(t *testing.T) {
	r := newRig(t)
	k := r.upgrading().upgrades(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const n = 10000
	for i := range n {
		r.says(fmt.Sprint(i))
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > n*5000 {
		t.Errorf("%d bytes for each frame", used/n)
	}
	for i := range n {
		r.until(t, "the next one comes", func() bool {
			data, _, how := k.Take(false)
			if how == bridge.WSOK && string(data) != fmt.Sprint(i) {
				t.Fatalf("%q instead of %d", data, i)
			}
			return how == bridge.WSOK
		})
	}
	for range 100 {
		r.says(strings.Repeat("x", 100_000))
	}
	if len(k.queue) > 100 {
		t.Error("what was taken is still there")
	}
	if !k.l.isGone() || !strings.Contains(r.log.String(), "faster than the application takes them") {
		t.Error("there is no end to it")
	}
}
