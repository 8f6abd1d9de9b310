/*
 * shim.h: everything Go may call in C, everything C calls up in Go, and the structs both see. Read this first.
 *
 * Above each prototype stand: what it returns; who owns each pointer, and until when; what happens with the GIL; whether
 * it may block or call back. "Python thread" is an OS thread with a gw_thread, see gw_thread_attach.
 */
#ifndef GW_SHIM_H
#define GW_SHIM_H

#include <stddef.h>
#include <stdint.h>

#include "pyapi.h"

#define GW_PUBLIC __attribute__((visibility("default")))

/* A run of bytes in the request arena, and one header field; httpparse.Span and httpparse.Header. */
typedef struct gw_span {
	uint32_t off, len;
} gw_span;

typedef struct gw_header {
	gw_span name, value;
} gw_header;

/* gw_request.flags */
enum {
	GW_REQ_HAS_HOST = 1 << 0,     /* host is to be HTTP_HOST; Host fields among the headers are passed over */
	GW_REQ_BODY_FILE = 1 << 1,    /* body is in body_fd, whose ownership passes to the callee */
	GW_REQ_BODY_STREAM = 1 << 2,  /* body is read by gwgo_read as the app asks for it */
	GW_REQ_BODY_MEMORY = 1 << 3,  /* body is the body argument of gw_call, and is copied */
	GW_REQ_LENGTH_KNOWN = 1 << 4, /* set CONTENT_LENGTH to content_length */
	GW_REQ_BODY_BLOCK = 1 << 5,   /* body is in body_block, whose ownership passes to the callee */
	GW_REQ_BODY = GW_REQ_BODY_FILE | GW_REQ_BODY_STREAM | GW_REQ_BODY_MEMORY | GW_REQ_BODY_BLOCK,
};

/*
 * Memory of a request body: C's, so that wsgi.input can have what Go received as it is. It is reserved, and has pages only
 * where somebody has written.
 */
typedef struct gw_body {
	size_t cap;       /* bytes of data */
	size_t committed; /* of them have been written to by one owner or another */
	size_t charged;   /* what it counts in gw_body_used */
} gw_body;

enum { GW_BODY_HEAD = 64 };
static inline char *gw_body_data(gw_body *b) { return (char *)b + GW_BODY_HEAD; }

/* One request, offsets into the arena given beside it. Plain data. */
typedef struct gw_request {
	uint64_t gen; /* number of this request on its job; never 0 */
	uint64_t head; /* number of its head: that of another request with the same bytes; 0: nobody has counted */
	uint32_t conn; /* number of its connection, which no other connection of the process has */
	uint32_t tmpl; /* index of the environ template, see gw_template_add */
	gw_span method, target, path, query, host;
	gw_span script_name, server_name, server_port; /* empty: the template's */
	int64_t content_length;
	uintptr_t body_block; /* a gw_body *; as a number, or cgo would look for Go's pointers in the struct */
	int32_t body_fd;
	int32_t fd; /* the connection's descriptor, valid while the request runs */
	uint32_t nheaders;
	uint16_t remote_port; /* 0: none (unix socket) */
	uint8_t minor; /* HTTP/1.minor */
	uint8_t flags;
	uint32_t remote_len;
	char remote[64]; /* textual peer address, remote_len bytes */
	uint32_t proxy_len; /* 0: no PROXY header */
	char proxy[64]; /* proxy_len bytes: protocol and, where known, the proxy's address and port, with spaces */
} gw_request;

/* One block of the response body. */
typedef struct gw_piece {
	const char *ptr; /* into the app's bytes object */
	size_t len;
	PyObject *
		owned; /* that object; released at the thread's next gw_call, gw_next or gw_release unless Go took it (set NULL) */
} gw_piece;

/* What gw_call and gw_next return. */
enum {
	GW_MORE = 1, /* pieces may be there and the iterable may have more: call gw_next */
	GW_END = 2, /* the response is complete with these pieces; the iterable is closed */
	GW_FILE =
		3, /* the body is file_fd (Go owns it now), file_off, file_len; call gw_finish(finish) when it is sent */
	GW_FAILED = 4, /* the app raised, or broke PEP 3333; it is logged, the iterable is closed */
	GW_HIJACK =
		5, /* the app took the socket, and has answered on it or ended with StopIteration: write nothing, close */
	GW_SUSPENDED =
		6, /* the job waits, see gw_wait; the thread has it no more. Go on with gw_take_up and gw_resume */
};

