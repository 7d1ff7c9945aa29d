/* The protocols that the load client speaks over WebSocket: what it sends, and what it makes of the answers. */
#ifndef NOTIFYX_BENCH_DIALECTS_H
#define NOTIFYX_BENCH_DIALECTS_H

#include "net.h"

enum { STAMP = 19, NATS_LINE = 256 };
enum dialect { PHOENIX, BARE, CENTRIFUGO, NATS, JETSTREAM, SOCKETIO };

static const struct {
    const char *name, *path;
    int opcode;
} dialects[] = {
    [PHOENIX] = {"phoenix", "/socket/websocket?vsn=2.0.0", 1},
    [BARE] = {"bare", "/", 1},
    [CENTRIFUGO] = {"centrifugo", "/connection/websocket", 1},
    [NATS] = {"nats", "/", 2},
    [JETSTREAM] = {"jetstream", "/", 2},
    [SOCKETIO] = {"socketio", "/socket.io/?EIO=4&transport=websocket", 1},
};

/* NATS sends lines and payloads in a stream, which frames may cut anywhere. */
typedef struct {
    char line[NATS_LINE], head[64];
    size_t length, held, left;
} nats_t;

/* One message as the load client sees it. */
typedef struct {
    enum { NOTHING, GREETED, JOINED, REFUSED, REPLY, DELIVERY, PING } kind;
    long number;    /* of the publish that is answered */
    uint64_t stamp; /* of the publish that is delivered */
    long seq;       /* of the notification, where the server numbers them */
} seen_t;

