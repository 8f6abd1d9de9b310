package gateway

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A file may have much on the disk that closing it frees: whoever leads does not wait for that.
func TestTheLeaderClosesNoFile(t *testing.T) {
	closing, goesOn := make(chan int), make(chan struct{})
	defer func(was func(int)) { closeFile = was }(closeFile)
	closeFile = func(fd int) {
		closing <- fd
		<-goesOn
		_ = unix.Close(fd)
	}
	r := newRig(t)
	r.cfg.BodyStreaming = true
	if err := os.WriteFile(r.cfg.Mongrel2Chroot+"/a", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.take([]byte(asks(7, `"x-mongrel2-upload-start":"/a","content-length":"99999","DOWNLOAD_CREDITS":"0",`)))
	x := r.offered()
	if !x.openFile() {
		t.Fatal(x.why)
	}
	fd := x.fd
	x.answers("for credits")
	ended := make(chan struct{})
	go func() {
		r.take([]byte(aside(7, `{"METHOD":"JSON","DOWNLOAD_CREDITS":"32768"}`, "credits"))) // the end of the request
		close(ended)
	}()
	if got := <-closing; got != fd {
		t.Errorf("closes %d", got)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("it waits for the disk")
	}
	close(goesOn)
}

// Nor does the bridge, with the GIL: what it closes of a large file is not the last descriptor.
func TestTheBridgeEndsNoLargeFile(t *testing.T) {
	for _, size := range []int64{freesMuch - 1, freesMuch} {
		r := newRig(t)
		if err := os.WriteFile(r.cfg.Mongrel2Chroot+"/a", []byte("a"), 0o600); err != nil {
			t.Fatal(err)
		}
		r.take([]byte(asks(7, `"x-mongrel2-upload-start":"/a","x-mongrel2-upload-done":"/a","transfer-encoding":"chunked",`)))
		x := r.offered()
		if !x.openFile() {
			t.Fatal(x.why)
		}
		fd := x.lend(size)
		if n, err := unix.Pread(fd, make([]byte, 1), 0); n != 1 || err != nil {
			t.Errorf("%d bytes: the bridge cannot read it: %v", size, err)
		}
		if stays := x.fd >= 0; stays != (size >= freesMuch) || x.fd == fd {
			t.Errorf("%d bytes: %d and %d", size, x.fd, fd)
		}
		_ = unix.Close(fd)
		x.answers("done")
	}
}

// The last piece of a body may come while its request begins.
func TestThePiecesOfABodyThatBegins(t *testing.T) {
	r := newRig(t)
	r.cfg.BodyStreaming = true
	r.take([]byte(asks(7, `"UPLOAD_STREAM":"0","content-length":"6",`)))
	x := r.offered()
	opened := make(chan bool)
	go func() { opened <- x.open() }()
	r.take([]byte(message(7, `{"UPLOAD_STREAM":"0","UPLOAD_STREAM_DONE":"1","URI":"/"}`, "abcdef")))
	if !<-opened {
		t.Error("refused")
	}
	buf := make([]byte, 10)
	if n := x.Read(buf, true); n != 6 {
		t.Error(n)
	}
	x.answers("done")
}
