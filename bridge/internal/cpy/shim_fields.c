/*
 * shim_fields.c: names and values of header fields as Python strings, kept for the requests that bring them again. GIL held.
 * What is kept is kept under the GIL (or, on a free-threaded build, under a lock of its own). Clients decide what comes, so
 * where a string has its place depends on a secret of the process, and what comes once gives way to what comes often.
 */
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "shim_int.h"

/* ------------------------------------------------------------------------------------------------ hashes */

static uint64_t secrets[2];

__attribute__((constructor)) static void choose_secrets(void) {
	if (getentropy(secrets, sizeof secrets) < 0) { /* better some than none */
		struct timespec now;
		clock_gettime(CLOCK_MONOTONIC, &now);
		secrets[0] = (uint64_t)now.tv_nsec * 0x9E3779B97F4A7C15u;
		secrets[1] = (uintptr_t)&now;
	}
	secrets[1] |= 1;
}

/* Both halves of the product, as wyhash does: nobody who does not know the secrets can aim at a place. */
static inline uint64_t mix(uint64_t h, uint64_t word) {
	unsigned __int128 p = (unsigned __int128)(h ^ word) * secrets[1];
	return (uint64_t)p ^ (uint64_t)(p >> 64) ^ secrets[0];
}

/* ------------------------------------------------------------------------------------------------ header keys */

/*
 * Field name -> "HTTP_…" key. A name has one of the few places of its set, so that looking for it is short whatever came
 * before. A new name takes a free place, or that of one which has not come again since it came; where all have, or if it
 * was driven out itself not long ago, it makes them a step less safe. So a client that invents names drives out others like
 * it, and whatever really comes again is in after a few times.
 */
enum { SETS = 256, WAYS = 4, OFTEN = 3, NAME_MAX_CACHED = 48 };

/* Interned keys are compared by their address. Some Pythons keep such strings for ever, so they are not without end. */
enum { INTERN_MOST = 1024 };

typedef struct key_entry {
	PyObject *key; /* owned; NULL: free */
	uint32_t tag; /* of its hash */
	unsigned char len, secret, hits, interned;
	uint64_t name[NAME_MAX_CACHED / 8]; /* lower case, and zeros behind it */
} key_entry;

static key_entry cache[SETS][WAYS];
static uint32_t gone[SETS][WAYS]; /* tags of the last ones that were driven out */
static unsigned char turn[SETS]; /* where the next one looks for a place first */
static int interned;
static int64_t made; /* keys, for tests */
static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER; /* taken only on a free-threaded build */

