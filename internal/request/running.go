package request

import "github.com/gowsgi/gowsgi/internal/crew"

// enters writes down that t runs r: the method and the path, but no query, as secrets may be in that.
func (r *Request) enters(t *crew.Thread) {
	h := r.Req.Head
	end := h.Target.End()
	if h.HasQuery {
		end = h.Query.Off - 1
	}
	r.Service.Running.Begin(t.Index(), r.Req.Arena[h.Method.Off:end], r.Req.RemoteAddr, r.since)
}

// leaves undoes it; r is done, or suspended.
func (r *Request) leaves(t *crew.Thread, done bool) {
	r.Service.Running.End(t.Index())
	if !done {
		r.Service.Running.Suspended(1)
	}
}
