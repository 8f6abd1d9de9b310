package master

// The worker's side.

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/internal/spread"
	"github.com/gowsgi/gowsgi/internal/watch"
)

// Link is a worker's connection to its master.
type Link struct {
	Age    int
	Forked *Forked       // with Python, and what Prepare would do, done; nil: it was not
	Place  *spread.Place // beside the master's other workers; nil: only the kernel sees to who gets connections
	conn   net.Conn
	in     *bufio.Reader
	mu     sync.Mutex
}

// Orders are what a master may ask of a worker. They are called on a goroutine of the link's.
type Orders interface {
	// Leave says that nobody will accept from these listeners when the worker has stopped, which follows: what waits there is its own.
	Leave(numbers []int)
	// Stop ends the worker gracefully. last: what waits to be accepted is its own.
	Stop(last bool)
	// Quit ends it at once.
	Quit()
	// Shared tells whether workers of another master accept from the same listeners.
	Shared(on bool)
	// Orphaned is called when the master is gone.
	Orphaned()
}

// Join returns the link of this process to its master, nil if it is no worker, and makes cfg listen on what the master
// hands over. Once, before anything else opens descriptors.
func Join(cfg *config.Config) (*Link, error) {
	p := told()
	_ = os.Unsetenv(variable)
	if !p.worker {
		return nil, nil
	}
	f := os.NewFile(uintptr(p.link), "link")
	conn, err := net.FileConn(f)
	_ = f.Close()
	if err != nil {
		return nil, fmt.Errorf("a worker without its master's descriptor: %w", err)
	}
	l := &Link{Age: p.age, Forked: p.forked, conn: conn, in: bufio.NewReader(conn)}
	cfg.Bind = nil
	last := len(p.listeners) - 1
	if last < 0 {
		return nil, errors.New("a worker without its master's descriptors")
	}
	l.Place, _ = spread.Open(p.listeners[last])
	_ = unix.Close(p.listeners[last])
	for _, fd := range p.listeners[:last] {
		cfg.Bind = append(cfg.Bind, config.Inherited(fd))
	}
	return l, nil
}

// Follow lets orders come, from now on.
func (l *Link) Follow(o Orders) {
	go func() {
		for {
			line, err := l.in.ReadString('\n')
			if err != nil {
				o.Orphaned()
				return
			}
			switch word, rest := splitWord(line[:len(line)-1]); word {
			case wordLeave:
				o.Leave(parseNumbers(rest))
			case wordStop:
				o.Stop(false)
			case wordLast:
				o.Stop(true)
			case wordQuit:
				o.Quit()
			case wordShared, wordAlone:
				o.Shared(word == wordShared)
			}
		}
	}()
}

func parseNumbers(text string) (numbers []int) {
	for _, number := range strings.Split(text, ",") {
		if n, err := strconv.Atoi(number); err == nil {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// Ready tells that the worker serves.
func (l *Link) Ready() { l.tell(wordReady) }

// Beat tells that its threads live.
func (l *Link) Beat() { l.tell(wordBeat) }

// Retire asks for a replacement.
func (l *Link) Retire(why string) { l.tell(wordRetire + " " + why) }

// Asks has the master say how the worker is to stop, which has got SIGTERM by itself: perhaps all have, or this one alone.
func (l *Link) Asks() { l.tell(wordAsks) }

// Watch asks for a file to be watched from this version of it on.
func (l *Link) Watch(path string, version watch.Stamp) {
	text, err := json.Marshal(fileSeen{path, version})
	if err == nil {
		l.tell(wordWatch + " " + string(text))
	}
}

func (l *Link) tell(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.conn.Write([]byte(line + "\n"))
}

// tellWith tells it with a file.
func (l *Link) tellWith(line string, f *os.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _, _ = l.conn.(*net.UnixConn).WriteMsgUnix([]byte(line+"\n"), unix.UnixRights(int(f.Fd())), nil)
}
