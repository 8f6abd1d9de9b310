/* The client of the workload `websocket`: what a server does with messages that come back.
 *
 *     echo PORT CONNECTIONS SECONDS
 *
 * Opens the WebSockets, and has one text message of 100 bytes under way on each: the next one leaves when the last has
 * come back as it was. Prints a line like that of lua/report.lua. SIGINT ends it early. The mask is the same for all
 * messages, which saves the client work and no server any.
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
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 100, SENT = 6 + MESSAGE, WANTED = 2 + MESSAGE, EVENTS = 256, SLOWEST = 1000000, LATE = 2000000 };

struct connection {
	int fd;
	size_t got;   /* bytes of the message that is on its way back */
	long long at; /* when it left, in microseconds */
	int over;
};

static char frame[SENT], wanted[WANTED];
static unsigned latencies[SLOWEST + 1]; /* how many messages took so many microseconds */
static unsigned long messages, failed_connect, failed_read, failed_write, wrong, late;
static volatile sig_atomic_t stopped;

static void stop(int number) {
	(void)number;
	stopped = 1;
}

static long long now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void make_frames(void) {
	static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	wanted[0] = frame[0] = (char)0x81;
	wanted[1] = MESSAGE;
	frame[1] = (char)(0x80 | MESSAGE);
	memcpy(frame + 2, mask, sizeof mask);
	for (int n = 0; n < MESSAGE; n++) {
		wanted[2 + n] = (char)('a' + n % 26);
		frame[6 + n] = (char)(wanted[2 + n] ^ mask[n % 4]);
	}
}

/* A socket with an open WebSocket, or -1. Blocks for two seconds at most. */
static int open_one(int port) {
	static const char request[] =
		"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	char answer[4096];
	size_t size = 0;
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	struct timeval limit = {.tv_sec = LATE / 1000000};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) ||
		send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != sizeof request - 1)
		goto failed;
	while (size < 4 || memcmp(answer + size - 4, "\r\n\r\n", 4)) {
		ssize_t part = size < sizeof answer ? recv(fd, answer + size, sizeof answer - size, 0) : -1;
		if (part <= 0)
			goto failed;
		size += (size_t)part;
	}
	if (size > 12 && !memcmp(answer, "HTTP/1.1 101", 12))
		return fd;
failed:
	close(fd);
	return -1;
}

static void end(struct connection *c, unsigned long *why) {
	c->over = 1;
	(*why)++;
	close(c->fd);
}

static void say(struct connection *c) {
	c->got = 0;
	c->at = now();
	if (send(c->fd, frame, SENT, MSG_NOSIGNAL | MSG_DONTWAIT) != SENT)
		end(c, &failed_write);
}

static void hear(struct connection *c) {
	char input[4096];
	ssize_t size = recv(c->fd, input, sizeof input, MSG_DONTWAIT);
	if (size < 0 && errno == EAGAIN)
		return;
	if (size <= 0) {
		end(c, &failed_read);
		return;
	}
	if ((size_t)size > WANTED - c->got || memcmp(input, wanted + c->got, (size_t)size)) {
		end(c, &wrong);
		return;
	}
	c->got += (size_t)size;
	if (c->got < WANTED)
		return;
	long long took = now() - c->at;
	latencies[took < SLOWEST ? took : SLOWEST]++;
	messages++;
	say(c);
}

/* The closing handshakes, so that servers have nothing to complain of. Some never answer: a second for all. */
static void leave(struct connection *all, int count, int poll, struct epoll_event *events) {
	static const char close_frame[] = {(char)0x88, (char)0x82, 0, 0, 0, 0, 0x03, (char)0xe8};
	long long until = now() + 1000000;
	char input[4096];
	int open = 0;
	for (int n = 0; n < count; n++)
		open += !all[n].over &&
		        send(all[n].fd, close_frame, sizeof close_frame, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
	while (open > 0 && now() < until) {
		int ready = epoll_wait(poll, events, EVENTS, 50);
		for (int n = 0; n < ready; n++) {
			struct connection *c = events[n].data.ptr;
			ssize_t size = recv(c->fd, input, sizeof input, MSG_DONTWAIT);
			if (size == 0 || (size < 0 && errno != EAGAIN)) {
				close(c->fd);
				open--;
			}
		}
	}
}

static unsigned percentile(double share) {
	unsigned long seen = 0, want = (unsigned long)((double)messages * share);
	unsigned n = 0;
	for (; n < SLOWEST && seen + latencies[n] <= want; n++)
		seen += latencies[n];
	return messages ? n : 0;
}

int main(int argc, char **argv) {
	if (argc != 4) {
		fprintf(stderr, "usage: echo PORT CONNECTIONS SECONDS\n");
		return 2;
	}
	int count = atoi(argv[2]), poll = epoll_create1(EPOLL_CLOEXEC);
	struct connection *all = calloc((size_t)count, sizeof *all);
	struct epoll_event events[EVENTS];
	struct sigaction action = {.sa_handler = stop};
	sigaction(SIGINT, &action, NULL);
	make_frames();
	for (int n = 0; n < count; n++) {
		all[n].fd = open_one(atoi(argv[1]));
		if (all[n].fd < 0) {
			failed_connect++;
			all[n].over = 1;
		}
	}
	long long begun = now(), until = begun + (long long)(atof(argv[3]) * 1e6);
	for (int n = 0; n < count; n++) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[n]};
		if (!all[n].over && !epoll_ctl(poll, EPOLL_CTL_ADD, all[n].fd, &event))
			say(&all[n]);
	}
	while (!stopped && now() < until) {
		int ready = epoll_wait(poll, events, EVENTS, 50);
		for (int n = 0; n < ready; n++)
			hear(events[n].data.ptr);
	}
	long long ended = now();
	for (int n = 0; n < count; n++)
		late += !all[n].over && ended - all[n].at > LATE;
	leave(all, count, poll, events);
	printf("RESULT {\"requests\":%lu,\"duration\":%lld,\"bytes\":%lu,\"connect\":%lu,\"read\":%lu,\"write\":%lu,"
	       "\"timeout\":%lu,\"status\":%lu,\"p50\":%u,\"p99\":%u}\n",
		messages, ended - begun, messages * WANTED, failed_connect, failed_read, failed_write, late, wrong,
		percentile(0.5), percentile(0.99));
	return 0;
}
