/*
 * shim_int.h: what the C files of this directory share among themselves. Go never sees it.
 */
#ifndef GW_SHIM_INT_H
#define GW_SHIM_INT_H

#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#include "embed.h"
#include "shim.h"

/* Our part of an object of one of our types; the head before it is Python's and its size known only at run time. */
#define GW_SELF(type, obj) ((type *)((char *)(obj) + gw_py_head_size))

#define GW_LIKELY(x) __builtin_expect(!!(x), 1)
#define GW_UNLIKELY(x) __builtin_expect(!!(x), 0)

typedef struct gw_conn gw_conn;
typedef struct gw_runner gw_runner;

/* One Python thread. Never freed while the process lives. */
struct gw_thread {
	PyThreadState *ts;
	int index, is_main, has_gil;
	gw_job *job; /* that it ran last, or runs: whose pieces gw_release drops; NULL: none yet, or it was suspended */

	/* Greenlets, see shim_green.c; nothing as long as none are used. */
	PyObject *hub; /* owned */
	gw_runner *runners; /* owned: idle ones */
	int nrunners, may_suspend;
};

/* The calling OS thread, if it is a Python thread of the server. */
extern __thread gw_thread *gw_self;

enum {
	GW_TAKEN = 1, /* perhaps only to look whether the client is there */
	GW_TAKEN_OVER = 2, /* by something that sends: what the client gets is no response of ours any more */
};

/*
 * One request while it runs, and its response. A thread has it then; it can be put aside between two steps and taken up
 * again later. Objects made for a request carry (job, gen), and compare gen before they touch anything, because the app may
 * keep them for ever; a gw_job is therefore never freed while the process lives, but used for the next request.
 */
struct gw_job {
	uint64_t gen; /* of the running request; 0 between requests */
	uint32_t index; /* that upcalls carry */
	int socket_taken; /* gunicorn.socket was used: GW_TAKEN_… */
	int upgraded; /* it is a WebSocket: what the application returns goes nowhere */
	gw_conn *conn; /* of the running request */
	int head_gone; /* the head was handed to Go: start_response can no longer replace it */
	uint64_t starting; /* gen of the request for which start_response is under way */
	PyObject *iterable; /* owned: what the app returned */
	PyObject *iterator; /* owned: its iterator; or, with total known, a tuple of the blocks, of which at are sent */
	Py_ssize_t at, blocks; /* blocks: how many the tuple has, 0: iterator is none */
	int closeable; /* iterable may have a close() */

	/* Suspension, see shim_green.c. */
	gw_runner *runner; /* whose greenlet it runs in; NULL: none */
	gw_thread *on; /* the thread of that */
	PyObject *away; /* owned: the greenlet that has handed back; NULL: it has not */
	uint64_t parked; /* gen, while it is put aside in Go */
	PyObject *environ, *start; /* owned, on their way to the application; or environ is what a spawned job calls */
	gw_wait wait;

	gw_response res;
	char *head; /* block behind res.status_line and res.head */
	size_t head_cap;
	gw_piece *pieces;
	uint32_t pieces_cap;

	/* request line for the error log: copied, since the arena is Go's */
	char what[256], id[128]; /* and its X-Request-Id */
	size_t what_len, id_len;
};

/*
 * What Python knows of one connection: the peer's address as str objects, and the objects that environ hands out for it.
 * Those hold a reference to this struct (refs, under the GIL), and it holds one to each of them until gw_conn_cut cuts
 * that circle. They work only while a request runs on the connection. The table in shim_client.c owns the struct, or, if it
 * has no place for it, the request.
 */
struct gw_conn {
	uint32_t id; /* gw_request.conn */
	int refs, kept;
	int fd;
	gw_job *job; /* of its request; NULL between requests */
	uint64_t gen; /* of that request */
	PyObject *address, *port, *client, *socket, *hints; /* owned */
	PyObject *environ; /* owned; what environs of the connection begin with; NULL before its second request */
	uint32_t tmpl; /* that it was made from */
	uint64_t head; /* gw_request.head of the last request */
	uint64_t whole; /* 0, or environ is all of that for a request with this head */
	int again; /* it had a request */
	uint16_t port_number;
	uint32_t remote_len;
	char remote[64];
};

