/* Reading traces back: all values, of sets of any number of shards; what is damaged or impossible is refused. */
#include "sample.h"
#include "base/log.h"
#include "store/trace_read.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int open_comm(void **state) {
    *state = comm_mpi_new(0, 0);
    log_open(comm_rank(*state), comm_size(*state), false, NULL);
    return 0;
}

static int close_comm(void **state) {
    comm_free(*state);
    return 0;
}

static const TraceShape SHAPE = {.samples = 11, .rollouts = 2, .glimpses = 3, .classes = 4};

/* What is wrong with one row of a trace. */
typedef enum { SOUND, BAD_LABEL, BAD_PREDICTION, BAD_INDEX, BAD_LOCATION, BAD_LAST, DIVERGED, WRONGS } Wrong;

/* Element i of one row of data set `set`: in [-1, 1]. */
static float any_value(int set, int64_t row, int64_t i) {
    return (float)((row * 31 + set * 1009 + i * 7) % 201 - 100) / 100;
}

static void fill_floats(int set, const TraceRows *rows, int64_t width, float *values) {
    for (int64_t r = 0; r < rows->rows; r++)
        for (int64_t i = 0; i < width; i++) values[r * width + i] = any_value(set, rows->first + r, i);
}

static void fill(void *context, const TraceRows *rows) {
    const Wrong wrong = *(const Wrong *)context;
    const int64_t M = SHAPE.rollouts, T = SHAPE.glimpses;
    fill_floats(0, rows, M * (T + 1) * 2, rows->location);
    fill_floats(1, rows, M * T * 2, rows->mean);
    fill_floats(2, rows, M * T, rows->log_pi);
    fill_floats(3, rows, M * T, rows->baseline);
    fill_floats(4, rows, M * T * SHAPE.classes, rows->prob);
    fill_floats(5, rows, M, rows->reward);
    for (int64_t r = 0; r < rows->rows; r++) {
        const int64_t row = rows->first + r;
        rows->label[r] = (int32_t)(row % SHAPE.classes);
        rows->index[r] = (int32_t)(3 * row);
        for (int64_t m = 0; m < M; m++) rows->prediction[r * M + m] = (int32_t)((row + m) % SHAPE.classes);
        if (row == SHAPE.samples - 1 && wrong == BAD_LAST) rows->location[(r + 1) * M * (T + 1) * 2 - 1] = -1.01f;
        if (row != 7) continue;
        if (wrong == BAD_LABEL) rows->label[r] = SHAPE.classes;
        if (wrong == BAD_PREDICTION) rows->prediction[r * M + 1] = -1;
        if (wrong == BAD_INDEX) rows->index[r] = -1;
        if (wrong == BAD_LOCATION) rows->location[r * M * (T + 1) * 2 + 5] = 1.01f;
        if (wrong == DIVERGED) rows->location[r * M * (T + 1) * 2 + 5] = NAN;
    }
}

/* Saves a trace and says where. @collective */
static void save(Comm *comm, const char *name, Wrong wrong, char path[FILE_PATH]) {
    char folder[FILE_PATH], split[] = "test";
    int64_t step = 42;
    const StoreScalar scalar[] = {{.name = "trace/step", .type = STORE_INT, .value = &step},
                                  {.name = "trace/split", .type = STORE_TEXT, .value = split}};
    sample_folder(comm, name, folder);
    assert_int_equal(trace_save(comm, folder, "one", false, &SHAPE, 2, scalar, fill, &wrong).code, RAM_OK);
    assert_int_equal(atomic_file_join(path, folder, "one").code, RAM_OK);
}

static void assert_floats(int set, const float *values, int64_t width) {
    for (int64_t r = 0; r < SHAPE.samples; r++)
        for (int64_t i = 0; i < width; i++)
            if (values[r * width + i] != any_value(set, r, i))
                fail_msg("set %d, row %lld, element %lld", set, (long long)r, (long long)i);
}

