package master

// How orders get to a zygote: a message of the kernel's holds no more than the link's buffer, and 253 descriptors.

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// mostSaid is how many bytes of an order a message has itself: less than the smallest buffer that a system gives a link.
	mostSaid = 32 << 10

	// mostFiles is how many descriptors one has, with one for the order.
	mostFiles = 252
)

// What a message is that is no order.
const (
	doMore = "more" // files of the order that follows
	doHeld = "held" // the order is in the first file
)

// sendTime is how long an order may wait for room: a zygote that reads nothing hangs in a hook.
const sendTime = 2 * time.Second

// send gives an order. A zygote that takes none any more is killed: the master has other things to do than to wait for it.
func (p *zygoteProcess) send(o order, files ...*os.File) error {
	err := p.sendParts(o, files)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.kill(unix.SIGKILL)
	}
	if err != nil {
		return fmt.Errorf("the process that workers are forked from does not take the order %s: %w", o.Do, err)
	}
	return nil
}

func (p *zygoteProcess) sendParts(o order, files []*os.File) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	for ; len(files) > mostFiles; files = files[mostFiles:] {
		if err := p.writeNow(message(doMore), files[:mostFiles], sendTime); err != nil {
			return err
		}
	}
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if len(data) > mostSaid {
		held, err := memoryFile(data)
		if err != nil {
			return err
		}
		defer held.Close()
		data, files = message(doHeld), append([]*os.File{held}, files...)
	}
	return p.writeNow(data, files, sendTime)
}

func message(do string) []byte { return []byte(`{"do": "` + do + `"}`) }

func (p *zygoteProcess) write(data []byte, limit time.Duration) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	return p.writeNow(data, nil, limit)
}

// writeNow writes one message. The caller has the right to.
func (p *zygoteProcess) writeNow(data []byte, files []*os.File, limit time.Duration) error {
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		rights = unix.UnixRights(fds...)
	}
	_ = p.link.SetWriteDeadline(time.Now().Add(limit))
	_, _, err := p.link.WriteMsgUnix(data, rights, nil)
	return err
}
