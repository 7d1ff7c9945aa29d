/* A load client for WebSocket fan-out: many subscribers and one publisher in one thread, on loopback only.
 *
 * Modes: flood (publish all at once: deliveries a second), steady (publish at a rate: latency from the intended
 * time), idle (connect and join only: memory of the server per connection). A delivery is a frame that holds "@@" and
 * the 19 digits of the time of its publish. The access token comes from the environment variable NOTIFYX_TOKEN and
 * travels in Sec-WebSocket-Protocol, as the phoenix client sends it. Prints one JSON line.
 */
#define _GNU_SOURCE
#include "wsproto.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 1 << 18, STAMP = 19, WINDOW = 64 };
enum state { CONNECTING, UPGRADING, JOINING, READY, CLOSED };

typedef struct {
    int fd;
    enum state state;
    size_t carried, pending, sent, capacity;
    uint8_t *carry, *out;
} conn_t;

static struct {
    const char *dialect, *mode, *path, *topic, *token;
    int port, conns, messages, size, server_pid[16], servers;
    double rate, seconds;
} options = {.dialect = "phoenix", .mode = "flood", .path = "/socket/websocket?vsn=2.0.0", .topic = "bench",
             .conns = 1000, .messages = 200, .size = 200, .rate = 20, .seconds = 10};

static conn_t *conns;
static int poller, ready, closed;
static uint8_t buffer[BUFFER * 2];
static uint64_t *latency, read_at, last_delivery;
static long deliveries, expected;
static int errors;

static long server_rss_kb(void) {
    long total = 0;
    for (int i = 0; i < options.servers; i++) {
        char path[64], line[256];
        snprintf(path, sizeof path, "/proc/%d/status", options.server_pid[i]);
        FILE *file = fopen(path, "r");
        if (file == NULL) continue;
        long value;
        while (fgets(line, sizeof line, file))
            if (sscanf(line, "VmRSS: %ld", &value) == 1) total += value;
        fclose(file);
    }
    return total;
}

