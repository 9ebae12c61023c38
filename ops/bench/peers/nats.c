// NATS JetStream over TLS: what a client and a worker say to store a job, take it, store its result and take that.
//
//   client  publish to jobs (acknowledged once it is in the file, which is not flushed each time), fetch results, ack, next
//   worker  fetch jobs, publish to results, and ack the jobs when those are acknowledged
//
// A connection each. Nobody waits for an acknowledgement before publishing the next. libnats 3.4 over TLS crashes now and then: whoever runs
// this tries again.
#include <nats/nats.h>
#include <pthread.h>
#include <signal.h>

#include "meter.h"

static struct plan plan;
static char jobs[64], results[64];
static atomic_int over;

static void check(natsStatus status, const char *what) {
    if (status != NATS_OK) meter_fail(what, natsStatus_GetText(status));
}

struct line {
    natsConnection *connection;
    jsCtx *stream;
    char inbox[64];
    // Publications, and those of them that JetStream has acknowledged.
    long sent;
    atomic_long stored;
};

static void acknowledged(natsConnection *connection, natsSubscription *subscription, natsMsg *message, void *line) {
    (void)connection, (void)subscription;
    if (strstr(natsMsg_GetData(message), "\"error\"")) meter_fail("nats refuses", natsMsg_GetData(message));
    natsMsg_Destroy(message);
    ((struct line *)line)->stored += 1;
}

static struct line *line_open(const char *inbox) {
    struct line *line = calloc(1, sizeof *line);
    natsOptions *options;
    natsSubscription *inboxes;
    jsOptions settings;
    char url[64];
    sprintf(url, "tls://localhost:%d", plan.port);
    check(natsOptions_Create(&options), "options");
    check(natsOptions_SetURL(options, url), "url");
    check(natsOptions_SetSecure(options, true), "TLS");
    check(natsOptions_LoadCATrustedCertificates(options, plan.ca), "certificate");
    check(natsConnection_Connect(&line->connection, options), "connect");
    jsOptions_Init(&settings);
    check(natsConnection_JetStream(&line->stream, line->connection, &settings), "JetStream");
    sprintf(line->inbox, "_INBOX.%s.%.20s", inbox, plan.name);
    check(natsConnection_Subscribe(&inboxes, line->connection, line->inbox, acknowledged, line), "inbox");
    return line;
}

static void await_stored(struct line *line) {
    struct timespec pause = {.tv_nsec = 50000};
    while (line->stored < line->sent) nanosleep(&pause, NULL);
}

static natsSubscription *consume(jsCtx *line, const char *stream) {
    natsSubscription *subscription;
    jsSubOptions options;
    jsErrCode code;
    jsSubOptions_Init(&options);
    options.Config.MaxAckPending = 2 * plan.in_flight;
    check(js_PullSubscribe(&subscription, line, stream, "takers", NULL, &options, &code), "subscribe");
    return subscription;
}

static void make(jsCtx *line, const char *name) {
    jsStreamConfig config;
    jsErrCode code;
    const char *subjects[] = {name};
    jsStreamConfig_Init(&config);
    config.Name = name;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Retention = js_WorkQueuePolicy;
    config.Storage = js_FileStorage;
    check(js_AddStream(NULL, line, &config, NULL, &code), "stream");
}

static void publish(struct line *line, const char *subject, const void *bytes, size_t count) {
    line->sent += 1;
    check(natsConnection_PublishRequest(line->connection, subject, line->inbox, bytes, (int)count), "publish");
}

static void *worker(void *nothing) {
    (void)nothing;
    struct line *line = line_open("worker");
    natsSubscription *source = consume(line->stream, jobs);
    while (!over) {
        natsMsgList list = {0};
        jsErrCode code;
        natsStatus status = natsSubscription_Fetch(&list, source, plan.in_flight / 4 + 1, 2, &code);
        if (status != NATS_OK && status != NATS_TIMEOUT) check(status, "fetch");
        for (int i = 0; i < list.Count; i++)
            publish(line, results, natsMsg_GetData(list.Msgs[i]), natsMsg_GetDataLength(list.Msgs[i]));
        await_stored(line);
        for (int i = 0; i < list.Count; i++) check(natsMsg_Ack(list.Msgs[i], NULL), "ack");
        natsMsgList_Destroy(&list);
    }
    return NULL;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    plan = meter_plan(argc, argv);
    sprintf(jobs, "jobs%.20s", plan.name);
    sprintf(results, "results%.20s", plan.name);
    struct line *line = line_open("client");
    make(line->stream, jobs);
    make(line->stream, results);
    natsSubscription *source = consume(line->stream, results);
    pthread_t thread;
    pthread_create(&thread, NULL, worker, NULL);
    unsigned char *payload = meter_payload(plan.bytes);
    struct meter meter = meter_begin(&plan);
    int under_way = plan.in_flight;
    for (int i = 0; i < under_way; i++) publish(line, jobs, payload, plan.bytes);
    while (under_way > 0) {
        natsMsgList list = {0};
        jsErrCode code;
        natsStatus status = natsSubscription_Fetch(&list, source, plan.in_flight / 4 + 1, 2, &code);
        if (status != NATS_OK && status != NATS_TIMEOUT) check(status, "fetch");
        for (int i = 0; i < list.Count; i++) {
            if ((size_t)natsMsg_GetDataLength(list.Msgs[i]) != plan.bytes) meter_fail("nats", "a result has another length");
            check(natsMsg_Ack(list.Msgs[i], NULL), "ack");
            if (meter_count(&meter)) {
                publish(line, jobs, payload, plan.bytes);
            } else {
                under_way -= 1;
            }
        }
        natsMsgList_Destroy(&list);
    }
    await_stored(line);
    over = 1;
    pthread_join(thread, NULL);
    meter_say(&meter);
}
