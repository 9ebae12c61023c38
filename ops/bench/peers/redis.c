// Redis streams over TLS: what a client and a worker say to store a job, take it, store its result and take that.
//
//   client  XADD jobs …        (the answer comes after the fsync)        XREADGROUP results, XACK + XDEL, and the next XADD
//   worker  XREADGROUP jobs, XADD results …, and after its answer XACK + XDEL
//
// Four connections: whoever waits in XREADGROUP cannot be told anything else meanwhile. Commands go out in batches, as many as there
// are messages in what was read; answers are taken in after the next batch was read, so that nobody waits for one alone.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "meter.h"

struct line {
    SSL *ssl;
    unsigned char *in, *out;
    size_t start, end, room, queued, space;
};

static struct plan plan;
static SSL_CTX *context;
static char jobs[64], results[64];

static struct line *line_open(void) {
    struct line *line = calloc(1, sizeof *line);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(plan.port)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) meter_fail("connect", NULL);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    line->ssl = SSL_new(context);
    SSL_set_fd(line->ssl, fd);
    if (SSL_connect(line->ssl) != 1) meter_fail("TLS", "the handshake failed");
    line->room = line->space = 1 << 20;
    line->in = malloc(line->room);
    line->out = malloc(line->space);
    return line;
}

static void queue(struct line *line, const void *bytes, size_t count) {
    while (line->queued + count > line->space) line->out = realloc(line->out, line->space *= 2);
    memcpy(line->out + line->queued, bytes, count);
    line->queued += count;
}

static void flush(struct line *line) {
    for (size_t done = 0; done < line->queued;) {
        int count = SSL_write(line->ssl, line->out + done, (int)(line->queued - done));
        if (count <= 0) meter_fail("SSL_write", NULL);
        done += count;
    }
    line->queued = 0;
}

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

static void more(struct line *line) {
    if (line->start == line->end) line->start = line->end = 0;
    if (line->end == line->room) {
        if (line->start > line->room / 2) {
            memmove(line->in, line->in + line->start, line->end - line->start);
            line->end -= line->start;
            line->start = 0;
        } else {
            line->in = realloc(line->in, line->room *= 2);
        }
    }
    int count = SSL_read(line->ssl, line->in + line->end, (int)(line->room - line->end));
    if (count <= 0) meter_fail("SSL_read", "the server has gone");
    line->end += count;
}

// The next line of an answer, without its end, valid until the next call.
static char *next_line(struct line *line) {
    for (size_t seen = 0;;) {
        unsigned char *begin = line->in + line->start, *end = memchr(begin + seen, '\n', line->end - line->start - seen);
        if (end) {
            end[-1] = 0;
            line->start += end - begin + 1;
            if (*begin == '-') meter_fail("redis", (char *)begin);
            return (char *)begin;
        }
        seen = line->end - line->start;
        more(line);
    }
}

static unsigned char *next_bytes(struct line *line, size_t count) {
    while (line->end - line->start < count + 2) more(line);
    unsigned char *begin = line->in + line->start;
    line->start += count + 2;
    return begin;
}

// Skips one answer of any kind.
static void skip(struct line *line) {
    char *head = next_line(line);
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
    char *head = next_line(line);
    if (*head != '*' || atol(head + 1) != count) meter_fail("redis answers something else", head);
}

// What XREADGROUP answers: [[stream, [[id, [field, bytes]], …]]], or nothing after a while.
static int take(struct line *line, const char *group, const char *stream, struct message *messages, int most) {
    char count[16];
    sprintf(count, "%d", most);
    const char *words[] = {"XREADGROUP", "GROUP", group, "one", "COUNT", count, "BLOCK", "200", "STREAMS", stream, ">"};
    command(line, 11, words, NULL, 0);
    flush(line);
    char *head = next_line(line);
    if (*head == '*' && atol(head + 1) < 0) return 0;
    if (*head == '_' || *head == '$') return 0;
    expect(line, 2);
    skip(line);
    head = next_line(line);
    int taken = atoi(head + 1);
    for (int i = 0; i < taken; i++) {
        expect(line, 2);
        size_t length = strtoul(next_line(line) + 1, NULL, 10);
        unsigned char *id = next_bytes(line, length);
        snprintf(messages[i].id, sizeof messages[i].id, "%.*s", (int)length, (char *)id);
        expect(line, 2);
        skip(line);
        length = strtoul(next_line(line) + 1, NULL, 10);
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
    struct line *reader = line_open(), *writer = line_open();
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
    context = SSL_CTX_new(TLS_client_method());
    if (SSL_CTX_load_verify_locations(context, plan.ca, NULL) != 1) meter_fail("certificate", plan.ca);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    sprintf(jobs, "jobs%.20s", plan.name);
    sprintf(results, "results%.20s", plan.name);
    struct line *reader = line_open(), *writer = line_open();
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
