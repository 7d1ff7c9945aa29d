/* Uses processor time and nothing else: what a machine costs others while its processors are in use, whatever for.
 *
 * Usage: busy SHARE...
 * For each SHARE of a core (above 0, up to 1) a thread works for a millisecond at a time, and sleeps whenever it has had
 * its share. What others took from it, it asks for again as far as one more stretch. It prints a line of JSON when all
 * threads are at work, and ends with its input.
 */
#define _GNU_SOURCE
#include "wsproto.h"

#include <pthread.h>

enum { STRETCH = 1000000, MAX_THREADS = 64 };

static uint64_t used_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void *work(void *given) {
    double share = *(double *)given;
    uint64_t start = now_ns() - (uint64_t)(used_ns() / share);
    for (;;) {
        for (uint64_t until = used_ns() + STRETCH; used_ns() < until;) continue;
        uint64_t due = start + (uint64_t)((double)used_ns() / share), now = now_ns();
        uint64_t behind = now > due ? now - due : 0, most = (uint64_t)(STRETCH / share);
        if (behind > most) start += behind - most;
        if (due > now) {
            struct timespec rest = {(time_t)((due - now) / 1000000000ull), (long)((due - now) % 1000000000ull)};
            nanosleep(&rest, NULL);
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    static double shares[MAX_THREADS];
    if (argc < 2 || argc > MAX_THREADS) return 2;
    for (int i = 1; i < argc; i++) {
        pthread_t thread;
        shares[i - 1] = atof(argv[i]);
        if (!(shares[i - 1] > 0 && shares[i - 1] <= 1)) {
            fprintf(stderr, "a share is above 0 and up to 1\n");
            return 2;
        }
        if (pthread_create(&thread, NULL, work, &shares[i - 1])) fail("pthread_create");
    }
    puts("{}");
    fflush(stdout);
    while (getchar() != EOF) continue;
    return 0;
}