/* gw_response.flags: what the header list said */
enum {
	GW_RES_STARTED = 1 << 0, /* start_response was called: the head below is there */
	GW_RES_DATE = 1 << 1,
	GW_RES_SERVER = 1 << 2,
	GW_RES_CLOSE = 1 << 3, /* the app sent Connection: close */
	GW_RES_WRITTEN = 1 << 4, /* the write callable was used: gwgo_write has seen the head */
	GW_RES_SIZED = 1 << 5, /* a list or tuple: at GW_END the pieces are all there is; before that total is known */
	GW_RES_LOOSE = 1 << 6, /* finish may be closed by any Python thread */
};

/* The response of a job, in C memory, valid until the job's next gw_call. */
typedef struct gw_response {
	int32_t status; /* 100..999 */
	uint32_t flags; /* GW_RES_* */
	int64_t content_length; /* as the app declared it, or -1 */
	int64_t total; /* bytes of a body that comes in portions, or -1: only the pieces tell */
	const char *status_line; /* "HTTP/1.1 200 OK\r\n" */
	uint32_t status_line_len;
	uint32_t head_len;
	const char *head; /* "Name: value\r\n" …, checked, without hop-by-hop fields and Content-Length */
	gw_piece *pieces;
	uint32_t npieces;
	int32_t file_fd;
	int64_t file_off, file_len;
	PyObject *finish; /* owned by Go until gw_finish */
} gw_response;

/*
 * What a suspended job waits for. word: the number of the wait << 3 | one of these; whoever replaces GW_WAITS of that number by
 * another one, atomically, has ended it, and sees to it that the job is resumed. The rest is valid while it waits; got is
 * set by who has ended it.
 */
enum {
	GW_WAIT_OVER = 0,
	GW_WAITS = 1,
	GW_WAIT_WOKEN = 2, /* by Waiter.wake */
	GW_WAIT_TIMEOUT = 3,
	GW_WAIT_GONE = 4, /* the client */
	GW_WAIT_STOPPING = 5, /* the server, and its grace is over */
	GW_WAIT_FD = 6, /* got: events, or -errno */
	GW_WAIT_BITS = 3,
};
typedef struct gw_wait {
	uint64_t word;
	int64_t timeout; /* ns; negative: none */
	int32_t fd, events; /* 1 readable, 2 writable; fd -1: none */
	int32_t client; /* it ends if the client goes */
	int32_t got;
} gw_wait;

typedef struct gw_thread gw_thread;
typedef struct gw_job gw_job;

/* 1: requests have an X-Request-Id, which is for the error log as well. Set before the first request. */
extern int gw_request_ids;

/* 0: files behind a file_wrapper are read by blocks instead of being sent by the reactor. Set before the first request. */
extern int gw_sendfile;

/* Bits of a watched word; the rest counts calls. */
enum { GW_WATCH_IN_CALL = 1, GW_WATCH_LEADS = 2, GW_WATCH_PENDING = 4, GW_WATCH_STEP = 8 };

/* What the monitor and Go share; every field is used with atomic operations. */
typedef struct gw_watch {
	uint64_t *words; /* one per Python thread, written by it */
	int32_t credit; /* set to credit_full when a follower's call has lasted a tick; the rest is Go's */
	int32_t credit_full; /* constant */
	uint32_t ticking; /* 0: the monitor sleeps, and a call that begins has to poke it */
} gw_watch;

/*
 * Starts the monitor over n words; one at a time in a process. Result: C's, valid for the life of the process; NULL when
 * it cannot. It calls gwgo_call_blocked once for a call that has lasted a tick, if it leads or has output pending.
 */
gw_watch *gw_watch_start(int n, uint64_t tick_ns, int credit);
void gw_watch_poke(void); /* Any thread. Blocks: no. */
void gw_watch_this_thread(int index); /* Lets the monitor ask for the CPU time of the calling thread, words[index]'s. */
void gw_watch_stop(void); /* Blocks: until the monitor has ended. */

