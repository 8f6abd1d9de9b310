/*
 * shim_fields.c: names and values of header fields as Python strings, kept for the requests that bring them again. GIL held.
 * The names are kept under the GIL (or, on a free-threaded build, under a lock of their own) and never freed.
 */
#include <pthread.h>
#include <stdlib.h>

#include "shim_int.h"

/* ------------------------------------------------------------------------------------------------ header keys */

/*
 * Field name -> interned "HTTP_…" key. Open addressing, bounded: when CACHE_FILL names are in, further names get a key
 * made for the one request, so that a client that invents names cannot fill memory.
 */
#define CACHE_SIZE 1024
#define CACHE_FILL 512
#define NAME_MAX_CACHED 48

typedef struct key_entry {
	PyObject *key; /* NULL: free */
	unsigned char len, secret;
	char name[NAME_MAX_CACHED]; /* lower case */
} key_entry;

static key_entry cache[CACHE_SIZE];
static int cache_used;
static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER; /* taken only on a free-threaded build */

static PyObject *make_key(const char *name, size_t n) {
	char small[128], *p = n + 5 <= sizeof small ? small : malloc(n + 5);
	if (!p)
		return py.PyErr_NoMemory();
	memcpy(p, "HTTP_", 5);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)name[i];
		p[5 + i] = c == '-' ? '_' : (c >= 'a' && c <= 'z') ? (char)(c - 32) : (char)c;
	}
	/* The two that CGI has without the prefix (PEP 3333). */
	int bare = (n == 12 && memcmp(p + 5, "CONTENT_TYPE", 12) == 0) ||
	           (n == 14 && memcmp(p + 5, "CONTENT_LENGTH", 14) == 0);
	PyObject *k = bare ? py.PyUnicode_DecodeLatin1(p + 5, (Py_ssize_t)n, NULL)
	                   : py.PyUnicode_DecodeLatin1(p, (Py_ssize_t)n + 5, NULL);
	if (p != small)
		free(p);
	return k;
}

/* Fields whose values are not kept beyond their request. */
static int is_secret(const char *low, size_t n) {
	static const char *names[] = {"cookie", "authorization", "proxy-authorization"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strlen(names[i]) == n && memcmp(names[i], low, n) == 0)
			return 1;
	return 0;
}

/* New reference to the key of a field name. *secret: its value must not be kept. */
PyObject *gw_header_key(const char *name, size_t n, int *secret) {
	*secret = 1;
	char low[NAME_MAX_CACHED];
	if (GW_UNLIKELY(n > NAME_MAX_CACHED || gw_cold))
		return make_key(name, n);
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)name[i];
		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		low[i] = (char)c;
		h = (h ^ c) * 16777619u;
	}
	if (GW_UNLIKELY(gw_py_free_threaded))
		pthread_mutex_lock(&cache_lock);
	PyObject *k = NULL;
	uint32_t at = h & (CACHE_SIZE - 1);
	for (;; at = (at + 1) & (CACHE_SIZE - 1)) {
		key_entry *e = &cache[at];
		if (!e->key)
			break;
		if (e->len == n && memcmp(e->name, low, n) == 0) {
			k = e->key;
			*secret = e->secret;
			py.Py_IncRef(k);
			break;
		}
	}
	if (GW_UNLIKELY(!k)) {
		k = make_key(name, n);
		if (k && cache_used < CACHE_FILL) {
			py.PyUnicode_InternInPlace(&k);
			cache[at].len = (unsigned char)n;
			cache[at].secret = (unsigned char)is_secret(low, n);
			memcpy(cache[at].name, low, n);
			py.Py_IncRef(k);
			cache[at].key = k;
			cache_used++;
		}
	}
	if (GW_UNLIKELY(gw_py_free_threaded))
		pthread_mutex_unlock(&cache_lock);
	return k;
}

/* ------------------------------------------------------------------------------------------------ header values */

/*
 * Clients send the same values again and again: the strings of those that came twice are kept, one for each place of the
 * table. A comparison takes 10 ns where making and freeing the string of a User-Agent takes 65. Bounded: 512 values of
 * at most 192 bytes. Without the GIL (free-threaded builds) it is not used.
 */
#define VALUES 512
#define VALUE_MAX 192

static struct kept_value {
	PyObject *str; /* owned; NULL: free */
	uint32_t len;
	uint32_t missed; /* hash of the last value that was not this one */
	char text[VALUE_MAX];
} kept[VALUES];

/* Of 8 bytes each from the beginning, the middle and the end. n >= 8. */
static uint32_t value_hash(const char *s, size_t n) {
	uint64_t a, b, c;
	memcpy(&a, s, 8);
	memcpy(&b, s + n / 2 - 4, 8);
	memcpy(&c, s + n - 8, 8);
	uint64_t h = (a ^ n) * 0x9E3779B97F4A7C15u;
	h = (h ^ (h >> 29) ^ b) * 0xBF58476D1CE4E5B9u;
	h = (h ^ (h >> 32) ^ c) * 0x94D049BB133111EBu;
	return (uint32_t)(h >> 32) | 1;
}

/* New reference to the str of a field value. */
PyObject *gw_header_value(const char *s, size_t n) {
	if (n < 8 || n > VALUE_MAX || GW_UNLIKELY(gw_py_free_threaded || gw_cold))
		return py.PyUnicode_DecodeLatin1(s, (Py_ssize_t)n, NULL);
	uint32_t h = value_hash(s, n);
	struct kept_value *v = &kept[h >> 8 & (VALUES - 1)];
	if (GW_LIKELY(v->len == n && memcmp(v->text, s, n) == 0)) {
		py.Py_IncRef(v->str);
		return v->str;
	}
	PyObject *str = py.PyUnicode_DecodeLatin1(s, (Py_ssize_t)n, NULL);
	if (v->missed != h) {
		v->missed = h; /* the next time, perhaps */
	} else if (str) {
		PyObject *old = v->str;
		py.Py_IncRef(str);
		v->str = str;
		v->len = (uint32_t)n;
		v->missed = 0;
		memcpy(v->text, s, n);
		if (old)
			py.Py_DecRef(old);
	}
	return str;
}

/* ------------------------------------------------------------------------------------------------ for tests */

int gw_header_key_text(const char *name, size_t n, char *out, size_t outlen) {
	int gil = py.PyGILState_Ensure();
	int secret, rc = -1;
	PyObject *key = gw_header_key(name, n, &secret);
	PyObject *bytes = key ? py.PyUnicode_AsLatin1String(key) : NULL;
	char *p;
	Py_ssize_t len;
	if (bytes && py.PyBytes_AsStringAndSize(bytes, &p, &len) == 0 && (size_t)len <= outlen) {
		memcpy(out, p, (size_t)len);
		rc = (int)len;
	}
	if (key)
		py.Py_DecRef(key);
	if (bytes)
		py.Py_DecRef(bytes);
	py.PyErr_Clear();
	py.PyGILState_Release(gil);
	return rc;
}
