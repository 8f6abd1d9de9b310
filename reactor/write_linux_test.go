package reactor

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestHeadBeforeFile: bytes wait for a small file behind them, to share its packet, and do not wait for a large one. The
// files are empty, so whatever packet has left when Send fails is that of the bytes.
func TestHeadBeforeFile(t *testing.T) {
	for size, packets := range map[int64]uint32{1: 0, corkBelow: 0, corkBelow + 1: 1, 1 << 20: 1} {
		r := newRig(t, &hooks{}, Options{}, ListenOptions{})
		c, _ := r.connect()
		if _, err := c.Send(Piece{Bytes: []byte("head")}, Piece{File: fileOf(t, nil), Len: size}); err == nil {
			t.Fatal("an empty file was taken for a full one")
		}
		info, err := unix.GetsockoptTCPInfo(c.FD(), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			t.Fatal(err)
		}
		if info.Data_segs_out != packets {
			t.Errorf("a file of %d bytes: %d packets before it, want %d", size, info.Data_segs_out, packets)
		}
	}
}
