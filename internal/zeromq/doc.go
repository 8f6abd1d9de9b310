// Package zeromq has ZeroMQ's sockets in pure Go: ZMTP 3.1 and 3.0, and 2.0 with older peers, mechanism NULL, over tcp
// and ipc. It knows nothing of what messages mean.
//
// # A connection
//
// A link is somebody a socket talks to: an endpoint that it connects to, for as long as the socket lives, or a peer
// that has connected to it. What is queued belongs to the link and outlives its connections. A link has at most one
// connection (session) at a time, with two goroutines: one reads and calls Options.Receive, one writes what Send could
// not. For who connects the first one makes the connection as well, and the next one when that has ended.
//
// A PULL with Options.Loop has no goroutine that reads: the loop's leader does, see driven.go. Between the peer and the thread
// that runs what has come no other is woken: a request behind Mongrel2 took 20 µs of CPU before, and 11 after. Close, which may come
// when nobody leads any more, has the rest read by a goroutine.
//
// # Sending
//
// Send encodes the message once. If nothing is queued for the link, and nobody writes, it makes one write that does not
// block, on the caller's thread; what is left is copied to the queue and is the writer's. A message of which a part
// only has been written when the connection breaks is sent again from its start: the peer has thrown the part away.
// PUSH, DEALER and REQ have one queue for all links, of which each writer takes some when it has sent all that it had.
//
// # Locks
//
// Socket.mu is before link.mu. Both are held for a few instructions, or for a write that does not block; nothing waits
// with either, and no function of Options is called with one.
package zeromq
