package h1

// identify gives x its id, where each request has one. Behind the head may be the next request, so it moves, as one that is
// staged does.
func (s *Server) identify(x *exchange) {
	small := len(x.Req.Arena) <= ownHead
	var room []byte
	if small {
		room = x.own[:0]
	}
	if to := x.Identify(s.cfg.RequestID == "take", room); to != nil && small {
		x.own = to
	}
}
