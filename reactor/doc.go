// Package reactor holds the sockets: it polls, accepts, reads, queues output, keeps deadlines and closes. It knows
// neither HTTP nor Python; what bytes mean is the business of the Handler.
//
// # Who runs it
//
// A Loop has no goroutine of its own. One goroutine at a time leads: it calls Poll to collect events and Dispatch to
// handle them one by one. All state of the Loop (poller, table of connections, ready queue, timer wheel) belongs to the
// leader and has no lock, but for that of Await. Leadership may change hands at any moment at which a Handler method is running: Dispatch has
// finished with the Loop before it calls the Handler and touches nothing after it returns, so a second goroutine may
// call Dispatch and Poll while the first is still inside. The hand-over itself (and its happens-before) is the caller's.
//
// # The life of a connection
//
//  1. accept4 takes it from a Listener, it gets a place in the table (indexed by descriptor, with a generation), is
//     registered once, edge-triggered, for everything, and reaches Handler.Accepted.
//  2. An event sets notes in the connection's state word (readable, peer gone, broken). If nobody owns the connection,
//     the leader calls Handler.Ready. The Handler reads until ErrWouldBlock or a short read.
//  3. A Handler that is about to do something long calls Acquire first. From then on the connection belongs to that
//     thread: the leader only notes what happens to it and flushes its output. Release gives it back and posts it to
//     the loop if there is a note. No note is lost: owner and notes share one atomic word.
//  4. Output goes through Send: what the socket does not take is queued (pooled copies, held references, file ranges,
//     and beyond a limit a temporary file) and flushed by the leader whenever the socket becomes writable, or by any
//     thread that calls Flush. The queue has its own small mutex.
//  5. CloseAfterFlush and Abort mark; the leader closes, and calls Handler.Closed as the last call for the connection.
//     Only the leader closes the descriptor of a connection, and never that of an owned one.
//
// # Other descriptors
//
// Await calls a function once when any descriptor, not only one of the loop's, is readable or writable; Forget ends that.
// Both are for any goroutine, and never wait. The descriptor is its owner's: it is registered with the loop's poller for
// one event at a time, and what it means is looked at each time, since it may have been closed and its number be that of
// another one, of a connection of ours as well. Deadlines are the caller's, who forgets.
//
// # Deadlines
//
// Each connection has one deadline, on the clock of NowNanos. Moving it later is a field write: the wheel finds out when
// the old time comes, and puts the connection where it belongs. Deadlines are rounded up to a tick of about 67 ms.
package reactor
