package proxy

// X-Forwarded-* and Forwarded (RFC 7239), read by the server so that no application has to. Any thread; the state is the
// caller's. The fields themselves are the application's business and reach it as they came: programs that read them have
// rules of their own, such as how many proxies there are. What is decided here is what the server makes of them.
//
// Whose words: each proxy adds itself at the right end of X-Forwarded-For and Forwarded, so the list is believed from the
// right as long as the address that vouches for the next entry is trusted. The first address that is not trusted is the
// client; what stands left of it is the client's own and does not count. The other fields are lists as well or were
// overwritten on the way, so of them the entry as far from the right as the client is in X-Forwarded-For counts, or the
// left-most when the list is shorter: trusted proxies wrote all of it.
//
// What a trusted proxy sends and is no address, host, port or path is ignored. So is a Forwarded that does not parse (an
// unfinished quote of the client's would swallow what the proxy adds) or contradicts the X-Forwarded-* fields: few proxies
// write it, and many pass on a client's. Schemes that contradict each other, and a repeated field with another value, have
// no reading that is safer than the other; such a request is refused.

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/gowsgi/gowsgi/httpparse"
)

// Fields says which fields trusted proxies are expected to write; no other one is applied.
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
	ErrScheme   = errors.New("the proxy's scheme fields contradict each other")
	ErrRepeated = errors.New("a field of the proxy is repeated with another value")
)

// Reasons to ignore Forwarded.
var (
	ErrForwarded       = errors.New("the field Forwarded is malformed")
	ErrForwardedScheme = errors.New("the field Forwarded contradicts the scheme of the other fields")
	ErrForwardedClient = errors.New("the field Forwarded contradicts X-Forwarded-For")
	ErrForwardedHost   = errors.New("the field Forwarded contradicts X-Forwarded-Host")
)

// SchemeField is a field by which a proxy says that the client came by TLS: it then has this value, or https.
type SchemeField struct{ name, value string }