static double server_cpu(void) {
    double total = 0;
    for (int i = 0; i < options.servers; i++) {
        char path[64], line[1024];
        snprintf(path, sizeof path, "/proc/%d/stat", options.server_pid[i]);
        FILE *file = fopen(path, "r");
        if (file == NULL) continue;
        unsigned long user, kernel;
        if (fgets(line, sizeof line, file) && strrchr(line, ')') &&
            sscanf(strrchr(line, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) == 2)
            total += (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
        fclose(file);
    }
    return total;
}

static void interest(conn_t *conn, int writing) {
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = conn};
    epoll_ctl(poller, EPOLL_CTL_MOD, conn->fd, &event);
}

static void flush(conn_t *conn) {
    while (conn->sent < conn->pending) {
        ssize_t count = send(conn->fd, conn->out + conn->sent, conn->pending - conn->sent, MSG_NOSIGNAL);
        if (count < 0) {
            if (errno == EAGAIN) interest(conn, 1);
            return;
        }
        conn->sent += (size_t)count;
    }
    conn->pending = conn->sent = 0;
    interest(conn, 0);
}

static void queue(conn_t *conn, const void *data, size_t length) {
    if (conn->pending + length > conn->capacity) {
        conn->capacity = (conn->pending + length) * 2;
        conn->out = realloc(conn->out, conn->capacity);
        if (conn->out == NULL) fail("memory");
    }
    memcpy(conn->out + conn->pending, data, length);
    conn->pending += length;
}

static void queue_text(conn_t *conn, const char *text) {
    uint8_t header[14];
    size_t length = strlen(text);
    queue(conn, header, frame_header(header, 1, 1, length));
    queue(conn, text, length);
}

static int phoenix(void) { return strcmp(options.dialect, "phoenix") == 0; }

static void join(conn_t *conn) {
    char text[512];
    if (phoenix())
        snprintf(text, sizeof text, "[\"1\",\"1\",\"topic:%s\",\"phx_join\",{}]", options.topic);
    else
        snprintf(text, sizeof text, "S");
    conn->state = JOINING;
    queue_text(conn, text);
    flush(conn);
}

static void publish(conn_t *conn, uint64_t stamp, long number) {
    static char body[65536], text[70000];
    snprintf(body, sizeof body, "@@%019llu", (unsigned long long)stamp);
    memset(body + 2 + STAMP, 'x', (size_t)options.size - 2 - STAMP);
    body[options.size] = 0;
    if (phoenix())
        snprintf(text, sizeof text, "[\"1\",\"%ld\",\"topic:%s\",\"publish\",{\"body\":\"%s\"}]", 100 + number,
                 options.topic, body);
    else
        snprintf(text, sizeof text, "P%s", body);
    queue_text(conn, text);
}

static void on_text(conn_t *conn, const uint8_t *text, size_t length) {
    if (conn->state == JOINING) {
        const char *ok = phoenix() ? "\"status\":\"ok\"" : "ok";
        if (memmem(text, length, ok, strlen(ok)) == NULL) {
            fprintf(stderr, "join refused: %.*s\n", (int)length, (const char *)text);
            exit(1);
        }
        conn->state = READY;
        ready++;
        return;
    }
    const uint8_t *mark = memmem(text, length, "@@", 2);
    if (mark == NULL || (size_t)(text + length - mark) < 2 + STAMP) {
        if (memmem(text, length, "\"status\":\"error\"", 16) != NULL && errors++ == 0)
            fprintf(stderr, "refused: %.*s\n", (int)(length < 300 ? length : 300), (const char *)text);
        return;
    }
    if (conn == &conns[options.conns]) return; /* the publisher hears itself; it is not a subscriber */
    uint64_t stamp = 0;
    for (int i = 0; i < STAMP; i++) stamp = stamp * 10 + (uint64_t)(mark[2 + i] - '0');
    if (deliveries < expected) latency[deliveries] = read_at - stamp;
    deliveries++;
    last_delivery = read_at;
}

static void lost(conn_t *conn) {
    if (conn->state != CLOSED) {
        closed++;
        conn->state = CLOSED;
        epoll_ctl(poller, EPOLL_CTL_DEL, conn->fd, NULL);
        close(conn->fd);
    }
}

static void on_readable(conn_t *conn) {
    if (conn->carried) memcpy(buffer, conn->carry, conn->carried);
    ssize_t got = recv(conn->fd, buffer + conn->carried, BUFFER, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) lost(conn);
        return;
    }
    read_at = now_ns();
    size_t have = conn->carried + (size_t)got, at = 0;
    if (conn->state == UPGRADING) {
        uint8_t *end = memmem(buffer, have, "\r\n\r\n", 4);
        if (end != NULL) {
            if (memcmp(buffer, "HTTP/1.1 101", 12) != 0) {
                fprintf(stderr, "upgrade refused: %.*s\n", (int)(have < 400 ? have : 400), (char *)buffer);
                exit(1);
            }
            at = (size_t)(end + 4 - buffer);
            join(conn);
        }
    }
    frame_t frame;
    while (conn->state >= JOINING && frame_parse(buffer + at, have - at, &frame) &&
           have - at >= frame.header + frame.payload) {
        if (frame.opcode == 1) on_text(conn, buffer + at + frame.header, frame.payload);
        if (frame.opcode == 8) {
            lost(conn);
            return;
        }
        at += frame.header + frame.payload;
    }
    size_t rest = have - at;
    if (rest > 0) {
        conn->carry = realloc(conn->carry, rest);
        if (conn->carry == NULL) fail("memory");
        memcpy(conn->carry, buffer + at, rest);
    } else {
        free(conn->carry);
        conn->carry = NULL;
    }
    conn->carried = rest;
}

static void dial(conn_t *conn) {
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (conn->fd < 0) fail("socket");
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(conn->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) fail("connect");
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = conn};
    epoll_ctl(poller, EPOLL_CTL_ADD, conn->fd, &event);
}

static void request_upgrade(conn_t *conn) {
    char text[8192], header[6144] = "";
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        errno = error;
        fail("connect");
    }
    if (options.token)
        snprintf(header, sizeof header, "Sec-WebSocket-Protocol: phoenix, base64url.bearer.phx.%s\r\n", options.token);
    int length = snprintf(text, sizeof text,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                          options.path, options.port, header);
    conn->state = UPGRADING;
    queue(conn, text, (size_t)length);
    flush(conn);
}

static void step(int milliseconds) {
    struct epoll_event events[1024];
    int count = epoll_wait(poller, events, 1024, milliseconds);
    for (int i = 0; i < count; i++) {
        conn_t *conn = events[i].data.ptr;
        if (conn->state == CLOSED) continue;
        if (conn->state == CONNECTING) {
            request_upgrade(conn);
            continue;
        }
        if (events[i].events & EPOLLOUT) flush(conn);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(conn);
    }
}

static void settle(int milliseconds) {
    uint64_t until = now_ns() + (uint64_t)milliseconds * 1000000ull;
    while (now_ns() < until) step(20);
}