extern atomic_llong gw_count[GW_CNT_N];
/* All of it happens under the GIL, where a plain addition will do: six locked ones were 2 % of a request. */
#define GW_COUNT(which, by)                                                                                            \
	(GW_UNLIKELY(gw_py_free_threaded)                                                                              \
			? (void)atomic_fetch_add_explicit(&gw_count[which], (by), memory_order_relaxed)                \
			: atomic_store_explicit(&gw_count[which],                                                      \
				  atomic_load_explicit(&gw_count[which], memory_order_relaxed) + (by),                 \
				  memory_order_relaxed))

/*
 * Set by the environment variable GOWSGI_COLD, for the tests: nothing that one request leaves behind is used by the next
 * (header keys and values, spare objects), and start_response is called without vectorcall.
 */
extern int gw_cold;

/* Our types, owned for the life of the process. */
extern PyObject *gw_type_input, *gw_type_wrapper, *gw_type_start, *gw_type_write, *gw_type_client, *gw_type_socket,
	*gw_type_hints;
extern PyObject *gw_empty_input; /* wsgi.input of every request without a body */
extern PyObject *gw_support; /* the support module */
extern PyObject *gw_native; /* _gowsgi */

/* Each makes its types and puts them into the module. 0, or -1 with an exception set. GIL: held. */
int gw_input_init(PyObject *module);
int gw_file_init(PyObject *module);
int gw_start_init(PyObject *module);
int gw_client_init(PyObject *module);
int gw_environ_init(void);

/* Adds functions to the module. 0, or -1 with an exception set. GIL: held. */
int gw_add_functions(PyObject *module, PyMethodDef *functions);
/* Makes a type and adds it to the module under its last name. NULL with an exception set. GIL: held. */
PyObject *gw_make_type(PyObject *module, PyType_Spec *spec, size_t size);
/* tp_new of types whose objects only the server makes: one without its request would crash when it is used. */
PyObject *gw_no_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
/* A new zeroed object of one of our types. NULL with an exception set. */
PyObject *gw_new(PyObject *type, int counter);
/* tp_dealloc's end. */
void gw_delete(PyObject *self, PyObject *type, int counter);

/* Exact type test without looking into the object; and the flag test for subclasses. */
static inline PyTypeObject *gw_type_of(PyObject *o) {
	if (py.Py_TYPE)
		return py.Py_TYPE(o);
	PyObject *t = py.PyObject_Type(o);
	py.Py_DecRef(t); /* the object keeps its type alive */
	return (PyTypeObject *)t;
}
static inline int gw_is(PyObject *o, PyTypeObject *exact, unsigned long flag) {
	PyTypeObject *t = gw_type_of(o);
	return t == exact || (py.PyType_GetFlags(t) & flag) != 0;
}
#define gw_is_bytes(o) gw_is((o), py.PyBytes_Type, Py_TPFLAGS_BYTES_SUBCLASS)
#define gw_is_str(o) gw_is((o), py.PyUnicode_Type, Py_TPFLAGS_UNICODE_SUBCLASS)

/* A step of a job: runs Python, and results in GW_MORE … GW_HIJACK. */
typedef int (*gw_todo)(gw_job *j);

/*
 * Greenlets. gw_green_on: jobs run in them from now on. gw_green_enable: tries to; 0: there are none. gw_green_run: todo, in
 * the greenlet of j; its result, or GW_SUSPENDED. gw_green_can: whether the calling code may hand its thread back.
 * gw_green_hand_back: does so, until gw_resume; -1 with an exception set, if somebody throws it into the greenlet.
 * gw_green_end: lets go of what t has. GIL: held.
 */
