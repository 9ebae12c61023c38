// RabbitMQ quorum queues over TLS: what a client and a worker say to store a job, take it, store its result and take that.
//
//   client  publish to jobs (confirmed after the quorum's fsync), consume results, ack, and the next publish
//   worker  consume jobs, publish to results, and ack the job when that is confirmed
//
// A connection each. Nobody waits for a confirmation before sending the next.
#include <pthread.h>
#include <signal.h>

#include <amqp.h>
#include <amqp_ssl_socket.h>

#include "meter.h"

static struct plan plan;
static char jobs[64], results[64];
static atomic_int over;

static void check(amqp_rpc_reply_t reply, const char *what) {
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) return;
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION) {
        amqp_connection_close_t *why = reply.reply.decoded;
        fprintf(stderr, "%.*s\n", (int)why->reply_text.len, (char *)why->reply_text.bytes);
    }
    meter_fail(what, amqp_error_string2(reply.library_error));
}

static amqp_connection_state_t line_open(const char *consumed) {
    amqp_connection_state_t line = amqp_new_connection();
    amqp_socket_t *socket = amqp_ssl_socket_new(line);
    if (!socket || amqp_ssl_socket_set_cacert(socket, plan.ca)) meter_fail("certificate", plan.ca);
    amqp_ssl_socket_set_verify_peer(socket, 1);
    amqp_ssl_socket_set_verify_hostname(socket, 1);
    if (amqp_socket_open(socket, "localhost", plan.port)) meter_fail("connect", NULL);
    check(amqp_login(line, "/", 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"), "login");
    amqp_channel_open(line, 1);
    check(amqp_get_rpc_reply(line), "channel");
    amqp_table_entry_t kind = {.key = amqp_cstring_bytes("x-queue-type"),
                               .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("quorum")}};
    amqp_table_t quorum = {1, &kind};
    for (int i = 0; i < 2; i++) {
        amqp_queue_declare(line, 1, amqp_cstring_bytes(i ? results : jobs), 0, 1, 0, 0, quorum);
        check(amqp_get_rpc_reply(line), "queue");
    }
    amqp_confirm_select(line, 1);
    check(amqp_get_rpc_reply(line), "confirm.select");
    amqp_basic_qos(line, 1, 0, plan.in_flight, 0);
    check(amqp_get_rpc_reply(line), "qos");
    amqp_basic_consume(line, 1, amqp_cstring_bytes(consumed), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(line), "consume");
    return line;
}

static void publish(amqp_connection_state_t line, const char *queue, amqp_bytes_t bytes) {
    amqp_basic_properties_t persistent = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
    if (amqp_basic_publish(line, 1, amqp_empty_bytes, amqp_cstring_bytes(queue), 0, 0, &persistent, bytes))
        meter_fail("publish", NULL);
}

struct event {
    enum { NOTHING, DELIVERED, CONFIRMED } kind;
    uint64_t tag;
    int multiple;
    amqp_message_t message;
};

static struct event next(amqp_connection_state_t line) {
    struct event event = {.kind = NOTHING};
    struct timeval patience = {.tv_usec = 200000};
    amqp_frame_t frame;
    amqp_maybe_release_buffers_on_channel(line, 1);
    int status = amqp_simple_wait_frame_noblock(line, &frame, &patience);
    if (status == AMQP_STATUS_TIMEOUT) return event;
    if (status != AMQP_STATUS_OK) meter_fail("wait", amqp_error_string2(status));
    if (frame.frame_type != AMQP_FRAME_METHOD) return event;
    if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
        amqp_basic_ack_t *ack = frame.payload.method.decoded;
        event = (struct event){.kind = CONFIRMED, .tag = ack->delivery_tag, .multiple = ack->multiple};
    } else if (frame.payload.method.id == AMQP_BASIC_DELIVER_METHOD) {
        amqp_basic_deliver_t *deliver = frame.payload.method.decoded;
        event = (struct event){.kind = DELIVERED, .tag = deliver->delivery_tag};
        check(amqp_read_message(line, 1, &event.message, 0), "read");
    } else {
        meter_fail("rabbitmq", "it says what was not expected");
    }
    return event;
}

static void *worker(void *nothing) {
    (void)nothing;
    amqp_connection_state_t line = line_open(jobs);
    while (!over) {
        struct event event = next(line);
        if (event.kind == DELIVERED) {
            publish(line, results, event.message.body);
            amqp_destroy_message(&event.message);
        } else if (event.kind == CONFIRMED) {
            // The n-th result is the n-th job's: it is stored, and the job may go.
            if (amqp_basic_ack(line, 1, event.tag, event.multiple)) meter_fail("ack", NULL);
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    plan = meter_plan(argc, argv);
    sprintf(jobs, "jobs%.20s", plan.name);
    sprintf(results, "results%.20s", plan.name);
    amqp_connection_state_t line = line_open(results);
    pthread_t thread;
    pthread_create(&thread, NULL, worker, NULL);
    amqp_bytes_t payload = {plan.bytes, meter_payload(plan.bytes)};
    struct meter meter = meter_begin(&plan);
    int under_way = plan.in_flight;
    for (int i = 0; i < under_way; i++) publish(line, jobs, payload);
    while (under_way > 0) {
        struct event event = next(line);
        if (event.kind != DELIVERED) continue;
        if (event.message.body.len != plan.bytes) meter_fail("rabbitmq", "a result has another length");
        amqp_destroy_message(&event.message);
        if (amqp_basic_ack(line, 1, event.tag, 0)) meter_fail("ack", NULL);
        if (meter_count(&meter)) {
            publish(line, jobs, payload);
        } else {
            under_way -= 1;
        }
    }
    over = 1;
    pthread_join(thread, NULL);
    meter_say(&meter);
}