static PyObject *make_key(const char *name, size_t n) {
	made++;
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
static int is_secret(const char *name, size_t n) {
	switch (n) {
	case sizeof "cookie" - 1:
		return strncasecmp(name, "cookie", n) == 0;
	case sizeof "authorization" - 1:
		return strncasecmp(name, "authorization", n) == 0;
	case sizeof "proxy-authorization" - 1:
		return strncasecmp(name, "proxy-authorization", n) == 0;
	}
	return 0;
}

/* The eight letters of a word in lower case, others as they are. */
static inline uint64_t lower(uint64_t w) {
	const uint64_t ones = 0x0101010101010101u, high = 0x80 * ones;
	uint64_t seven = w & ~high;
	uint64_t from_a = seven + (0x80 - 'A') * ones, above_z = seven + (0x7f - 'Z') * ones;
	return w | ((from_a ^ above_z) & ~w & high) >> 2;
}

/* Up to seven letters as a word, without a detour through memory. */
static inline uint64_t short_word(const char *s, size_t n) {
	uint64_t w = 0;
	unsigned at = 0;
	if (n & 4) {
		uint32_t four;
		memcpy(&four, s, 4);
		w = four;
		at = 32;
		s += 4;
	}
	if (n & 2) {
		uint16_t two;
		memcpy(&two, s, 2);
		w |= (uint64_t)two << at;
		at += 16;
		s += 2;
	}
	if (n & 1)
		w |= (uint64_t)(unsigned char)*s << at;
	return w;
}

static inline int same(const uint64_t *a, const uint64_t *b, size_t n) {
	uint64_t differ = 0;
	for (size_t i = 0; i < (n + 7) / 8; i++)
		differ |= a[i] ^ b[i];
	return differ == 0;
}

static PyObject *known(key_entry *set, uint32_t tag, const uint64_t *low, size_t n, int *secret) {
	for (key_entry *e = set; e < set + WAYS; e++) {
		if (e->tag != tag || e->len != n || !e->key || !same(e->name, low, n))
			continue;
		if (GW_UNLIKELY(e->hits < OFTEN)) {
			e->hits++;
			if (!e->interned && interned < INTERN_MOST) {
				interned++;
				e->interned = 1;
				py.PyUnicode_InternInPlace(&e->key);
			}
		}
		*secret = e->secret;
		py.Py_IncRef(e->key);
		return e->key;
	}
	return NULL;
}

/* Makes what is in a set a step less safe. */
static void age(key_entry *set) {
	for (key_entry *e = set; e < set + WAYS; e++)
		e->hits -= e->hits > 0;
}

/* Gives a name its place, if it gets one. key: borrowed. */
static void keep_key(uint64_t h, const uint64_t *low, size_t n, int secret, PyObject *key) {
	key_entry *set = cache[h % SETS], *place = NULL;
	uint32_t tag = (uint32_t)(h >> 32), *left = gone[h % SETS];
	int again = 0;
	for (int i = 0; i < WAYS; i++)
		again |= left[i] == tag;
	if (again)
		age(set); /* or those that come again would only drive out each other */
	for (unsigned i = 0; i < WAYS && !place; i++) {
		key_entry *e = set + (turn[h % SETS] + i) % WAYS;
		if (!e->key || e->hits == 0)
			place = e;
	}
	if (!place) {
		if (!again)
			age(set);
		return;
	}
	turn[h % SETS] = (unsigned char)(place - set + 1);
	PyObject *old = place->key;
	if (old) {
		memmove(left + 1, left, (WAYS - 1) * sizeof *left);
		left[0] = place->tag;
	}
	py.Py_IncRef(key);
	*place = (key_entry){.key = key,
		.tag = tag,
		.len = (unsigned char)n,
		.secret = (unsigned char)secret,
		.hits = again ? 2 : 0};
	memcpy(place->name, low, sizeof place->name);
	if (old)
		py.Py_DecRef(old); /* a str: nothing runs */
}

/* New reference to the key of a field name. *secret: its value must not be kept. */
PyObject *gw_header_key(const char *name, size_t n, int *secret) {
	*secret = 1;
	uint64_t low[NAME_MAX_CACHED / 8] = {0}, h = n;
	if (GW_UNLIKELY(n > NAME_MAX_CACHED || gw_cold))
		return make_key(name, n);
	size_t words = n / 8;
	for (size_t i = 0; i < words; i++) {
		uint64_t word;
		memcpy(&word, name + 8 * i, 8);
		h = mix(h, low[i] = lower(word));
	}
	if (n % 8)
		h = mix(h, low[words] = lower(short_word(name + 8 * words, n % 8)));
	if (GW_UNLIKELY(gw_py_free_threaded))
		pthread_mutex_lock(&cache_lock);
	key_entry *set = cache[h % SETS];
	uint32_t tag = (uint32_t)(h >> 32);
	PyObject *k = known(set, tag, low, n, secret);
	if (GW_UNLIKELY(!k)) {
		*secret = is_secret(name, n);
		if ((k = make_key(name, n)))
			keep_key(h, low, n, *secret, k);
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

/* Of 8 bytes each from the beginning, the middle and the end. n >= 8. Never 0. */
static uint32_t value_hash(const char *s, size_t n) {
	uint64_t a, b, c;
	memcpy(&a, s, 8);
	memcpy(&b, s + n / 2 - 4, 8);
	memcpy(&c, s + n - 8, 8);
	uint64_t h = mix(mix(mix(n, a), b), c);
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

int64_t gw_header_keys_made(void) { return made; }

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