/* Ends on the calling thread, once Go runs, what sysmon_linux.c began for Go's first one. Any thread. Blocks: no. */
#ifdef __linux__
void gw_sysmon_made(void);
#else
static inline void gw_sysmon_made(void) {}
#endif

/* Notes how Go handles the signals of crashes, once it runs and before Python does. Blocks: no. */
void gw_crash_go_began(void);

/* What Go counts for stats(), beside the counters below; it adds to them atomically. Indexes of gw_tally. */
enum {
	GW_TALLY_REFUSED,
	GW_TALLY_RESPONSES,
	GW_TALLY_BODIES,
	GW_TALLY_WS_OPEN, /* WebSockets; those that are open, this one goes down as well */
	GW_TALLY_WS_MESSAGES_IN,
	GW_TALLY_WS_MESSAGES_OUT,
	GW_TALLY_WS_BYTES_IN,
	GW_TALLY_WS_BYTES_OUT,
	GW_TALLY_STOPPING, /* 1: the server is stopping, or will soon */
	GW_TALLY_N
};
extern uint64_t gw_tally[GW_TALLY_N];

/* Seconds that local time is ahead of UTC at that time, by libc, whose zone time.tzset() sets. Any thread. Blocks: no. */
long gw_utc_offset(int64_t time);

/* Counters for leak tests; indexes of gw_counters. */
enum {
	GW_CNT_INPUTS,
	GW_CNT_STARTS,
	GW_CNT_WRAPPERS,
	GW_CNT_CLIENTS,
	GW_CNT_HELD,
	GW_CNT_FDS,
	GW_CNT_BODIES,
	GW_CNT_GREENLETS,
	GW_CNT_WAITERS,
	GW_CNT_TIMERS,
	GW_CNT_WEBSOCKETS,
	GW_CNT_N
};

/* ------------------------------------------------------------------------------------------------ Go calls C */

/*
 * Runs the support module (support.py) and makes templates possible; support_late.py is kept as text until it is wanted.
 * Once, after Python is up. 0, or -1 with one sentence in err. source, late_source: caller's, copied. GIL: taken and
 * released. Blocks: it runs Python.
 */
int gw_interp_setup(const char *source, const char *late_source, char *err, size_t errlen);

/*
 * Calls a function of the support module with one text argument and returns its text result; both UTF-8.
 * 0 ok; 1 if it raised SystemExit-like "told" error, text in out; -1 on any other exception (already printed), text in
 * out. out: caller's, at least 1 byte, always terminated. GIL: taken and released. Blocks: it runs Python.
 */
int gw_support_call(const char *function, const char *arg, size_t arg_len, char *out, size_t outlen);

/*
 * Makes the calling OS thread a Python thread. main: the thread that already has a thread state (Python's main thread,
 * or the caller of _gowsgi.run); it must not hold the GIL at this moment and gives saved = its state.
 * Result: owned by the caller until gw_thread_detach; NULL when memory is short. GIL: taken and released. Blocks: for it.
 */
gw_thread *gw_thread_attach(int index, PyThreadState *saved);

/* Ends a Python thread; on the main one the thread state stays. GIL: taken, and released. Blocks: for it. */
void gw_thread_detach(gw_thread *t);

/*
 * Adds an environ template. server_name, server_port: caller's, copied. Result: its index, or -1 with a sentence in err.
 * GIL: taken and released.
 */
int gw_template_add(const char *server_name, const char *server_port, const char *software, int multithread,
	int multiprocess, const char *scheme, char *err, size_t errlen);

/*
 * A request while it runs, to be used for one after the other; index is what its upcalls carry. Result: C's, for the life
 * of the process; NULL when memory is short. Any thread, without the GIL.
 */
gw_job *gw_job_new(uint32_t index);

/* The response of whatever request the job is. Result: C's, at one place for the life of the job. */
gw_response *gw_job_response(gw_job *j);

/* Gives a template back; its index is free again, the lowest first. No request is to use it. GIL: taken and released. */
void gw_template_drop(int index);

