package resolve

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const patience = 20 * time.Second

const (
	typeA    = 1
	typeAAAA = 28
)

// server is a name server on loopback.
type server struct {
	t    *testing.T
	addr string
	hold chan struct{} // names that begin with "held" are answered when it is closed

	mu        sync.Mutex
	asked     []string // name and type of each question
	held, max int      // questions that are held
	open      atomic.Int64
}

func newServer(t *testing.T) *server {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, addr: pc.LocalAddr().String(), hold: make(chan struct{})}
	var all sync.WaitGroup
	all.Go(func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			question := slices.Clone(buf[:n])
			all.Go(func() {
				if answer := s.answer(question); answer != nil {
					_, _ = pc.WriteTo(answer, from)
				}
			})
		}
	})
	t.Cleanup(func() {
		s.release()
		pc.Close()
		all.Wait()
	})
	return s
}

func (s *server) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.hold:
	default:
		close(s.hold)
	}
}

// answer makes a name's first label say what is answered.
func (s *server) answer(q []byte) []byte {
	var labels []string
	i := 12
	for ; q[i] != 0; i += 1 + int(q[i]) {
		labels = append(labels, string(q[i+1:i+1+int(q[i])]))
	}
	name, qtype := strings.Join(labels, "."), binary.BigEndian.Uint16(q[i+1:])
	s.mu.Lock()
	s.asked = append(s.asked, fmt.Sprint(name, " ", qtype))
	s.mu.Unlock()
	code, flags := byte(0), byte(0x80) // recursion is available
	var addrs []string
	switch label := labels[0]; {
	case strings.HasPrefix(label, "held"):
		s.mu.Lock()
		s.held++
		s.max = max(s.max, s.held)
		s.mu.Unlock()
		<-s.hold
		s.mu.Lock()
		s.held--
		s.mu.Unlock()
		addrs = []string{"192.0.2.9"}
	case label == "four":
		addrs = []string{"192.0.2.1", "192.0.2.2"}
	case label == "six":
		addrs = []string{"2001:db8::1"}
	case label == "both":
		addrs = []string{"192.0.2.1", "2001:db8::1"}
	case label == "loops":
		addrs = []string{"127.0.0.1", "::1"}
	case label == "link":
		addrs = []string{"fe80::1"}
	case label == "mapped":
		addrs = []string{"::ffff:192.0.2.7"}
	case label == "half": // an answer for one of the types, trouble for the other
		if qtype == typeA {
			addrs = []string{"192.0.2.1"}
		} else {
			code = 2
		}
	case label == "none":
	case label == "formerr":
		code = 1
	case label == "servfail":
		code = 2
	case label == "notimp":
		code = 4
	case label == "refused":
		code = 5
	case label == "lame":
		flags = 0
	case label == "nonsense":
		return append(append(slices.Clone(q[:2]), 0x81, 0x80, 0, 1, 0, 9, 0, 0, 0, 0), append(slices.Clone(q[12:i+5]), 0xff)...)
	case label == "silent":
		return nil
	default:
		code = 3 // no such name
	}
	var rest []byte
	n := byte(0)
	for _, a := range addrs {
		ip := netip.MustParseAddr(a)
		if ip.Is4() != (qtype == typeA) {
			continue
		}
		n++
		rest = append(rest, 0xc0, 12, 0, byte(qtype), 0, 1, 0, 0, 0, 60, 0, byte(ip.BitLen()/8))
		rest = append(rest, ip.AsSlice()...)
	}
	return slices.Concat(q[:2], []byte{0x81, flags | code, 0, 1, 0, n, 0, 0, 0, 0}, q[12:i+5], rest)
}

// conn counts as open until it is closed, and is a net.PacketConn as net wants it.
type conn struct {
	*net.UDPConn
	s    *server
	once sync.Once
}

func (c *conn) Close() error {
	c.once.Do(func() { c.s.open.Add(-1) })
	return c.UDPConn.Close()
}

