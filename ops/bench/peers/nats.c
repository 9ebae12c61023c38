// NATS JetStream over TLS, in NATS' own text protocol: what a client and a worker say to store a job, take it, store its result and take
// that. Debian's libnats 3.4 crashes over TLS.
//
//   client  publish to jobs (acknowledged once it is in the file, which is not flushed each time), take results, ack, and the next job
//   worker  take jobs, publish to results, and ack each job when its result is acknowledged
//
// A connection each. As many messages as may be in flight are asked for at a time, and asked for again when half of them have come, so
// nobody waits for the next. What is said goes out together before somebody waits for what comes.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>

#include "line.h"

static struct plan plan;
static SSL_CTX *context;
static char jobs[64], results[64];
static atomic_int over;

enum { ANSWERS = 1, MESSAGES = 2 };

struct party {
    struct line *line;
    const char *name, *source;
    // Messages that were asked for and did not come yet.
    int asked;
    // Publications that are not acknowledged.
    long storing;
};

struct message {
    int to;
    char reply[256];
    unsigned char *bytes;
    size_t length;
};

static void say(struct party *party, const char *subject, const char *reply, const void *bytes, size_t count) {
    char head[512];
    queue(party->line, head, snprintf(head, sizeof head, "PUB %s %s %zu\r\n", subject, reply, count));
    queue(party->line, bytes, count);
    queue(party->line, "\r\n", 2);
}

// Waits for a message; valid until the next call.
static struct message hear(struct party *party) {
    struct line *line = party->line;
    while (1) {
        char *head = next_line(line), *words[6] = {0}, *rest;
        if (!strncmp(head, "-ERR", 4)) meter_fail("nats", head);
        if (!strncmp(head, "PING", 4)) queue(line, "PONG\r\n", 6);
        int count = 0, has_headers = *head == 'H';
        for (char *word = strtok_r(head, " ", &rest); word && count < 6; word = strtok_r(NULL, " ", &rest))
            words[count++] = word;
        // MSG subject sid [reply] length, or HMSG subject sid [reply] length-of-headers length
        if (count < 4 || strcmp(words[0], has_headers ? "HMSG" : "MSG")) continue;
        struct message message = {.to = atoi(words[2])};
        if (count == 5 + has_headers) snprintf(message.reply, sizeof message.reply, "%s", words[3]);
        size_t headers = has_headers ? strtoul(words[count - 2], NULL, 10) : 0, length = strtoul(words[count - 1], NULL, 10);
        message.bytes = next_bytes(line, length) + headers;
        message.length = length - headers;
        return message;
    }
}

static void ask(struct party *party, int count) {
    char subject[160], inbox[80], body[80];
    sprintf(subject, "$JS.API.CONSUMER.MSG.NEXT.%s.takers", party->source);
    sprintf(inbox, "_INBOX.%s.%.20s.messages", party->name, plan.name);
    say(party, subject, inbox, body, sprintf(body, "{\"batch\":%d,\"expires\":600000000000}", count));
    party->asked += count;
}

// With what is acknowledged to it.
static void store(struct party *party, const char *subject, const void *bytes, size_t count) {
    char inbox[80];
    sprintf(inbox, "_INBOX.%s.%.20s.answers", party->name, plan.name);
    say(party, subject, inbox, bytes, count);
    party->storing += 1;
}

static void answered(const struct message *message) {
    if (memmem(message->bytes, message->length, "\"error\"", 7)) meter_fail("nats refuses", (char *)message->bytes);
}

// Whether it is one that was asked for, and not only word that there is none.
static int is_taken(struct party *party, const struct message *message) {
    if (message->to != MESSAGES || !*message->reply) return 0;
    if (--party->asked <= plan.in_flight / 2) ask(party, plan.in_flight);
    return 1;
}

static void order(struct party *party, const char *subject, const char *body) {
    store(party, subject, body, strlen(body));
    struct message message = hear(party);
    answered(&message);
    party->storing -= 1;
}