static void connect_all(void) {
    uint64_t deadline = now_ns() + 120ull * 1000000000ull;
    int started = 0;
    while (ready < options.conns) {
        while (started < options.conns && started - ready < WINDOW) dial(&conns[started++]);
        step(100);
        if (closed || now_ns() > deadline) {
            fprintf(stderr, "only %d of %d connections joined, %d closed\n", ready, options.conns, closed);
            exit(1);
        }
    }
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile(double share) {
    long count = deliveries < expected ? deliveries : expected;
    return count ? (double)latency[(long)(share * (double)(count - 1))] / 1e6 : 0;
}

static void run_load(void) {
    int steady = strcmp(options.mode, "steady") == 0;
    long total = steady ? (long)(options.rate * options.seconds) : options.messages, sent = 0;
    expected = total * options.conns;
    latency = malloc((size_t)expected * sizeof *latency);
    if (latency == NULL) fail("memory");
    conn_t *publisher = &conns[options.conns];
    dial(publisher);
    while (ready <= options.conns) step(100);
    settle(200);
    double cpu = server_cpu();
    uint64_t start = now_ns(), interval = (uint64_t)(1e9 / options.rate);
    last_delivery = start;
    while (deliveries < expected && now_ns() - last_delivery < 10ull * 1000000000ull) {
        int wait = 200;
        if (!steady && sent == 0) {
            for (; sent < total; sent++) publish(publisher, now_ns(), sent);
            flush(publisher);
        }
        while (steady && sent < total && start + (uint64_t)sent * interval <= now_ns()) {
            publish(publisher, start + (uint64_t)sent * interval, sent);
            flush(publisher);
            sent++;
        }
        if (steady && sent < total) {
            int64_t left = (int64_t)(start + (uint64_t)sent * interval) - (int64_t)now_ns();
            wait = left <= 0 ? 0 : (int)(left / 1000000);
        }
        step(wait);
    }
    double took = (double)(last_delivery - start) / 1e9;
    cpu = server_cpu() - cpu;
    qsort(latency, (size_t)(deliveries < expected ? deliveries : expected), sizeof *latency, compare);
    printf("{\"mode\":\"%s\",\"connections\":%d,\"published\":%ld,\"expected\":%ld,\"deliveries\":%ld,\"seconds\":%.4f,"
           "\"deliveries_per_second\":%.0f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f,"
           "\"server_cpu_seconds\":%.2f,\"errors\":%d,\"closed\":%d}\n",
           options.mode, options.conns, total, expected, deliveries, took, (double)deliveries / took, percentile(0.5),
           percentile(0.99), percentile(1), cpu, errors, closed);
}

int main(int argc, char **argv) {
    static const struct option names[] = {
        {"dialect", 1, 0, 'd'}, {"mode", 1, 0, 'm'},   {"port", 1, 0, 'p'},    {"path", 1, 0, 'u'},
        {"topic", 1, 0, 't'},   {"connections", 1, 0, 'c'}, {"messages", 1, 0, 'n'}, {"size", 1, 0, 's'},
        {"rate", 1, 0, 'r'},    {"seconds", 1, 0, 'S'}, {"server", 1, 0, 'i'},  {0}};
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) switch (option) {
            case 'd': options.dialect = optarg; break;
            case 'm': options.mode = optarg; break;
            case 'p': options.port = atoi(optarg); break;
            case 'u': options.path = optarg; break;
            case 't': options.topic = optarg; break;
            case 'c': options.conns = atoi(optarg); break;
            case 'n': options.messages = atoi(optarg); break;
            case 's': options.size = atoi(optarg); break;
            case 'r': options.rate = atof(optarg); break;
            case 'S': options.seconds = atof(optarg); break;
            case 'i': if (options.servers < 16) options.server_pid[options.servers++] = atoi(optarg); break;
            default: return 2;
        }
    if (options.port < 1 || options.conns < 1 || options.conns > 15000 || options.messages < 1 || options.size < 24 ||
        options.size > 60000 || options.rate <= 0) {
        fprintf(stderr, "options out of range\n");
        return 2;
    }
    options.token = getenv("NOTIFYX_TOKEN");
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(0);
    conns = calloc((size_t)options.conns + 1, sizeof *conns);
    if (conns == NULL) fail("memory");
    long before = server_rss_kb();
    uint64_t start = now_ns();
    connect_all();
    double joining = (double)(now_ns() - start) / 1e9;
    settle(1000);
    if (strcmp(options.mode, "idle") == 0)
        printf("{\"mode\":\"idle\",\"connections\":%d,\"joins_per_second\":%.0f,\"kb_per_connection\":%.1f,\"closed\":%d}\n",
               options.conns, options.conns / joining, (double)(server_rss_kb() - before) / options.conns, closed);
    else
        run_load();
    return 0;
}
