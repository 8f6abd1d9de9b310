package gateway

// Request bodies. Small ones come with the head. Larger ones, as Mongrel2 is told: to a file, of which a message says when it is
// begun and another one when it is complete (upload.temp_store); or in pieces, for which it wants credits (upload.stream).
//
// With several handlers the second message may go to another one than the first. So nothing depends on both: who has the first
// sees by the length that the file is complete; where no length is known the second one counts alone.

import (
	"bytes"
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/crew"
	"github.com/gowsgi/gowsgi/internal/mongrel2"
	"github.com/gowsgi/gowsgi/internal/rules"
)

const (
	window    = 256 << 10             // bytes of a body in pieces that may be on their way
	lookAfter = 10 * time.Millisecond // at a file that grows; later and later while it does not
	lookEvery = 320 * time.Millisecond
	maxLength = 1<<31 - 1 // Mongrel2 has its lengths in ints
)

// uploading is the part of exchange that this file is about.
type uploading struct {
	refusal int // the status to answer with; 0: none
	why     string
	retry   time.Duration
	broken  bool // there is no complete head

	file    string // that the body comes by
	opened  bool   // it has been, and its name is removed
	fd      int    // it, open
	size    int64  // of the body; -1: not known
	grows   bool   // the file does
	read    int64  // of the body, by the application
	reading rules.Mutex

	// In pieces; under link.mu.
	pieces  [][]byte
	came    int64
	owed    int64 // credits
	awaited bool  // more is to come
	paid    bool  // the first window is

	collecting

	discards bool // what comes, as it has been answered
	linger   *time.Timer
}

// closeUpload lets go of it.
func (x *exchange) closeUpload() {
	if x.fd >= 0 {
		go closeFile(x.fd) // it frees what it had on the disk, and this may be the thread that leads
	}
	u := &x.uploading
	if u.file != "" && !u.opened { // refused, or the client has gone: else clients could fill the disk
		go x.g.discard(u.file)
	}
	u.refusal, u.why, u.retry, u.broken = 0, "", 0, false
	u.file, u.opened, u.fd, u.size, u.grows, u.read = "", false, -1, 0, false, 0
	u.pieces, u.came, u.owed, u.awaited, u.paid, u.discards = nil, 0, 0, false, false, false
	x.closeCollected()
}

// closeFile closes a file, which may take a disk's time.
var closeFile = func(fd int) { _ = unix.Close(fd) }

func (x *exchange) deny(status int, why string) { x.refusal, x.why = status, why }

// upload finds out what the body is, and makes the head. False: the message was no request, and is done with.
func (x *exchange) upload() bool {
	body := x.message.Body
	x.size = int64(len(body))
	forged := false
	length := x.announced()
	switch byFile := x.start != nil || x.finished != nil; {
	case byFile:
		made := x.starts == 1 && len(body) == 0 && !x.inPieces && length != 0 && string(x.method) != "WEBSOCKET_HANDSHAKE"
		forged = !made || x.finished != nil && !bytes.Equal(x.start, x.finished)
		switch known := length > 0; {
		case !made:
		case !forged && known == (x.finished != nil): // the other message counts
			x.g.hint(&x.message)
			x.g.recycle(x)
			return false
		default: // as well if the request is refused, so that the file is removed
			x.file, x.size, x.grows = string(x.start), max(length, 0), known
		}
	case x.inPieces && !x.isLast:
		x.awaited = true
		x.size, x.came = length, int64(len(body))
		if len(body) > 0 {
			x.pieces = append(x.pieces, body)
		}
	}
	if string(x.method) == "WEBSOCKET_HANDSHAKE" {
		x.method, x.handshake = []byte("GET"), true
		x.size = 0
	}
	if err := x.parse(x.size); err != nil {
		x.broken = true
		status, why := fault(err)
		x.deny(status, why)
		return true
	}
	if x.unfit {
		x.deny(400, "bad header")
		return true
	}
	if x.reserved() {
		x.deny(501, "the method is one of Mongrel2's own")
		return true
	}
	if x.codings > 1 || x.codings > 0 && x.lengths > 0 || x.lengths > 1 || x.misspelled || !x.plain() {
		x.deny(400, "the length of the request body is in doubt")
		return true
	}
	if forged {
		x.deny(400, "the request names a file for its body that Mongrel2 has not made")
		x.complain("a request names a file for its body that Mongrel2 has not made; it is refused", "client", x.addr)
		return true
	}
	if limit := x.g.cfg.LimitRequestBody; limit > 0 && x.size > limit {
		x.deny(413, "the request body is too large")
		return true
	}
	switch {
	case x.awaited:
		x.Req.Body = bridge.BodyStream
	case x.file == "" && x.size > 0:
		x.Req.Body, x.Req.Memory = bridge.BodyMemory, body
	}
	x.refusal, x.why, x.retry = x.g.srv.Admit(&x.Request, x.ip, x.script(), uint32(x.g.srv.Template)+1)
	x.server()
	return true
}

