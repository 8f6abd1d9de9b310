/*
 * shim_head.c: the grammar of what an app may put into a response head. Whatever passes here cannot split a response.
 * Runs on any Python thread; GIL held.
 */
#include <stdlib.h>

#include "shim_int.h"

/* RFC 9110 5.6.2: tchar. */
static const unsigned char tchar[256] = {
	['!'] = 1,
	['#'] = 1,
	['$'] = 1,
	['%'] = 1,
	['&'] = 1,
	['\''] = 1,
	['*'] = 1,
	['+'] = 1,
	['-'] = 1,
	['.'] = 1,
	['^'] = 1,
	['_'] = 1,
	['`'] = 1,
	['|'] = 1,
	['~'] = 1,
	['0' ... '9'] = 1,
	['A' ... 'Z'] = 1,
	['a' ... 'z'] = 1,
};

/* RFC 9110 5.5: field-vchar, SP, HTAB, obs-text; and reason-phrase, RFC 9112 4. */
static int text_ok(const char *s, size_t n) {
	size_t i = 0;
	for (; i + 8 <= n; i += 8) {
		/* Eight at once: a high bit shows a byte below 0x20, 0x7f, or above; the loop below has a closer look. */
		uint64_t x;
		memcpy(&x, s + i, 8);
		if ((x | (x - 0x2020202020202020u) | (x + 0x0101010101010101u)) & 0x8080808080808080u)
			break;
	}
	for (; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		if (GW_UNLIKELY((c < 0x20 && c != '\t') || c == 0x7f))
			return 0;
	}
	return 1;
}

static int equal_fold(const char *s, const char *lower, size_t n) {
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		if (c != (unsigned char)lower[i])
			return 0;
	}
	return 1;
}

enum { F_OTHER, F_LENGTH, F_DATE, F_SERVER, F_CONNECTION, F_UPGRADE, F_HOP };

/* Lengths of the names in field_kind. */
#define KNOWN_LENGTHS (1u << 2 | 1u << 4 | 1u << 6 | 1u << 7 | 1u << 10 | 1u << 14 | 1u << 16 | 1u << 17)

/* The fields that the server has a word in. Hop-by-hop ones (RFC 9110 7.6.1, PEP 3333) are never the app's. */
static int field_kind(const char *s, size_t n) {
	static const struct {
		unsigned char len, kind;
		const char *name;
	} known[] = {
		{2, F_HOP, "te"},
		{4, F_DATE, "date"},
		{6, F_SERVER, "server"},
		{7, F_UPGRADE, "upgrade"},
		{7, F_HOP, "trailer"},
		{10, F_CONNECTION, "connection"},
		{10, F_HOP, "keep-alive"},
		{14, F_LENGTH, "content-length"},
		{16, F_HOP, "proxy-connection"},
		{17, F_HOP, "transfer-encoding"},
	};
	if (n > 17 || !(KNOWN_LENGTHS >> n & 1))
		return F_OTHER;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].len == n && equal_fold(s, known[i].name, n))
			return known[i].kind;
	return F_OTHER;
}

static int grow(char **buf, size_t need, size_t *cap) {
	if (GW_LIKELY(need <= *cap))
		return 0;
	size_t c = *cap ? *cap : 1024;
	while (c < need)
		c *= 2;
	char *p = realloc(*buf, c);
	if (!p) {
		py.PyErr_NoMemory();
		return -1;
	}
	*buf = p;
	*cap = c;
	return 0;
}

/*
 * The latin-1 bytes of a str (PEP 3333: bytes as text). Borrowed from o when it is ASCII, else from *owned, which the
 * caller releases. NULL with ValueError when it has characters beyond latin-1, with TypeError when it is no str.
 */
