/* A load client for publish and subscribe over WebSocket: many connections in one thread, on loopback only.
 *
 * Modes, each after all connections have joined:
 *   idle     nothing
 *   flood    one publisher sends all at once, without waiting for replies: deliveries a second
 *   steady   one publisher sends at a rate: latency from the intended time to each delivery
 *   publish  every connection publishes to topics of its own, with at most a window of publishes unanswered: replies a
 *            second and the latency of each; with a pause, one at a time
 *   resume   the server is lost: every connection dials again, with the pauses of the phoenix client, and joins from the
 *            last seq it has seen
 *
 * A delivery holds "@@" and the 19 digits of the time of its publish. Access tokens come from the environment variable
 * NOTIFYX_TOKENS, separated by commas, and travel in Sec-WebSocket-Protocol, as the phoenix client sends them. After
 * each phase it prints a line of JSON; the next phase begins with a line of input.
 */
#define _GNU_SOURCE
#include "dialects.h"

#include <getopt.h>
#include <signal.h>

enum { BUFFER = 1 << 22, DIALING = 64, MAX_TOKENS = 64, SLICES = 64 };
enum state { CLOSED, CONNECTING, UPGRADING, JOINING, READY };

typedef struct {
    int fd, index, joins, attempts;
    enum state state;
    size_t carried;
    uint8_t *carry;
    output_t out;
    nats_t *nats;
    uint64_t lost_at;  /* when the connection was lost that it had joined with */
    uint64_t again;    /* when it dials anew */
    long seq;          /* the last one seen */
    long sent, replied;
    uint64_t *sent_at; /* of each publish, by its number */
    uint64_t due;      /* of the next publish, with a pause */
} conn_t;

static struct {
    const char *mode, *path, *topic;
    enum dialect dialect;
    int port, conns, topics, size, window;
    long messages;
    double rate, seconds, pause;
} options = {.mode = "flood", .topic = "bench", .dialect = PHOENIX, .conns = 1000, .topics = 1, .size = 200,
             .window = 500, .messages = 200, .rate = 20, .seconds = 10};

static const char *tokens[MAX_TOKENS];
static int token_count;
static conn_t *conns;
static int total, ready, lost_count;
static long deliveries, expected, replies, refusals, resumed;
static uint64_t *latency, read_at, last_event;
static int publishing, resuming;

static int publishers(void) { return strcmp(options.mode, "publish") == 0; }

/* The topics of a connection: those of a publisher are its own, all others share the first. */
static int topics_of(const conn_t *conn) {
    (void)conn;
    return publishers() ? (options.topics > options.conns ? options.topics / options.conns : 1) : 1;
}

static void topic_name(char *out, size_t size, const conn_t *conn, int channel) {
    int number = publishers() ? (conn->index * topics_of(conn) + channel - 1) % options.topics : 0;
    snprintf(out, size, "%s.%d", options.topic, number);
}

static void send_frame(conn_t *conn, int opcode, const void *data, size_t length) {
    uint8_t header[14];
    output_add(&conn->out, header, frame_header(header, opcode, 1, length));
    output_add(&conn->out, data, length);
}

static void send_data(conn_t *conn, const char *text, size_t length) {
    send_frame(conn, dialects[options.dialect].opcode, text, length);
}

/* A publisher of Centrifugo subscribes to its topics, as a phoenix client has to. */
static int answers_to_joins(const conn_t *conn) {
    return options.dialect == PHOENIX || options.dialect == CENTRIFUGO ? topics_of(conn) : 1;
}

static void join(conn_t *conn) {
    char text[1024], topic[200];
    int publisher = publishers() || conn->index == options.conns ? conn->index + 1 : 0;
    int channels = answers_to_joins(conn);
    conn->state = JOINING;
    conn->joins = channels;
    for (int channel = 1; channel <= channels; channel++) {
        topic_name(topic, sizeof topic, conn, channel);
        long since = resuming ? conn->seq : -1;
        send_data(conn, text, join_text(options.dialect, text, sizeof text, topic, channel, publisher, since));
    }
    output_flush(&conn->out, conn->fd, conn);
}

