package master

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/reactor"
)

func listenAnywhere(b config.Bind, _ *config.Config, _ *syscall.Credential) (*reactor.Listener, error) {
	if b.Network == "fd" {
		return nil, errors.New("in use")
	}
	return reactor.Listen("tcp", "127.0.0.1:0", reactor.ListenOptions{})
}

func binds(names ...string) (all []config.Bind) {
	for _, name := range names {
		all = append(all, config.Bind{Network: "tcp", Address: name})
	}
	return all
}

func listening(t *testing.T, names ...string) *Listening {
	t.Helper()
	l, err := (&Listening{}).bind(&config.Config{Bind: binds(names...)}, nil, listenAnywhere)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.drop(nil) })
	return l
}

func accepts(ln *Listener) bool {
	conn, err := net.Dial("tcp", ln.Addr())
	if err == nil {
		conn.Close()
	}
	return err == nil
}

func TestAddressesThatStayAreTheSameListeners(t *testing.T) {
	l := listening(t, "a", "b", "b")
	if same, _ := l.bind(&config.Config{Bind: binds("a", "b", "b")}, nil, nil); same != l {
		t.Error("nothing has changed, and something is bound")
	}
	next, err := l.bind(&config.Config{Bind: binds("b", "c", "b")}, nil, listenAnywhere)
	if err != nil || next.All[0] != l.All[1] || next.All[2] != l.All[2] || l.has(next.All[1]) {
		t.Fatalf("%v: %v", err, next)
	}
	next.drop(l)
	if !accepts(l.All[1]) || accepts(next.All[1]) {
		t.Error("not what is new is closed")
	}
	var made *Listener
	_, err = l.bind(&config.Config{Bind: append(binds("a", "d"), config.Inherited(3))}, nil,
		func(b config.Bind, c *config.Config, as *syscall.Credential) (*reactor.Listener, error) {
			ln, err := listenAnywhere(b, c, as)
			if err == nil {
				made = &Listener{Listener: ln}
			}
			return ln, err
		})
	if err == nil || accepts(made) || !accepts(l.All[0]) {
		t.Errorf("%v: of some that cannot be bound something is left, or too little", err)
	}
}

// rebinding is a rig whose file names other addresses at each HUP.
func rebinding(t *testing.T, workers int, names ...string) *rereads {
	r := &rereads{newRig(t, workers), make(chan hasRead, 4), map[int]*Zygote{}}
	r.readWith()
	r.listen = listenAnywhere
	r.listenOn(listening(t, names...))
	for age := 1; age <= workers; age++ {
		r.workers[age].listening = r.listening
		r.hears(age, wordReady)
	}
	return r
}

func (r *rereads) hupTo(workers int, names ...string) {
	cfg := config.Default()
	cfg.Workers, cfg.Bind, cfg.Rolling = strconv.Itoa(workers), binds(names...), r.cfg.Rolling
	r.says <- hasRead{Renewal: &Renewal{Config: cfg, Zygote: &Zygote{}}}
	r.gets(unix.SIGHUP)
	r.goOnWith(<-r.readings)
	r.reconcile()
}

func TestTheLastOnesOfAnAddressAreToldSo(t *testing.T) {
	r := rebinding(t, 2, "a", "b")
	first := r.listening.All
	r.hupTo(2, "b", "c")
	r.hears(3, wordReady)
	r.was(1)
	if !accepts(first[0]) {
		t.Error("it is closed before the new workers serve")
	}
	r.hears(4, wordReady)
	told := append(slices.Clone(r.told[1]), r.told[2]...)
	slices.Sort(told)
	if !slices.Equal(told, []string{wordLeave + " 0", wordStop, wordStop}) {
		t.Errorf("the old ones were told %v", told)
	}
	if accepts(first[0]) || !accepts(first[1]) || !accepts(r.listening.All[1]) {
		t.Error("what is listened on now is something else")
	}
}

func TestOneAfterTheOtherTheLastIsToldSo(t *testing.T) {
	r := rebinding(t, 2, "a")
	r.cfg.Rolling = true
	first := r.listening.All[0]
	r.hupTo(2, "b")
	r.hears(3, wordReady)
	r.was(1, wordStop)
	if !accepts(first) {
		t.Error("it is closed while a worker has it")
	}
	r.hears(4, wordReady)
	r.was(2, wordLeave+" 0", wordStop)
	if accepts(first) {
		t.Error("it is not closed")
	}
}

func TestNewWorkersThatCannotStartLeaveTheirAddresses(t *testing.T) {
	r := rebinding(t, 2, "a")
	first := r.listening.All[0]
	r.hupTo(2, "b")
	second := r.listening.All[0]
	r.hears(3, wordReady)
	r.hupTo(2, "c") // before the others have come to serve
	third := r.listening.All[0]
	r.was(3, wordLeave+" 0", wordStop)
	if accepts(second) || !accepts(first) {
		t.Error("those of workers that come to nothing are kept, or those of the old ones are not")
	}
	r.hears(5, wordReady)
	r.ends(6, syscall.WaitStatus(config.ExitApp<<8))
	r.was(5, wordLeave+" 0", wordStop)
	if accepts(third) || !accepts(first) || r.listening.All[0] != first {
		t.Error("the old workers do not have what they had")
	}
	r.running(t, 1, 2)
}

func TestWhatAnotherMasterHasIsItsOwn(t *testing.T) {
	r := rebinding(t, 1, "a", "b")
	withHeirs(r.rig)
	r.gets(unix.SIGUSR2)
	first := r.listening
	r.hupTo(1, "c")
	r.hears(2, wordReady)
	r.was(1, wordShared, wordStop)
	if r.heirs.have != first {
		t.Error("it is not known what the other one has")
	}
	r.gets(unix.SIGTERM)
	r.was(2, wordShared, wordLeave+" 0", wordStop) // which the other one has not
}
