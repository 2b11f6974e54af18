#include "view/picture_file.h"
#include "base/log.h"
#include "base/memory.h"

#include <cgif.h>
#include <errno.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

void picture_file_png(const Bitmap *bitmap, void **data, size_t *bytes) {
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)bitmap->width,
                       .height = (png_uint_32)bitmap->height,
                       .format = bitmap->channels == 1   ? PNG_FORMAT_GRAY
                                 : bitmap->channels == 3 ? PNG_FORMAT_RGB
                                                         : PNG_FORMAT_RGBA};
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    *data = memory_new(size, 1);
    if (!png_image_write_to_memory(&image, *data, &size, 0, bitmap->pixels, 0, NULL))
        fatal("libpng: %s", image.message);
    *bytes = size;
}

/* --- GIF */

enum { COLOURS = 256, NONE = -1, HUNDREDTHS = 60, HUNDREDTHS_LAST = 200 };

/* The colours of all frames with `bits` bits a channel, as a table from colour to index. */
typedef struct {
    int bits, count;
    int16_t *index; /* (2^(3 bits)) */
    uint8_t colour[3 * COLOURS];
} Palette;

static size_t key_of(const Palette *palette, const uint8_t *pixel) {
    const int drop = 8 - palette->bits;
    return (size_t)(pixel[0] >> drop) << (2 * palette->bits) | (size_t)(pixel[1] >> drop) << palette->bits |
           (size_t)(pixel[2] >> drop);
}

/* Bits spread so that the largest value is 255 again. */
static uint8_t widen(const Palette *palette, uint8_t value) {
    const int drop = 8 - palette->bits, most = (1 << palette->bits) - 1;
    return (uint8_t)(((value >> drop) * 255 + most / 2) / most);
}

static bool add_colours(Palette *palette, const Bitmap *frame) {
    const size_t pixels = (size_t)frame->width * (size_t)frame->height;
    for (size_t i = 0; i < pixels; i++) {
        const uint8_t *pixel = frame->pixels + 3 * i;
        int16_t *index = &palette->index[key_of(palette, pixel)];
        if (*index != NONE) continue;
        if (palette->count == COLOURS) return false;
        *index = (int16_t)palette->count;
        for (int c = 0; c < 3; c++) palette->colour[3 * palette->count + c] = widen(palette, pixel[c]);
        palette->count++;
    }
    return true;
}

/* With as many bits as 256 colours allow; at 2 bits there are but 64. */
static void find_palette(Palette *palette, int frames, const Bitmap *frame) {
    palette->index = memory_new((size_t)1 << 24, sizeof *palette->index);
    for (palette->bits = 8;; palette->bits--) {
        bool fits = true;
        palette->count = 0;
        for (size_t i = 0; i < (size_t)1 << (3 * palette->bits); i++) palette->index[i] = NONE;
        for (int i = 0; i < frames && fits; i++) fits = add_colours(palette, &frame[i]);
        if (fits) return;
    }
}

static int write_part(void *context, const uint8_t *data, const size_t bytes) {
    return fwrite(data, 1, bytes, context) == bytes ? 0 : -1;
}

static void add_frame(CGIF *gif, const Palette *palette, const Bitmap *frame, uint16_t hundredths) {
    const size_t pixels = (size_t)frame->width * (size_t)frame->height;
    uint8_t *index = memory_new(pixels, 1);
    for (size_t i = 0; i < pixels; i++) index[i] = (uint8_t)palette->index[key_of(palette, frame->pixels + 3 * i)];
    CGIF_FrameConfig config = {.pImageData = index, .delay = hundredths, .genFlags = CGIF_FRAME_GEN_USE_DIFF_WINDOW};
    if (cgif_addframe(gif, &config) != CGIF_OK) fatal("cgif refuses a frame");
    free(index);
}

void picture_file_gif(int frames, const Bitmap *frame, void **data, size_t *bytes) {
    Palette palette;
    char *text = NULL;
    FILE *out = open_memstream(&text, bytes);
    if (!out) fatal("open_memstream: %s", strerror(errno));
    find_palette(&palette, frames, frame);
    CGIF_Config config = {.pGlobalPalette = palette.colour,
                          .numGlobalPaletteEntries = (uint16_t)palette.count,
                          .attrFlags = frames > 1 ? CGIF_ATTR_IS_ANIMATED : 0,
                          .width = (uint16_t)frame->width,
                          .height = (uint16_t)frame->height,
                          .numLoops = CGIF_INFINITE_LOOP,
                          .pWriteFn = write_part,
                          .pContext = out};
    CGIF *gif = cgif_newgif(&config);
    if (!gif) fatal("cgif cannot begin a picture of %d x %d", frame->width, frame->height);
    for (int i = 0; i < frames; i++) add_frame(gif, &palette, &frame[i], i + 1 < frames ? HUNDREDTHS : HUNDREDTHS_LAST);
    if (cgif_close(gif) != CGIF_OK) fatal("cgif cannot end a picture");
    fclose(out);
    free(palette.index);
    *data = text;
}
