package proxy

// X-Forwarded-* and Forwarded (RFC 7239), read by the server so that no application has to. Any thread; the state is the
// caller's.
//
// Whose words: each proxy adds itself at the right end of X-Forwarded-For and Forwarded, so the list is believed from the
// right as long as the address that vouches for the next entry is trusted. The first address that is not trusted is the
// client; what stands left of it is the client's own and is cut off. The other fields are lists as well or were
// overwritten on the way, so of them the entry as far from the right as the client is in X-Forwarded-For counts, or the
// left-most when the list is shorter: trusted proxies wrote all of it.
//
// What a trusted proxy sends and is no address, host, port or path is ignored, and removed. What can be read in two ways
// is refused: schemes or clients that contradict each other, a repeated field with another value, a Forwarded that does
// not parse (an unfinished quote of the client's would swallow what the proxy adds).

import (
	"bytes"
	"errors"
	"net/netip"

	"github.com/gowsgi/gowsgi/httpparse"
)

// Fields says which fields trusted proxies are expected to write; all others are removed from every request.
type Fields uint8

// The fields.
const (
	For     Fields = 1 << iota // X-Forwarded-For
	Proto                      // X-Forwarded-Proto, and what gunicorn takes for it: X-Forwarded-Protocol, X-Forwarded-Ssl
	Host                       // X-Forwarded-Host
	Port                       // X-Forwarded-Port
	Prefix                     // X-Forwarded-Prefix
	RFC7239                    // Forwarded

	AllFields = For | Proto | Host | Port | Prefix | RFC7239
)

// FieldNames are the names of Fields in configurations.
var FieldNames = map[string]Fields{
	"x-forwarded-for": For, "x-forwarded-proto": Proto, "x-forwarded-host": Host, "x-forwarded-port": Port,
	"x-forwarded-prefix": Prefix, "forwarded": RFC7239,
}

// Reasons to refuse a request with 400.
var (
	ErrScheme    = errors.New("the proxy's scheme fields contradict each other")
	ErrClient    = errors.New("the fields Forwarded and X-Forwarded-For contradict each other")
	ErrHost      = errors.New("the fields Forwarded and X-Forwarded-Host contradict each other")
	ErrRepeated  = errors.New("a field of the proxy is repeated with another value")
	ErrForwarded = errors.New("the field Forwarded is malformed")
)

// Rules is what a server believes; only read once it is made.
type Rules struct {
	Trust  *Trust
	Fields Fields
}

// Result is what trusted proxies said. Spans point into the request's bytes and are empty when nothing was said.
type Result struct {
	Client     netip.Addr // invalid when nothing was said
	ClientPort uint16     // 0 when it is not known
	HasScheme  bool
	Secure     bool
	Host       httpparse.Span
	Port       httpparse.Span
	Prefix     httpparse.Span
}

type kind uint8

const (
	plain kind = iota
	kindFor
	kindProto
	kindProtocol
	kindSSL
	kindHost
	kindPort
	kindPrefix
	kindForwarded
	kindOther // other names in use for the same: of no meaning here, but some application may believe them
	kindPosed // an underscore, with which it would look like one of the above in environ: never believed
)

// bit is the switch of a kind in Fields; 0 for those without.
func (k kind) bit() Fields {
	switch k {
	case kindFor:
		return For
	case kindProto, kindProtocol, kindSSL:
		return Proto
	case kindHost:
		return Host
	case kindPort:
		return Port
	case kindPrefix:
		return Prefix
	case kindForwarded:
		return RFC7239
	}
	return 0
}

const (
	prefixX   = "x-forwarded-"
	nameReal  = "x-real-ip"
	forwarded = "forwarded"
)

// kindOf is called for every field of every request, so the first bytes settle it for nearly all.
func kindOf(name []byte) kind {
	if len(name) < len(forwarded) {
		return plain
	}
	switch name[0] | 0x20 {
	case 'f':
		if len(name) == len(forwarded) && matches(name, forwarded) {
			return kindForwarded
		}
	case 'x':
		switch name[2] | 0x20 {
		case 'f':
			return kindOfX(name)
		case 'r':
			if len(name) == len(nameReal) && matches(name, nameReal) {
				return posed(name, kindOther)
			}
		}
	}
	return plain
}

func kindOfX(name []byte) kind {
	if len(name) <= len(prefixX) || !matches(name[:len(prefixX)], prefixX) {
		return plain
	}
	rest := name[len(prefixX):]
	for _, n := range [...]struct {
		text string
		kind kind
	}{{"for", kindFor}, {"proto", kindProto}, {"host", kindHost}, {"port", kindPort}, {"prefix", kindPrefix},
		{"ssl", kindSSL}, {"protocol", kindProtocol}} {
		if len(rest) == len(n.text) && matches(rest, n.text) {
			return posed(name, n.kind)
		}
	}
	return posed(name, kindOther)
}

