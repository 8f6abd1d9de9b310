package h1

// Temporary space: one bound for what all responses have in files, one for bodies, and never more than half of what the file
// system has for us. Beyond it, and when writing fails, nobody fails: an application that sends waits for its client, and a
// body is handed over as it comes. Any goroutine.

import (
	"cmp"
	"io"
	"math"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/spool"
)

type spaceState struct {
	inResponses, inBodies atomic.Int64 // bytes in temporary files
	measured              atomic.Pointer[spaceMeasured]
	spaceLog              sparse
}

// spaceMeasured is how much of the file system could be used, by what is in use already and what is free.
type spaceMeasured struct {
	at    time.Time
	used  int64 // of it
	whole int64
}

const (
	measureAgain = time.Second
	measureAfter = 16 << 20 // bytes more than then
)

// spaceAllowed is half of that.
func (s *Server) spaceAllowed(used int64) int64 {
	m := s.measured.Load()
	if m == nil || time.Since(m.at) > measureAgain || used-m.used > measureAfter {
		now := &spaceMeasured{at: time.Now(), used: used, whole: math.MaxInt64}
		var fs unix.Statfs_t
		if err := unix.Statfs(cmp.Or(s.cfg.TempDir, os.TempDir()), &fs); err == nil && fs.Blocks > 0 {
			now.whole = used + int64(fs.Bavail)*int64(fs.Bsize)
		}
		s.measured.Store(now)
		m = now
	}
	return m.whole / 2
}

// fits tells whether n bytes more may go to files, of which those that *in counts may be limit (0: any number).
func (s *Server) fits(in *atomic.Int64, limit, n int64) bool {
	if limit > 0 && in.Load()+n > limit {
		return false
	}
	used := s.inResponses.Load() + s.inBodies.Load() + n
	return used <= s.spaceAllowed(used-n)
}

func (s *Server) takeSpace(in *atomic.Int64, limit, n int64) bool {
	if !s.fits(in, limit, n) {
		return false
	}
	in.Add(n)
	return true
}

// Spool is the files for what slow clients do not take of responses; nil if there are to be none.
func (s *Server) Spool() *spool.Source {
	if s.cfg.ResponseSpool == 0 {
		return nil
	}
	return &spool.Source{Open: s.tempFile, Take: s.takeForResponse, Give: s.giveForResponse, Full: s.responseWithout}
}

func (s *Server) takeForResponse(n int64) bool {
	return s.takeSpace(&s.inResponses, s.cfg.ResponseSpoolTotal, n)
}

func (s *Server) giveForResponse(n int64) { s.inResponses.Add(-n) }

func (s *Server) responseWithout(err error) { s.spaceUsedUp(bridge.TallyResponsesUnspooled, err) }

// BodySpool is the files for what comes of bodies by another way than connections.
func (s *Server) BodySpool() *spool.Source {
	return &spool.Source{
		Open: s.tempFile, Take: s.takeForBody, Give: func(n int64) { s.inBodies.Add(-n) },
		Full: func(err error) { s.spaceUsedUp(bridge.TallyBodiesUnspooled, err) },
	}
}

func (s *Server) takeForBody(n int64) bool { return s.takeSpace(&s.inBodies, s.cfg.BodySpoolTotal, n) }

// spaceUsedUp counts a response or body that gets no more of a file, and says so once a minute.
func (s *Server) spaceUsedUp(which int, err error) {
	bridge.Tally(which)
	if !s.spaceLog.due(time.Since(processStart).Nanoseconds() + 1) {
		return
	}
	attrs := []any{"responses", bytesText(s.inResponses.Load()), "bodies", bytesText(s.inBodies.Load())}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	s.log.Warn("there is no more temporary space: applications wait for slow clients, and for the bodies of their requests "+
		"(--temp-dir, --response-spool-total, --body-spool-total)", attrs...)
}

var processStart = time.Now()

// ahead is what had come of a body before it could not be stored any more. The application reads it before what comes yet.
type ahead struct {
	off  int64 // in the file, which has exchange.stored bytes
	mem  int   // in exchange.mem
	tail []byte
}

// goAhead has the request run with a body that is only partly here, data being what came last.
func (x *exchange) goAhead(data []byte) {
	x.ahead = &ahead{tail: append([]byte(nil), data...)}
	x.Req.Body = bridge.BodyStream
}

// readAhead reads of that; 0: it is read.
func (x *exchange) readAhead(dst []byte) (int, error) {
	a := x.ahead
	if a == nil {
		return 0, nil
	}
	if left := x.stored - a.off; left > 0 {
		n, err := pread(x.fileFD, dst[:min(int64(len(dst)), left)], a.off)
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		a.off += int64(max(n, 0))
		return n, err
	}
	if a.mem < len(x.mem.Bytes) {
		n := copy(dst, x.mem.Bytes[a.mem:])
		a.mem += n
		return n, nil
	}
	n := copy(dst, a.tail)
	a.tail = a.tail[n:]
	return n, nil
}

func pread(fd int, dst []byte, off int64) (int, error) {
	for {
		n, err := unix.Pread(fd, dst, off)
		if err != unix.EINTR {
			return n, os.NewSyscallError("pread", err)
		}
	}
}