/*
 * The memory of a body. Any thread. GIL: not needed. Blocks: no.
 *
 * gw_body_new: a block for want bytes, owned by the caller until gw_body_free or until a request takes it; NULL when memory
 * is short. Its content is whatever was there before.
 * gw_body_grow: a larger one with the first len bytes of b, which is gone then; NULL when memory is short, and b stays.
 * gw_body_free: len is what the owner has written at most.
 * gw_body_charge: counts the block with n bytes until it is freed. -1 if that is more than it counted, and all blocks
 * together would count more than limit; then nothing has changed.
 * gw_body_used: what all blocks count.
 */
gw_body *gw_body_new(size_t want);
gw_body *gw_body_grow(gw_body *b, size_t len, size_t want);
void gw_body_free(gw_body *b, size_t len);
int gw_body_charge(gw_body *b, size_t n, int64_t limit);
int64_t gw_body_used(void);

/*
 * Runs the app for one request, up to the first block that must go out. Result: GW_MORE … GW_HIJACK. j: no request is it.
 * rq, arena, headers, body: caller's, not kept; rq->body_fd, rq->body_block: the callee's from now on. GIL: taken if not
 * held; held on return, see gw_release. Blocks: it runs the app. Calls back: gwgo_*.
 */
int gw_call(
	gw_thread *t, gw_job *j, const gw_request *rq, const char *arena, const gw_header *headers, const char *body);

/*
 * Goes on with the iterable of the thread's job after GW_MORE. Same results, GIL and blocking as gw_call. Between the two the
 * thread may run other jobs, if it had released this one's pieces and takes it up again.
 */
int gw_next(gw_thread *t);

/*
 * Makes j, after GW_MORE or GW_SUSPENDED on this thread, its job again; the job that it has is over, or was put aside. Blocks:
 * no.
 */
void gw_take_up(gw_thread *t, gw_job *j);

/*
 * After GW_MORE, when nobody wants the rest: closes the iterable and ends the request. GW_END or GW_SUSPENDED. GIL: taken if
 * not held, kept.
 */
int gw_abandon(gw_thread *t);

/* Goes on with the thread's job after GW_SUSPENDED, when its wait has ended. Results, GIL and blocking as gw_call. */
int gw_resume(gw_thread *t);

/* What the job waits for. Result: C's, at one place for the life of the job. */
gw_wait *gw_job_wait(gw_job *j);

/*
 * Calls a function as a job of its own, that may suspend: call is a tuple (function, args, kwargs or None), owned by the
 * callee. j: no request is it; gen: its number. GW_END, GW_FAILED (it is logged) or GW_SUSPENDED. GIL and blocking as gw_call.
 */
int gw_spawn(gw_thread *t, gw_job *j, uint64_t gen, PyObject *call);

/*
 * What gw_spawn or, for a Timer, gw_timer_run calls, where there are no greenlets: on the calling OS thread, which is none of
 * the server's Python threads. later: owned by the callee. GIL: taken and released. Blocks: it runs Python.
 */
void gw_call_apart(PyObject *later);

/*
 * Ends the waits of the server's OS threads, those that wait now and from now on (1), or lets them wait (0, at first). How many
 * waited. GIL: any. Blocks: no.
 */
int gw_parked_over(int on);

/* How many of them wait. GIL: any. Blocks: no. */
int gw_parked_count(void);

/* Calls the module's attribute heartbeat, if there is one. GIL: taken and released. Blocks: until the GIL is to be had. */
void gw_heartbeat(void);
int gw_green_there(void); /* Whether there are greenlets. Any thread. */

/*
 * Wakes a Waiter, owned by the callee, with (code, text). Any OS thread that is no Python thread of the server. GIL: taken and
 * released. Blocks: for it.
 */
void gw_answer(PyObject *waiter, int code, const char *text);

/* What a Timer calls, now, as gw_spawn does, unless it was cancelled. timer: owned by the callee. */
int gw_timer_run(gw_thread *t, gw_job *j, uint64_t gen, PyObject *timer);

/*
 * Calls close() of what GW_FILE left, on the thread that made it or, with GW_RES_LOOSE, on any, and lets go of it.
 * GIL: taken if not held, kept. Blocks: it may run Python.
 */
void gw_finish(gw_thread *t, PyObject *owned_finish);

/*
 * Lets go of the last response's pieces, and of the GIL, if the thread has it. GIL: never taken; without it the pieces are
 * handed in like those of gw_unhold. Blocks: no.
 */
void gw_release(gw_thread *t);

