/*
 * shim_environ.c: the environ of a request, from a template dict and the spans that the parser found.
 * Runs on the Python thread that has the request; GIL held.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shim_int.h"

#define MAX_TEMPLATES 64

static PyObject *templates[MAX_TEMPLATES]; /* owned; NULL: free */

/* Interned keys, owned for ever. */
#define KEYS(X)                                                                                                        \
	X(REQUEST_METHOD)                                                                                              \
	X(PATH_INFO)                                                                                                   \
	X(QUERY_STRING)                                                                                                \
	X(SERVER_PROTOCOL)                                                                                             \
	X(REMOTE_ADDR)                                                                                                 \
	X(REMOTE_PORT)                                                                                                 \
	X(RAW_URI)                                                                                                     \
	X(REQUEST_URI)                                                                                                 \
	X(CONTENT_LENGTH)                                                                                              \
	X(HTTP_HOST)                                                                                                   \
	X(SCRIPT_NAME)                                                                                                 \
	X(SERVER_NAME)                                                                                                 \
	X(SERVER_PORT)
#define X(name) static PyObject *key_##name;
KEYS(X)
#undef X
static PyObject *key_input, *key_gone, *key_gone_waitress, *key_socket, *key_socket_werkzeug, *key_hints;
static PyObject *str_http10, *str_http11, *str_empty, *str_comma, *str_semicolon;

/* Common methods, so that no string is made for them. */
static struct {
	const char *name;
	size_t len;
	PyObject *str;
} methods[] = {{"GET", 3, NULL}, {"POST", 4, NULL}, {"HEAD", 4, NULL}, {"PUT", 3, NULL}, {"DELETE", 6, NULL},
	{"OPTIONS", 7, NULL}, {"PATCH", 5, NULL}};

/* ------------------------------------------------------------------------------------------------ templates */

static int set_text(PyObject *d, const char *key, const char *value) {
	PyObject *v = py.PyUnicode_DecodeLatin1(value, (Py_ssize_t)strlen(value), NULL);
	int rc = v ? py.PyDict_SetItemString(d, key, v) : -1;
	if (v)
		py.Py_DecRef(v);
	return rc;
}

static int set_attr(PyObject *d, const char *key, PyObject *from, const char *attr) {
	PyObject *v = py.PyObject_GetAttrString(from, attr);
	int rc = v ? py.PyDict_SetItemString(d, key, v) : -1;
	if (v)
		py.Py_DecRef(v);
	return rc;
}