// announced is the length that Mongrel2 has taken the body to have: -1 if its chunks tell, 0 if there is none. Whatever comes to a
// file has one, no bytes beside it, and a name that Mongrel2 has put in the place of all that the client has said of it; so this
// has to be its reading to the letter, or clients could name files: of the first field, by C's strtol.
func (x *exchange) announced() int64 {
	switch {
	case x.lengths == 0 && x.chunkedUpload:
		return -1
	case x.lengths == 0:
		return 0
	}
	text := strings.TrimLeft(string(x.length), " \t\n\v\f\r")
	text = strings.TrimPrefix(text, "+")
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	n, err := strconv.ParseInt(text[:digits], 10, 64)
	if err != nil || n > maxLength {
		return 0
	}
	return n
}

// plain tells whether the Content-Length is one that all read alike.
func (x *exchange) plain() bool {
	return x.lengths == 0 || len(x.length) > 0 && len(x.length) <= 10 && len(bytes.TrimLeft(x.length, "0123456789")) == 0 &&
		(x.announced() > 0 || len(bytes.TrimLeft(x.length, "0")) == 0)
}

// fault is what to answer to a head that is none.
func fault(err error) (status int, why string) {
	var bad *httpparse.Error
	if errors.As(err, &bad) {
		return bad.Status(), bad.Reason
	}
	return 400, ""
}

func (x *exchange) complain(what string, about ...any) {
	if x.g.said.uploads.due() {
		x.g.log.Error(what, about...)
	}
}

// gather waits until the file is complete, and offers the request then. Its own goroutine.
func (x *exchange) gather() {
	l, g := x.l, x.g
	if !x.openFile() {
		x.ready((*crew.Crew).Offer)
		return
	}
	last, since, pause := int64(-1), time.Now(), lookAfter
	for {
		size, err := sizeOf(x.fd)
		switch {
		case err != nil || size >= x.size:
			x.grows = false
			x.ready((*crew.Crew).Offer)
			return
		case size != last:
			last, since, pause = size, time.Now(), lookAfter
		case g.cfg.BodyTimeout > 0 && time.Since(since) > g.cfg.BodyTimeout:
			x.deny(408, "the request body took too long")
			x.ready((*crew.Crew).Offer)
			return
		}
		l.mu.Lock()
		gone, changed := l.gone, l.change()
		l.mu.Unlock()
		if gone {
			l.settle(true) // the application never gets to see it
			return
		}
		select {
		case <-changed:
		case <-time.After(pause):
		}
		pause = min(2*pause, lookEvery)
	}
}

// hint has whoever waits for a file look at it now: it is complete.
func (g *Gateway) hint(m *mongrel2.Message) {
	g.mu.Lock()
	l := g.links[key{g.senders[string(m.Sender)], m.ID}]
	g.mu.Unlock()
	if l != nil {
		l.mu.Lock()
		l.signal()
		l.mu.Unlock()
	}
}

// open prepares the body for the application. On the request's thread. False: it is refused.
func (x *exchange) open() bool {
	if x.file == "" {
		x.begin()
		return x.openCollected()
	}
	ok, size, err := true, int64(0), error(nil)
	x.t.Py.Release() // who leads may have it from the request before
	x.t.Blocking(func() {
		if ok = x.fd >= 0 || x.openFile(); ok && !x.grows {
			size, err = sizeOf(x.fd)
		}
	})
	switch limit := x.g.cfg.LimitRequestBody; {
	case !ok:
		return false
	case x.grows:
		x.Req.Body = bridge.BodyStream
		return true
	case err != nil || limit > 0 && size > limit:
		x.deny(413, "the request body is too large")
		return false
	}
	x.Req.Body, x.Req.BodyFD, x.Req.BodyLen = bridge.BodyFile, x.lend(size), size
	return true
}

// freesMuch is from which size on the end of a file takes time: a GB was 60 ms, with an idle disk.
const freesMuch = 1 << 20

// lend is a descriptor of the file for the bridge, which closes it with the GIL: of a large file a duplicate, so that that is not
// the end of the file.
func (x *exchange) lend(size int64) int {
	if size >= freesMuch {
		if fd, err := unix.FcntlInt(uintptr(x.fd), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			return fd
		}
	}
	fd := x.fd
	x.fd = -1
	return fd
}

// openFile opens the file and removes its name. False: the request is refused.
func (x *exchange) openFile() bool {
	rules.Waits("for a disk")
	path, err := x.g.place(x.file)
	if err == nil {
		x.fd, err = openRegular(path)
	}
	if err != nil {
		x.deny(500, "")
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) { // which may be over soon
			x.deny(503, "")
			x.retry = time.Second
		}
		x.complain(x.g.unreadable(err), "file", cmp.Or(path, x.file), "error", err)
		return false
	}
	x.opened = true
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		x.complain("an upload cannot be removed when it has been opened", "file", path, "error", err)
	}
	return true
}

// unreadable says what to do about an upload that cannot be opened.
func (g *Gateway) unreadable(err error) string {
	switch {
	case errors.Is(err, os.ErrPermission):
		return "an upload cannot be read: run as the user that Mongrel2 runs as, or let it make them readable by upload.temp_store_mode"
	case !errors.Is(err, os.ErrNotExist):
		return "an upload cannot be read"
	case g.cfg.Mongrel2Chroot == "":
		return "an upload is not there: --mongrel2-chroot says which directory is Mongrel2's root, and its files have to be on this machine"
	}
	return "an upload is not there: --mongrel2-chroot has to be Mongrel2's root, with its files, on this machine"
}