/* Lets go of the GIL, which the thread has, and of nothing else. Blocks: no. */
void gw_pause(gw_thread *t);

/* Whether the unhold list has something that waits for a thread with the GIL. GIL: not needed. */
int gw_unhold_waiting(void);

/* Lets go of what is in the unhold list, of some if it is long. GIL: taken if not held, kept. Blocks: it may run Python. */
void gw_tidy(gw_thread *t);

/* Gives back a piece's object that Go took. Any thread; gw_tidy, gw_call or gw_next release it later. Blocks: no. */
void gw_unhold(PyObject *owned);

/* The same for an object that is no piece's. */
void gw_drop(PyObject *owned);

/*
 * Ends the Python side of the connection of this number, if there is any left. Any thread, without the GIL; takes effect
 * under the next. Blocks: no.
 */
void gw_conn_drop(uint32_t conn);

/* Runs pending Python signal handlers; main thread only. GIL: taken if not held, kept. Blocks: it runs Python. */
void gw_check_signals(gw_thread *t);

/* Whether the current OS thread has the GIL through t. */
int gw_thread_has_gil(const gw_thread *t);

/* Whether jobs of the thread may suspend (1) or wait on it (0, at first). Its thread. GIL: any. Blocks: no. */
void gw_thread_may_suspend(gw_thread *t, int may);

/* Whether the current OS thread has the GIL, any thread's; for builds that check rules, while there is an application. */
int gw_holds_gil(void);

/* The environ key of a field name, through the cache; for tests. Its length, or -1. GIL: taken and released. */
int gw_header_key_text(const char *name, size_t n, char *out, size_t outlen);
int64_t gw_header_keys_made(void); /* How many of them were not in the cache; for tests. */

/* Copies the counters. out: caller's, GW_CNT_N entries. */
void gw_counters(int64_t *out);

/* ------------------------------------------------------------------------------------------------ C calls Go */

/*
 * The upcalls with wait do what they can at once if it is 0, with the GIL held; what would have to wait, for a lock, a disk
 * or the client, makes them return 2 without having done anything: call again with wait 1, without the GIL. job: the index
 * of the job. gen: of the request that means it; when that is over they say so.
 */

/*
 * Body bytes from the write callable. ptr: borrowed for the call. 0: taken; 2: see above; -1: the client is gone, or takes
 * nothing, or the request is over; -2: too many bytes for the declared Content-Length. GIL: must not be held if wait. Blocks:
 * if wait.
 */
extern int gwgo_write(uint32_t job, uint64_t gen, gw_response *res, char *ptr, size_t len, int wait);

/*
 * Reads body bytes of a streaming request. Result: > 0 bytes; 0 end of body; -1 nothing there now (only if !wait);
 * -2 the client left before the end; -3 the request is over; -4 it sent nothing for too long; -5 bad framing.
 * GIL: must not be held if wait. Blocks: if wait.
 */
extern int64_t gwgo_read(uint32_t job, uint64_t gen, char *dst, size_t len, int wait);

/* Sends a 103 with these header lines ("Name: value\r\n" …). 0, 2, or -1. GIL: must not be held if wait. Blocks: if wait. */
extern int gwgo_early_hints(uint32_t job, uint64_t gen, char *lines, size_t len, int wait);

/*
 * The app asked for the raw socket: the connection will not be used for another request, and what was written before goes
 * out. Result: a descriptor of the caller's, of the connection itself or, if input behind the request was read already, of a
 * socket that gives this first; GW_SOCKET_OVER, GW_SOCKET_AGAIN, or -errno (none of these). GIL: must not be held if wait.
 * Blocks: if wait.
 */
enum { GW_SOCKET_OVER = -1, GW_SOCKET_AGAIN = -2 };
extern int gwgo_socket_taken(uint32_t job, uint64_t gen, int wait);

/* What the calls about a WebSocket may return, besides what each says. */
enum {
	GW_WS_OK = 0,
	GW_WS_NOTHING =
		1, /* no message is there; for a sender: the client has enough to take. gwgo_ws_await waits for more */
	GW_WS_AGAIN = 2, /* it would have to wait, and may not */
	GW_WS_CLOSED = -1, /* nothing more comes, or goes */
	GW_WS_REFUSED = -2, /* no WebSocket can be made of the request any more */
};

