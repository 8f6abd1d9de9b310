package request

import "github.com/gowsgi/gowsgi/bridge"

// What the application asks for while it runs: Request as bridge.Responder.

// lock reports whether it has r.mu, for which it waits only without the GIL.
func (r *Request) lock(wait bool) bool {
	if !wait {
		return r.mu.TryLock()
	}
	r.mu.Lock()
	return true
}

// BeforeHead calls f, unless the client has got the head, which it does not get meanwhile. False: f said so, or it would have
// to wait, and may not. Any thread.
func (r *Request) BeforeHead(wait bool, f func() bool) bool {
	if !r.lock(wait) {
		return false
	}
	defer r.mu.Unlock()
	return r.head || f()
}

// Alone calls f unless another thread is in a call for r, which none begins meanwhile.
func (r *Request) Alone(f func()) {
	if r.mu.TryLock() {
		f()
		r.mu.Unlock()
	}
}

// Write implements bridge.Responder: the write callable. PEP 3333 wants the data on its way before write returns, so this
// does not wait for more.
func (r *Request) Write(res *bridge.Response, data []byte, wait bool) bridge.WriteResult {
	if !r.lock(wait) {
		return bridge.Again
	}
	defer r.mu.Unlock()
	if r.Upgraded() {
		return bridge.WriteOK // it goes nowhere, as all that is returned
	}
	if r.Client.Full() {
		if !wait {
			return bridge.Again
		}
		if !r.Client.Drain() {
			return bridge.WriteGone
		}
	}
	var length int64
	var body bool
	if r.head {
		res = nil
	} else {
		length, body = r.begin(res, -1)
	}
	tooMuch := false
	switch {
	case r.noBody:
		data = nil
	case r.left >= 0 && int64(len(data)) > r.left:
		data, tooMuch = data[:r.left], true
	}
	result := r.Client.Write(res, length, body, data, wait)
	if result == bridge.Again {
		return result
	}
	r.head = true
	r.sent += int64(len(data))
	if r.left >= 0 {
		r.left -= int64(len(data))
	}
	if tooMuch {
		r.excess = true
		if result == bridge.WriteOK {
			result = bridge.WriteTooMuch
		}
	}
	return result
}

// EarlyHints implements bridge.Responder.
func (r *Request) EarlyHints(lines []byte, wait bool) bridge.WriteResult {
	if !r.lock(wait) {
		return bridge.Again
	}
	defer r.mu.Unlock()
	if r.head {
		return bridge.WriteOK // too late
	}
	return r.Client.Hints(lines, wait)
}

// SocketTaken implements bridge.Responder.
func (r *Request) SocketTaken(wait bool) (fd int) {
	r.hijacked.Store(true)
	if !r.lock(wait) {
		return bridge.SocketAgain
	}
	defer r.mu.Unlock()
	if r.Upgraded() {
		return bridge.SocketOver // by another thread, just now
	}
	return r.Client.Socket(wait)
}

// Upgrade implements bridge.Responder.
func (r *Request) Upgrade(ask bridge.UpgradeRequest, wait bool) int64 {
	if !r.lock(wait) {
		return bridge.WSAgain
	}
	defer r.mu.Unlock()
	if r.head || r.Hijacked() || r.Req.Head.Minor == 0 {
		return bridge.WSRefused
	}
	ws := r.Client.Upgrade(ask, wait)
	if ws > bridge.WSAgain {
		r.head, r.status = true, 101
		r.upgraded.Store(true)
	}
	return ws
}

// Read implements bridge.Responder: the body of a request that was handed to the application before it had come.
func (r *Request) Read(dst []byte, wait bool) int64 { return r.Client.Read(dst, wait) }

// Ready implements bridge.Responder.
func (r *Request) Ready(local bool) { r.parked.Ready(local) }

// Over implements bridge.Responder.
func (r *Request) Over() { r.Client.Over() }
