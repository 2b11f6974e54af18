/* What figures are made of: patches are what the retina's kernel makes, boxes cover exactly their pixels, files decode
 * to the pixels that went in, texts are escaped, and charts stay small and finite whatever they are given. */
#include "backend/backend.h"
#include "base/memory.h"
#include "view/chart.h"
#include "view/gallery.h"
#include "view/markup.h"
#include "view/picture_file.h"
#include "view/raster.h"
#include "view/stroke_font.h"
#include "view/svg.h"

#include <float.h>
#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- the retina */

static void check_patches(Backend *backend, int width, int height, int channels, int patch, int scales,
                          const float *at) {
    const size_t pixels = (size_t)width * (size_t)height * (size_t)channels;
    const int cells = patch * patch;
    uint8_t *memory = memory_new(pixels, 1);
    float *glimpse = memory_new((size_t)(scales * channels * cells), sizeof *glimpse);
    float location[2] = {at[0], at[1]};
    int32_t number = 0;
    for (size_t i = 0; i < pixels; i++) memory[i] = (uint8_t)(i * 2654435761u >> 13);
    Retina retina = {
        .patch = patch, .scales = scales, .scale = 2, .height = height, .width = width, .channels = channels};
    for (int c = 0; c < channels; c++) retina.mean[c] = 33.0f / 255, retina.stddev[c] = 1;
    const Pictures pictures = {.pixels = {memory}, .picture = {&number}};
    const Span span = {1, 1, 0, 1, 1};
    backend->kernels->retina(backend, &span, &retina, &pictures, (DevFloats){location}, (DevFloats){glimpse});

    const Gallery gallery = {.width = width, .height = height, .channels = channels, .outside = {33, 33, 33}};
    const Bitmap picture = {width, height, channels, memory};
    Recording recording = {.path = ""};
    config_default(&recording.config);
    recording.config.model_patch = patch;
    recording.config.model_scale = 2;
    for (int k = 0; k < scales; k++) {
        const Window window = gallery_window(&gallery, &recording, location, k);
        assert_int_equal(window.side, patch << k);
        const Bitmap shown = gallery_patch(&gallery, &recording, &picture, window);
        for (int cell = 0; cell < cells; cell++)
            for (int c = 0; c < channels; c++) {
                const double seen = 255 * (double)glimpse[(k * channels + c) * cells + cell] + 33;
                if (fabs(seen - shown.pixels[cell * channels + c]) > 0.51)
                    fail_msg("scale %d, cell %d: the retina sees %g, the picture shows %d", k, cell, seen,
                             shown.pixels[cell * channels + c]);
            }
        free(shown.pixels);
    }
    free(glimpse);
    free(memory);
}

static void test_patches(void **state) {
    static const float AT[][2] = {{-1, -1}, {1, 1},         {-1, 1},          {1, -1},
                                  {0, 0},   {0.4f, -0.71f}, {0.9999f, 0.03f}, {NAN, 0}};
    Backend *backend;
    const BackendOptions options = {.device = DEVICE_CPU, .threads = 1};
    const Status opened = backend_open(&options, &backend);
    (void)state;
    assert_int_equal(opened.code, RAM_OK);
    for (size_t i = 0; i < sizeof AT / sizeof *AT; i++) {
        check_patches(backend, 28, 28, 1, 8, 1, AT[i]);
        check_patches(backend, 28, 28, 1, 8, 4, AT[i]);
        check_patches(backend, 23, 11, 1, 5, 3, AT[i]);
        check_patches(backend, 7, 4, 3, 3, 3, AT[i]);
    }
    backend_close(backend);
}

/* --- pixels */

static int red_at(const Raster *raster, int x, int y) { return raster->pixels[3 * (y * raster->width + x)]; }

static void test_boxes(void **state) {
    Raster raster;
    (void)state;
    raster_begin(&raster, 20, 10, 2);
    const CanvasOperations *draw = raster.canvas.operations;
    assert_int_equal(raster.width, 40);
    draw->frame(&raster.canvas, (Box){3, 2, 6, 5}, 1, paint(INK_BLACK));
    draw->fill(&raster.canvas, (Box){15, -4, 100, 6}, paint(INK_BLACK)); /* reaches beyond */
    for (int y = 0; y < raster.height; y++)
        for (int x = 0; x < raster.width; x++) {
            const bool outer = x >= 6 && x < 18 && y >= 4 && y < 14, inner = x >= 8 && x < 16 && y >= 6 && y < 12;
            const bool dark = (outer && !inner) || (x >= 30 && y < 4);
            assert_int_equal(red_at(&raster, x, y), dark ? 0 : 255);
        }
    draw->clip(&raster.canvas, &(Box){0, 0, 1, 1});
    draw->fill(&raster.canvas, (Box){0, 0, 20, 10}, (Paint){INK_BLACK, 0.5});
    draw->clip(&raster.canvas, NULL);
    assert_int_equal(red_at(&raster, 1, 1), 128);
    assert_int_equal(red_at(&raster, 2, 2), 255);
    for (int shown = 0; shown < 2; shown++) {
        draw->begin_only(&raster.canvas, 1, shown);
        draw->fill(&raster.canvas, (Box){1, 5, 1, 1}, paint(INK_BLACK));
        draw->end_step(&raster.canvas);
        assert_int_equal(red_at(&raster, 2, 10), shown ? 0 : 255);
    }
    raster_free(&raster);
}

