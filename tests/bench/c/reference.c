/* The machine's yardstick: a WebSocket fan-out in C that does one send() a delivery, stores nothing, checks nothing.
 *
 * Dialect "bare": a text frame "S" subscribes the connection (answer "ok"); "P<body>" sends <body> to every subscriber.
 * Usage: reference PORT. Single-threaded epoll; it listens on 127.0.0.1 only and runs until it is killed.
 */
#define _GNU_SOURCE
#include "wsproto.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    int fd, upgraded, subscribed;
    size_t have, capacity;
    uint8_t *data;
} peer_t;

static peer_t *subscribers[65536];
static int subscriber_count;

static void send_all(int fd, const void *data, size_t length) {
    const uint8_t *at = data;
    while (length > 0) {
        ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) return;
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            if (poll(&wait, 1, 5000) <= 0) return;
            continue;
        }
        at += sent;
        length -= (size_t)sent;
    }
}

static void broadcast(const uint8_t *body, size_t length) {
    static uint8_t frame[70000];
    if (length > sizeof frame - 14) return;
    size_t header = frame_header(frame, 1, 0, length);
    memcpy(frame + header, body, length);
    for (int i = 0; i < subscriber_count; i++) send_all(subscribers[i]->fd, frame, header + length);
}

static void handle(peer_t *peer, uint8_t *body, size_t length) {
    if (length > 0 && body[0] == 'S' && !peer->subscribed && subscriber_count < 65536) {
        peer->subscribed = 1;
        subscribers[subscriber_count++] = peer;
        send_all(peer->fd, "\x81\x02ok", 4);
    } else if (length > 0 && body[0] == 'P') {
        broadcast(body + 1, length - 1);
    }
}

static void drop(peer_t *peer) {
    for (int i = 0; i < subscriber_count; i++)
        if (subscribers[i] == peer) subscribers[i--] = subscribers[--subscriber_count];
    close(peer->fd);
    free(peer->data);
    free(peer);
}

/* The load client always sends the sample key of RFC 6455, so the accept value is a constant. */
static int upgrade(peer_t *peer) {
    static const char answer[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    uint8_t *end = memmem(peer->data, peer->have, "\r\n\r\n", 4);
    if (end == NULL) return 0;
    size_t used = (size_t)(end + 4 - peer->data);
    send_all(peer->fd, answer, sizeof answer - 1);
    memmove(peer->data, peer->data + used, peer->have - used);
    peer->have -= used;
    peer->upgraded = 1;
    return 1;
}

static void readable(peer_t *peer) {
    if (peer->capacity - peer->have < 4096) {
        peer->capacity = peer->capacity ? peer->capacity * 2 : 8192;
        peer->data = realloc(peer->data, peer->capacity);
        if (peer->data == NULL) fail("memory");
    }
    ssize_t got = recv(peer->fd, peer->data + peer->have, peer->capacity - peer->have, 0);
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN) return;
        drop(peer);
        return;
    }
    peer->have += (size_t)got;
    if (!peer->upgraded && !upgrade(peer)) return;
    size_t at = 0;
    frame_t frame;
    while (frame_parse(peer->data + at, peer->have - at, &frame) && peer->have - at >= frame.header + frame.payload) {
        uint8_t *body = peer->data + at + frame.header;
        if (frame.masked)
            for (size_t i = 0; i < frame.payload; i++) body[i] ^= frame.mask[i & 3];
        if (frame.opcode == 1) handle(peer, body, frame.payload);
        at += frame.header + frame.payload;
    }
    memmove(peer->data, peer->data + at, peer->have - at);
    peer->have -= at;
}

int main(int argc, char **argv) {
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "0"))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) fail("listen");
    int poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr != NULL) {
                readable(events[i].data.ptr);
                continue;
            }
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            if (fd < 0) continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            peer_t *peer = calloc(1, sizeof *peer);
            if (peer == NULL) fail("memory");
            peer->fd = fd;
            struct epoll_event added = {.events = EPOLLIN, .data.ptr = peer};
            epoll_ctl(poller, EPOLL_CTL_ADD, fd, &added);
        }
    }
}
