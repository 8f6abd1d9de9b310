/*
 * shim_parked.c: OS threads that wait, since the code that waits has no greenlet to hand its thread back from. Those of the
 * server's are told when nothing is waited for any more; threads of the application's own are its own affair.
 *
 * The list is under a lock that nobody waits with, for anything: who ends the waits has no GIL.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "shim_int.h"

__thread int gw_apart;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static gw_parked *all;
static int over;
static int bell = -1; /* an eventfd that is readable while it is over; made when it is first wanted */

int gw_parked_ours(void) { return gw_apart || (gw_self && gw_self->job && gw_self->job->gen); }

void gw_parked_enter(gw_parked *p) {
	sem_init(&p->sem, 0, 0);
	p->over = 0;
	p->prev = NULL;
	if (!gw_parked_ours())
		return;
	pthread_mutex_lock(&lock);
	p->over = over;
	p->next = all;
	p->prev = &all;
	if (all)
		all->prev = &p->next;
	all = p;
	pthread_mutex_unlock(&lock);
}

void gw_parked_leave(gw_parked *p) {
	if (p->prev) {
		pthread_mutex_lock(&lock);
		*p->prev = p->next;
		if (p->next)
			p->next->prev = p->prev;
		pthread_mutex_unlock(&lock);
	}
	sem_destroy(&p->sem);
}

int gw_parked_is_over(const gw_parked *p) { return __atomic_load_n(&p->over, __ATOMIC_ACQUIRE); }

int gw_parked_bell(void) {
	if (!gw_parked_ours())
		return -1;
	pthread_mutex_lock(&lock);
	if (bell < 0)
		bell = eventfd((unsigned)over, EFD_CLOEXEC | EFD_NONBLOCK);
	int fd = bell;
	pthread_mutex_unlock(&lock);
	return fd;
}

int gw_parked_check(void) {
	if (!gw_parked_ours())
		return 0;
	pthread_mutex_lock(&lock);
	int is = over;
	pthread_mutex_unlock(&lock);
	return is;
}

int gw_parked_over(int on) {
	int n = 0;
	pthread_mutex_lock(&lock);
	if (bell >= 0 && on != over) {
		eventfd_t value;
		(void)(on ? eventfd_write(bell, 1) : eventfd_read(bell, &value));
	}
	over = on;
	for (gw_parked *p = all; on && p; p = p->next) {
		n++;
		if (!p->over) {
			__atomic_store_n(&p->over, 1, __ATOMIC_RELEASE);
			sem_post(&p->sem);
		}
	}
	pthread_mutex_unlock(&lock);
	return n;
}

int gw_parked_count(void) {
	int n = 0;
	pthread_mutex_lock(&lock);
	for (gw_parked *p = all; p; p = p->next)
		n++;
	pthread_mutex_unlock(&lock);
	return n;
}
