/* What the load client and the reference server share: time, sockets and RFC 6455 frames. Loopback only. */
#ifndef NOTIFYX_BENCH_WSPROTO_H
#define NOTIFYX_BENCH_WSPROTO_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static inline void fail(const char *what) {
    perror(what);
    exit(1);
}

typedef struct {
    int opcode;
    int masked;
    size_t header;  /* bytes before the payload, mask included */
    size_t payload; /* bytes of payload */
    const uint8_t *mask;
} frame_t;

/* Reads a frame header from `data`. Returns 0 when more bytes are needed, 1 when `frame` is filled. */
static inline int frame_parse(const uint8_t *data, size_t have, frame_t *frame) {
    if (have < 2) return 0;
    size_t length = data[1] & 0x7f, at = 2;
    if (length == 126) {
        if (have < 4) return 0;
        length = (size_t)data[2] << 8 | data[3];
        at = 4;
    } else if (length == 127) {
        if (have < 10) return 0;
        length = 0;
        for (int i = 0; i < 8; i++) length = length << 8 | data[2 + i];
        at = 10;
    }
    frame->opcode = data[0] & 0x0f;
    frame->masked = data[1] >> 7;
    frame->mask = data + at;
    frame->header = at + (frame->masked ? 4 : 0);
    frame->payload = length;
    return have >= frame->header;
}

/* Writes a frame header (mask key 0 when `masked`) and returns its length, at most 14 bytes. */
static inline size_t frame_header(uint8_t *out, int opcode, int masked, size_t length) {
    size_t at = 0;
    out[at++] = (uint8_t)(0x80 | opcode);
    uint8_t bit = masked ? 0x80 : 0;
    if (length < 126) {
        out[at++] = bit | (uint8_t)length;
    } else if (length < 65536) {
        out[at++] = bit | 126;
        out[at++] = (uint8_t)(length >> 8);
        out[at++] = (uint8_t)length;
    } else {
        out[at++] = bit | 127;
        for (int i = 7; i >= 0; i--) out[at++] = (uint8_t)((uint64_t)length >> (8 * i));
    }
    if (masked)
        for (int i = 0; i < 4; i++) out[at++] = 0;
    return at;
}

#endif