extern int gw_green_on;
int gw_green_enable(void);
int gw_green_run(gw_thread *t, gw_job *j, gw_todo todo);
int gw_green_can(void);
PyObject *gw_green_owner(void); /* borrowed: the greenlet of the job, where gw_green_can says yes */
int gw_green_hand_back(void);
void gw_green_end(gw_thread *t);

/* Ends a request whose greenlet has died under it. A result. GIL: held. */
int gw_call_broken(gw_job *j);

void gw_take_gil(gw_thread *t);

/* Whether the exception that is set is one that a wait ends with as the client has left, or the server stops. GIL: held. */
int gw_wait_broken_off(void);

/* What is to be called for an object that Go has: of a Timer, or it is that itself. owned: by the callee. NULL: cancelled. */
PyObject *gw_timer_take(PyObject *owned);

/* What gw_wait_for's callee is told: who waits. job: in its greenlet, in the wait of that number; else sem, of the OS thread. */
typedef struct gw_waits {
	gw_job *job;
	uint64_t number;
	void *sem;
} gw_waits;

/*
 * Waits, for ns nanoseconds at most or, if negative, without limit. begin is told who waits, and says whether there is a wait at
 * all; end follows, if so. GW_WAIT_…: GW_WAIT_OVER if there was none; -1 with an exception set. GIL: held, and let go of meanwhile.
 */
int gw_wait_for(int64_t ns, int (*begin)(void *arg, const gw_waits *w), void (*end)(void *arg), void *arg);

/*
 * Where the calling code may hand its thread back, the thread's other requests get a turn, if this one has gone on for a
 * millisecond since *since: for who is always given what it would wait for. 0, or -1 with an exception set. GIL: held, and let
 * go of meanwhile.
 */
int gw_give_turn(int64_t *since);

/* Seconds or None as nanoseconds, negative for None. 0, or -1 with an exception set. */
int gw_parse_timeout(PyObject *o, int64_t *ns);
int64_t gw_now_ns(void);

/* Sets the exception that a wait ends with; NULL. */
PyObject *gw_raise_wait(int how);

/* The request that runs on the connection of a Client object, NULL with an exception set. Borrowed. */
gw_job *gw_client_job(PyObject *client);

/* Header fields, a list of (name, value), as checked lines in *buf, which is the caller's to free. 0, or -1 with an exception set. */
int gw_head_lines(PyObject *headers, const char *what, char **buf, size_t *len);

int gw_websocket_init(PyObject *module);
int gw_exchange_init(PyObject *module);

/* Makes the type Waiter, and the functions that go with it. 0, or -1 with an exception set. GIL: held. */
int gw_wait_init(PyObject *module);
int gw_later_init(PyObject *module);

/* New references. The environ of a request; NULL with an exception set. GIL: held. */
PyObject *gw_environ(gw_job *j, const gw_request *rq, const char *arena, const gw_header *headers, const char *body);
PyObject *gw_start_new(gw_job *j);
void gw_body_drop(const gw_request *rq); /* what gw_environ would have taken of the body */
/* The environ key of a field name. *secret: its value must not be kept. NULL with an exception set. */
PyObject *gw_header_key(const char *name, size_t n, int *secret);
/* The str of a value that clients send again and again, perhaps one that is kept. */
PyObject *gw_header_value(const char *s, size_t n);
PyObject *gw_port_text(unsigned port);
/* The connection of a request that begins as j: what was kept of it, or new. NULL with an exception set. */
gw_conn *gw_conn_begin(gw_job *j, const gw_request *rq);
void gw_conn_end(gw_conn *c, int last); /* of the request; c may be gone */
void gw_conn_cut(gw_conn *owned);
void gw_conn_forget(uint32_t id);
int gw_conn_kept(uint32_t id); /* perhaps; GIL: not needed */
/* body bytes are copied; block, fd: owned by the result, and gone if there is none. */
PyObject *gw_input_memory(const char *body, size_t len);
PyObject *gw_input_block(gw_body *block, size_t len);
PyObject *gw_input_file(int fd, int64_t len);
PyObject *gw_input_stream(gw_job *j, int64_t length_or_minus_1);