static void publish(conn_t *conn, uint64_t stamp, long number) {
    static char body[65536], text[70000];
    char topic[200];
    int channel = (int)(number % topics_of(conn)) + 1;
    snprintf(body, sizeof body, "@@%019llu", (unsigned long long)stamp);
    memset(body + 2 + STAMP, 'x', (size_t)options.size - 2 - STAMP);
    body[options.size] = 0;
    topic_name(topic, sizeof topic, conn, channel);
    send_data(conn, text, publish_text(options.dialect, text, sizeof text, topic, channel, conn->index + 1, number, body,
                                       (size_t)options.size));
}

/* Sends what the window and the pause of a publisher allow. */
static void publish_more(conn_t *conn) {
    int added = 0;
    while (conn->sent < options.messages && conn->sent - conn->replied < options.window && now_ns() >= conn->due) {
        conn->sent_at[conn->sent] = now_ns();
        publish(conn, conn->sent_at[conn->sent], conn->sent);
        conn->sent++;
        added = 1;
        if (options.pause > 0) conn->due = UINT64_MAX;
    }
    if (added) output_flush(&conn->out, conn->fd, conn);
}

static void on_reply(conn_t *conn, long number) {
    if (!publishing || conn->sent_at == NULL || number < 0 || number >= conn->sent) return;
    latency[replies++] = read_at - conn->sent_at[number];
    last_event = read_at;
    conn->replied++;
    if (options.pause > 0) conn->due = read_at + (uint64_t)(options.pause * 1e6);
}

static void on_seen(conn_t *conn, const seen_t *seen, const uint8_t *text, size_t length) {
    switch (seen->kind) {
        case NOTHING: break;
        case GREETED: join(conn); break;
        case JOINED:
            if (conn->state != JOINING || --conn->joins > 0) break;
            if (seen->seq >= 0 && conn->seq < 0) conn->seq = seen->seq;
            conn->state = READY;
            conn->attempts = 0;
            last_event = read_at;
            if (resuming && resumed < options.conns) latency[resumed++] = read_at - conn->lost_at;
            ready++;
            break;
        case REFUSED:
            if (refusals++ == 0) fprintf(stderr, "refused: %.*s\n", (int)(length < 300 ? length : 300), (const char *)text);
            if (conn->state == JOINING) exit(1);
            conn->replied++;
            break;
        case REPLY: on_reply(conn, seen->number); break;
        case DELIVERY:
            if (seen->seq >= 0) conn->seq = seen->seq;
            if (publishers()) {
                deliveries++;
                break;
            }
            if (conn->index == options.conns) break; /* the publisher hears itself; it is not a subscriber */
            if (deliveries < expected) latency[deliveries] = read_at - seen->stamp;
            deliveries++;
            last_event = read_at;
            break;
        case PING: {
            const char *pong = options.dialect == CENTRIFUGO ? "{}" : options.dialect == SOCKETIO ? "3" : "PONG\r\n";
            send_data(conn, pong, strlen(pong));
            output_flush(&conn->out, conn->fd, conn);
        }
    }
}

static void on_message(conn_t *conn, const uint8_t *text, size_t length) {
    seen_t seen;
    if (options.dialect == NATS || options.dialect == JETSTREAM) {
        if (conn->nats == NULL) conn->nats = checked(calloc(1, sizeof *conn->nats));
        for (size_t at = 0; at < length;) {
            at += read_nats(conn->nats, text + at, length - at, &seen);
            on_seen(conn, &seen, text, length);
        }
        return;
    }
    while (length > 0) { /* Centrifugo sends several lines in a frame */
        const uint8_t *end = options.dialect == CENTRIFUGO ? memchr(text, '\n', length) : NULL;
        size_t part = end == NULL ? length : (size_t)(end - text);
        if (part > 0) {
            seen = read_text(options.dialect, text, part, conn->state == JOINING);
            on_seen(conn, &seen, text, part);
        }
        if (end == NULL) break;
        length -= part + 1;
        text += part + 1;
    }
}