/*
 * Makes a WebSocket of the connection of a request, which must not have been answered, and sends the 101. ask: four texts,
 * one after the other, each of so many bytes: Sec-WebSocket-Key, the protocol that was chosen or none, Sec-WebSocket-Extensions, more
 * lines for the 101. Result: its number, which no other one of the process has, greater than 2; GW_WS_AGAIN or GW_WS_REFUSED. GIL: must
 * not be held if wait. Blocks: if wait.
 */
typedef struct gw_ws_ask {
	const char *text;
	uint32_t len[4];
} gw_ws_ask;
extern int64_t gwgo_ws_open(uint32_t job, uint64_t gen, gw_ws_ask *ask, int wait);

/*
 * Takes the next message: into buf, if it has room for it, else into a block of malloc's, which is the caller's. GW_WS_OK,
 * GW_WS_NOTHING, GW_WS_AGAIN or GW_WS_CLOSED. GIL: must not be held if wait. Blocks: if wait.
 */
typedef struct gw_ws_message {
	char *data;
	size_t len;
	int binary;
} gw_ws_message;
extern int gwgo_ws_take(uint64_t ws, char *buf, size_t cap, gw_ws_message *m, int wait);

/*
 * Has a waiter woken when there may be a message, or, room, when the client may have taken enough: job's wait of that number
 * ended by GW_WAIT_WOKEN, or, gen 0, sem posted. thread: the job's. Result: a number for gwgo_ws_forget, after which nobody
 * is woken any more; 0: what is waited for may be there. GIL: held. Blocks: no.
 */
typedef struct gw_ws_waiter {
	uint64_t gen, number;
	uintptr_t sem; /* a sem_t * */
	uint32_t job;
	int32_t thread;
} gw_ws_waiter;
extern uint64_t gwgo_ws_await(uint64_t ws, int room, gw_ws_waiter *w);
extern void gwgo_ws_forget(uint64_t ws, uint64_t waiter);

/* Sends a frame. GW_WS_OK, GW_WS_NOTHING, GW_WS_AGAIN or GW_WS_CLOSED. GIL: must not be held if wait. Blocks: if wait. */
extern int gwgo_ws_send(uint64_t ws, int opcode, char *data, size_t len, int wait);

/* Begins the closing handshake; code 0: none is given. GIL: held. Blocks: no. */
extern void gwgo_ws_close(uint64_t ws, int code, char *reason, size_t len);

/* How it ends or has ended. reason: the callee's, at most 123 bytes. GIL: held. Blocks: no. */
typedef struct gw_ws_state {
	int32_t closed, code; /* code 0: it has not */
	uint32_t reason_len;
	char reason[128];
} gw_ws_state;
extern void gwgo_ws_state(uint64_t ws, gw_ws_state *state);

/* Python has let go of it. GIL: held. Blocks: no. */
extern void gwgo_ws_drop(uint64_t ws);

/*
 * An exchange: requests and answers over ZeroMQ, of a program that is a handler of Mongrel2. Its number is greater than 0. GIL: held,
 * and none of these blocks; but gwgo_m2_lead and gwgo_m2_close come without the GIL, and the latter waits until what was sent is on
 * its way, ns at most.
 *
 * gwgo_m2_open: options, JSON as internal/exchange has it. 0: err has a sentence. gwgo_m2_take: as gwgo_ws_take. gwgo_m2_send:
 * GW_M2_NOTHING says that the answer is taken, and that there is no room for another. gwgo_m2_epoch: how often the server has gone,
 * gwgo_m2_take's when the request was made, without which gwgo_m2_send sends nothing. gwgo_m2_await: as gwgo_ws_await, for one of
 * GW_M2_AWAIT_…, and of a thread that calls gwgo_m2_lead if leads: this reads what has come, if no other thread does; a descriptor to
 * wait for before the next call, GW_M2_LEAD_WOKEN, or GW_M2_LEAD_FOLLOWS: its semaphore is to be waited for. gwgo_m2_forget: 1 if it was ended by gwgo_m2_interrupt. gwgo_m2_pass: who was woken does not take the request.
 */
