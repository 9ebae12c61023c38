// What the drivers have in common: their arguments, and how completed jobs are counted.
#pragma once

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct plan {
    int port;
    const char *ca;
    double seconds, warm_up;
    int in_flight;
    size_t bytes;
    // Tells the streams of several drivers apart.
    const char *name;
};

static inline double meter_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static inline struct plan meter_plan(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "usage: %s PORT CA SECONDS WARM-UP IN-FLIGHT BYTES NAME\n", argv[0]);
        exit(2);
    }
    return (struct plan){atoi(argv[1]), argv[2], atof(argv[3]), atof(argv[4]), atoi(argv[5]), strtoul(argv[6], NULL, 10),
                         argv[7]};
}

// Bytes that no compression and no memory of earlier ones can make less of.
static inline unsigned char *meter_payload(size_t count) {
    unsigned char *bytes = malloc(count);
    FILE *random = fopen("/dev/urandom", "r");
    if (!bytes || !random || fread(bytes, 1, count, random) != count) exit(1);
    fclose(random);
    return bytes;
}

_Noreturn static inline void meter_fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why ? why : "no reason given");
    exit(1);
}

struct meter {
    double from, until, first, last;
    long count;
};

static inline struct meter meter_begin(const struct plan *plan) {
    double now = meter_now();
    return (struct meter){.from = now + plan->warm_up, .until = now + plan->warm_up + plan->seconds};
}

// A job is completed. Returns whether another may follow.
static inline int meter_count(struct meter *meter) {
    double now = meter_now();
    if (now >= meter->until) return 0;
    if (now >= meter->from) {
        if (meter->count == 0) meter->first = now;
        meter->last = now;
        meter->count += 1;
    }
    return 1;
}

static inline void meter_say(const struct meter *meter) {
    if (meter->count < 2 || meter->last <= meter->first) meter_fail("meter", "no jobs came back while it was measured");
    printf("{\"rate\": %.3f}\n", (meter->count - 1) / (meter->last - meter->first));
}