static void dial(conn_t *conn) {
    conn->state = CONNECTING;
    conn->fd = dial_loopback(options.port, conn);
}

static void lost(conn_t *conn) {
    static const int pauses[] = {10, 50, 100, 150, 200, 250, 500, 1000, 2000, 5000};
    if (conn->state == CLOSED) return;
    lost_count++;
    if (conn->state == READY) {
        ready--;
        conn->lost_at = now_ns();
    }
    conn->state = CLOSED;
    close(conn->fd);
    free(conn->carry);
    conn->carry = NULL;
    conn->carried = conn->out.pending = conn->out.sent = 0;
    if (!resuming) return;
    int attempt = conn->attempts < 9 ? conn->attempts : 9;
    conn->attempts++;
    conn->again = now_ns() + (uint64_t)pauses[attempt] * 1000000ull;
}

static void on_readable(conn_t *conn) {
    static uint8_t buffer[BUFFER * 2];
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
                if (resuming) {
                    lost(conn);
                    return;
                }
                fprintf(stderr, "upgrade refused: %.*s\n", (int)(have < 400 ? have : 400), (char *)buffer);
                exit(1);
            }
            at = (size_t)(end + 4 - buffer);
            conn->state = JOINING;
            if (options.dialect == SOCKETIO) {
                send_data(conn, "40", 2);
                output_flush(&conn->out, conn->fd, conn);
            } else {
                join(conn);
            }
        }
    }
    frame_t frame;
    while (conn->state >= JOINING && frame_parse(buffer + at, have - at, &frame) &&
           have - at >= frame.header + frame.payload) {
        const uint8_t *payload = buffer + at + frame.header;
        if (frame.opcode < 8) on_message(conn, payload, frame.payload);
        if (frame.opcode == 9) {
            send_frame(conn, 10, payload, frame.payload);
            output_flush(&conn->out, conn->fd, conn);
        }
        if (frame.opcode == 8) {
            lost(conn);
            return;
        }
        at += frame.header + frame.payload;
    }
    size_t rest = have - at;
    if (rest > BUFFER) {
        fprintf(stderr, "a frame of more than %d bytes\n", BUFFER);
        exit(1);
    }
    if (rest > 0) {
        conn->carry = checked(realloc(conn->carry, rest));
        memcpy(conn->carry, buffer + at, rest);
    } else {
        free(conn->carry);
        conn->carry = NULL;
    }
    conn->carried = rest;
}

static void request_upgrade(conn_t *conn) {
    char text[8192], header[6144] = "";
    int error = connect_error(conn->fd);
    if (error) {
        if (resuming) {
            lost(conn);
            return;
        }
        errno = error;
        fail("connect");
    }
    if (token_count > 0)
        snprintf(header, sizeof header, "Sec-WebSocket-Protocol: phoenix, base64url.bearer.phx.%s\r\n",
                 tokens[conn->index % token_count]);
    int length = snprintf(text, sizeof text,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                          options.path, options.port, header);
    conn->state = UPGRADING;
    interest(conn->fd, conn, 0);
    output_add(&conn->out, text, (size_t)length);
    output_flush(&conn->out, conn->fd, conn);
}

static void step(int milliseconds) {
    static struct epoll_event events[1024];
    int count = epoll_wait(poller, events, 1024, milliseconds);
    for (int i = 0; i < count; i++) {
        conn_t *conn = events[i].data.ptr;
        if (conn->state == CLOSED) continue; /* lost by an earlier event of this round */
        if (conn->state == CONNECTING) {
            request_upgrade(conn);
            continue;
        }
        if (events[i].events & EPOLLOUT) {
            output_flush(&conn->out, conn->fd, conn);
            if (conn->out.pending == 0) interest(conn->fd, conn, 0);
        }
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(conn);
    }
}

