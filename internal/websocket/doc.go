// Package websocket is RFC 6455 and RFC 7692 on a connection that internal/h1 has given up after its 101: frames in and out,
// compression, pings, the closing handshake, and what waits for the application. It knows neither HTTP nor Python.
//
//	conn.go      Conn: what the application takes and sends, and who waits for it
//	frames.go    input: frames to messages
//	output.go    output: messages to frames, in order and whole
//	deflate.go   permessage-deflate
//	handshake.go the answer to an upgrade
//	tick.go      pings and time-outs
//
// Input is fed by the thread that leads (Feed), and there it is only unmasked, checked and put together. A connection
// without input holds no buffer and no goroutine. Compressed messages stay compressed until somebody takes them, so that
// one that inflates to a lot costs its receiver, not the leader. Output comes from any thread; who holds the lock of it sends what
// others, who must not wait, leave with it.
package websocket
