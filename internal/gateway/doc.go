// Package gateway is Mongrel2 as a client of requests: a second request.Client beside HTTP/1's. Messages come from a ZeroMQ
// socket, requests are run by the crew of the HTTP server, which hosts the gateway (h1.Guest), and answers are HTTP/1.1 as raw
// bytes in Mongrel2's format.
//
//	gateway.go   the sockets' side: what a message is, and who gets it
//	link.go      a client's connection: order of its requests, what waits for it, credits
//	exchange.go  one request: its head, made from Mongrel2's fields, and its life
//	response.go  its answer: exchange as request.Client
//	spool.go     what a slow client has not taken of it, in a file
//	gather.go    answers that leave together
//	upload.go    bodies that come by a file or in pieces, and how they are read
//	pieces.go    those in pieces, as they come
//	collect.go   the same, complete before the application is called
//	pair.go      the descriptors by which an application asks whether its client is there
//	apart.go     how many requests need no thread now
//	ask.go       whether a client that takes nothing is still there
//	websocket.go what has become of a connection after a 101
//
// Who runs what. The crew's leader reads the ZeroMQ connection, as it does those of clients: messages are parsed within its Poll,
// without the GIL, and nothing there waits. The request is left to the crew (crew.Bring). Answers are sent by whoever has them:
// Send neither waits nor needs the GIL gone. What a client has no credits for stays in its link, in memory or in a file, and
// leaves on the leader when it hears of credits. A file, also that one, is read by a goroutine of its own.
//
// Heads. Fields are put together as the text of an HTTP/1 head and parsed by httpparse, as if they had come on a socket: the
// same rules about names, hosts and targets hold, once. What Mongrel2 says itself has upper-case names, which clients cannot
// send as Mongrel2 lowers theirs; of two in JSON the last counts, as in Mongrel2's own words.
//
// Locks. Gateway.mu is before link.mu; both are held for a few instructions, or for a Send.
package gateway
