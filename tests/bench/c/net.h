/* What both load clients share: connections to loopback, output that is queued, phases, percentiles. */
#ifndef NOTIFYX_BENCH_NET_H
#define NOTIFYX_BENCH_NET_H

#include "wsproto.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int poller;

typedef struct {
    size_t pending, sent, capacity;
    uint8_t *data;
} output_t;

static inline void *checked(void *memory) {
    if (memory == NULL) fail("memory");
    return memory;
}

static inline int dial_loopback(int port, void *owner) {
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0) fail("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) fail("connect");
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = owner};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    return fd;
}

/* The error with which a connect ended, 0 where it succeeded. */
static inline int connect_error(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
}

static inline void interest(int fd, void *owner, int writing) {
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = owner};
    epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event);
}

static inline void output_add(output_t *out, const void *data, size_t length) {
    if (out->pending + length > out->capacity) {
        out->capacity = (out->pending + length) * 2;
        out->data = checked(realloc(out->data, out->capacity));
    }
    memcpy(out->data + out->pending, data, length);
    out->pending += length;
}

/* Sends what it can; epoll says when there is room for the rest. */
static inline void output_flush(output_t *out, int fd, void *owner) {
    while (out->sent < out->pending) {
        ssize_t count = send(fd, out->data + out->sent, out->pending - out->sent, MSG_NOSIGNAL);
        if (count < 0) {
            if (errno == EAGAIN) interest(fd, owner, 1);
            return;
        }
        out->sent += (size_t)count;
    }
    out->pending = out->sent = 0;
}

/* Says that a phase is over, with its figures, and waits until the other side wants the next one. */
static inline void phase(const char *figures) {
    char line[16];
    puts(figures);
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL) exit(0);
}

static inline int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The value at a share of sorted times, in milliseconds. */
static inline double percentile(const uint64_t *sorted, long count, double share) {
    return count ? (double)sorted[(long)(share * (double)(count - 1))] / 1e6 : 0;
}

#endif