static void test_strokes(void **state) {
    Raster raster;
    int dark = 0;
    (void)state;
    raster_begin(&raster, 60, 20, 2);
    const CanvasOperations *draw = raster.canvas.operations;
    draw->text(&raster.canvas, (Point){2, 14}, (TextStyle){.size = 10, .paint = paint(INK_BLACK)}, "I");
    for (int y = 0; y < raster.height; y++)
        for (int x = 0; x < raster.width; x++)
            if (red_at(&raster, x, y) < 128) {
                dark++;
                if (y < 13 || y > 29 || x > 12) fail_msg("the letter leaves its place at (%d, %d)", x, y);
            }
    assert_true(dark >= 14); /* as high as a capital of size 10: 7 units, 14 pixels */
    assert_true(stroke_font_width("iii", 10) < stroke_font_width("MMM", 10));
    assert_true(fabs(stroke_font_width("\xC3\xA4", 10) - stroke_font_width("?", 10)) < 1e-9);
    draw->text(&raster.canvas, (Point){1000, -50}, (TextStyle){.size = 10, .paint = paint(INK_BLACK)}, "far away");
    const Point line[] = {{-50, -50}, {500, 300}, {0, 0}};
    for (Dash dash = 0; dash < DASHES; dash++) draw->line(&raster.canvas, 3, line, 2, dash, paint(INK_BLACK));
    raster_free(&raster);
}

static void check_png(int channels, png_uint_32 format) {
    enum { WIDTH = 7, HEIGHT = 5 };
    uint8_t pixels[WIDTH * HEIGHT * 4], found[sizeof pixels];
    const size_t size = (size_t)(WIDTH * HEIGHT * channels);
    void *data;
    size_t bytes;
    for (size_t i = 0; i < size; i++) pixels[i] = (uint8_t)(i * 37 + 11);
    picture_file_png(&(Bitmap){WIDTH, HEIGHT, channels, pixels}, &data, &bytes);
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_memory(&image, data, bytes));
    assert_int_equal(image.width, WIDTH);
    assert_int_equal(image.height, HEIGHT);
    image.format = format;
    assert_true(png_image_finish_read(&image, NULL, found, 0, NULL));
    assert_memory_equal(found, pixels, size);
    free(data);
}

static void test_png(void **state) {
    (void)state;
    check_png(1, PNG_FORMAT_GRAY);
    check_png(3, PNG_FORMAT_RGB);
    check_png(4, PNG_FORMAT_RGBA);
}

/* --- texts */

static void assert_markup(const char *text, const char *expected) {
    char *found = NULL;
    size_t bytes;
    FILE *out = open_memstream(&found, &bytes);
    markup_text(out, text);
    fclose(out);
    assert_string_equal(found, expected);
    free(found);
}

static void test_escaping(void **state) {
    (void)state;
    assert_markup("plain", "plain");
    assert_markup("<b a=\"x\" c='y'>&amp;", "&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;amp;");
    assert_markup("gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80", "gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80");
#define BAD "\xEF\xBF\xBD"
    assert_markup("a\x01\x1B\x7F\n", "a" BAD BAD BAD BAD);
    assert_markup("\xFF\xC3", BAD BAD);                 /* no character; one that is cut off */
    assert_markup("\xC0\xBC", BAD BAD);                 /* '<' in two bytes */
    assert_markup("\xED\xA0\x80", BAD BAD BAD);         /* half a pair of UTF-16 */
    assert_markup("\xE2\x82<", BAD BAD "&lt;");         /* cut off by markup */
    assert_markup("\xF4\x90\x80\x80", BAD BAD BAD BAD); /* beyond Unicode */
}

static void test_base64(void **state) {
    static const char *const CASES[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"\xFF\xFE\xFD", "//79"}}; /* RFC 4648 */
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char *found = NULL;
        size_t bytes;
        FILE *out = open_memstream(&found, &bytes);
        markup_base64(out, CASES[i][0], strlen(CASES[i][0]));
        fclose(out);
        assert_string_equal(found, CASES[i][1]);
        free(found);
    }
}

/* --- charts */

/* The chart as SVG; free() it. */
static char *chart_text(const Chart *chart, size_t *bytes) {
    char *text = NULL;
    const Figure figure = chart_figure(chart);
    FILE *out = open_memstream(&text, bytes);
    figure_put(&figure, out);
    fclose(out);
    return text;
}