// ParseScheme reads a list of NAME=VALUE.
func ParseScheme(list []string) []SchemeField {
	var all []SchemeField
	for _, s := range list {
		name, value, _ := strings.Cut(s, "=")
		all = append(all, SchemeField{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	return all
}

// Rules is what a server believes; only read once it is made.
type Rules struct {
	Trust     *Trust
	fields    Fields
	scheme    []SchemeField
	own       []string // names in scheme that are nobody else's
	forwarder []string // see forwarder.go
	script    bool     // SCRIPT_NAME is among them
}

// NewRules makes rules. fields: which fields trusted proxies are expected to write; no other one is applied. scheme: what
// tells of TLS; the three names that everybody knows count only if fields has Proto. forwarder: see forwarder.go.
func NewRules(trust *Trust, fields Fields, scheme []SchemeField, forwarder []string) *Rules {
	r := &Rules{Trust: trust, fields: fields, forwarder: forwarder}
	for _, f := range scheme {
		switch k := kindOf([]byte(f.name)); {
		case k.bit() == Proto:
			if fields&Proto == 0 {
				continue
			}
		default:
			r.own = append(r.own, f.name)
		}
		r.scheme = append(r.scheme, f)
	}
	r.script = r.forwards([]byte(scriptName))
	return r
}

// Result is what trusted proxies said. Spans point into the request's bytes and are empty when nothing was said.
type Result struct {
	Client     netip.Addr // invalid when nothing was said
	ClientPort uint16     // 0 when it is not known
	HasScheme  bool
	Secure     bool
	Host       httpparse.Span
	Port       httpparse.Span
	Prefix     httpparse.Span // taken off the path by the proxy
	HasScript  bool
	Script     httpparse.Span // still on the path
	Ignored    error          // why Forwarded was, if it was
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

// same compares without case.
func same(name []byte, other string) bool {
	return len(name) == len(other) && bytes.EqualFold(name, []byte(other))
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
func (r *Rules) Mentioned(h *httpparse.Request, arena []byte) bool {
	for i := range h.Headers {
		if kindOf(h.Headers[i].Name.In(arena)) != plain {
			return true
		}
	}
	return len(r.own) > 0 && slices.ContainsFunc(h.Headers, func(f httpparse.Header) bool {
		return r.ownScheme(f.Name.In(arena))
	})
}

func (r *Rules) ownScheme(name []byte) bool {
	for _, n := range r.own {
		if same(name, n) {
			return true
		}
	}
	return false
}

// Strip removes every such field.
func (r *Rules) Strip(h *httpparse.Request, arena []byte) {
	h.Headers = slices.DeleteFunc(h.Headers, func(f httpparse.Header) bool {
		name := f.Name.In(arena)
		return kindOf(name) != plain || r.ownScheme(name)
	})
}

// Apply reads the fields of a request that came from a trusted peer. After an error the request must be refused.
func (r *Rules) Apply(h *httpparse.Request, arena []byte) (Result, error) {
	a := applying{rules: r, arena: arena}
	a.chains(h.Headers)
	for _, f := range h.Headers {
		name := f.Name.In(arena)
		k := kindOf(name)
		var err error
		switch {
		case k == plain && r.script && same(name, scriptName):
			err = a.script(f.Value)
		case k == plain || k == kindOther || k.bit() == Proto:
			err = a.tls(name, f.Value)
		case r.fields&k.bit() != 0 && k != kindFor && k != kindForwarded:
			err = a.single(k, f.Value)
		}
		if err != nil {
			return Result{}, err
		}
	}
	return a.result(), nil
}

// applying is one Apply.
type applying struct {
	rules  *Rules
	arena  []byte
	x, std chain
	out    Result
	seen   [kindPosed]httpparse.Span // the entry that counts, of those that may come once
	last   element                   // the element of Forwarded that counts
	hasStd bool
}

// chains finds the client in X-Forwarded-For and in Forwarded.
func (a *applying) chains(headers []httpparse.Header) {
	for i := range headers {
		switch kindOf(headers[i].Name.In(a.arena)) {
		case kindFor:
			if a.rules.fields&For != 0 {
				a.x.present = true
				a.forwardedFor(headers[i].Value)
			}
		case kindForwarded:
			if a.rules.fields&RFC7239 != 0 && a.out.Ignored == nil {
				a.out.Ignored = a.standard(headers[i].Value)
			}
		}
	}
}

func (a *applying) forwardedFor(value httpparse.Span) {
	b := value.In(a.arena)
	for from := 0; from <= len(b); {
		to := len(b)
		if n := bytes.IndexByte(b[from:], ','); n >= 0 {
			to = from + n
		}
		if lo, hi := trim(b, from, to); lo < hi { // RFC 9110 5.6.1.2: empty elements do not count
			a.x.add(a.rules.Trust, b[lo:hi])
		}
		from = to + 1
	}
}

// standard reads one Forwarded field.
func (a *applying) standard(value httpparse.Span) error {
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
		a.std.add(a.rules.Trust, e.node.In(a.arena))
		// The client's element says what the first trusted proxy saw; where there is none the right-most one counts.
		if a.std.count <= 1 {
			a.last = e
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
}

func (c *chain) add(trust *Trust, node []byte) {
	addr, port, ok := parseNode(node)
	switch {
	case !ok: // "unknown", a made-up name, nonsense: nobody vouches for what stands before it
		c.client, c.port, c.count = netip.Addr{}, 0, 0
	case c.count == 0 || !trust.Contains(addr):
		c.client, c.port, c.count = addr, port, 1
	default:
		c.count++
	}
}

// tls reads a field that tells whether the client came by TLS.
func (a *applying) tls(name []byte, value httpparse.Span) error {
	for _, f := range a.rules.scheme {
		if !same(name, f.name) {
			continue
		}
		b := a.pick(value).In(a.arena)
		secure := bytes.EqualFold(b, []byte(f.value)) || bytes.EqualFold(b, []byte("https"))
		if a.out.HasScheme && a.out.Secure != secure {
			return ErrScheme
		}
		a.out.HasScheme, a.out.Secure = true, secure
	}
	return nil
}

// single reads a field of one value, which may be a list.
func (a *applying) single(k kind, value httpparse.Span) error {
	v := a.pick(value)
	b := v.In(a.arena)
	valid := false
	switch k {
	case kindHost:
		valid = len(b) > 0 && httpparse.ValidHost(b)
	case kindPort:
		_, valid = parsePort(b)
	case kindPrefix:
		valid = validPrefix(b)
	}
	if !valid {
		v.Len = 0
	}
	if old := a.seen[k]; old.Off != 0 && !bytes.EqualFold(old.In(a.arena), v.In(a.arena)) {
		return ErrRepeated
	} else if old.Off == 0 {
		a.seen[k] = v
	}
	return nil
}

// script reads SCRIPT_NAME.
func (a *applying) script(value httpparse.Span) error {
	if a.out.HasScript && !bytes.Equal(a.out.Script.In(a.arena), value.In(a.arena)) {
		return ErrRepeated
	}
	a.out.HasScript, a.out.Script = true, value
	return nil
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

// result puts both kinds of fields together. Where both are there they must agree: a proxy writes one kind, and the other
// may be what a client sent through it.
func (a *applying) result() Result {
	out := a.out
	out.Client, out.ClientPort = a.x.client, a.x.port
	out.Host, out.Port = a.seen[kindHost], a.seen[kindPort]
	if p := a.seen[kindPrefix]; p.Len > 0 {
		out.Prefix = trimSlashes(p, a.arena)
	}
	if out.HasScript {
		out.Script = trimSlashes(out.Script, a.arena)
	}
	if a.hasStd && out.Ignored == nil {
		a.agree(&out)
	}
	if out.Host.Len > 0 && out.Port.Len == 0 {
		out.Port = PortOf(out.Host, a.arena)
	}
	return out
}

// trimSlashes cuts off what SCRIPT_NAME must not end with.
func trimSlashes(s httpparse.Span, arena []byte) httpparse.Span {
	for s.Len > 0 && arena[s.End()-1] == '/' {
		s.Len--
	}
	return s
}

// agree adds what Forwarded says, unless it contradicts the other fields.
func (a *applying) agree(out *Result) {
	e := &a.last
	secure := bytes.EqualFold(e.proto.In(a.arena), []byte("https"))
	host := e.host
	if !httpparse.ValidHost(host.In(a.arena)) {
		host.Len = 0
	}
	switch {
	case a.x.present && a.std.client != a.x.client:
		out.Ignored = ErrForwardedClient
	case e.proto.Len > 0 && out.HasScheme && out.Secure != secure:
		out.Ignored = ErrForwardedScheme
	case host.Len > 0 && out.Host.Len > 0 && !bytes.EqualFold(out.Host.In(a.arena), host.In(a.arena)):
		out.Ignored = ErrForwardedHost
	case a.x.present: // and says the same
	default:
		if e.proto.Len > 0 {
			out.HasScheme, out.Secure = true, secure
		}
		if host.Len > 0 {
			out.Host = host
		}
		out.Client, out.ClientPort = a.std.client, a.std.port
	}
}
