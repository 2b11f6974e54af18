#include "view/picture_file.h"
#include "base/log.h"
#include "base/memory.h"

#include <cgif.h>
#include <png.h>
#include <stdlib.h>

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

enum { COLOURS = 255 /* and one for what a frame leaves as it was */, HUNDREDTHS = 60, HUNDREDTHS_LAST = 200 };

/* The most frequent colours stand for all: lines and flat areas keep theirs exactly. */
typedef struct {
    uint32_t key, count; /* red, green and blue in one number; pixels of that colour */
} Colour;

typedef struct {
    int count;
    uint8_t colour[3 * COLOURS];
    uint32_t *index; /* (2^24): of each colour; how often it is there, at first */
} Palette;

static uint32_t key_of(const uint8_t *pixel) {
    return (uint32_t)pixel[0] << 16 | (uint32_t)pixel[1] << 8 | (uint32_t)pixel[2];
}

static int more_frequent(const void *a, const void *b) {
    const Colour *first = a, *second = b;
    if (first->count != second->count) return first->count > second->count ? -1 : 1;
    return first->key < second->key ? -1 : 1;
}

/* The entry of the palette that is closest to a colour. */
static uint32_t nearest(const Palette *palette, uint32_t key) {
    int best = 0, least = INT32_MAX;
    for (int i = 0; i < palette->count; i++) {
        const uint8_t *colour = palette->colour + 3 * i;
        const int red = colour[0] - (int)(key >> 16), green = colour[1] - (int)(key >> 8 & 255);
        const int blue = colour[2] - (int)(key & 255), distance = 2 * red * red + 4 * green * green + 3 * blue * blue;
        if (distance < least) least = distance, best = i;
    }
    return (uint32_t)best;
}

static void count_colours(Palette *palette, int frames, const Bitmap *frame) {
    for (int i = 0; i < frames; i++) {
        const size_t pixels = (size_t)frame[i].width * (size_t)frame[i].height;
        for (size_t p = 0; p < pixels; p++) palette->index[key_of(frame[i].pixels + 3 * p)]++;
    }
}

static void find_palette(Palette *palette, int frames, const Bitmap *frame) {
    const size_t keys = (size_t)1 << 24;
    size_t found = 0;
    *palette = (Palette){.index = memory_new(keys, sizeof *palette->index)};
    count_colours(palette, frames, frame);
    for (size_t key = 0; key < keys; key++) found += palette->index[key] > 0;
    Colour *colour = memory_new(found, sizeof *colour);
    found = 0;
    for (size_t key = 0; key < keys; key++)
        if (palette->index[key] > 0) colour[found++] = (Colour){(uint32_t)key, palette->index[key]};
    qsort(colour, found, sizeof *colour, more_frequent);
    palette->count = found < COLOURS ? (int)found : COLOURS;
    for (int i = 0; i < palette->count; i++)
        for (int c = 0; c < 3; c++) palette->colour[3 * i + c] = (uint8_t)(colour[i].key >> (16 - 8 * c));
    for (size_t i = 0; i < found; i++) palette->index[colour[i].key] = nearest(palette, colour[i].key);
    free(colour);
}

static int write_part(void *context, const uint8_t *data, const size_t bytes) {
    return fwrite(data, 1, bytes, context) == bytes ? 0 : -1;
}

static void add_frame(CGIF *gif, const Palette *palette, const Bitmap *frame, uint16_t hundredths) {
    const size_t pixels = (size_t)frame->width * (size_t)frame->height;
    uint8_t *index = memory_new(pixels, 1);
    for (size_t i = 0; i < pixels; i++) index[i] = (uint8_t)palette->index[key_of(frame->pixels + 3 * i)];
    CGIF_FrameConfig config = {.pImageData = index,
                               .delay = hundredths,
                               .genFlags = CGIF_FRAME_GEN_USE_TRANSPARENCY | CGIF_FRAME_GEN_USE_DIFF_WINDOW};
    if (cgif_addframe(gif, &config) != CGIF_OK) fatal("cgif refuses a frame");
    free(index);
}

void picture_file_gif(int frames, const Bitmap *frame, void **data, size_t *bytes) {
    Palette palette;
    char *text = NULL;
    FILE *out = memory_stream_open(&text, bytes);
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
    memory_stream_close(out);
    free(palette.index);
    *data = text;
}