/* Points of lines that lie high up, in the middle of the chart. */
static int find_peaks(const char *text) {
    int peaks = 0;
    while ((text = strstr(text, "points=\""))) {
        text += strlen("points=\"");
        for (bool more = true; more; text++) {
            char *end;
            const double x = strtod(text, &end), y = strtod(end + 1, &end);
            peaks += x > 130 && x < 220 && y < 60;
            text = end;
            more = *text == ' ';
        }
    }
    return peaks;
}

static void test_long_series(void **state) {
    enum { POINTS = 300000 };
    Chart chart = {.title = "t", .x_title = "x", .y_title = "y"};
    ChartSeries *series = chart_add(&chart, POINTS, "many", INK_SERIES, DASH_NONE);
    size_t bytes;
    (void)state;
    for (int i = 0; i < POINTS; i++) series->x[i] = i, series->y[i] = i % 2;
    series->y[123456] = 100; /* one peak among them all is not lost */
    char *text = chart_text(&chart, &bytes);
    assert_true(bytes < 40000);
    assert_int_equal(find_peaks(text), 1);
    free(text);
    chart_free(&chart);
}

/* Whether a line begins far outside. */
static bool leaves_chart(const char *text) {
    while ((text = strstr(text, "<polyline points=\""))) {
        text += strlen("<polyline points=\"");
        if (fabs(strtod(text, NULL)) > 1000) return true;
    }
    return false;
}

static void test_strange_values(void **state) {
    static const double VALUES[][4] = {{0, 0, 0, 0},
                                       {NAN, NAN, NAN, NAN},
                                       {1, NAN, 2, INFINITY},
                                       {1e-300, 1e300, 1, 2},
                                       {-1e308, 1e308, 0, 1},
                                       {5, 5, 5, 5},
                                       {-1, -1, -1, -1},
                                       {1e-12, 1e-12, 1e-12, 1e-12},
                                       {DBL_MIN, 1, 2, 3},
                                       {1e-300, 1e-300, 1e-300, 1e-300},
                                       {1e308, 1e308, 1e308, 1e308},
                                       {0.5, 1e300, 1, 2},
                                       {1e-100, 1, 2, 3},
                                       {-1e301, 0, 1, 2}};
    (void)state;
    for (size_t i = 0; i < sizeof VALUES / sizeof *VALUES; i++)
        for (int points = 0; points <= 4; points++)
            for (int logarithmic = 0; logarithmic < 2; logarithmic++) {
                Chart chart = {.title = "t", .x_title = "x", .y_title = "y", .logarithmic = logarithmic};
                ChartSeries *series = chart_add(&chart, points, "s", INK_SERIES, DASH_NONE);
                size_t bytes;
                for (int p = 0; p < points; p++) series->x[p] = p, series->y[p] = VALUES[i][p];
                char *text = chart_text(&chart, &bytes);
                const char *const odd[] = {"=\"nan", "=\"-nan", "inf\"", ">nan", ">-nan", ">inf", ">-inf"};
                for (size_t o = 0; o < sizeof odd / sizeof *odd; o++)
                    if (strstr(text, odd[o])) fail_msg("%s: %s", odd[o], text);
                assert_true(bytes <= 20000);
                if (leaves_chart(text)) fail_msg("far outside: %s", text);
                free(text);
                chart_free(&chart);
            }
}

/* A constant is read off the axis: it is no line along the bottom. */
static void test_constant(void **state) {
    static const double VALUES[] = {3e-4, -3e-4, 1e-12, 7e5};
    (void)state;
    for (size_t i = 0; i < sizeof VALUES / sizeof *VALUES; i++)
        for (int logarithmic = 0; logarithmic < 2; logarithmic++) {
            Chart chart = {.title = "t", .x_title = "x", .y_title = "y", .logarithmic = logarithmic};
            ChartSeries *series = chart_add(&chart, 2, "", INK_SERIES, DASH_NONE);
            size_t bytes;
            for (int p = 0; p < 2; p++) series->x[p] = p, series->y[p] = VALUES[i];
            char *text = chart_text(&chart, &bytes);
            const char *line = text; /* the last one: rules and axes come first */
            for (const char *next; (next = strstr(line + 1, "<polyline")); line = next) {}
            const double y = strtod(strchr(line, ',') + 1, NULL);
            if (y < 60 || y > 170) fail_msg("%g lies at %g of %d", VALUES[i], y, CHART_HEIGHT);
            free(text);
            chart_free(&chart);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patches),     cmocka_unit_test(test_boxes),          cmocka_unit_test(test_strokes),
        cmocka_unit_test(test_png),         cmocka_unit_test(test_escaping),       cmocka_unit_test(test_base64),
        cmocka_unit_test(test_long_series), cmocka_unit_test(test_strange_values), cmocka_unit_test(test_constant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
