// Package h1 is HTTP/1 on the reactor: the phases of a connection, parsing, bodies in, framing out, staging and gathering.
//
//	server.go    Server and thread: what the connections share, and what a thread has for them
//	host.go      what a leader does: Server as crew.Host
//	conn.go      a connection between requests, and its turns
//	proxy.go     who the client is behind proxies, limits by address
//	leaving.go   how connections end when the server stops, or soon will
//	heads.go     the memory of large heads
//	body.go      request bodies gathered before the application runs
//	exchange.go  a request on its connection, from its head to the next one
//	response.go  framing and sending what the application gives: exchange as request.Client
//	stream.go    what a running request may ask for, from any thread
//	suspend.go   suspended requests, which own their connection without a thread
//	websocket.go WebSockets, on a connection that has been one of HTTP
//	socket.go    sockets that the application takes, and carrier.go what was read behind the request
//	gather.go    staging and gathering; outbox.go, what waits to be sent together
//
// A connection is touched by the thread that leads, or, between Acquire and Release, by the thread that owns it: the one
// that runs its request. The monitor and other threads of the application reach it only through the outbox and the
// reactor's locks.
//
// Whoever works for a connection does so for one turn (crew.Turn), then the connection goes to the end of the ready queue.
// It asks crew who runs what, request what a response is, and httpparse what bytes mean; server tells it to stop.
package h1
