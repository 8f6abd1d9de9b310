package h1

import (
	"net/netip"
	"slices"
	"time"

	"github.com/gowsgi/gowsgi/httpparse"
	"github.com/gowsgi/gowsgi/internal/proxy"
	"github.com/gowsgi/gowsgi/internal/request"
)

// Admission is what is decided about a request before it runs.
type Admission struct {
	Status int // that it is refused with; 0: it is not
	Reason string
	Retry  time.Duration // with 429
}

// Admit does for a request that came by another way than a connection what admit does: it applies what trusted proxies say,
// and takes it from its client's rate. from: the client's address, invalid if there is none; script: where the application is
// mounted, unless the configuration says it; secure: the environ template for what came by TLS. Any goroutine.
func (s *Server) Admit(r *request.Request, from netip.Addr, script []byte, secure uint32) (a Admission) {
	h, req := r.Req.Head, &r.Req
	var said proxy.Result
	if s.rules.Mentioned(h, req.Arena) || h.Forwarder {
		trusted := from.IsValid() && s.rules.Trust.Contains(from)
		s.rules.Unpose(h, req.Arena, trusted)
		switch {
		case trusted:
			var err error
			if said, err = s.rules.Apply(h, req.Arena); err != nil {
				return Admission{Status: 400, Reason: err.Error()}
			}
			if said.Client.IsValid() {
				req.RemoteAddr, req.RemotePort = said.Client.String(), int(said.ClientPort)
			}
			if said.Host.Len > 0 {
				h.Host, req.HasHost = said.Host, true
			}
			if said.Port.Len > 0 {
				req.ServerPort = said.Port
			}
			req.ScriptName = said.Prefix
			if said.Secure {
				req.Template = secure
			}
		case h.Forwarder && s.limits.HeaderMap == httpparse.HeaderMapRefuse:
			return Admission{Status: 400, Reason: "underscore in header name"}
		case h.Forwarder && s.limits.HeaderMap == httpparse.HeaderMapDrop:
			proxy.DropUnderscores(h, req.Arena)
		}
		if !trusted && s.strict {
			s.rules.Strip(h, req.Arena)
		}
	}
	asked := len(s.mount) > 0 || said.HasScript
	switch {
	case said.HasScript:
		script = said.Script.In(req.Arena)
	case len(s.mount) > 0:
		script = s.mount
	}
	if len(script) > 0 && h.Form != httpparse.Asterisk {
		name, rest, ok := proxy.Mount(h.Path, req.Arena, script)
		switch {
		case ok:
			h.Path = rest
			if prefix := req.ScriptName; prefix.Len > 0 { // what a proxy has taken off stood before it
				both := httpparse.Span{Off: uint32(len(req.Arena)), Len: prefix.Len + name.Len}
				req.Arena = slices.Concat(req.Arena, prefix.In(req.Arena), name.In(req.Arena))
				name = both
			}
			req.ScriptName = name
		case asked:
			return Admission{Status: 404, Reason: "the path does not begin with the application's"}
		}
	}
	client := said.Client
	if !client.IsValid() {
		client = from
	}
	if s.rates != nil && client.IsValid() {
		if wait, ok := s.rates.Allow(client, time.Now()); !ok {
			return Admission{Status: 429, Reason: tooManyRequests, Retry: wait}
		}
	}
	return Admission{}
}