static struct party party_open(const char *name, const char *source) {
    struct party party = {.line = line_open(context, plan.port, 1), .name = name, .source = source};
    char text[512];
    queue(party.line, text,
          sprintf(text,
                  "CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":true,\"lang\":\"c\",\"version\":\"1\","
                  "\"protocol\":1,\"headers\":true,\"no_responders\":true}\r\n"
                  "SUB _INBOX.%s.%.20s.answers %d\r\nSUB _INBOX.%s.%.20s.messages %d\r\n",
                  name, plan.name, ANSWERS, name, plan.name, MESSAGES));
    return party;
}

static void make(struct party *party, const char *stream) {
    char subject[160], body[512];
    sprintf(subject, "$JS.API.STREAM.CREATE.%s", stream);
    sprintf(body,
            "{\"name\":\"%s\",\"subjects\":[\"%s\"],\"retention\":\"workqueue\",\"storage\":\"file\",\"num_replicas\":1,"
            "\"discard\":\"old\",\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,\"max_msg_size\":-1}",
            stream, stream);
    order(party, subject, body);
    sprintf(subject, "$JS.API.CONSUMER.DURABLE.CREATE.%s.takers", stream);
    sprintf(body,
            "{\"stream_name\":\"%s\",\"config\":{\"durable_name\":\"takers\",\"ack_policy\":\"explicit\",\"deliver_policy\":\"all\","
            "\"replay_policy\":\"instant\",\"max_ack_pending\":%d}}",
            stream, 4 * plan.in_flight);
    order(party, subject, body);
}

static void *worker(void *nothing) {
    (void)nothing;
    struct party party = party_open("worker", jobs);
    // Jobs whose results are not acknowledged yet, in the order in which those were published, which is that of the acknowledgements.
    size_t most = 8 * plan.in_flight, first = 0, last = 0;
    char (*waiting)[256] = calloc(most, sizeof *waiting);
    ask(&party, plan.in_flight);
    while (!over || party.storing > 0) {
        struct message message = hear(&party);
        if (message.to == ANSWERS) {
            answered(&message);
            party.storing -= 1;
            say(&party, waiting[first++ % most], "", "+ACK", 4);
        } else if (is_taken(&party, &message)) {
            // The client's last word is a job without content.
            if (message.length == 0) break;
            if (last - first == most) meter_fail("nats", "it sends more than was asked for");
            memcpy(waiting[last++ % most], message.reply, sizeof *waiting);
            store(&party, results, message.bytes, message.length);
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    plan = meter_plan(argc, argv);
    context = line_trust(plan.ca);
    sprintf(jobs, "jobs%.20s", plan.name);
    sprintf(results, "results%.20s", plan.name);
    struct party party = party_open("client", results);
    make(&party, jobs);
    make(&party, results);
    pthread_t thread;
    pthread_create(&thread, NULL, worker, NULL);
    unsigned char *payload = meter_payload(plan.bytes);
    struct meter meter = meter_begin(&plan);
    int under_way = plan.in_flight;
    ask(&party, plan.in_flight);
    for (int i = 0; i < under_way; i++) store(&party, jobs, payload, plan.bytes);
    while (under_way > 0 || party.storing > 0) {
        struct message message = hear(&party);
        if (message.to == ANSWERS) {
            answered(&message);
            party.storing -= 1;
        } else if (is_taken(&party, &message)) {
            if (message.length != plan.bytes) meter_fail("nats", "a result has another length");
            say(&party, message.reply, "", "+ACK", 4);
            if (meter_count(&meter)) {
                store(&party, jobs, payload, plan.bytes);
            } else {
                under_way -= 1;
            }
        }
    }
    over = 1;
    // Wakes the worker, which waits for a message.
    store(&party, jobs, "", 0);
    flush(party.line);
    pthread_join(thread, NULL);
    meter_say(&meter);
}