int gw_environ_init(void) {
	gw_cold = getenv("GOWSGI_COLD") != NULL;
#define X(name)                                                                                                        \
	if (!key_##name && !(key_##name = py.PyUnicode_InternFromString(#name)))                                       \
		return -1;
	KEYS(X)
#undef X
	struct {
		PyObject **to;
		const char *text;
	} more[] = {{&key_input, "wsgi.input"}, {&key_gone, "gowsgi.client_disconnected"},
		{&key_gone_waitress, "waitress.client_disconnected"}, {&key_socket, "gunicorn.socket"},
		{&key_socket_werkzeug, "werkzeug.socket"}, {&key_hints, "wsgi.early_hints"}, {&str_http10, "HTTP/1.0"},
		{&str_http11, "HTTP/1.1"}, {&str_empty, ""}, {&str_comma, ", "}, {&str_semicolon, "; "}};
	for (size_t i = 0; i < sizeof more / sizeof *more; i++)
		if (!*more[i].to && !(*more[i].to = py.PyUnicode_InternFromString(more[i].text)))
			return -1;
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (!methods[i].str && !(methods[i].str = py.PyUnicode_InternFromString(methods[i].name)))
			return -1;
	return 0;
}

static int fill_template(PyObject *d, const char *name, const char *port, const char *software, int multithread,
	int multiprocess, const char *scheme) {
	PyObject *version = py.Py_BuildValue("(ii)", 1, 0);
	int rc = version ? py.PyDict_SetItemString(d, "wsgi.version", version) : -1;
	if (version)
		py.Py_DecRef(version);
	/*
	 * Also the keys that every request sets: replacing is cheaper than inserting, and the copy's table has the room that
	 * the header fields need from the start, so that no request pays for growing it.
	 */
	PyObject *always[] = {key_PATH_INFO, key_RAW_URI, key_REQUEST_URI, key_QUERY_STRING, key_REMOTE_ADDR, key_gone,
		key_gone_waitress, key_socket, key_socket_werkzeug, key_hints, key_HTTP_HOST, key_REMOTE_PORT};
	for (size_t i = 0; rc == 0 && i < sizeof always / sizeof *always; i++)
		rc = py.PyDict_SetItem(d, always[i], str_empty);
	if (rc == 0)
		rc = py.PyDict_SetItem(d, key_SERVER_PROTOCOL, str_http11);
	if (rc == 0)
		rc = py.PyDict_SetItem(d, key_REQUEST_METHOD, methods[0].str);
	return rc < 0 || set_text(d, "wsgi.url_scheme", scheme) < 0 ||
	       py.PyDict_SetItem(d, key_input, gw_empty_input) < 0 ||
	       set_attr(d, "wsgi.errors", gw_support, "errors") < 0 ||
	       py.PyDict_SetItemString(d, "wsgi.multithread", multithread ? Py_True : Py_False) < 0 ||
	       py.PyDict_SetItemString(d, "wsgi.multiprocess", multiprocess ? Py_True : Py_False) < 0 ||
	       py.PyDict_SetItemString(d, "wsgi.run_once", Py_False) < 0 ||
	       py.PyDict_SetItemString(d, "wsgi.input_terminated", Py_True) < 0 ||
	       py.PyDict_SetItemString(d, "wsgi.file_wrapper", gw_type_wrapper) < 0 ||
	       set_text(d, "SERVER_SOFTWARE", software) < 0 || set_text(d, "SERVER_NAME", name) < 0 ||
	       set_text(d, "SERVER_PORT", port) < 0 || set_text(d, "SCRIPT_NAME", "") < 0 ||
	       (strcmp(scheme, "https") == 0 && set_text(d, "HTTPS", "on") < 0);
}

int gw_template_add(const char *server_name, const char *server_port, const char *software, int multithread,
	int multiprocess, const char *scheme, char *err, size_t errlen) {
	int gil = py.PyGILState_Ensure();
	int index = 0;
	while (index < MAX_TEMPLATES && templates[index])
		index++;
	PyObject *d = index < MAX_TEMPLATES ? py.PyDict_New() : NULL;
	if (d && fill_template(d, server_name, server_port, software, multithread, multiprocess, scheme) == 0) {
		templates[index] = d;
	} else {
		snprintf(err, errlen, "%s",
			index < MAX_TEMPLATES ? "the environ template could not be built"
					      : "too many addresses to listen on");
		index = -1;
		py.PyErr_Clear();
		if (d)
			py.Py_DecRef(d);
	}
	py.PyGILState_Release(gil);
	return index;
}

void gw_template_drop(int index) {
	int gil = py.PyGILState_Ensure();
	PyObject *owned = templates[index];
	templates[index] = NULL;
	if (owned)
		py.Py_DecRef(owned);
	py.PyGILState_Release(gil);
}

/* ------------------------------------------------------------------------------------------------ one request */

static int put(PyObject *d, PyObject *key, PyObject *owned_value) {
	if (GW_UNLIKELY(!owned_value))
		return -1;
	int rc = py.PyDict_SetItem(d, key, owned_value);
	py.Py_DecRef(owned_value);
	return rc;
}

static int put_latin1(PyObject *d, PyObject *key, const char *s, size_t n) {
	return put(d, key, py.PyUnicode_DecodeLatin1(s, (Py_ssize_t)n, NULL));
}

static int hex(unsigned char c) {
	return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* PATH_INFO: percent-decoded bytes as text. A '%' that no two hex digits follow stays as it is, as CGI scripts saw it. */
static PyObject *path_info(const char *s, size_t n) {
	if (GW_LIKELY(memchr(s, '%', n) == NULL))
		return py.PyUnicode_DecodeLatin1(s, (Py_ssize_t)n, NULL);
	char small[1024] = "", *p = n <= sizeof small ? small : malloc(n);
	if (!p)
		return py.PyErr_NoMemory();
	size_t o = 0;
	for (size_t i = 0; i < n; i++) {
		int a, b;
		if (s[i] == '%' && i + 2 < n && (a = hex((unsigned char)s[i + 1])) >= 0 &&
			(b = hex((unsigned char)s[i + 2])) >= 0) {
			p[o++] = (char)(a << 4 | b);
			i += 2;
		} else {
			p[o++] = s[i];
		}
	}
	PyObject *r = py.PyUnicode_DecodeLatin1(p, (Py_ssize_t)o, NULL);
	if (p != small)
		free(p);
	return r;
}

static int put_method(PyObject *d, const char *s, size_t n) {
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (methods[i].len == n && memcmp(methods[i].name, s, n) == 0)
			return i == 0 ? 0
			              : py.PyDict_SetItem(
						d, key_REQUEST_METHOD, methods[i].str); /* the template has GET */
	return put_latin1(d, key_REQUEST_METHOD, s, n);
}

/* A field that came before: joined, cookies by "; " (RFC 6265bis), others by ", " (RFC 9110 5.3). */
static int join(PyObject *d, PyObject *key, PyObject *old, PyObject *value, int cookie) {
	PyObject *left = py.PyUnicode_Concat(old, cookie ? str_semicolon : str_comma);
	PyObject *both = left ? py.PyUnicode_Concat(left, value) : NULL;
	if (left)
		py.Py_DecRef(left);
	return put(d, key, both);
}

static int name_is(const char *s, size_t n, const char *lower, size_t ln) {
	if (n != ln)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (((unsigned char)s[i] | 0x20) != (unsigned char)lower[i] && s[i] != lower[i])
			return 0;
	return 1;
}

/*
 * The fields that say how the body was sent are not the app's: it gets a body that is decoded, and an app that believed
 * Transfer-Encoding would decode it again. The length, where it is known, is CONTENT_LENGTH, which put_body sets, or the
 * client's field of a streaming body.
 */
static int put_headers(PyObject *d, const gw_request *rq, const char *arena, const gw_header *h) {
	for (uint32_t i = 0; i < rq->nheaders; i++) {
		const char *name = arena + h[i].name.off;
		size_t n = h[i].name.len;
		if (name_is(name, n, "host", 4) && (rq->flags & GW_REQ_HAS_HOST))
			continue;
		if (GW_UNLIKELY(rq->flags & GW_REQ_BODY) &&
			(name_is(name, n, "transfer-encoding", 17) ||
				((rq->flags & GW_REQ_LENGTH_KNOWN) && name_is(name, n, "content-length", 14))))
			continue;
		int secret;
		const char *text = arena + h[i].value.off;
		size_t len = h[i].value.len;
		PyObject *key = gw_header_key(name, n, &secret), *value = NULL;
		if (GW_LIKELY(key != NULL))
			value = secret ? py.PyUnicode_DecodeLatin1(text, (Py_ssize_t)len, NULL)
			               : gw_header_value(text, len);
		int rc = -1;
		if (GW_LIKELY(value != NULL)) {
			/* One look-up inserts and tells whether the field was there. */
			PyObject *there = py.PyDict_SetDefault(d, key, value);
			rc = GW_LIKELY(there == value) ? 0
			     : there                   ? join(d, key, there, value, name_is(name, n, "cookie", 6))
			                               : -1;
			py.Py_DecRef(value);
		}
		if (key)
			py.Py_DecRef(key);
		if (rc < 0)
			return -1;
	}
	return 0;
}

void gw_body_drop(const gw_request *rq) {
	if (rq->flags & GW_REQ_BODY_FILE)
		close(rq->body_fd);
	if (rq->flags & GW_REQ_BODY_BLOCK)
		gw_body_free((gw_body *)rq->body_block, (size_t)rq->content_length);
}

static int put_body(PyObject *d, gw_job *j, const gw_request *rq, const char *body) {
	PyObject *in = NULL;
	if (GW_LIKELY(!(rq->flags & GW_REQ_BODY)))
		return 0; /* the template has the empty one */
	if (rq->flags & GW_REQ_BODY_FILE)
		in = gw_input_file(rq->body_fd, rq->content_length);
	else if (rq->flags & GW_REQ_BODY_BLOCK)
		in = gw_input_block((gw_body *)rq->body_block, (size_t)rq->content_length);
	else if (rq->flags & GW_REQ_BODY_MEMORY)
		in = gw_input_memory(body, (size_t)rq->content_length);
	else
		in = gw_input_stream(j, rq->content_length);
	if (!d || !in) {
		if (in)
			py.Py_DecRef(in);
		return -1;
	}
	int rc = put(d, key_input, in);
	if (rc == 0 && (rq->flags & GW_REQ_LENGTH_KNOWN))
		rc = put(d, key_CONTENT_LENGTH, py.PyUnicode_FromFormat("%lld", (long long)rq->content_length));
	return rc;
}

/* What is the same for every request of a connection. */
static int put_conn(PyObject *d, const gw_conn *c) {
	return py.PyDict_SetItem(d, key_REMOTE_ADDR, c->address) < 0 ||
	       (c->port_number ? py.PyDict_SetItem(d, key_REMOTE_PORT, c->port)
			       : py.PyDict_DelItem(d, key_REMOTE_PORT)) < 0 ||
	       py.PyDict_SetItem(d, key_gone, c->client) < 0 ||
	       py.PyDict_SetItem(d, key_gone_waitress, c->client) < 0 ||
	       py.PyDict_SetItem(d, key_socket, c->socket) < 0 ||
	       py.PyDict_SetItem(d, key_socket_werkzeug, c->socket) < 0 ||
	       py.PyDict_SetItem(d, key_hints, c->hints) < 0;
}

/* Keeps a copy of d for the connection. whole: see gw_conn. */
static void keep_environ(gw_conn *c, PyObject *d, uint32_t tmpl, uint64_t whole) {
	PyObject *old = c->environ;
	c->environ = py.PyDict_Copy(d);
	c->tmpl = tmpl;
	c->whole = whole;
	if (old)
		py.Py_DecRef(old);
	if (!c->environ)
		py.PyErr_Clear();
}

/*
 * A dict with everything but what the request brings. For a connection's second request, and those after it, there is one
 * with what put_conn sets: replacing six values takes longer than all the rest of a copy (a twentieth of the instructions
 * of a pipelined request).
 */
static PyObject *begin_environ(gw_conn *c, uint32_t tmpl) {
	if (GW_LIKELY(c->environ && c->tmpl == tmpl && !c->whole))
		return py.PyDict_Copy(c->environ);
	PyObject *d = py.PyDict_Copy(templates[tmpl]);
	if (d && GW_UNLIKELY(put_conn(d, c))) {
		py.Py_DecRef(d);
		return NULL;
	}
	if (d && !gw_cold && c->again++)
		keep_environ(c, d, tmpl, 0);
	return d;
}

/* REMOTE_ADDR and REMOTE_PORT are the connection's, unless a proxy in front speaks for another client. */
static int put_peer(PyObject *d, gw_conn *c, const gw_request *rq) {
	int same = rq->remote_port == c->port_number && rq->remote_len == c->remote_len &&
	           memcmp(rq->remote, c->remote, rq->remote_len) == 0;
	if (GW_LIKELY(same))
		return 0;
	if (put(d, key_REMOTE_ADDR, gw_header_value(rq->remote, rq->remote_len)) < 0)
		return -1;
	if (rq->remote_port)
		return put(d, key_REMOTE_PORT, gw_port_text(rq->remote_port));
	return c->port_number ? py.PyDict_DelItem(d, key_REMOTE_PORT) : 0; /* else it is not there */
}

/* The keys that gunicorn has for a PROXY header; of one that names no addresses only the first. */
static int put_proxy(PyObject *d, const char *text, size_t n) {
	static const char *const names[] = {"PROXY_PROTOCOL", "PROXY_ADDR", "PROXY_PORT"};
	for (int i = 0; i < 3 && n > 0; i++) {
		const char *space = memchr(text, ' ', n);
		size_t len = space ? (size_t)(space - text) : n;
		PyObject *value = py.PyUnicode_DecodeLatin1(text, (Py_ssize_t)len, NULL);
		int rc = value ? py.PyDict_SetItemString(d, names[i], value) : -1;
		if (value)
			py.Py_DecRef(value);
		if (rc < 0)
			return -1;
		len += space != NULL;
		text += len;
		n -= len;
	}
	return 0;
}

PyObject *gw_environ(gw_job *j, const gw_request *rq, const char *arena, const gw_header *headers, const char *body) {
	gw_conn *c = j->conn;
	/*
	 * The head is all that differs between the requests of a connection, if they have no body: what proxies in front say
	 * of the client is in it, too. So one that comes a third time in a row, byte by byte, is a copy. Heads with a number
	 * have neither a body nor what identifies a user.
	 */
	if (rq->head && c->whole == rq->head && c->environ && c->tmpl == rq->tmpl)
		return py.PyDict_Copy(c->environ);
	PyObject *d = begin_environ(c, rq->tmpl);
	/* First of all, because a body's descriptor or block is ours from now on. */
	if (GW_UNLIKELY(put_body(d, j, rq, body) < 0 || !d)) {
		if (d)
			py.Py_DecRef(d);
		return NULL;
	}
	const char *target = arena + rq->target.off;
	PyObject *uri = py.PyUnicode_DecodeLatin1(target, (Py_ssize_t)rq->target.len, NULL);
	int bad = !uri || py.PyDict_SetItem(d, key_RAW_URI, uri) < 0 ||
	          py.PyDict_SetItem(d, key_REQUEST_URI, uri) < 0 ||
	          put_method(d, arena + rq->method.off, rq->method.len) < 0 ||
	          (!rq->minor && py.PyDict_SetItem(d, key_SERVER_PROTOCOL, str_http10) < 0);
	if (!bad) {
		/* A path without query and escapes is the target itself: no second string. */
		if (rq->path.off == rq->target.off && rq->path.len == rq->target.len &&
			!memchr(target, '%', rq->target.len))
			bad = py.PyDict_SetItem(d, key_PATH_INFO, uri) < 0;
		else
			bad = put(d, key_PATH_INFO, path_info(arena + rq->path.off, rq->path.len)) < 0;
	}
	if (!bad && rq->query.len)
		bad = put_latin1(d, key_QUERY_STRING, arena + rq->query.off, rq->query.len) < 0;
	if (!bad)
		bad = put_peer(d, c, rq) < 0;
	if (!bad)
		bad = (rq->flags & GW_REQ_HAS_HOST)
		              ? put(d, key_HTTP_HOST, gw_header_value(arena + rq->host.off, rq->host.len)) < 0
		              : py.PyDict_DelItem(d, key_HTTP_HOST) < 0;
	if (!bad && GW_UNLIKELY(rq->script_name.len))
		bad = put(d, key_SCRIPT_NAME, path_info(arena + rq->script_name.off, rq->script_name.len)) < 0;
	if (!bad && GW_UNLIKELY(rq->server_name.len))
		bad = put_latin1(d, key_SERVER_NAME, arena + rq->server_name.off, rq->server_name.len) < 0;
	if (!bad && GW_UNLIKELY(rq->server_port.len))
		bad = put_latin1(d, key_SERVER_PORT, arena + rq->server_port.off, rq->server_port.len) < 0;
	if (!bad && GW_UNLIKELY(rq->proxy_len))
		bad = put_proxy(d, rq->proxy, rq->proxy_len) < 0;
	bad = bad || put_headers(d, rq, arena, headers) < 0;
	if (uri)
		py.Py_DecRef(uri);
	if (GW_UNLIKELY(bad)) {
		py.Py_DecRef(d);
		return NULL;
	}
	if (rq->head && rq->head == c->head && !gw_cold)
		keep_environ(c, d, rq->tmpl, rq->head);
	c->head = rq->head;
	return d;
}