func (s *server) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	if network != "udp" {
		return nil, errors.New("only udp")
	}
	c, err := new(net.Dialer).DialContext(ctx, network, s.addr)
	if err != nil {
		return nil, err
	}
	s.open.Add(1)
	return &conn{UDPConn: c.(*net.UDPConn), s: s}, nil
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func TestLookup(t *testing.T) {
	s := newServer(t)
	r := New(s.dial, 4)
	for _, c := range []struct {
		host   string
		family int
		want   string // addresses in any order, or a code
	}{
		{"four", syscall.AF_UNSPEC, "192.0.2.1 192.0.2.2"},
		{"four", syscall.AF_INET, "192.0.2.1 192.0.2.2"},
		{"four", syscall.AF_INET6, "-5"},
		{"six", syscall.AF_UNSPEC, "2001:db8::1"},
		{"six", syscall.AF_INET6, "2001:db8::1"},
		{"six", syscall.AF_INET, "-5"},
		{"both", syscall.AF_UNSPEC, "192.0.2.1 2001:db8::1"},
		{"both", syscall.AF_INET, "192.0.2.1"},
		{"both", syscall.AF_INET6, "2001:db8::1"},
		{"link", syscall.AF_INET6, "fe80::1"},
		{"mapped", syscall.AF_UNSPEC, "192.0.2.7"},
		{"half", syscall.AF_UNSPEC, "192.0.2.1"},
		{"half", syscall.AF_INET6, "-3"},
		{"missing", syscall.AF_UNSPEC, "-2"},
		{"missing", syscall.AF_INET, "-2"},
		{"missing", syscall.AF_INET6, "-2"},
		{"none", syscall.AF_UNSPEC, "-2"},
		{"servfail", syscall.AF_UNSPEC, "-3"},
		{"refused", syscall.AF_INET, "-3"},
		{"notimp", syscall.AF_INET, "-3"},
		{"formerr", syscall.AF_INET, "-3"},
		{"lame", syscall.AF_INET, "-3"},
		{"nonsense", syscall.AF_INET, "-3"},
		{strings.Repeat("x", 64), syscall.AF_UNSPEC, "-2"},
		{"both", syscall.AF_UNIX, "-6"},
	} {
		// The last dot keeps this machine's search domains out of it.
		got, err := r.Lookup(within(t), c.host+".test.", c.family)
		if s := text(t, got, err); s != c.want {
			t.Errorf("%s, family %d: %s (%v), want %s", c.host, c.family, s, errors.Unwrap(err), c.want)
		}
	}
}

