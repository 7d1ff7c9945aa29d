/* A load client for HTTP: keep-alive connections in one thread, each with one request unanswered, on loopback only.
 *
 * Usage: httpload --port P --connections C --requests N [--pause MS] [--count TEXT] FILE...
 * A FILE holds a whole request; connection i sends file i, modulo their number. --count also counts how often TEXT is in
 * the answers. After each phase it prints a line of JSON; the next phase begins with a line of input.
 */
#define _GNU_SOURCE
#include "net.h"

#include <getopt.h>
#include <signal.h>
#include <strings.h>

enum { BUFFER = 1 << 18, MAX_FILES = 128 };

typedef struct {
    int fd, connected, waiting, chunked;
    size_t have, capacity, body_at;
    long body; /* length of the body, -1 while the headers are not read */
    uint8_t *data;
    uint64_t sent_at, due;
    output_t out;
} conn_t;

static struct {
    int port, conns;
    long requests;
    double pause;
    const char *count;
} options = {.conns = 20, .requests = 1000};

static struct {
    char *data;
    size_t length;
} files[MAX_FILES];

static int file_count;
static conn_t *conns;
static long started, answered, failed, counted;
static uint64_t *latency, last_event;

static void send_request(conn_t *conn) {
    int file = (int)(conn - conns) % file_count;
    conn->sent_at = now_ns();
    conn->waiting = 1;
    conn->have = 0;
    conn->body = -1;
    started++;
    output_add(&conn->out, files[file].data, files[file].length);
    output_flush(&conn->out, conn->fd, conn);
}

static void read_headers(conn_t *conn) {
    uint8_t *end = memmem(conn->data, conn->have, "\r\n\r\n", 4);
    if (end == NULL) return;
    conn->body_at = (size_t)(end + 4 - conn->data);
    conn->body = 0;
    conn->chunked = 0;
    for (char *line = (char *)conn->data; line < (char *)end;) {
        if (strncasecmp(line, "content-length:", 15) == 0) conn->body = atol(line + 15);
        if (strncasecmp(line, "transfer-encoding: chunked", 26) == 0) conn->chunked = 1;
        line = (char *)memchr(line, '\n', (size_t)((char *)end + 4 - line)) + 1;
    }
}

static int complete(conn_t *conn) {
    if (conn->body < 0) read_headers(conn);
    if (conn->body < 0) return 0;
    if (conn->chunked) return conn->have >= conn->body_at + 5 && memcmp(conn->data + conn->have - 5, "0\r\n\r\n", 5) == 0;
    return conn->have >= conn->body_at + (size_t)conn->body;
}

static void on_answer(conn_t *conn, uint64_t at) {
    latency[answered++] = at - conn->sent_at;
    last_event = at;
    conn->waiting = 0;
    if (conn->have < 12 || conn->data[9] != '2') {
        if (failed++ == 0) fprintf(stderr, "answered: %.*s\n", (int)(conn->have < 900 ? conn->have : 900), (char *)conn->data);
    }
    if (options.count != NULL) {
        size_t length = strlen(options.count);
        uint8_t *from = conn->data, *end = conn->data + conn->have;
        while ((from = memmem(from, (size_t)(end - from), options.count, length)) != NULL) counted++, from += length;
    }
    if (options.pause > 0) conn->due = at + (uint64_t)(options.pause * 1e6);
    else if (started < options.requests) send_request(conn);
}

static void on_readable(conn_t *conn) {
    if (conn->capacity - conn->have < 65536) {
        conn->capacity += 131072;
        conn->data = checked(realloc(conn->data, conn->capacity));
    }
    ssize_t got = recv(conn->fd, conn->data + conn->have, conn->capacity - conn->have, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        fprintf(stderr, "a connection was closed, after: %.*s\n", (int)(conn->have < 300 ? conn->have : 300), (char *)conn->data);
        exit(1);
    }
    conn->have += (size_t)got;
    if (conn->waiting && complete(conn)) on_answer(conn, now_ns());
}

static void step(int milliseconds) {
    static struct epoll_event events[256];
    int count = epoll_wait(poller, events, 256, milliseconds);
    for (int i = 0; i < count; i++) {
        conn_t *conn = events[i].data.ptr;
        if (!conn->connected) {
            errno = connect_error(conn->fd);
            if (errno) fail("connect");
            conn->connected = 1;
            interest(conn->fd, conn, 0);
            continue;
        }
        if (events[i].events & EPOLLOUT) {
            output_flush(&conn->out, conn->fd, conn);
            if (conn->out.pending == 0) interest(conn->fd, conn, 0);
        }
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(conn);
    }
}

static void read_file(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL || file_count == MAX_FILES) fail(path);
    files[file_count].data = checked(malloc(BUFFER));
    files[file_count].length = fread(files[file_count].data, 1, BUFFER, file);
    file_count++;
    fclose(file);
}

int main(int argc, char **argv) {
    static const struct option names[] = {{"port", 1, 0, 'p'},  {"connections", 1, 0, 'c'}, {"requests", 1, 0, 'n'},
                                          {"pause", 1, 0, 'P'}, {"count", 1, 0, 'C'},       {0}};
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) switch (option) {
            case 'p': options.port = atoi(optarg); break;
            case 'c': options.conns = atoi(optarg); break;
            case 'n': options.requests = atol(optarg); break;
            case 'P': options.pause = atof(optarg); break;
            case 'C': options.count = optarg; break;
            default: return 2;
        }
    for (int i = optind; i < argc; i++) read_file(argv[i]);
    if (options.port < 1 || options.conns < 1 || options.conns > 1000 || options.requests < options.conns ||
        options.requests > 1000000 || file_count == 0) {
        fprintf(stderr, "options out of range\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(0);
    conns = checked(calloc((size_t)options.conns, sizeof *conns));
    latency = checked(malloc((size_t)options.requests * sizeof *latency));
    for (int i = 0; i < options.conns; i++) conns[i].fd = dial_loopback(options.port, &conns[i]);
    for (uint64_t until = now_ns() + 300000000ull; now_ns() < until;) step(20);
    phase("{}");
    uint64_t start = last_event = now_ns();
    for (int i = 0; i < options.conns; i++) send_request(&conns[i]);
    while (answered < options.requests && now_ns() - last_event < 20ull * 1000000000ull) {
        step(options.pause > 0 ? 1 : 100);
        for (int i = 0; options.pause > 0 && i < options.conns; i++)
            if (!conns[i].waiting && started < options.requests && now_ns() >= conns[i].due) send_request(&conns[i]);
    }
    double seconds = (double)(last_event - start) / 1e9;
    qsort(latency, (size_t)answered, sizeof *latency, ascending);
    printf("{\"done\":%ld,\"expected\":%ld,\"seconds\":%.4f,\"per_second\":%.1f,\"counted\":%ld,\"p50_ms\":%.3f,"
           "\"p99_ms\":%.3f,\"max_ms\":%.3f,\"refused\":%ld}\n",
           answered, options.requests, seconds, (double)answered / seconds, counted, percentile(latency, answered, 0.5),
           percentile(latency, answered, 0.99), percentile(latency, answered, 1), failed);
    fflush(stdout);
    phase("");
    return 0;
}
