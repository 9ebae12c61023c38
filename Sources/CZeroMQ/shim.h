#include <zmq.h>
// To wait for thousands of sockets at once, which zmq_poll looks at one by one.
#include <sys/epoll.h>
#include <sys/timerfd.h>