enum {
	GW_M2_OK = 0,
	GW_M2_NOTHING = 1,
	GW_M2_OVER = -1, /* nothing more comes, or goes */
	GW_M2_INTERRUPTED = -2,
	GW_M2_OUTDATED = -3, /* the epoch is over: nothing is sent */
};
enum { GW_M2_LEAD_WOKEN = -1, GW_M2_LEAD_FOLLOWS = -2 };
enum { GW_M2_AWAIT_REQUEST, GW_M2_AWAIT_ROOM, GW_M2_AWAIT_LEFT };
extern uint64_t gwgo_m2_open(char *options, size_t len, char *err, size_t errlen);
extern uint64_t gwgo_m2_epoch(uint64_t x);
extern int gwgo_m2_take(uint64_t x, char *buf, size_t cap, gw_ws_message *m, uint64_t *epoch);
extern int gwgo_m2_send(uint64_t x, char *data, size_t len, uint64_t epoch);
extern uint64_t gwgo_m2_await(uint64_t x, int what, gw_ws_waiter *w, int leads);
extern int gwgo_m2_lead(uint64_t x, uint64_t waiter);
extern int gwgo_m2_forget(uint64_t x, uint64_t waiter);
extern void gwgo_m2_pass(uint64_t x);
extern void gwgo_m2_interrupt(uint64_t x);
extern void gwgo_m2_shutdown(uint64_t x, int64_t ns);
extern void gwgo_m2_close(uint64_t x, int64_t ns);

/*
 * The job, whose wait has ended by GW_WAIT_WOKEN, is to be resumed. local: the caller is on its thread. GIL: held. Blocks: no.
 */
extern void gwgo_ready(uint32_t job, uint64_t gen, int local);

/*
 * Has gw_spawn called with call, owned by Go from now on, on Python thread number thread (-1: the first), at its next turn;
 * gw_timer_run with timer in ns; daemon: the server does not go on for its sake. The result of the latter is for
 * gwgo_timer_cancel, which is 1 if that call will not come: Go has let go of the timer then. Before a server runs, the next one sees to it. GIL: held. Blocks: no.
 */
extern void gwgo_spawn(PyObject *call, int thread);
extern uint64_t gwgo_timer(PyObject *timer, int64_t ns, int thread, int daemon);
extern int gwgo_timer_cancel(uint64_t timer);

/* Ends the waits of suspended jobs for fd, which is about to be closed; how many. GIL: held. Blocks: no. */
extern int gwgo_cancel_fd(int fd);

/*
 * Looks a host name up, and has gw_answer called: 0 and the addresses, with spaces, or a getaddrinfo error and its text. host:
 * caller's. waiter: owned by Go. GIL: held. Blocks: no.
 */
extern void gwgo_resolve(char *host, size_t len, int family, PyObject *waiter);

/* Says, once, that greenlets were asked for and there are none. GIL: held. Blocks: no. */
extern void gwgo_no_greenlets(void);

/* What gwgo_run adds to the number of the signal that has stopped the server. */
#define GW_RUN_SIGNAL 0x100

/*
 * The native functions behind _gowsgi.main, run and stop. argv: joined by NUL. saved: thread state of the caller.
 * GIL: must not be held. Blocks: main and run serve until stopped. err: caller's.
 */
extern int gwgo_main(char *argv, size_t len, PyThreadState *saved);
extern int gwgo_run(PyObject *app, char *options, size_t len, PyThreadState *saved, char *err, size_t errlen);
extern void gwgo_stop(double timeout);
/* GIL: held. Blocks: no. */
extern void gwgo_reopen_logs(void);

/* The call that word stands for, of this thread, has lasted a tick. On the monitor. GIL: not held. Blocks: no. */
extern void gwgo_call_blocked(int thread, uint64_t word);

/*
 * A file that the program carries, for _gowsgi.carried; the one without a name has the names, a line each, those of
 * directories with a slash at the end. gw_carry: files and all in it stay, for processes forked later as well, where no Go
 * runs. Before Python starts.
 */
typedef struct gw_carried {
	const char *name, *data;
	size_t name_len, data_len;
} gw_carried;

void gw_carry(const gw_carried *files, size_t n);

/*
 * A signal reached Python's handler for it (second way beside the pipe). 1: what the main thread does is to be broken off.
 * GIL: held. Blocks: no.
 */
extern int gwgo_signal(int signum);

#endif