static void settle(int milliseconds) {
    uint64_t until = now_ns() + (uint64_t)milliseconds * 1000000ull;
    while (now_ns() < until) step(20);
}

static void connect_all(int count) {
    uint64_t deadline = now_ns() + 120ull * 1000000000ull;
    for (int started = ready; ready < count;) {
        while (started < count && started - ready < DIALING) dial(&conns[started++]);
        step(100);
        if (lost_count || now_ns() > deadline) {
            fprintf(stderr, "only %d of %d connections joined, %d were closed\n", ready, count, lost_count);
            exit(1);
        }
    }
}

static void report(long done, long wanted, double seconds) {
    long known = done < wanted ? done : wanted;
    qsort(latency, (size_t)known, sizeof *latency, ascending);
    printf("{\"done\":%ld,\"expected\":%ld,\"deliveries\":%ld,\"seconds\":%.4f,\"per_second\":%.1f,\"p50_ms\":%.3f,"
           "\"p99_ms\":%.3f,\"max_ms\":%.3f,\"refused\":%ld,\"closed\":%d",
           done, wanted, deliveries, seconds, (double)done / seconds, percentile(latency, known, 0.5),
           percentile(latency, known, 0.99), percentile(latency, known, 1), refusals, lost_count);
}

static void fan_out(void) {
    int steady = strcmp(options.mode, "steady") == 0;
    long wanted = steady ? (long)(options.rate * options.seconds) : options.messages, sent = 0;
    conn_t *publisher = &conns[options.conns];
    expected = wanted * options.conns;
    latency = checked(malloc((size_t)expected * sizeof *latency));
    uint64_t start = now_ns(), interval = (uint64_t)(1e9 / options.rate);
    last_event = start;
    while (deliveries < expected && now_ns() - last_event < 10ull * 1000000000ull) {
        int wait = 200;
        if (!steady && sent == 0) {
            for (; sent < wanted; sent++) publish(publisher, now_ns(), sent);
            output_flush(&publisher->out, publisher->fd, publisher);
        }
        while (steady && sent < wanted && start + (uint64_t)sent * interval <= now_ns()) {
            publish(publisher, start + (uint64_t)sent * interval, sent);
            output_flush(&publisher->out, publisher->fd, publisher);
            sent++;
        }
        if (steady && sent < wanted) {
            int64_t left = (int64_t)(start + (uint64_t)sent * interval) - (int64_t)now_ns();
            wait = left <= 0 ? 0 : (int)(left / 1000000);
        }
        step(wait);
    }
    report(deliveries, expected, (double)(last_event - start) / 1e9);
    puts("}");
}

static void publish_all(void) {
    long wanted = options.messages * options.conns, slice_done = 0, slice = wanted / 8 > 0 ? wanted / 8 : 1;
    double rates[SLICES];
    int slices = 0;
    latency = checked(malloc((size_t)wanted * sizeof *latency));
    for (int i = 0; i < options.conns; i++) conns[i].sent_at = checked(malloc((size_t)options.messages * sizeof(uint64_t)));
    publishing = 1;
    uint64_t start = now_ns(), slice_start = start;
    last_event = start;
    /* Where the server returns what was published, to the publisher, all of it must arrive. */
    long echoed = options.dialect == PHOENIX || options.dialect == CENTRIFUGO ? wanted : 0;
    while ((replies + refusals < wanted || (refusals == 0 && deliveries < echoed)) && !lost_count &&
           now_ns() - last_event < 20ull * 1000000000ull) {
        for (int i = 0; i < options.conns; i++) publish_more(&conns[i]);
        step(options.pause > 0 ? 1 : 100);
        if (replies - slice_done >= slice && slices < SLICES) {
            rates[slices++] = (double)(replies - slice_done) / ((double)(last_event - slice_start) / 1e9);
            slice_done = replies;
            slice_start = last_event;
        }
    }
    report(replies, wanted, (double)(last_event - start) / 1e9);
    printf(",\"echoed\":%ld,\"first_rate\":%.1f,\"last_rate\":%.1f}\n", echoed, slices ? rates[0] : 0,
           slices ? rates[slices - 1] : 0);
}

