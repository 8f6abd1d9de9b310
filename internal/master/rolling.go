package master

// --rolling: HUP replaces one worker after the other. Both generations serve meanwhile.

// rolls reports whether that is under way: at each time as many serve as are wanted, and one more starts.
func (m *Master) rolls() bool { return m.cfg.Rolling && m.previous >= 0 }

// anyReady reports whether the new code has come to serve: then one that cannot start is no reason to give it up.
func (m *Master) anyReady() bool {
	for _, w := range m.ofGeneration(m.generation) {
		if !w.ready.IsZero() {
			return true
		}
	}
	return false
}