static const char *latin1(PyObject *o, const char *what, size_t *n, PyObject **owned) {
	*owned = NULL;
	Py_ssize_t bytes = 0;
	const char *s = py.PyUnicode_AsUTF8AndSize(o, &bytes); /* TypeError if it is no str */
	if (GW_LIKELY(s && bytes == py.PyUnicode_GetLength(o))) {
		*n = (size_t)bytes;
		return s;
	}
	py.PyErr_Clear(); /* a lone surrogate has no UTF-8 */
	if (GW_UNLIKELY(!gw_is_str(o))) {
		PyObject *r = py.PyObject_Repr(o);
		if (r) {
			py.PyErr_Format(py.PyExc_TypeError, "%s must be a str, not %U", what, r);
			py.Py_DecRef(r);
		}
		return NULL;
	}
	PyObject *b = py.PyUnicode_AsLatin1String(o);
	char *p = NULL;
	if (!b || py.PyBytes_AsStringAndSize(b, &p, &bytes) < 0) {
		py.PyErr_Clear();
		py.PyErr_Format(py.PyExc_ValueError, "%s has characters outside latin-1: %A", what, o);
		if (b)
			py.Py_DecRef(b);
		return NULL;
	}
	*owned = b;
	*n = (size_t)bytes;
	return p;
}

/* Content-Length as the app wrote it: digits only. -1 with ValueError. */
static int64_t parse_length(const char *s, size_t n) {
	int64_t v = 0;
	while (n && (s[0] == ' ' || s[0] == '\t'))
		s++, n--;
	while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	if (n == 0 || n > 18)
		goto bad;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			goto bad;
		v = v * 10 + (s[i] - '0');
	}
	return v;
bad:
	py.PyErr_SetString(py.PyExc_ValueError, "Content-Length must be a decimal number");
	return -1;
}

static int has_close(const char *s, size_t n) {
	for (size_t i = 0; i + 5 <= n; i++)
		if (equal_fold(s + i, "close", 5))
			return 1;
	return 0;
}

/*
 * Names are nearly always the constants of some code, the same objects each time: what is known of those that came twice
 * is kept, one for each place of the table. A twentieth of the instructions of a pipelined request with two fields.
 */
#define NAMES 64
#define NAME_MAX_KEPT 38

static struct kept_name {
	PyObject *name; /* owned: its address stays its own; NULL: free */
	PyObject *missed; /* not owned, perhaps gone: the last one that was not this one */
	unsigned char kind, len;
	char text[NAME_MAX_KEPT];
} names[NAMES];

/* The place of a name. */
static struct kept_name *name_place(PyObject *name) { return &names[(uintptr_t)name >> 4 & (NAMES - 1)]; }

static void keep_name(PyObject *name, const char *s, size_t n, int kind) {
	struct kept_name *k = name_place(name);
	if (k->missed != name) {
		k->missed = name; /* the next time, perhaps */
		return;
	}
	if (n > NAME_MAX_KEPT || gw_py_free_threaded || gw_cold)
		return;
	PyObject *old = k->name;
	py.Py_IncRef(name);
	k->name = name;
	k->missed = NULL;
	k->kind = (unsigned char)kind;
	k->len = (unsigned char)n;
	memcpy(k->text, s, n);
	if (old)
		py.Py_DecRef(old);
}

/* Checks a field name. Returns its kind, its text in *s and *n as latin1 does; -1 with an exception set. */
static int field_name(PyObject *name, const char **s, size_t *n, PyObject **owned) {
	struct kept_name *k = name_place(name);
	if (GW_LIKELY(k->name == name)) {
		*owned = NULL;
		*s = k->text;
		*n = k->len;
		return k->kind;
	}
	*s = latin1(name, "a response header name", n, owned);
	if (!*s)
		return -1;
	int ok = *n > 0;
	for (size_t i = 0; i < *n && ok; i++)
		ok = tchar[(unsigned char)(*s)[i]];
	if (GW_UNLIKELY(!ok)) {
		py.PyErr_Format(py.PyExc_ValueError, "invalid response header name %A", name);
		return -1;
	}
	int kind = field_kind(*s, *n);
	keep_name(name, *s, *n, kind);
	return kind;
}