static void resume_all(void) {
    uint64_t start = now_ns(), first = 0, deadline = start + 120ull * 1000000000ull;
    resuming = 1;
    latency = checked(malloc((size_t)options.conns * sizeof *latency));
    while (resumed < options.conns && now_ns() < deadline) {
        uint64_t now = now_ns();
        if (lost_count > 0 && first == 0) first = now;
        for (int i = 0; i < options.conns; i++)
            if (conns[i].state == CLOSED && now >= conns[i].again) dial(&conns[i]);
        step(2);
    }
    report(resumed, options.conns, (double)(last_event - first) / 1e9);
    puts("}");
}

static void read_tokens(void) {
    char *all = getenv("NOTIFYX_TOKENS");
    for (char *one = all ? strtok(all, ",") : NULL; one && token_count < MAX_TOKENS; one = strtok(NULL, ","))
        tokens[token_count++] = one;
}

static void read_options(int argc, char **argv) {
    static const struct option names[] = {
        {"dialect", 1, 0, 'd'}, {"mode", 1, 0, 'm'},        {"port", 1, 0, 'p'},     {"topic", 1, 0, 't'},
        {"topics", 1, 0, 'T'},  {"connections", 1, 0, 'c'}, {"messages", 1, 0, 'n'}, {"size", 1, 0, 's'},
        {"rate", 1, 0, 'r'},    {"seconds", 1, 0, 'S'},     {"window", 1, 0, 'w'},   {"pause", 1, 0, 'P'}, {0}};
    int known = 0;
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) switch (option) {
            case 'd':
                for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
                    if (strcmp(optarg, dialects[i].name) == 0) options.dialect = (enum dialect)i, known = 1;
                if (!known) exit(2);
                break;
            case 'm': options.mode = optarg; break;
            case 'p': options.port = atoi(optarg); break;
            case 't': options.topic = optarg; break;
            case 'T': options.topics = atoi(optarg); break;
            case 'c': options.conns = atoi(optarg); break;
            case 'n': options.messages = atol(optarg); break;
            case 's': options.size = atoi(optarg); break;
            case 'r': options.rate = atof(optarg); break;
            case 'S': options.seconds = atof(optarg); break;
            case 'w': options.window = atoi(optarg); break;
            case 'P': options.pause = atof(optarg); break;
            default: exit(2);
        }
    if (options.port < 1 || options.conns < 1 || options.conns > 25000 || options.messages < 1 ||
        options.messages * options.conns > 20000000 || options.size < 24 || options.size > 60000 || options.rate <= 0 ||
        options.seconds > 120 || options.window < 1 || options.topics < 1) {
        fprintf(stderr, "options out of range\n");
        exit(2);
    }
    options.path = dialects[options.dialect].path;
}

int main(int argc, char **argv) {
    char figures[128];
    read_options(argc, argv);
    read_tokens();
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(0);
    int fan = strcmp(options.mode, "flood") == 0 || strcmp(options.mode, "steady") == 0;
    total = options.conns + fan;
    conns = checked(calloc((size_t)total, sizeof *conns));
    for (int i = 0; i < total; i++) conns[i] = (conn_t){.index = i, .seq = -1};
    phase("{}");
    uint64_t start = now_ns();
    connect_all(options.conns);
    double joining = (double)(now_ns() - start) / 1e9;
    if (fan) connect_all(total);
    settle(500);
    snprintf(figures, sizeof figures, "{\"per_second\":%.1f,\"closed\":%d}", options.conns / joining, lost_count);
    phase(figures);
    if (fan) fan_out();
    else if (publishers()) publish_all();
    else if (strcmp(options.mode, "resume") == 0) resume_all();
    else puts("{}");
    fflush(stdout);
    phase("");
    return 0;
}
