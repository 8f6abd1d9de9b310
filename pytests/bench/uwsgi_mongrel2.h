/* Included before everything when uWSGI is built: since libzmq 3 zmq_sendmsg returns how many bytes it sent, which uWSGI
   2.0's plugin mongrel2 takes for an error, so that no answer gets beyond its head. */
#include <zmq.h>

static inline int sendmsg_as_before(void *socket, zmq_msg_t *message, int flags) {
	return zmq_sendmsg(socket, message, flags) < 0 ? -1 : 0;
}

#define zmq_sendmsg sendmsg_as_before
