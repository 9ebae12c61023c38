#include "cimages.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

typedef struct {
    struct jpeg_error_mgr manager; // first, so that libjpeg's pointer to it is a pointer to this
    jmp_buf escape;
    char *message;
} failure;

static void escape_with_message(j_common_ptr state) {
    failure *error = (failure *)state->err;
    char text[JMSG_LENGTH_MAX];
    state->err->format_message(state, text);
    snprintf(error->message, CIMAGES_MESSAGE_LENGTH, "%s", text);
    longjmp(error->escape, 1);
}

// Level -1 is a warning about the data: a picture would come out, but not the one that was put in.
static void refuse_warnings(j_common_ptr state, int level) {
    if (level < 0) escape_with_message(state);
}

// The two calls differ in what they do after the header; pixels is NULL for the size alone.
static int decode(const uint8_t *bytes, size_t count, cimages_jpeg_size *size, uint8_t *pixels, size_t capacity, char *message) {
    struct jpeg_decompress_struct state;
    failure error;
    memset(&state, 0, sizeof state); // jpeg_destroy is safe from here on
    state.err = jpeg_std_error(&error.manager);
    error.manager.error_exit = escape_with_message;
    error.manager.emit_message = refuse_warnings;
    error.message = message;
    if (setjmp(error.escape)) {
        jpeg_destroy_decompress(&state);
        return 1;
    }
    jpeg_create_decompress(&state);
    state.mem->max_memory_to_use = 256L << 20; // a progressive picture is held whole
    jpeg_mem_src(&state, bytes, count);
    jpeg_read_header(&state, TRUE);
    int colour = state.num_components == 3;
    if (!colour && state.num_components != 1) {
        snprintf(message, CIMAGES_MESSAGE_LENGTH, "it has %d colour components: only grey and RGB are read", state.num_components);
        jpeg_destroy_decompress(&state);
        return 1;
    }
    state.out_color_space = colour ? JCS_RGB : JCS_GRAYSCALE;
    size->width = state.image_width;
    size->height = state.image_height;
    size->channels = colour ? 3 : 1;
    if (pixels) {
        size_t row = (size_t)size->width * size->channels;
        if (capacity != row * size->height) {
            snprintf(message, CIMAGES_MESSAGE_LENGTH, "its size changed while it was read");
            jpeg_destroy_decompress(&state);
            return 1;
        }
        jpeg_start_decompress(&state);
        while (state.output_scanline < state.output_height) {
            JSAMPROW line = pixels + row * state.output_scanline;
            jpeg_read_scanlines(&state, &line, 1);
        }
        jpeg_finish_decompress(&state);
    }
    jpeg_destroy_decompress(&state);
    return 0;
}

int cimages_jpeg_read_size(const uint8_t *bytes, size_t count, cimages_jpeg_size *size, char message[CIMAGES_MESSAGE_LENGTH]) {
    return decode(bytes, count, size, NULL, 0, message);
}

int cimages_jpeg_decode(const uint8_t *bytes, size_t count, uint8_t *pixels, size_t capacity, char message[CIMAGES_MESSAGE_LENGTH]) {
    cimages_jpeg_size size;
    return decode(bytes, count, &size, pixels, capacity, message);
}