int gw_head_field(PyObject *name, PyObject *value, gw_response *res, char **buf, size_t *len, size_t *cap, int hints) {
	PyObject *owned_n = NULL, *owned_v = NULL;
	size_t nn = 0, vn = 0;
	const char *ns = NULL, *vs = NULL;
	int rc = -1;

	int kind = field_name(name, &ns, &nn, &owned_n);
	if (kind < 0)
		goto done;
	vs = latin1(value, "a response header value", &vn, &owned_v);
	if (!vs)
		goto done;
	if (GW_UNLIKELY(!text_ok(vs, vn))) {
		py.PyErr_Format(py.PyExc_ValueError, "invalid value of response header %A: %A", name, value);
		goto done;
	}
	rc = 0;
	switch (kind) {
	case F_OTHER:
		break;
	case F_DATE:
		res->flags |= GW_RES_DATE;
		break;
	case F_SERVER:
		res->flags |= GW_RES_SERVER;
		break;
	case F_CONNECTION:
		if (has_close(vs, vn))
			res->flags |= GW_RES_CLOSE;
		goto done;
	case F_UPGRADE:
		if (res->status == 101 || res->status == 426) /* RFC 9110 15.5.22 */
			break;
		goto done;
	case F_HOP:
		goto done;
	case F_LENGTH: {
		if (hints)
			goto done;
		int64_t v = parse_length(vs, vn);
		rc = v < 0 ? -1 : 0;
		if (rc == 0 && res->content_length >= 0 && res->content_length != v) {
			py.PyErr_SetString(py.PyExc_ValueError, "two Content-Length headers that disagree");
			rc = -1;
		}
		if (rc == 0)
			res->content_length = v;
		goto done;
	}
	}
	if (grow(buf, *len + nn + vn + 4, cap) < 0) {
		rc = -1;
		goto done;
	}
	char *p = *buf + *len;
	memcpy(p, ns, nn);
	p += nn;
	*p++ = ':';
	*p++ = ' ';
	memcpy(p, vs, vn);
	p += vn;
	*p++ = '\r';
	*p++ = '\n';
	*len = (size_t)(p - *buf);
done:
	if (GW_UNLIKELY(owned_n != NULL))
		py.Py_DecRef(owned_n);
	if (GW_UNLIKELY(owned_v != NULL))
		py.Py_DecRef(owned_v);
	return rc;
}

int gw_head_status(PyObject *status, gw_response *res, char **buf, size_t *len, size_t *cap) {
	PyObject *owned = NULL;
	size_t n = 0;
	const char *s;
	s = latin1(status, "the response status", &n, &owned);
	if (GW_UNLIKELY(!s)) {
		char *b;
		Py_ssize_t bn;
		if (!gw_is_bytes(status))
			return -1;
		py.PyErr_Clear();
		if (py.PyBytes_AsStringAndSize(status, &b, &bn) < 0)
			return -1;
		s = b;
		n = (size_t)bn;
	}
	int rc = -1;
	if (n < 3 || s[0] < '1' || s[0] > '9' || s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9' ||
		(n > 3 && s[3] != ' ') || !text_ok(s, n)) {
		py.PyErr_Format(py.PyExc_ValueError, "invalid response status %A: it must look like '200 OK'", status);
		goto done;
	}
	res->status = (s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0');
	if (res->status < 200 && res->status != 101) {
		py.PyErr_Format(py.PyExc_ValueError, "status %d is interim and cannot be a response", (int)res->status);
		goto done;
	}
	if (grow(buf, n + 12, cap) < 0)
		goto done;
	char *p = *buf;
	memcpy(p, "HTTP/1.1 ", 9);
	memcpy(p + 9, s, n);
	p += 9 + n;
	if (n == 3)
		*p++ = ' '; /* RFC 9112 4: the space stays without a reason */
	*p++ = '\r';
	*p++ = '\n';
	*len = (size_t)(p - *buf);
	rc = 0;
done:
	if (owned)
		py.Py_DecRef(owned);
	return rc;
}