// TestLookupOneFamily: servers are not asked for what nobody wants to know; some are slow to say that it does not exist.
func TestLookupOneFamily(t *testing.T) {
	s := newServer(t)
	r := New(s.dial, 1)
	for _, family := range []int{syscall.AF_INET, syscall.AF_INET6} {
		if _, err := r.Lookup(within(t), "both.test.", family); err != nil {
			t.Error(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if want := []string{fmt.Sprint("both.test ", typeA), fmt.Sprint("both.test ", typeAAAA)}; !slices.Equal(s.asked, want) {
		t.Errorf("asked for %q, want %q", s.asked, want)
	}
}

// text is what Lookup returned, sorted, or its error's code.
func text(t *testing.T, addrs []netip.Addr, err error) string {
	t.Helper()
	if err != nil {
		var e *Error
		if !errors.As(err, &e) || addrs != nil {
			t.Fatalf("%v, %v", addrs, err)
		}
		return fmt.Sprint(int(e.Code))
	}
	var all []string
	for _, a := range addrs {
		all = append(all, a.String())
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestLookupNumeric(t *testing.T) {
	r := New(func(context.Context, string, string) (net.Conn, error) { t.Error("asked"); return nil, net.ErrClosed }, 1)
	for _, c := range []struct {
		host   string
		family int
		want   string
	}{
		{"192.0.2.1", syscall.AF_UNSPEC, "192.0.2.1"},
		{"192.0.2.1", syscall.AF_INET, "192.0.2.1"},
		{"192.0.2.1", syscall.AF_INET6, "-9"},
		{"2001:db8::1", syscall.AF_INET6, "2001:db8::1"},
		{"2001:db8::1", syscall.AF_INET, "-9"},
		{"fe80::1%lo", syscall.AF_UNSPEC, "fe80::1%lo"},
		{"::ffff:192.0.2.1", syscall.AF_INET6, "::ffff:192.0.2.1"},
		{"", syscall.AF_UNSPEC, "-2"},
		{"a..b", syscall.AF_INET, "-2"},
	} {
		got, err := r.Lookup(within(t), c.host, c.family)
		if s := text(t, got, err); s != c.want {
			t.Errorf("%q, family %d: %s, want %s", c.host, c.family, s, c.want)
		}
	}
}

// TestLookupOrder: RFC 6724 prefers ::1, where there is one.
func TestLookupOrder(t *testing.T) {
	want := "127.0.0.1"
	if pc, err := net.ListenPacket("udp", "[::1]:0"); err == nil {
		pc.Close()
		want = "::1"
	}
	r := New(newServer(t).dial, 1)
	for range 10 {
		got, err := r.Lookup(within(t), "loops.test.", syscall.AF_UNSPEC)
		if err != nil || len(got) != 2 || got[0].String() != want {
			t.Fatalf("%v, %v, want %s first", got, err, want)
		}
	}
}

// TestLookupHosts: names in the hosts file are not asked for.
func TestLookupHosts(t *testing.T) {
	f, err := os.Open("/etc/hosts")
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	names := map[string][]netip.Addr{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if a, err := netip.ParseAddr(fields[0]); err == nil {
			for _, name := range fields[1:] {
				names[name] = append(names[name], a)
			}
		}
	}
	var asked atomic.Bool
	r := New(func(context.Context, string, string) (net.Conn, error) { asked.Store(true); return nil, net.ErrClosed }, 1)
	for name, addrs := range names {
		got, err := r.Lookup(within(t), strings.ToUpper(name), syscall.AF_UNSPEC)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, a := range got {
			if !slices.Contains(addrs, a) {
				t.Errorf("%s: %v, want %v", name, got, addrs)
			}
		}
		for family, four := range map[int]bool{syscall.AF_INET: true, syscall.AF_INET6: false} {
			has := slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Is4() == four })
			got, err := r.Lookup(within(t), name, family)
			if s := text(t, got, err); (s == "-2") == has {
				t.Errorf("%s, family %d: %s", name, family, s)
			}
		}
	}
	if len(names) == 0 {
		t.Skip("the hosts file is empty")
	}
	if asked.Load() {
		t.Error("a name server was asked")
	}
}

func TestLookupBound(t *testing.T) {
	const limit, all = 3, 10
	s := newServer(t)
	r := New(s.dial, limit)
	results := make(chan error, all)
	for i := range all {
		go func() {
			_, err := r.Lookup(within(t), fmt.Sprintf("held%d.test.", i), syscall.AF_INET)
			results <- err
		}()
	}
	until(t, "some are asked for", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.held == limit })
	// Who waits for his turn may give up.
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("no longer"))
	if _, err := r.Lookup(ctx, "four.test.", syscall.AF_INET); err == nil || err.Error() != "no longer" {
		t.Errorf("gave up with %v", err)
	}
	s.release()
	for range all {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.max != limit {
		t.Errorf("%d at once", s.max)
	}
}

// TestLookupGivenUp: what a look-up holds is free at once when its caller gives up, though the server never answers.
func TestLookupGivenUp(t *testing.T) {
	s := newServer(t)
	r := New(s.dial, 1)
	for range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan error)
		go func() {
			_, err := r.Lookup(ctx, "silent.test.", syscall.AF_UNSPEC)
			result <- err
		}()
		until(t, "it is asked for", func() bool { return s.open.Load() == 2 })
		cancel()
		if err := <-result; err != context.Canceled {
			t.Errorf("gave up with %v", err)
		}
		until(t, "all is closed", func() bool { return s.open.Load() == 0 })
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := r.Lookup(ctx, "silent.test.", syscall.AF_INET); err != context.DeadlineExceeded {
		t.Errorf("gave up with %v", err)
	}
	if _, err := r.Lookup(within(t), "four.test.", syscall.AF_INET); err != nil {
		t.Error(err)
	}
}

func TestTexts(t *testing.T) {
	e := &Error{Code: NoName, Err: net.ErrClosed}
	if e.Error() != "Name or service not known" || !errors.Is(e, net.ErrClosed) {
		t.Errorf("%v", e)
	}
	seen := map[string]bool{}
	for _, c := range []Code{NoName, Again, Fail, NoData, Family, AddrFamily, 0} {
		if seen[c.String()] {
			t.Errorf("two have the text %q", c)
		}
		seen[c.String()] = true
	}
}

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}
