/* The floor: what a request costs when nothing but the kernel and a constant answer it.
 *
 *     floor PORT ANSWER-FILE BODY-SIZE
 *
 * One thread, edge-triggered epoll. It looks for the empty line that ends a head, skips BODY-SIZE bytes of body after
 * it, and owes one copy of the file for each. All answers owed after a recv leave in one send, as a pipelining server
 * would do it. A request of HTTP/1.0 (ab) gets its answer and the end of the connection.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COPIES = 64, READ = 65536, EVENTS = 256, CONNECTIONS = 65536 };

struct connection {
	size_t unsent;     /* bytes of answers owed, the first of them perhaps part sent */
	size_t offset;     /* how much of the first owed answer is sent */
	size_t skip;       /* bytes of body still to come */
	unsigned matched;  /* how much of \r\n\r\n the last bytes were */
	unsigned line_end; /* the request line has been seen */
	unsigned closing;
	char version; /* the byte before the first CR: 0 for HTTP/1.0, 1 for HTTP/1.1 */
};

static struct connection connections[CONNECTIONS];
static char *answers; /* COPIES answers in a row, or one large one */
static size_t answer_size, copies, body_size;
static char input[READ];

static void die(const char *what) {
	perror(what);
	exit(1);
}

static void load(const char *path) {
	FILE *file = fopen(path, "rb");
	if (!file || fseek(file, 0, SEEK_END))
		die(path);
	answer_size = (size_t)ftell(file);
	copies = answer_size > 4096 ? 1 : COPIES;
	answers = malloc(answer_size * copies);
	rewind(file);
	if (!answers || fread(answers, 1, answer_size, file) != answer_size)
		die(path);
	for (size_t n = 1; n < copies; n++)
		memcpy(answers + n * answer_size, answers, answer_size);
	fclose(file);
}

/* Number of requests that end in these bytes. */
static size_t requests(struct connection *c, const char *p, size_t size) {
	size_t found = 0;
	const char *end = p + size;
	while (p < end) {
		if (c->skip) {
			size_t part = (size_t)(end - p) < c->skip ? (size_t)(end - p) : c->skip;
			p += part;
			c->skip -= part;
			if (!c->skip)
				found++;
			continue;
		}
		if (c->matched == 0) {
			const char *cr = memchr(p, '\r', (size_t)(end - p));
			const char *last = (cr ? cr : end) - 1;
			if (!c->line_end && last >= p)
				c->version = *last;
			if (!cr)
				break;
			c->line_end = 1;
			c->matched = 1;
			p = cr + 1;
			continue;
		}
		char want = "\r\n\r\n"[c->matched];
		if (*p == want) {
			c->matched++;
			p++;
		} else {
			c->matched = 0;
		}
		if (c->matched == 4) {
			c->matched = c->line_end = 0;
			if (c->version == '0')
				c->closing = 1;
			c->skip = body_size;
			if (!body_size)
				found++;
		}
	}
	return found;
}

/* Sends what is owed; 0 when the socket takes no more for now or nothing is left, -1 when the connection is done. */
static int flush(int fd, struct connection *c) {
	while (c->unsent) {
		size_t part = copies * answer_size - c->offset;
		if (part > c->unsent)
			part = c->unsent;
		ssize_t sent = send(fd, answers + c->offset, part, MSG_NOSIGNAL);
		if (sent < 0)
			return errno == EAGAIN ? 0 : -1;
		c->unsent -= (size_t)sent;
		c->offset = (c->offset + (size_t)sent) % answer_size;
	}
	return c->closing ? -1 : 0;
}

static int serve(int fd, struct connection *c) {
	for (;;) {
		ssize_t size = recv(fd, input, sizeof input, 0);
		if (size == 0)
			return -1;
		if (size < 0)
			return errno == EAGAIN ? 0 : -1;
		c->unsent += requests(c, input, (size_t)size) * answer_size;
		if (flush(fd, c))
			return -1;
        /* A short read emptied the socket; anything later is a new edge. */
		if ((size_t)size < sizeof input)
			return 0;
	}
}

int main(int argc, char **argv) {
	if (argc != 4) {
		fprintf(stderr, "usage: floor PORT ANSWER-FILE BODY-SIZE\n");
		return 2;
	}
	load(argv[2]);
	body_size = strtoul(argv[3], NULL, 10);
	int one = 1, poll = epoll_create1(EPOLL_CLOEXEC);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 2048))
		die("listen");
	struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
	epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int ready = epoll_wait(poll, events, EVENTS, -1);
		if (ready < 0 && errno != EINTR)
			die("epoll_wait");
		for (int n = 0; n < ready; n++) {
			int fd = events[n].data.fd;
			if (fd == listener) {
				while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
					if (fd >= CONNECTIONS) {
						close(fd);
						continue;
					}
					memset(&connections[fd], 0, sizeof connections[fd]);
					setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
					event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
					event.data.fd = fd;
					epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
				}
				continue;
			}
			struct connection *c = &connections[fd];
			int done = events[n].events & (EPOLLERR | EPOLLHUP) ? -1 : 0;
			if (!done && c->unsent)
				done = flush(fd, c);
			if (!done && events[n].events & (EPOLLIN | EPOLLRDHUP))
				done = serve(fd, c);
			if (done)
				close(fd);
		}
	}
}
