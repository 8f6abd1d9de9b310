/*
 * shim_body.c: the memory of request bodies. Go receives into it, and wsgi.input then has it as it is: nothing is copied
 * before the application reads. Any thread, with the GIL or without; a lock is held for a few instructions only.
 *
 * A block is a mapping of its own. What nobody has written to has no pages, so a client that only announces much costs
 * nothing; what a body has left behind is kept for the next ones, up to POOL_BYTES, as 1 MiB of new pages costs as much as
 * receiving into them.
 */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim_int.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define FORBID(b) __asan_poison_memory_region(gw_body_data(b), (b)->cap)
#define ALLOW(b) __asan_unpoison_memory_region(gw_body_data(b), (b)->cap)
#else
#define FORBID(b) (void)(b)
#define ALLOW(b) (void)(b)
#endif

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

/* The data of a block is 64 kB << n, and there is room for the header beside it. */
enum { SMALLEST = 64 << 10, MARGIN = 4 << 10, POOL_BLOCKS = 64, POOL_BYTES = 16 << 20 };

static struct {
	pthread_mutex_t lock;
	gw_body *free[POOL_BLOCKS]; /* the last one is the warmest */
	size_t n, bytes;            /* bytes: what they have of pages */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static atomic_llong used; /* what all blocks have charged */

static size_t size_for(size_t want) {
	size_t size = SMALLEST;
	while (size < want && size < SIZE_MAX / 4)
		size *= 2;
	return size;
}

static size_t mapped(const gw_body *b) { return GW_BODY_HEAD + b->cap; }

static void unmap(gw_body *b) {
	ALLOW(b);
	munmap(b, mapped(b));
}

gw_body *gw_body_new(size_t want) {
	size_t size = size_for(want);
	gw_body *b = NULL;
	pthread_mutex_lock(&pool.lock);
	for (size_t i = pool.n; i-- > 0;) {
		if (pool.free[i]->cap - (MARGIN - GW_BODY_HEAD) == size) {
			b = pool.free[i];
			pool.bytes -= b->committed;
			pool.n--;
			memmove(pool.free + i, pool.free + i + 1, (pool.n - i) * sizeof *pool.free);
			break;
		}
	}
	pthread_mutex_unlock(&pool.lock);
	if (b) {
		ALLOW(b);
	} else {
		b = mmap(NULL, size + MARGIN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			0);
		if (b == MAP_FAILED)
			return NULL;
#ifdef MADV_NOHUGEPAGE
		/* One byte must not bring 2 MB. */
		madvise(b, size + MARGIN, MADV_NOHUGEPAGE);
#endif
		b->cap = size + MARGIN - GW_BODY_HEAD;
	}
	b->charged = 0;
	atomic_fetch_add_explicit(&gw_count[GW_CNT_BODIES], 1, memory_order_relaxed);
	return b;
}

gw_body *gw_body_grow(gw_body *b, size_t len, size_t want) {
	gw_body *larger = gw_body_new(want);
	if (!larger)
		return NULL;
	memcpy(gw_body_data(larger), gw_body_data(b), len);
	larger->charged = b->charged;
	b->charged = 0;
	gw_body_free(b, len);
	return larger;
}

int gw_body_charge(gw_body *b, size_t n, int64_t limit) {
	int64_t more = (int64_t)n - (int64_t)b->charged;
	if (atomic_fetch_add_explicit(&used, more, memory_order_relaxed) + more > limit && more > 0) {
		atomic_fetch_sub_explicit(&used, more, memory_order_relaxed);
		return -1;
	}
	b->charged = n;
	return 0;
}

int64_t gw_body_used(void) { return atomic_load_explicit(&used, memory_order_relaxed); }

void gw_body_free(gw_body *b, size_t len) {
	atomic_fetch_sub_explicit(&used, (long long)b->charged, memory_order_relaxed);
	atomic_fetch_sub_explicit(&gw_count[GW_CNT_BODIES], 1, memory_order_relaxed);
	if (len > b->committed)
		b->committed = len;
	/* In a child of fork the lock may be one that nobody will ever open. */
	if (gw_in_forked_child || b->committed > POOL_BYTES / 4) {
		unmap(b);
		return;
	}
	FORBID(b);
	for (;;) {
		gw_body *oldest = NULL;
		pthread_mutex_lock(&pool.lock);
		if (pool.n == POOL_BLOCKS || pool.bytes + b->committed > POOL_BYTES) {
			oldest = pool.free[0];
			pool.bytes -= oldest->committed;
			memmove(pool.free, pool.free + 1, --pool.n * sizeof *pool.free);
		} else {
			pool.free[pool.n++] = b;
			pool.bytes += b->committed;
		}
		pthread_mutex_unlock(&pool.lock);
		if (!oldest)
			return;
		unmap(oldest); /* outside the lock: it takes its time */
	}
}
