package h1

// Heads that are larger than the block that every connection reads into. Each may have --limit-request-head, so all of them
// together have a bound, too: else as many clients as may be connected could each hold as much, without ever sending a
// request. On the leader, or the thread that owns the connection.

import (
	"sync/atomic"

	"github.com/gowsgi/gowsgi/reactor"
)

// maxLargeHeads is what blocks of large heads may take in all, until their requests are over.
const maxLargeHeads = 64 << 20

type headMemory struct {
	bytes atomic.Int64
	log   sparse
}

// hold counts c's block, beside what every connection may have. False: there is no room for it.
func (s *Server) hold(c *conn) bool {
	more := len(c.buf) - reactor.BufferSize - c.held
	if more <= 0 {
		return true
	}
	c.held += more
	if s.heads.bytes.Add(int64(more)) <= maxLargeHeads {
		return true
	}
	if s.heads.log.due(s.loop.NowNanos()) {
		s.log.Warn("a request is refused: the large heads of requests take too much memory together", "bound",
			bytesText(maxLargeHeads), "peer", c.peer())
	}
	return false
}

// letGo counts a block that hold has counted no more.
func (s *Server) letGo(held *int) {
	if *held > 0 {
		s.heads.bytes.Add(-int64(*held))
		*held = 0
	}
}