/* Writes the text that joins `topic` as channel number `channel` (from 1), or announces a publisher. */
static inline size_t join_text(enum dialect dialect, char *out, size_t size, const char *topic, int channel, int publisher, long since) {
    switch (dialect) {
        case PHOENIX:
            if (since >= 0)
                return (size_t)snprintf(out, size, "[\"%d\",\"%d\",\"topic:%s\",\"phx_join\",{\"since\":%ld}]", channel,
                                        channel, topic, since);
            return (size_t)snprintf(out, size, "[\"%d\",\"%d\",\"topic:%s\",\"phx_join\",{}]", channel, channel, topic);
        case BARE: return (size_t)snprintf(out, size, "S");
        case CENTRIFUGO:
            return (size_t)snprintf(out, size, "%s{\"id\":1,\"subscribe\":{\"channel\":\"%s\"}}",
                                    channel == 1 ? "{\"id\":2,\"connect\":{}}\n" : "", topic);
        case NATS:
            if (publisher)
                return (size_t)snprintf(out, size, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n");
            return (size_t)snprintf(out, size, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB %s 1\r\nPING\r\n", topic);
        case JETSTREAM:
            return (size_t)snprintf(out, size, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB _INBOX.%d.* 1\r\nPING\r\n",
                                    publisher);
        case SOCKETIO: return (size_t)snprintf(out, size, publisher ? "42[\"hi\"]" : "42[\"sub\",\"%s\"]", topic);
    }
    return 0;
}

/* Writes the publish with this number; the channel is the one of its topic. */
static inline size_t publish_text(enum dialect dialect, char *out, size_t size, const char *topic, int channel, int publisher,
                                  long number, const char *body, size_t length) {
    switch (dialect) {
        case PHOENIX:
            return (size_t)snprintf(out, size, "[\"%d\",\"%ld\",\"topic:%s\",\"publish\",{\"body\":\"%s\"}]", channel,
                                    1000 + number, topic, body);
        case BARE: return (size_t)snprintf(out, size, "P%s", body);
        case CENTRIFUGO:
            return (size_t)snprintf(out, size, "{\"id\":%ld,\"publish\":{\"channel\":\"%s\",\"data\":{\"b\":\"%s\"}}}",
                                    1000 + number, topic, body);
        case NATS: return (size_t)snprintf(out, size, "PUB %s %zu\r\n%s\r\n", topic, length, body);
        case JETSTREAM:
            return (size_t)snprintf(out, size, "PUB %s _INBOX.%d.%ld %zu\r\n%s\r\n", topic, publisher, number, length, body);
        case SOCKETIO: return (size_t)snprintf(out, size, "42[\"pub\",\"%s\",{\"b\":\"%s\"}]", topic, body);
    }
    return 0;
}

static inline int holds(const uint8_t *text, size_t length, const char *part) {
    return memmem(text, length, part, strlen(part)) != NULL;
}

static inline long number_at(const uint8_t *at, const uint8_t *end) {
    long number = 0;
    while (at < end && *at >= '0' && *at <= '9') number = number * 10 + (*at++ - '0');
    return number;
}

static inline long number_after(const uint8_t *text, size_t length, const char *part) {
    const uint8_t *at = memmem(text, length, part, strlen(part));
    return at == NULL ? -1 : number_at(at + strlen(part), text + length);
}

static inline int stamp_in(const uint8_t *text, size_t length, uint64_t *stamp) {
    const uint8_t *mark = memmem(text, length, "@@", 2);
    if (mark == NULL || (size_t)(text + length - mark) < 2 + STAMP) return 0;
    *stamp = (uint64_t)number_at(mark + 2, mark + 2 + STAMP);
    return 1;
}

/* What one message says. `joining`: whether the answer to a join is awaited. */
static inline seen_t read_text(enum dialect dialect, const uint8_t *text, size_t length, int joining) {
    seen_t seen = {.kind = NOTHING, .seq = -1};
    if (dialect == PHOENIX) {
        /* [join_ref, ref, topic, event, payload]; a broadcast has null for both refs. */
        const uint8_t *ref = memchr(text, ',', length);
        int reply = ref != NULL && ref[1] == '"' && holds(text, length < 400 ? length : 400, "\"phx_reply\"");
        if (reply) {
            int ok = holds(text, length, "\"status\":\"ok\"");
            long number = number_at(ref + 2, text + length);
            seen.number = number - 1000;
            seen.kind = !ok ? REFUSED : number >= 1000 ? REPLY : JOINED;
            if (seen.kind == JOINED) seen.seq = number_after(text, length, "\"last_seq\":");
        } else if (stamp_in(text, length, &seen.stamp)) {
            seen.kind = DELIVERY;
            seen.seq = number_after(text, length, "\"seq\":");
        }
    } else if (dialect == CENTRIFUGO) {
        if (length <= 3 && memcmp(text, "{}", 2) == 0) seen.kind = PING;
        else if (holds(text, length, "\"error\":")) seen.kind = REFUSED;
        else if (stamp_in(text, length, &seen.stamp)) seen.kind = DELIVERY;
        else if (memcmp(text, "{\"id\":", 6) == 0) {
            long number = number_at(text + 6, text + length);
            seen.kind = number == 1 ? JOINED : number >= 1000 ? REPLY : NOTHING;
            seen.number = number - 1000;
        }
    } else if (dialect == SOCKETIO) {
        if (length == 1 && text[0] == '2') seen.kind = PING;
        else if (joining && length > 3 && memcmp(text, "40{", 3) == 0) seen.kind = GREETED;
        else if (joining && holds(text, length, "42[\"ok\"")) seen.kind = JOINED;
        else if (stamp_in(text, length, &seen.stamp)) seen.kind = DELIVERY;
    } else if (dialect == BARE) {
        if (joining && length >= 2 && memcmp(text, "ok", 2) == 0) seen.kind = JOINED;
        else if (stamp_in(text, length, &seen.stamp)) seen.kind = DELIVERY;
    }
    return seen;
}

/* Takes the bytes of one frame of NATS; returns how many were used, and what they held, at most one message. */
static inline size_t read_nats(nats_t *nats, const uint8_t *data, size_t length, seen_t *seen) {
    *seen = (seen_t){.kind = NOTHING, .seq = -1};
    size_t at = 0;
    if (nats->left == 0) {
        const uint8_t *end = memchr(data, '\n', length);
        size_t part = end == NULL ? length : (size_t)(end + 1 - data);
        size_t kept = nats->length + part < NATS_LINE ? part : NATS_LINE - 1 - nats->length;
        memcpy(nats->line + nats->length, data, kept);
        nats->length += kept;
        at = part;
        if (end == NULL) return at;
        nats->line[nats->length] = 0;
        if (memcmp(nats->line, "MSG ", 4) == 0) {
            const char *last = strrchr(nats->line, ' ');
            nats->left = (size_t)atol(last + 1) + 2;
            nats->held = 0;
        } else {
            if (memcmp(nats->line, "PONG", 4) == 0) seen->kind = JOINED;
            if (memcmp(nats->line, "PING", 4) == 0) seen->kind = PING;
            if (memcmp(nats->line, "-ERR", 4) == 0) seen->kind = REFUSED;
            nats->length = 0;
        }
        return at;
    }
    size_t part = length < nats->left ? length : nats->left;
    size_t kept = nats->held + part < sizeof nats->head ? part : sizeof nats->head - nats->held;
    memcpy(nats->head + nats->held, data, kept);
    nats->held += kept;
    nats->left -= part;
    if (nats->left == 0) {
        if (memcmp(nats->line, "MSG _INBOX.", 11) == 0) {
            seen->kind = memcmp(nats->head, "{\"error", 7) == 0 ? REFUSED : REPLY;
            const char *dot = strchr(nats->line + 11, '.');
            seen->number = dot == NULL ? 0 : atol(dot + 1);
        } else if (stamp_in((const uint8_t *)nats->head, nats->held, &seen->stamp)) {
            seen->kind = DELIVERY;
        }
        nats->length = 0;
    }
    return part;
}

#endif