// discard removes a file that nobody reads.
func (g *Gateway) discard(file string) {
	path, err := g.place(file)
	if err != nil {
		return
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		_ = os.Remove(path)
	}
}

// place is where a file of Mongrel2's is for us.
func (g *Gateway) place(name string) (string, error) {
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return "", os.ErrPermission
		}
	}
	if g.cfg.Mongrel2Chroot == "" {
		return name, nil
	}
	return filepath.Join(g.cfg.Mongrel2Chroot, name), nil
}

var errNoFile = errors.New("it is no file")

func openRegular(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("open", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		_ = unix.Close(fd)
		return -1, errNoFile
	}
	return fd, nil
}

func sizeOf(fd int) (int64, error) {
	rules.Waits("for a disk")
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return st.Size, err
}

// Read implements request.Client.
func (x *exchange) Read(dst []byte, wait bool) int64 {
	if x.file != "" && !wait { // a disk may be slow
		return bridge.ReadNothing
	}
	if wait {
		x.reading.Lock()
	} else if !x.reading.TryLock() {
		return bridge.ReadNothing
	}
	defer x.reading.Unlock()
	if !wait && x.read < x.stored { // that is read from a disk
		return bridge.ReadNothing
	}
	for {
		n := x.readSome(dst)
		if n != bridge.ReadNothing || !wait {
			if limit := x.g.cfg.LimitRequestBody; n > 0 && limit > 0 && x.read > limit {
				return bridge.ReadBadFrame
			}
			return n
		}
		if n := x.awaitBody(); n != 0 {
			return n
		}
	}
}

func (x *exchange) readSome(dst []byte) int64 {
	if x.file != "" {
		return x.readFile(dst)
	}
	if n := x.readCollected(dst); n != 0 {
		return n
	}
	l := x.l
	l.mu.Lock()
	got := 0
	for got < len(dst) && len(x.pieces) > 0 {
		n := copy(dst[got:], x.pieces[0])
		got += n
		if x.pieces[0] = x.pieces[0][n:]; len(x.pieces[0]) == 0 {
			x.pieces[0] = nil
			x.pieces = x.pieces[1:]
		}
	}
	x.read += int64(got)
	pays := x.owes(int64(got))
	n := int64(got)
	switch {
	case got > 0:
	case !x.awaited:
	case l.gone:
		n = bridge.ReadGone
	default:
		n = bridge.ReadNothing
	}
	l.mu.Unlock()
	if pays > 0 {
		l.pay(pays)
	}
	return n
}

// readFile reads from a file that may grow.
func (x *exchange) readFile(dst []byte) int64 {
	left := x.size - x.read
	if left <= 0 {
		return 0
	}
	rules.Waits("for a disk")
	n, err := unix.Pread(x.fd, dst[:min(int64(len(dst)), left)], x.read)
	switch {
	case err != nil && !errors.Is(err, unix.EINTR):
		return bridge.ReadBadFrame
	case n > 0:
		x.read += int64(n)
		return int64(n)
	case x.l.isGone():
		return bridge.ReadGone
	}
	return bridge.ReadNothing
}

// awaitBody waits for more of the body. 0, or what Read is to return.
func (x *exchange) awaitBody() int64 {
	l := x.l
	l.mu.Lock()
	over, done, changed := x.over, x.waits(), l.change()
	ready := len(x.pieces) > 0 || x.file == "" && !x.awaited || l.gone
	l.mu.Unlock()
	if over {
		return bridge.ReadOver
	}
	if ready {
		return 0
	}
	limit := x.g.cfg.BodyTimeout
	if x.file != "" {
		return x.awaitFile(limit, done)
	}
	x.g.need(1)
	defer x.g.need(-1)
	var expired <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		expired = timer.C
	}
	rules.Waits("for a request body")
	select {
	case <-changed:
	case <-done: // over, or the client has gone: the next look tells
	case <-expired:
		return bridge.ReadStalled
	}
	return 0
}

// awaitFile waits until it has grown. Nobody tells.
func (x *exchange) awaitFile(limit time.Duration, done <-chan struct{}) int64 {
	rules.Waits("for a request body")
	pause := lookAfter
	for since := time.Now(); ; pause = min(2*pause, lookEvery) {
		x.l.mu.Lock()
		changed := x.l.change()
		x.l.mu.Unlock()
		select {
		case <-done:
			return 0
		case <-changed:
		case <-time.After(pause):
		}
		size, err := sizeOf(x.fd)
		switch {
		case err != nil || size > x.read || x.l.isGone():
			return 0
		case limit > 0 && time.Since(since) > limit:
			return bridge.ReadStalled
		}
	}
}

// waits is closed when the waits of calls are over. With link.mu.
func (x *exchange) waits() <-chan struct{} {
	if x.done == nil {
		x.done = make(chan struct{})
	}
	return x.done
}