/*
 * "200 OK": three digits, a space, the reason. str, or bytes as older apps have it. Sets res->status and leaves the status
 * line in *buf. 0, or -1 with an exception set.
 */
int gw_head_status(PyObject *status, gw_response *res, char **buf, size_t *len, size_t *cap);

/*
 * Checks one response header field and appends "Name: value\r\n" to *buf (realloc'd; *len, *cap). Facts about it go to
 * res. 0, or -1 with an exception set.
 */
int gw_head_field(PyObject *name, PyObject *value, gw_response *res, char **buf, size_t *len, size_t *cap, int hints);

/* If wrapper is a FileWrapper over a regular file: 1, and the range, a duplicate descriptor. 0: iterate instead. */
int gw_file_range(PyObject *wrapper, int *fd, int64_t *off, int64_t *len);
/* Whether its file is exactly a type of io: any thread may close it. */
int gw_file_is_plain(PyObject *wrapper);

/*
 * Prints the exception that is set, with its traceback, and clears it. j: of the request, NULL: none. what: for instance
 * "while closing". GIL: held.
 */
void gw_log_exception(gw_job *j, const char *what);

/* What is known of a request that runs; nothing of it (line NULL) if j is none. Safe in a signal handler. */
typedef struct gw_about {
	const char *line, *client, *id; /* of the job, or its connection */
	size_t line_len, client_len, id_len;
} gw_about;
gw_about gw_about_request(const gw_job *j);

/* Keeps the X-Request-Id of the request that begins as j, if requests have one. */
void gw_about_id(gw_job *j, const gw_request *rq, const char *arena, const gw_header *headers);

/* Adds the calling thread to those whose requests a crash names, or takes it off. Any thread, no GIL. */
void gw_crash_thread(gw_thread *t, int there);

/* From now on crashes are reported to fd, see shim_crash.c. May be called again. Any thread, no GIL. */
void gw_crash_watch(int fd);

/* The GIL around something that may take long, on any thread. */
#define GW_ALLOW_THREADS(stmt)                                                                                         \
	do {                                                                                                           \
		PyThreadState *saved_ = py.PyEval_SaveThread();                                                        \
		stmt;                                                                                                  \
		py.PyEval_RestoreThread(saved_);                                                                       \
	} while (0)

/*
 * An OS thread that waits on its stack's semaphore, see shim_parked.c. Enter and leave with the GIL; over says that the server has
 * ended the wait, and sem is posted then.
 */
typedef struct gw_parked {
	sem_t sem;
	int over; /* atomic */
	struct gw_parked *next, **prev; /* prev NULL: no thread of the server's */
} gw_parked;

void gw_parked_enter(gw_parked *p);
void gw_parked_leave(gw_parked *p);
int gw_parked_is_over(const gw_parked *p);

/* Whether the server may end the waits of the calling thread. */
int gw_parked_ours(void);
/* A descriptor that is readable when the calling thread's waits end; -1: it is none of the server's, or there is none left. */
int gw_parked_bell(void);
/* Whether the calling thread's waits have ended. */
int gw_parked_check(void);
/* Whether the calling OS thread runs a spawned function, where there are no greenlets. */
extern __thread int gw_apart;

/* threads_linux.c. The number of the calling thread, and whether the thread with a number runs or waits for a CPU only; 0: it
 * waits for something, or that cannot be told. Any thread. Blocks: no. */
#ifdef __linux__
int gw_thread_id(void);
int gw_thread_is_ready(int tid);
#else
static inline int gw_thread_id(void) { return 0; }
static inline int gw_thread_is_ready(int tid) { return (void)tid, 0; }
#endif

#endif