func posed(name []byte, k kind) kind {
	if bytes.IndexByte(name, '_') >= 0 {
		return kindPosed
	}
	return k
}

// matches compares without case, and takes '_' for '-' as environ does.
func matches(name []byte, lower string) bool {
	for i := range len(lower) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		} else if c == '_' {
			c = '-'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// Mentioned tells whether the request has any field that this package is about. It allocates nothing.
func Mentioned(h *httpparse.Request, arena []byte) bool {
	for i := range h.Headers {
		if kindOf(h.Headers[i].Name.In(arena)) != plain {
			return true
		}
	}
	return false
}

// Strip removes every such field: the peer is not trusted.
func Strip(h *httpparse.Request, arena []byte) {
	kept := h.Headers[:0]
	for _, f := range h.Headers {
		if kindOf(f.Name.In(arena)) == plain {
			kept = append(kept, f)
		}
	}
	h.Headers = kept
}

// Apply reads the fields of a request that came from a trusted peer, and removes from them what the peer does not vouch
// for. After an error the request must be refused.
func (r *Rules) Apply(h *httpparse.Request, arena []byte) (Result, error) {
	a := applying{rules: r, arena: arena}
	if err := a.chains(h.Headers); err != nil {
		return Result{}, err
	}
	kept := h.Headers[:0]
	for i, f := range h.Headers {
		k := kindOf(f.Name.In(arena))
		keep, err := true, error(nil)
		switch {
		case k == plain || k == kindOther:
		case k == kindPosed || r.Fields&k.bit() == 0:
			keep = false
		case k == kindFor:
			keep = a.x.count > 0 && a.x.from.cut(i, &f)
		case k == kindForwarded:
			keep = a.hasStd && a.lastAt.cut(i, &f)
		default:
			keep, err = a.single(k, &f)
		}
		if err != nil {
			return Result{}, err
		}
		if keep {
			kept = append(kept, f)
		}
	}
	h.Headers = kept
	return a.result()
}

// applying is one Apply.
type applying struct {
	rules  *Rules
	arena  []byte
	x, std chain
	out    Result
	seen   [kindPosed]httpparse.Span // the entry that counts, of those that may come once
	last   element                   // the element of Forwarded that counts
	lastAt place
	hasStd bool
}

// chains finds the client in X-Forwarded-For and in Forwarded.
func (a *applying) chains(headers []httpparse.Header) error {
	for i := range headers {
		switch kindOf(headers[i].Name.In(a.arena)) {
		case kindFor:
			if a.rules.Fields&For != 0 {
				a.x.present = true
				a.forwardedFor(i, headers[i].Value)
			}
		case kindForwarded:
			if a.rules.Fields&RFC7239 != 0 {
				if err := a.standard(i, headers[i].Value); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (a *applying) forwardedFor(field int, value httpparse.Span) {
	b := value.In(a.arena)
	for from := 0; from <= len(b); {
		to := len(b)
		if n := bytes.IndexByte(b[from:], ','); n >= 0 {
			to = from + n
		}
		if lo, hi := trim(b, from, to); lo < hi { // RFC 9110 5.6.1.2: empty elements do not count
			a.x.add(a.rules.Trust, b[lo:hi], place{field, value.Off + uint32(lo)})
		}
		from = to + 1
	}
}

// standard reads one Forwarded field.
func (a *applying) standard(field int, value httpparse.Span) error {
	b := value.In(a.arena)
	for pos := 0; pos < len(b); {
		e, next, ok := nextElement(b, pos)
		if !ok {
			return ErrForwarded
		}
		pos = next
		if e.empty {
			continue
		}
		e.shift(value.Off)
		a.hasStd = true
		at := place{field, e.at}
		a.std.add(a.rules.Trust, e.node.In(a.arena), at)
		// The client's element says what the first trusted proxy saw; where there is none the right-most one counts.
		if a.std.count <= 1 {
			a.last, a.lastAt = e, at
		}
	}
	return nil
}

// chain is the walk through a list of addresses. It goes from left to right and forgets what it has whenever an entry
// comes that is not trusted, which ends where the walk from the right would.
type chain struct {
	present bool
	client  netip.Addr
	port    uint16
	count   int // entries from the client's to the right end
	from    place
}

type place struct {
	field int
	off   uint32
}

func (c *chain) add(trust *Trust, node []byte, at place) {
	addr, port, ok := parseNode(node)
	switch {
	case !ok: // "unknown", a made-up name, nonsense: nobody vouches for what stands before it
		c.client, c.port, c.count = netip.Addr{}, 0, 0
	case c.count == 0 || !trust.Contains(addr):
		c.client, c.port, c.count, c.from = addr, port, 1, at
	default:
		c.count++
	}
}

// cut removes from the field with index i what stands left of from. False: all of it.
func (from place) cut(i int, f *httpparse.Header) bool {
	if i < from.field {
		return false
	}
	if i == from.field {
		f.Value.Len -= from.off - f.Value.Off
		f.Value.Off = from.off
	}
	return true
}

// single reads a field of one value, which may be a list.
func (a *applying) single(k kind, f *httpparse.Header) (keep bool, err error) {
	v := a.pick(f.Value)
	b := v.In(a.arena)
	switch k {
	case kindProto, kindProtocol, kindSSL:
		secure := bytes.EqualFold(b, []byte("https"))
		if k == kindProtocol {
			secure = secure || bytes.EqualFold(b, []byte("ssl"))
		} else if k == kindSSL {
			secure = bytes.EqualFold(b, []byte("on"))
		}
		if a.out.HasScheme && a.out.Secure != secure {
			return false, ErrScheme
		}
		a.out.HasScheme, a.out.Secure = true, secure
		narrow(f, v)
		return true, nil
	case kindHost:
		keep = len(b) > 0 && httpparse.ValidHost(b)
	case kindPort:
		_, keep = parsePort(b)
	case kindPrefix:
		keep = validPrefix(b)
	}
	if !keep {
		v.Len = 0
	}
	if old := a.seen[k]; old.Off != 0 && !bytes.EqualFold(old.In(a.arena), v.In(a.arena)) {
		return false, ErrRepeated
	} else if old.Off != 0 {
		return false, nil // the same once more
	}
	a.seen[k] = v
	if keep {
		narrow(f, v)
	}
	return keep, nil
}

// pick finds the entry of a list that counts, see above.
func (a *applying) pick(value httpparse.Span) httpparse.Span {
	b := value.In(a.arena)
	picked := httpparse.Span{Off: value.Off}
	for n, to := max(a.x.count, 1), len(b); n > 0 && to >= 0; {
		from := bytes.LastIndexByte(b[:to], ',') + 1
		if lo, hi := trim(b, from, to); lo < hi {
			picked = httpparse.Span{Off: value.Off + uint32(lo), Len: uint32(hi - lo)}
			n--
		}
		to = from - 1
	}
	return picked
}

// narrow cuts off what stands left of the entry that counts.
func narrow(f *httpparse.Header, v httpparse.Span) {
	f.Value.Len -= v.Off - f.Value.Off
	f.Value.Off = v.Off
}

// result puts both kinds of fields together. Where both are there they must agree: a proxy writes one kind, and the other
// may be what a client sent through it.
func (a *applying) result() (Result, error) {
	out := a.out
	out.Client, out.ClientPort = a.x.client, a.x.port
	out.Host, out.Port = a.seen[kindHost], a.seen[kindPort]
	if p := a.seen[kindPrefix]; p.Len > 0 {
		for p.Len > 0 && a.arena[p.End()-1] == '/' { // SCRIPT_NAME ends without one
			p.Len--
		}
		out.Prefix = p
	}
	if a.hasStd {
		if err := a.agree(&out); err != nil {
			return Result{}, err
		}
	}
	if out.Host.Len > 0 && out.Port.Len == 0 {
		out.Port = portOf(a.arena, out.Host)
	}
	return out, nil
}

func (a *applying) agree(out *Result) error {
	e := &a.last
	if a.x.present && a.std.client != a.x.client {
		return ErrClient
	}
	if e.proto.Len > 0 {
		secure := bytes.EqualFold(e.proto.In(a.arena), []byte("https"))
		if out.HasScheme && out.Secure != secure {
			return ErrScheme
		}
		if !a.x.present {
			out.HasScheme, out.Secure = true, secure
		}
	}
	if b := e.host.In(a.arena); len(b) > 0 && httpparse.ValidHost(b) {
		if out.Host.Len > 0 && !bytes.EqualFold(out.Host.In(a.arena), b) {
			return ErrHost
		}
		if !a.x.present {
			out.Host = e.host
		}
	}
	if !a.x.present {
		out.Client, out.ClientPort = a.std.client, a.std.port
	}
	return nil
}
