// Redis streams over TLS: what a client and a worker say to store a job, take it, store its result and take that.
//
//   client  XADD jobs …        (the answer comes after the fsync)        XREADGROUP results, XACK + XDEL, and the next XADD
//   worker  XREADGROUP jobs, XADD results …, and after its answer XACK + XDEL
//
// Four connections: whoever waits in XREADGROUP cannot be told anything else meanwhile. Commands go out in batches, as many as there
// are messages in what was read; answers are taken in after the next batch was read, so that nobody waits for one alone.
#include <pthread.h>
#include <signal.h>

#include "line.h"

static struct plan plan;
static SSL_CTX *context;
static char jobs[64], results[64];

// A command's words; the last may be binary.
static void command(struct line *line, int count, const char **words, const void *last, size_t length) {
    char head[64];
    queue(line, head, sprintf(head, "*%d\r\n", count + (last ? 1 : 0)));
    for (int i = 0; i < count; i++) {
        queue(line, head, sprintf(head, "$%zu\r\n", strlen(words[i])));
        queue(line, words[i], strlen(words[i]));
        queue(line, "\r\n", 2);
    }
    if (!last) return;
    queue(line, head, sprintf(head, "$%zu\r\n", length));
    queue(line, last, length);
    queue(line, "\r\n", 2);
}

// The next line of an answer, valid until the next call.
static char *next_answer(struct line *line) {
    char *answer = next_line(line);
    if (*answer == '-') meter_fail("redis", answer);
    return answer;
}

// Skips one answer of any kind.
static void skip(struct line *line) {
    char *head = next_answer(line);
    long count = atol(head + 1);
    if (*head == '$' && count >= 0) next_bytes(line, count);
    if (*head == '*')
        for (long i = 0; i < count; i++) skip(line);
}

struct message {
    char id[48];
    unsigned char *bytes;
    size_t length;
};

static void expect(struct line *line, long count) {
    char *head = next_answer(line);
    if (*head != '*' || atol(head + 1) != count) meter_fail("redis answers something else", head);
}

// What XREADGROUP answers: [[stream, [[id, [field, bytes]], …]]], or nothing after a while.
static int take(struct line *line, const char *group, const char *stream, struct message *messages, int most) {
    char count[16];
    sprintf(count, "%d", most);
    const char *words[] = {"XREADGROUP", "GROUP", group, "one", "COUNT", count, "BLOCK", "200", "STREAMS", stream, ">"};
    command(line, 11, words, NULL, 0);
    flush(line);
    char *head = next_answer(line);
    if (*head == '*' && atol(head + 1) < 0) return 0;
    if (*head == '_' || *head == '$') return 0;
    expect(line, 2);
    skip(line);
    head = next_answer(line);
    int taken = atoi(head + 1);
    for (int i = 0; i < taken; i++) {
        expect(line, 2);
        size_t length = strtoul(next_answer(line) + 1, NULL, 10);
        unsigned char *id = next_bytes(line, length);
        snprintf(messages[i].id, sizeof messages[i].id, "%.*s", (int)length, (char *)id);
        expect(line, 2);
        skip(line);
        length = strtoul(next_answer(line) + 1, NULL, 10);
        unsigned char *bytes = next_bytes(line, length);
        if (messages[i].length < length) messages[i].bytes = realloc(messages[i].bytes, length);
        messages[i].length = length;
        memcpy(messages[i].bytes, bytes, length);
    }
    return taken;
}

static void add(struct line *line, const char *stream, const void *bytes, size_t count) {
    const char *words[] = {"XADD", stream, "*", "p"};
    command(line, 4, words, bytes, count);
}

static void forget(struct line *line, const char *group, const char *stream, const char *id) {
    const char *acked[] = {"XACK", stream, group, id}, *deleted[] = {"XDEL", stream, id};
    command(line, 4, acked, NULL, 0);
    command(line, 3, deleted, NULL, 0);
}

static atomic_int over;

static void *worker(void *nothing) {
    (void)nothing;
    struct line *reader = line_open(context, plan.port, 0), *writer = line_open(context, plan.port, 0);
    struct message *messages = calloc(plan.in_flight, sizeof *messages);
    // Jobs whose results are on their way into the store, and answers that are due for other commands.
    char (*stored)[48] = calloc(plan.in_flight, sizeof *stored);
    int storing = 0, due = 0;
    while (!over) {
        int count = take(reader, "workers", jobs, messages, plan.in_flight);
        // The answers to what was sent last: most are here by now. What is stored as a result need not be kept as a job.
        for (; due > 0; due--) skip(writer);
        for (int i = 0; i < storing; i++) skip(writer);
        for (int i = 0; i < storing; i++, due += 2) forget(writer, "workers", jobs, stored[i]);
        for (int i = 0; i < count; i++) {
            add(writer, results, messages[i].bytes, messages[i].length);
            memcpy(stored[i], messages[i].id, sizeof *stored);
        }
        storing = count;
        flush(writer);
    }
    return NULL;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    plan = meter_plan(argc, argv);
    context = line_trust(plan.ca);
    sprintf(jobs, "jobs%.20s", plan.name);
    sprintf(results, "results%.20s", plan.name);
    struct line *reader = line_open(context, plan.port, 0), *writer = line_open(context, plan.port, 0);
    const char *groups[][2] = {{jobs, "workers"}, {results, "clients"}};
    for (int i = 0; i < 2; i++) {
        const char *words[] = {"XGROUP", "CREATE", groups[i][0], groups[i][1], "$", "MKSTREAM"};
        command(writer, 6, words, NULL, 0);
        flush(writer);
        skip(writer);
    }
    pthread_t thread;
    pthread_create(&thread, NULL, worker, NULL);
    unsigned char *payload = meter_payload(plan.bytes);
    struct message *messages = calloc(plan.in_flight, sizeof *messages);
    struct meter meter = meter_begin(&plan);
    int under_way = plan.in_flight;
    for (int i = 0; i < under_way; i++) add(writer, jobs, payload, plan.bytes);
    flush(writer);
    int due = under_way;
    while (under_way > 0) {
        int count = take(reader, "clients", results, messages, plan.in_flight);
        // The answers to what was sent last, XADD's confirmations among them: most are here by now.
        for (; due > 0; due--) skip(writer);
        due = 2 * count;
        for (int i = 0; i < count; i++) {
            if (messages[i].length != plan.bytes) meter_fail("redis", "a result has another length");
            forget(writer, "clients", results, messages[i].id);
            if (meter_count(&meter)) {
                add(writer, jobs, payload, plan.bytes);
                due += 1;
            } else {
                under_way -= 1;
            }
        }
        flush(writer);
    }
    over = 1;
    pthread_join(thread, NULL);
    meter_say(&meter);
}
