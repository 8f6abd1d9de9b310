// Package request is one request, whatever brought it: PEP 3333's rules on status and length, HEAD, early hints, errors, the
// file and close(), and the line in the access log. It knows no sockets and no framing: who asked is a Client, of which
// HTTP/1 on the reactor (internal/h1) is one.
//
// A Request belongs to the thread that runs it (Run), and its calls to the Client come on that thread; but what the
// application asks for while it runs (write(), body bytes, early hints) may come on any other of its threads, too. For
// those Request.mu keeps the response together. With the GIL nobody waits for it, nor for anything else: who would have to
// is told Again, and comes once more without the GIL.
//
// A request that waits without a thread is suspended: Run returns, the job is put aside (internal/aside), and it goes on by
// Client.Resume, on the same thread.
//
// When the application has answered, what it still does on other threads is called off (Client.Over) and waited for,
// without the GIL: afterwards nobody has the request but its thread.
package request
