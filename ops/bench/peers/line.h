// A connection with TLS to a server on 127.0.0.1, for drivers of protocols that are lines and counted bytes.
#pragma once

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "meter.h"

struct line {
    SSL *ssl;
    unsigned char *in, *out;
    size_t start, end, room, queued, space;
};

static inline SSL_CTX *line_trust(const char *ca) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (SSL_CTX_load_verify_locations(context, ca, NULL) != 1) meter_fail("certificate", ca);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return context;
}

// greets: the server says a line before TLS begins.
static inline struct line *line_open(SSL_CTX *context, int port, int greets) {
    struct line *line = calloc(1, sizeof *line);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) meter_fail("connect", NULL);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (char byte = 0; greets && byte != '\n';)
        if (recv(fd, &byte, 1, 0) != 1) meter_fail("connect", "the server does not greet");
    line->ssl = SSL_new(context);
    SSL_set_fd(line->ssl, fd);
    if (SSL_connect(line->ssl) != 1) meter_fail("TLS", "the handshake failed");
    line->room = line->space = 1 << 20;
    line->in = malloc(line->room);
    line->out = malloc(line->space);
    return line;
}

static inline void queue(struct line *line, const void *bytes, size_t count) {
    while (line->queued + count > line->space) line->out = realloc(line->out, line->space *= 2);
    memcpy(line->out + line->queued, bytes, count);
    line->queued += count;
}

static inline void flush(struct line *line) {
    for (size_t done = 0; done < line->queued;) {
        int count = SSL_write(line->ssl, line->out + done, (int)(line->queued - done));
        if (count <= 0) meter_fail("SSL_write", NULL);
        done += count;
    }
    line->queued = 0;
}

// Waits for more, once what is queued is sent.
static inline void more(struct line *line) {
    flush(line);
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

// The next line of what came, without its end, valid until the next call.
static inline char *next_line(struct line *line) {
    for (size_t seen = 0;;) {
        unsigned char *begin = line->in + line->start, *end = memchr(begin + seen, '\n', line->end - line->start - seen);
        if (end) {
            end[-1] = 0;
            line->start += end - begin + 1;
            return (char *)begin;
        }
        seen = line->end - line->start;
        more(line);
    }
}

// So many bytes and the end of a line, valid until the next call.
static inline unsigned char *next_bytes(struct line *line, size_t count) {
    while (line->end - line->start < count + 2) more(line);
    unsigned char *begin = line->in + line->start;
    line->start += count + 2;
    return begin;
}
