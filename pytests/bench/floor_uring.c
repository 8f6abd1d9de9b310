/* The floor by io_uring: what floor.c does, with multishot accept and recv, ring-mapped buffers, and one system call for
 * everything that a turn submits and waits for. To see what io_uring would bring: ARCHITECTURE.md, "Speed".
 *
 *     floor-uring PORT ANSWER-FILE
 *
 * Requests have no body, and a recv brings whole ones. With FLOOR_SPIN=1 it never waits (busy polling).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COPIES = 64, BUFFERS = 512, BUFFER = 16384, GROUP = 1, ENTRIES = 4096 };
enum { ACCEPT, RECV, SEND, CLOSE };

static struct io_uring ring;
static char *answers, *buffers;
static size_t answer_size;

static void die(const char *what) {
	perror(what);
	exit(1);
}

static struct io_uring_sqe *sqe(int what, int fd) {
	struct io_uring_sqe *s = io_uring_get_sqe(&ring);
	if (!s) {
		io_uring_submit(&ring);
		s = io_uring_get_sqe(&ring);
	}
	s->user_data = (uint64_t)what << 32 | (uint32_t)fd;
	return s;
}

static void prepare(int what, int fd, size_t size) {
	struct io_uring_sqe *s = sqe(what, fd);
	uint64_t data = s->user_data;
	switch (what) {
	case ACCEPT:
		io_uring_prep_multishot_accept(s, fd, NULL, NULL, SOCK_CLOEXEC);
		break;
	case RECV:
		io_uring_prep_recv_multishot(s, fd, NULL, 0, 0);
		s->flags |= IOSQE_BUFFER_SELECT;
		s->buf_group = GROUP;
		break;
	case SEND:
		io_uring_prep_send(s, fd, answers, size, MSG_NOSIGNAL | MSG_WAITALL);
		s->flags |= IOSQE_CQE_SKIP_SUCCESS;
		break;
	case CLOSE:
		io_uring_prep_close(s, fd);
		break;
	}
	s->user_data = data;
}

static size_t requests(const char *p, size_t size) {
	size_t found = 0;
	for (const char *end = p + size; (p = memmem(p, (size_t)(end - p), "\r\n\r\n", 4)); p += 4)
		found++;
	return found;
}

int main(int argc, char **argv) {
	if (argc < 3) {
		fprintf(stderr, "usage: floor-uring PORT ANSWER-FILE\n");
		return 2;
	}
	FILE *file = fopen(argv[2], "rb");
	if (!file || fseek(file, 0, SEEK_END))
		die(argv[2]);
	answer_size = (size_t)ftell(file);
	answers = malloc(answer_size * COPIES);
	rewind(file);
	if (fread(answers, 1, answer_size, file) != answer_size)
		die(argv[2]);
	for (size_t n = 1; n < COPIES; n++)
		memcpy(answers + n * answer_size, answers, answer_size);

	int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* inherited */
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 2048))
		die("listen");

	struct io_uring_params parameters = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
		.cq_entries = 4 * ENTRIES};
	if (io_uring_queue_init_params(ENTRIES, &ring, &parameters) < 0)
		die("io_uring");
	struct io_uring_buf_ring *pool;
	struct io_uring_buf_reg registration = {.ring_entries = BUFFERS, .bgid = GROUP};
	if (posix_memalign((void **)&pool, 4096, BUFFERS * sizeof(struct io_uring_buf)) ||
		!(buffers = malloc((size_t)BUFFERS * BUFFER)))
		die("memory");
	registration.ring_addr = (uint64_t)(uintptr_t)pool;
	if (io_uring_register_buf_ring(&ring, &registration, 0) < 0)
		die("io_uring_register_buf_ring");
	io_uring_buf_ring_init(pool);
	int mask = io_uring_buf_ring_mask(BUFFERS);
	for (int n = 0; n < BUFFERS; n++)
		io_uring_buf_ring_add(pool, buffers + (size_t)n * BUFFER, BUFFER, (unsigned short)n, mask, n);
	io_uring_buf_ring_advance(pool, BUFFERS);

	int spin = getenv("FLOOR_SPIN") != NULL;
	prepare(ACCEPT, listener, 0);
	for (;;) {
		int failed = spin ? io_uring_submit_and_get_events(&ring) : io_uring_submit_and_wait(&ring, 1);
		if (failed < 0 && failed != -EINTR)
			die("io_uring_submit_and_wait");
		struct io_uring_cqe *c;
		unsigned head, seen = 0;
		int given = 0;
		io_uring_for_each_cqe(&ring, head, c) {
			int what = (int)(c->user_data >> 32), fd = (int)(uint32_t)c->user_data;
			seen++;
			if (what == ACCEPT) {
				if (c->res >= 0)
					prepare(RECV, c->res, 0);
				if (!(c->flags & IORING_CQE_F_MORE))
					prepare(ACCEPT, fd, 0);
			} else if (what == RECV) {
				if (c->flags & IORING_CQE_F_BUFFER) {
					unsigned short id = (unsigned short)(c->flags >> IORING_CQE_BUFFER_SHIFT);
					char *p = buffers + (size_t)id * BUFFER;
					size_t found = c->res > 0 ? requests(p, (size_t)c->res) : 0;
					if (found)
						prepare(SEND, fd, found * answer_size);
					io_uring_buf_ring_add(pool, p, BUFFER, id, mask, given++);
				}
				if (c->res == 0 || (c->res < 0 && c->res != -ENOBUFS))
					prepare(CLOSE, fd, 0);
				else if (!(c->flags & IORING_CQE_F_MORE))
					prepare(RECV, fd, 0);
			}
		}
		io_uring_cq_advance(&ring, seen);
		if (given)
			io_uring_buf_ring_advance(pool, given);
	}
}
