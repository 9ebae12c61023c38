// JPEG decoding behind a plain C face. libjpeg reports errors by longjmp, which must not cross Swift frames: it stays in here.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CIMAGES_MESSAGE_LENGTH 200

typedef struct {
    uint32_t width;
    uint32_t height;
    uint32_t channels; // 1 grey, 3 colour
} cimages_jpeg_size;

// Reads the header. 0: done. 1: not a JPEG that can be read, and message says why.
int cimages_jpeg_read_size(const uint8_t *bytes, size_t count, cimages_jpeg_size *size, char message[CIMAGES_MESSAGE_LENGTH]);

// Decodes into pixels, rows of height × width × channels, capacity in bytes. 0: done. 1: as above, or capacity is not the size.
// What libjpeg only warns about (a file that ends early) is an error here.
int cimages_jpeg_decode(const uint8_t *bytes, size_t count, uint8_t *pixels, size_t capacity, char message[CIMAGES_MESSAGE_LENGTH]);