static void assert_content(const char *path) {
    TraceContent content;
    const int64_t M = SHAPE.rollouts, T = SHAPE.glimpses;
    assert_int_equal(trace_read(path, &content).code, RAM_OK);
    assert_memory_equal(&content.facts.shape, &SHAPE, sizeof SHAPE);
    assert_int_equal(content.rows.rows, SHAPE.samples);
    assert_floats(0, content.rows.location, M * (T + 1) * 2);
    assert_floats(1, content.rows.mean, M * T * 2);
    assert_floats(2, content.rows.log_pi, M * T);
    assert_floats(3, content.rows.baseline, M * T);
    assert_floats(4, content.rows.prob, M * T * SHAPE.classes);
    assert_floats(5, content.rows.reward, M);
    for (int64_t r = 0; r < SHAPE.samples; r++) {
        assert_int_equal(content.rows.sample[r], r);
        assert_int_equal(content.rows.label[r], r % SHAPE.classes);
        assert_int_equal(content.rows.index[r], 3 * r);
        for (int64_t m = 0; m < M; m++) assert_int_equal(content.rows.prediction[r * M + m], (r + m) % SHAPE.classes);
    }
    assert_string_equal(inspect_text(&content.facts.scalars, "trace/split"), "test");
    assert_string_equal(inspect_text(&content.facts.scalars, "trace/step"), "42");
    assert_string_equal(inspect_text(&content.facts.scalars, "trace/none"), "");
    trace_read_free(&content);
    trace_read_free(&content);
}

static void test_round_trip(void **state) {
    char path[FILE_PATH];
    save(*state, "read", SOUND, path);
    if (comm_rank(*state) == 0) assert_content(path);
    comm_barrier(*state);
}

static void test_impossible_values(void **state) {
    static const char *const SAYS[WRONGS] = {[BAD_LABEL] = "a label",
                                             [BAD_PREDICTION] = "a prediction",
                                             [BAD_INDEX] = "an index",
                                             [BAD_LOCATION] = "a location",
                                             [BAD_LAST] = "a location"};
    for (Wrong wrong = SOUND; wrong < WRONGS; wrong++) {
        char path[FILE_PATH];
        TraceContent content;
        save(*state, "impossible", wrong, path);
        if (comm_rank(*state) == 0) {
            const Status status = trace_read(path, &content);
            assert_int_equal(status.code, SAYS[wrong] ? RAM_DATA : RAM_OK);
            if (SAYS[wrong]) assert_non_null(strstr(status.message, SAYS[wrong]));
            trace_read_free(&content); /* a diverged model's NaN is allowed */
        }
        comm_barrier(*state);
    }
}

/* A flipped bit anywhere in a shard or the index is found before HDF5 sees the file. */
static void test_damage(void **state) {
    char path[FILE_PATH], file[FILE_PATH], shard[64];
    TraceContent content;
    Comm *comm = *state;
    save(comm, "damaged", SOUND, path);
    snprintf(shard, sizeof shard, "shard-%05d-of-%05d.h5", comm_size(comm) - 1, comm_size(comm));
    const char *const names[] = {shard, "index.h5", "MANIFEST"};
    for (int i = 0; i < 3 && comm_rank(comm) == 0; i++) {
        assert_int_equal(atomic_file_join(file, path, names[i]).code, RAM_OK);
        const size_t bytes = sample_file_bytes(file);
        for (size_t at = 0; at < bytes; at += bytes / 40 + 1) {
            sample_flip_bit(file, at, 3);
            const Status status = trace_read(path, &content);
            assert_int_equal(status.code, RAM_DATA);
            assert_non_null(strstr(status.message, names[i]));
            sample_flip_bit(file, at, 3);
        }
        assert_content(path);
    }
    comm_barrier(comm);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_impossible_values),
                                       cmocka_unit_test(test_damage)};
    return cmocka_run_group_tests(tests, open_comm, close_comm);
}
