package h1

import "golang.org/x/sys/unix"

// flow is what the kernel has counted of a connection's bytes.
type flow struct{ read, written, acknowledged int64 }

// The states of TCP in which the client's FIN has come (net/tcp_states.h), which counts as a byte. After a reset, or the
// application's own shutdown, nothing tells: that may be a byte too many.
const (
	timeWait  = 6
	closeWait = 8
	lastAck   = 9
	closing   = 11
)

// flowOf returns how much has been read from fd and written to it, by whom ever. Not ok: nobody counts, as for a Unix socket.
func flowOf(fd int) (f flow, ok bool) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	for range 5 { // what comes between the two calls is counted by one of them only
		if err != nil {
			return flow{}, false
		}
		before, waits := info.Bytes_received, inQueue(fd)
		if info, err = unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			f.read = int64(info.Bytes_received) - int64(waits)
			if info.Bytes_received == before {
				break
			}
		}
	}
	if err != nil {
		return flow{}, false
	}
	switch info.State {
	case timeWait, closeWait, lastAck, closing:
		f.read--
	}
	f.written = int64(info.Bytes_sent) - int64(info.Bytes_retrans) + int64(info.Notsent_bytes)
	f.acknowledged = int64(info.Bytes_acked)
	return f, true
}

// since returns what has gone in and out after begun. Before Linux 4.19 only what was acknowledged is known.
func (f flow) since(begun flow) (in, out int64) {
	if f.written == 0 {
		return f.read - begun.read, f.acknowledged - begun.acknowledged
	}
	return f.read - begun.read, f.written - begun.written
}

// inQueue returns how much waits in fd to be read.
func inQueue(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	if err != nil {
		return 0
	}
	return n
}
