/* Traces on any number of ranks: every row is asked for once and is where it belongs, however many segments there are;
 * damage is named; a failing disk leaves the old trace or the new one. */
#include "sample.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/partition.h"
#include "store/hdf.h"
#include "store/inspect.h"
#include "store/manifest.h"
#include "store/trace.h"
#include "store/trace_folder.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

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

#define assert_ok(expression)                                                                                          \
    do {                                                                                                               \
        Status assert_status = (expression);                                                                           \
        if (status_failed(&assert_status)) fail_msg("%s", assert_status.message);                                      \
    } while (0)

static void assert_refused(Status status, ExitCode code, const char *words) {
    assert_int_equal(status.code, code);
    if (!strstr(status.message, words)) fail_msg("'%s' does not say '%s'", status.message, words);
}

/* --- made-up rows */

static const TraceShape SMALL = {.samples = 11, .rollouts = 2, .glimpses = 3, .classes = 4};

typedef struct {
    TraceShape shape;
    int64_t salt;
    int64_t *asked; /* (samples): how often each row was filled */
} Source;

/* Element i of one row of data set `set`: whole numbers that float32 holds. */
static float any_value(const Source *source, int set, int64_t row, int64_t i) {
    return (float)((row * 31 + set * 1009 + i * 7 + source->salt * 77) % 100003);
}

static void fill_floats(const Source *source, int set, const TraceRows *rows, int64_t width, float *values) {
    for (int64_t r = 0; r < rows->rows; r++)
        for (int64_t i = 0; i < width; i++) values[r * width + i] = any_value(source, set, rows->first + r, i);
}

static void fill_numbers(const Source *source, int set, const TraceRows *rows, int64_t width, int32_t *values) {
    for (int64_t r = 0; r < rows->rows; r++)
        for (int64_t i = 0; i < width; i++) values[r * width + i] = (int32_t)any_value(source, set, rows->first + r, i);
}

static void fill(void *context, const TraceRows *rows) {
    const Source *source = context;
    const TraceShape *s = &source->shape;
    const int64_t M = s->rollouts, T = s->glimpses;
    assert_true(rows->rows > 0 && rows->first >= 0 && rows->first + rows->rows <= s->samples);
    for (int64_t r = 0; r < rows->rows; r++) {
        source->asked[rows->first + r]++;
        assert_int_equal(rows->sample[r], rows->first + r);
    }
    fill_floats(source, 0, rows, M * (T + 1) * 2, rows->location);
    fill_floats(source, 1, rows, M * T * 2, rows->mean);
    fill_floats(source, 2, rows, M * T, rows->log_pi);
    fill_floats(source, 3, rows, M * T, rows->baseline);
    fill_floats(source, 4, rows, M * T * s->classes, rows->prob);
    fill_floats(source, 5, rows, M, rows->reward);
    fill_numbers(source, 6, rows, M, rows->prediction);
    fill_numbers(source, 7, rows, 1, rows->label);
    fill_numbers(source, 8, rows, 1, rows->index);
}

static Source source_new(TraceShape shape, int64_t salt) {
    return (Source){shape, salt, memory_new((size_t)shape.samples, sizeof(int64_t))};
}

static Status save(Comm *comm, const char *folder, const char *name, bool replace, Source *source) {
    int64_t step = 844;
    char split[] = "test";
    const StoreScalar scalar[] = {{.name = "trace/step", .type = STORE_INT, .value = &step},
                                  {.name = "trace/split", .type = STORE_TEXT, .value = split}};
    memset(source->asked, 0, (size_t)source->shape.samples * sizeof *source->asked);
    return trace_save(comm, folder, name, replace, &source->shape, 2, scalar, fill, source);
}

/* What any reader sees in index.h5: all values, with the shapes that DESIGN 6 gives. */
static void assert_set(hid_t file, const Source *source, int set, const char *name, int dimensions,
                       const hsize_t *size) {
    hsize_t found[4];
    size_t width = 1;
    hid_t data = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(data);
    assert_int_equal(H5Sget_simple_extent_ndims(space), dimensions);
    H5Sget_simple_extent_dims(space, found, NULL);
    for (int i = 0; i < dimensions; i++) assert_int_equal(found[i], size[i]);
    for (int i = 1; i < dimensions; i++) width *= (size_t)size[i];
    float *values = memory_new((size_t)size[0] * width, sizeof *values);
    assert_true(H5Dread(data, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    for (size_t r = 0; r < size[0]; r++)
        for (size_t i = 0; i < width; i++)
            if (values[r * width + i] != any_value(source, set, (int64_t)r, (int64_t)i))
                fail_msg("%s: row %zu, element %zu is %g", name, r, i, (double)values[r * width + i]);
    free(values);
    H5Sclose(space);
    H5Dclose(data);
}

static void assert_holds(const char *path, const Source *source) {
    char index[FILE_PATH];
    const TraceShape *s = &source->shape;
    const hsize_t N = (hsize_t)s->samples, M = (hsize_t)s->rollouts, T = (hsize_t)s->glimpses, C = (hsize_t)s->classes;
    assert_ok(trace_verify(path));
    assert_ok(atomic_file_join(index, path, "index.h5"));
    hid_t file = H5Fopen(index, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    assert_set(file, source, 0, "/trace/location", 4, (hsize_t[]){N, M, T + 1, 2});
    assert_set(file, source, 1, "/trace/location_mean", 4, (hsize_t[]){N, M, T, 2});
    assert_set(file, source, 2, "/trace/log_pi", 3, (hsize_t[]){N, M, T});
    assert_set(file, source, 3, "/trace/baseline", 3, (hsize_t[]){N, M, T});
    assert_set(file, source, 4, "/trace/prob", 4, (hsize_t[]){N, M, T, C});
    assert_set(file, source, 5, "/trace/reward", 2, (hsize_t[]){N, M});
    assert_set(file, source, 6, "/trace/prediction", 2, (hsize_t[]){N, M});
    assert_set(file, source, 7, "/trace/label", 1, (hsize_t[]){N});
    assert_set(file, source, 8, "/trace/index", 1, (hsize_t[]){N});
    H5Fclose(file);
}

static void assert_saves(Comm *comm, const char *folder, TraceShape shape) {
    char path[FILE_PATH];
    Source source = source_new(shape, 3);
    assert_ok(save(comm, folder, "one", true, &source));
    comm_sum(comm, source.asked, (int)shape.samples);
    for (int64_t i = 0; i < shape.samples; i++) assert_int_equal(source.asked[i], 1);
    assert_ok(atomic_file_join(path, folder, "one"));
    if (comm_rank(comm) == 0) assert_holds(path, &source);
    comm_barrier(comm);
    free(source.asked);
}

/* --- tests */

/* How many things lie in a folder, hidden ones included. */
static int entries(const char *folder) {
    int count = -2; /* . and .. */
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    while (readdir(directory)) count++;
    closedir(directory);
    return count;
}

static void test_round_trip(void **state) {
    char folder[FILE_PATH];
    sample_folder(*state, "trace", folder);
    assert_saves(*state, folder, SMALL);
    assert_saves(*state, folder, (TraceShape){1, 1, 1, 1}); /* fewer rows than ranks */
    assert_saves(*state, folder, (TraceShape){3, 1, 2, 2});
    assert_saves(*state, folder, (TraceShape){1000, 5, 2, 256});
}

/* Rows so long that a rank has several segments. */
static void test_segments(void **state) {
    Comm *comm = *state;
    const int64_t samples = 5 * comm_size(comm) + 2; /* a segment holds five */
    const TraceShape shape = {.samples = samples, .rollouts = 50000, .glimpses = 1, .classes = 20};
    char folder[FILE_PATH];
    sample_folder(comm, "segments", folder);
    assert_true(trace_shards(&shape, comm_size(comm)) > comm_size(comm));
    /* the first segment fails and the next ones would not */
    Source source = source_new(shape, 3);
    const FileFault once = {FAULT_ENOSPC, comm_size(comm) > 1 ? 1 : 4, false}; /* rank 0 has the folder to make */
    if (comm_rank(comm) == comm_size(comm) - 1) atomic_file_set_fault(once);
    assert_refused(save(comm, folder, "one", false, &source), RAM_IO, "free some space");
    atomic_file_set_fault((FileFault){.kind = FAULT_NONE});
    if (comm_rank(comm) == 0) assert_int_equal(access(folder, F_OK) == 0 ? entries(folder) : 0, 0);
    free(source.asked);
    assert_saves(comm, folder, shape);
    assert_ok(comm_agree(comm, comm_rank(comm) == 0 ? atomic_file_remove_tree(folder) : status_ok()));
}

/* A shard for each rank, or as many as hold 32 MiB each; never an empty one. */
static void test_shards(void **state) {
    (void)state;
    assert_int_equal(trace_shards(&(TraceShape){10000, 1, 6, 10}, 1), 1);
    assert_int_equal(trace_shards(&(TraceShape){10000, 1, 6, 10}, 4), 4);
    assert_int_equal(trace_shards(&(TraceShape){3, 1, 6, 10}, 4), 3);
    for (int ranks = 1; ranks <= 9; ranks++)
        for (int64_t samples = 1; samples < 3000000; samples = samples * 3 + 1) {
            const TraceShape shape = {samples, 1, 6, 10};
            const int64_t row = 4 * (14 + 12 + 6 + 6 + 60 + 2 + 3), shards = trace_shards(&shape, ranks);
            assert_true(shards >= 1 && shards <= samples);
            for (int64_t i = 0; i < shards; i++) {
                const int64_t rows = partition_count(samples, i, shards);
                assert_true(rows >= 1 && rows * row <= 32 << 20);
            }
            assert_true(shards == samples || shards % ranks == 0);
            assert_true(shards <= ranks || (shards - ranks) * ((32 << 20) / row) < samples);
        }
}

static void test_names(void **state) {
    Comm *comm = *state;
    static const char *const names[] = {"", ".", "..", ".tmp-x", "a/b", "/a", "a\nb", "a\177"};
    char folder[FILE_PATH], longest[300];
    Source source = source_new(SMALL, 3);
    sample_folder(comm, "names", folder);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_refused(save(comm, folder, names[i], true, &source), RAM_USAGE, "cannot be a trace's name");
    memset(longest, 'n', sizeof longest);
    longest[201] = 0;
    assert_refused(save(comm, folder, longest, true, &source), RAM_USAGE, "cannot be a trace's name");
    longest[200] = 0;
    assert_ok(save(comm, folder, longest, true, &source));
    free(source.asked);
}

/* 70,000 rows of 50 MB each: refused before any is asked for. */
static void test_too_large(void **state) {
    Source source = source_new((TraceShape){70000, 200000, 1, 50}, 3);
    assert_refused(save(*state, "/proc", "large", false, &source), RAM_USAGE, "70000 files");
    source.shape.samples = MANIFEST_SHARDS + 1;
    assert_refused(save(*state, "/proc", "large", false, &source), RAM_USAGE, "65537 files");
    for (int64_t i = 0; i < source.shape.samples; i++) assert_int_equal(source.asked[i], 0);
    free(source.asked);
}

static void test_replacing(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH], path[FILE_PATH];
    Source first = source_new(SMALL, 3), second = source_new((TraceShape){5, 1, 2, 3}, 4);
    sample_folder(comm, "replacing", folder);
    assert_ok(atomic_file_join(path, folder, "one"));
    assert_ok(save(comm, folder, "one", false, &first));
    assert_refused(save(comm, folder, "one", false, &second), RAM_USAGE, "exists");
    for (int64_t i = 0; i < second.shape.samples; i++) assert_int_equal(second.asked[i], 0);
    if (comm_rank(comm) == 0) assert_holds(path, &first);
    assert_ok(save(comm, folder, "one", true, &second));
    if (comm_rank(comm) == 0) {
        assert_holds(path, &second);
        assert_int_equal(access(path, F_OK), 0);
        assert_int_equal(rmdir(folder), -1);
        assert_ok(atomic_file_remove_tree(path));
        assert_int_equal(rmdir(folder), 0); /* nothing else lay in it */
    }
    free(first.asked);
    free(second.asked);
}

/* Whatever is no trace stays, also where replacing was asked for. */
static void test_only_traces_are_replaced(void **state) {
    Comm *comm = *state;
    static const char *const names[] = {"empty", "file", "link", "other"};
    char folder[FILE_PATH], path[FILE_PATH], inner[FILE_PATH];
    Source source = source_new(SMALL, 3);
    sample_folder(comm, "precious", folder);
    assert_ok(save(comm, folder, "one", false, &source));
    if (comm_rank(comm) == 0) {
        assert_ok(atomic_file_join(path, folder, "empty"));
        assert_ok(atomic_file_make_folder(path));
        assert_ok(atomic_file_join(path, folder, "file"));
        assert_ok(atomic_file_write(path, "mine", 4));
        assert_ok(atomic_file_join(path, folder, "link"));
        assert_int_equal(symlink("one", path), 0);
        assert_ok(atomic_file_join(path, folder, "other"));
        assert_ok(atomic_file_make_folder(path));
        assert_ok(atomic_file_join(inner, path, "MANIFEST"));
        assert_ok(atomic_file_write(inner, "ram_dist checkpoint format 1\n", 29));
    }
    comm_barrier(comm);
    for (int i = 0; i < 4; i++) {
        assert_refused(save(comm, folder, names[i], true, &source), RAM_USAGE, "is no trace");
        assert_refused(save(comm, folder, names[i], false, &source), RAM_USAGE, "exists");
        for (int64_t row = 0; row < source.shape.samples; row++) assert_int_equal(source.asked[row], 0);
    }
    if (comm_rank(comm) == 0) {
        assert_int_equal(access(inner, F_OK), 0);
        assert_ok(atomic_file_join(path, folder, "one"));
        assert_holds(path, &source);
        for (int i = 0; i < 4; i++) {
            assert_ok(atomic_file_join(path, folder, names[i]));
            assert_ok(atomic_file_remove_tree(path));
        }
        assert_ok(atomic_file_join(path, folder, "one"));
        assert_ok(atomic_file_remove_tree(path));
        assert_int_equal(rmdir(folder), 0);
    }
    free(source.asked);
}

/* While one process holds a name no other writes under it; others may be written, and sweep nothing that is in use.
 * When the holder dies, what it left is swept by any trace in the folder. */
static void test_one_writer(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH], owner[64];
    int held[2];
    if (comm_size(comm) > 1) skip(); /* a forked rank of several would speak for the real one */
    Source source = source_new(SMALL, 3);
    sample_folder(comm, "writers", folder);
    assert_int_equal(pipe(held), 0);
    pid_t child = fork();
    if (child == 0) {
        TraceFolder mine;
        alarm(120); /* where the test has failed, nobody ends this process */
        Status status = trace_folder_name(&mine, folder, "one", true);
        if (!status_failed(&status)) status = trace_folder_begin(&mine, folder);
        if (status_failed(&status) || write(held[1], "x", 1) != 1) _exit(1);
        for (;;) pause();
    }
    close(held[1]);
    assert_int_equal(read(held[0], owner, 1), 1);
    close(held[0]);
    snprintf(owner, sizeof owner, "is in use by process %d on ", (int)child);
    assert_refused(save(comm, folder, "one", true, &source), RAM_USAGE, owner);
    for (int64_t row = 0; row < source.shape.samples; row++) assert_int_equal(source.asked[row], 0);
    assert_ok(save(comm, folder, "two", true, &source));
    assert_int_equal(entries(folder), 3); /* two, and the other's lock and temporary folder */
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(entries(folder), 3);
    assert_ok(save(comm, folder, "two", true, &source));
    assert_int_equal(entries(folder), 1);
    assert_ok(save(comm, folder, "one", false, &source));
    assert_int_equal(entries(folder), 2);
    free(source.asked);
}

/* Whether the trace there is this source's, judged by one value. */
static bool is_of(const char *path, const Source *source) {
    char index[FILE_PATH];
    int32_t label[64];
    assert_ok(trace_verify(path));
    assert_ok(atomic_file_join(index, path, "index.h5"));
    hid_t file = H5Fopen(index, H5F_ACC_RDONLY, H5P_DEFAULT), data = H5Dopen2(file, "/trace/label", H5P_DEFAULT);
    assert_true(H5Dread(data, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, label) >= 0);
    H5Dclose(data);
    H5Fclose(file);
    return label[0] == (int32_t)any_value(source, 7, 0, 0);
}

/* Every operation of the first and of the last rank fails in turn: the same error everywhere, and the old trace or the
 * whole new one. */
static void test_every_fault(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH], path[FILE_PATH];
    Source first = source_new(SMALL, 3), second = source_new(SMALL, 4);
    sample_folder(comm, "faults", folder);
    assert_ok(atomic_file_join(path, folder, "one"));
    assert_ok(save(comm, folder, "one", true, &first));
    for (int rank = 0; rank<comm_size(comm); rank += comm_size(comm)> 1 ? comm_size(comm) - 1 : 1) {
        bool failed = true;
        int64_t operation = 1;
        for (; failed; operation++) {
            const FileFault fault = {operation % 2 ? FAULT_ENOSPC : FAULT_EIO, operation, false};
            atomic_file_set_fault(comm_rank(comm) == rank ? fault : (FileFault){.kind = FAULT_NONE});
            Status status = save(comm, folder, "one", true, &second);
            atomic_file_set_fault((FileFault){.kind = FAULT_NONE});
            failed = status_failed(&status);
            if (failed) assert_int_equal(status.code, RAM_IO);
            if (comm_rank(comm) == 0) assert_holds(path, failed && is_of(path, &first) ? &first : &second);
            comm_barrier(comm);
            assert_ok(save(comm, folder, "one", true, &first));
        }
        assert_true(operation > (rank == 0 ? 12 : 3));
    }
    free(first.asked);
    free(second.asked);
}

/* The last rank's disk is full for good: what was written is removed, and the others say so too. */
static void test_full_disk(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH];
    Source source = source_new(SMALL, 3);
    sample_folder(comm, "full", folder);
    const FileFault full = {FAULT_ENOSPC, 1, true}, once = {FAULT_ENOSPC, 4, false}; /* rank 0 is to clean up */
    if (comm_rank(comm) == comm_size(comm) - 1) atomic_file_set_fault(comm_size(comm) > 1 ? full : once);
    assert_refused(save(comm, folder, "one", true, &source), RAM_IO, "free some space");
    atomic_file_set_fault((FileFault){.kind = FAULT_NONE});
    if (comm_rank(comm) == 0) assert_int_equal(rmdir(folder), 0);
    free(source.asked);
}

/* No file can be opened: an error, no crash, and the next save works. */
static void test_no_descriptors(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH];
    struct rlimit before;
    if (comm_size(comm) > 1) skip(); /* MPI needs descriptors as well */
    Source source = source_new(SMALL, 3);
    sample_folder(comm, "descriptors", folder);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0);
    close(next);
    struct rlimit tight = {.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    Status status = save(comm, folder, "one", true, &source);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(status.code, RAM_IO);
    assert_ok(save(comm, folder, "two", true, &source));
    free(source.asked);
}

/* A limit on the size of a file (ulimit -f) below that of a shard: an error, no crash, nothing left. */
static void test_small_files(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH];
    struct rlimit before;
    if (comm_size(comm) > 1) skip(); /* MPI needs files as well */
    Source source = source_new(SMALL, 3);
    sample_folder(comm, "limit", folder);
    signal(SIGXFSZ, SIG_IGN); /* as every command does */
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit tight = {.rlim_cur = 4096, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    Status status = save(comm, folder, "one", true, &source);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_refused(status, RAM_IO, "ulimit -f");
    assert_int_equal(entries(folder), 0);
    assert_ok(save(comm, folder, "one", true, &source));
    free(source.asked);
}

static void test_inspect(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH], path[FILE_PATH], file[FILE_PATH], found[FILE_PATH];
    InspectTrace trace;
    bool is_trace;
    Source source = source_new(SMALL, 3);
    sample_folder(comm, "inspect", folder);
    assert_ok(save(comm, folder, "one", false, &source));
    free(source.asked);
    if (comm_rank(comm) != 0) return;
    assert_ok(atomic_file_join(path, folder, "one"));
    assert_ok(atomic_file_join(file, path, "index.h5"));
    assert_ok(inspect_find(file, found, &is_trace));
    assert_string_equal(found, path);
    assert_true(is_trace);
    assert_ok(inspect_trace(path, &trace));
    assert_memory_equal(&trace.shape, &SMALL, sizeof SMALL);
    assert_int_equal(trace.shards, trace_shards(&SMALL, comm_size(comm)));
    assert_int_equal(trace.scalars.count, 2 + 3); /* about, format_version, shards */
    assert_string_equal(inspect_text(&trace.scalars, "trace/step"), "844");
    assert_string_equal(inspect_text(&trace.scalars, "trace/split"), "test");
    free(trace.scalars.scalar);
    sample_flip_bit(file, sample_file_bytes(file) / 2, 3);
    assert_refused(inspect_trace(path, &trace), RAM_DATA, "index.h5");
    assert_refused(inspect_find(folder, found, &is_trace), RAM_DATA, "there is no checkpoint in");
}

/* Every byte of a small trace, one bit of each in turn: told, with the name of the file. */
static void test_damage(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH], path[FILE_PATH], file[FILE_PATH], first[MANIFEST_NAME];
    Source source = source_new((TraceShape){2, 1, 1, 2}, 3);
    sample_folder(comm, "damage", folder);
    assert_ok(save(comm, folder, "one", false, &source));
    free(source.asked);
    if (comm_rank(comm) != 0) return;
    assert_ok(atomic_file_join(path, folder, "one"));
    manifest_shard_name(first, 0, (int)trace_shards(&(TraceShape){2, 1, 1, 2}, comm_size(comm)));
    const char *const names[] = {"MANIFEST", "index.h5", first};
    for (int i = 0; i < 3; i++) {
        assert_ok(atomic_file_join(file, path, names[i]));
        const size_t bytes = sample_file_bytes(file);
        for (size_t byte = 0; byte < bytes; byte += i == 0 ? 1 : 61) {
            sample_flip_bit(file, byte, (int)(byte % 8));
            assert_refused(trace_verify(path), RAM_DATA, names[i]);
            sample_flip_bit(file, byte, (int)(byte % 8));
        }
        assert_ok(trace_verify(path));
    }
    assert_refused(checkpoint_verify(path), RAM_DATA, "is of a trace, not of a checkpoint");
    static const int later_read_first[] = {1, 2, 0};
    for (int i = 0; i < 3; i++) { /* each cut short, then missing */
        const char *name = names[later_read_first[i]];
        assert_ok(atomic_file_join(file, path, name));
        sample_truncate(file, sample_file_bytes(file) - 1);
        assert_refused(trace_verify(path), RAM_DATA, name);
        assert_int_equal(unlink(file), 0);
        assert_refused(trace_verify(path), RAM_DATA, name);
    }
    assert_refused(trace_verify("/nowhere"), RAM_DATA, "/nowhere");
}

/* Going on behind two epochs: later traces are set aside, twice, and nothing else. */
static void test_course_left(void **state) {
    Comm *comm = *state;
    static const char *const names[] = {"epoch-0000", "epoch-0002",  "epoch-0003", "epoch-12345",
                                        "epoch-3",    "epoch-0004x", "test"};
    static const char *const left[] = {"epoch-0000",  "epoch-0002", ".bad-epoch-0003", ".bad-epoch-12345", "epoch-3",
                                       "epoch-0004x", "test"};
    char folder[FILE_PATH], path[FILE_PATH], mine[FILE_PATH];
    sample_folder(comm, "course", folder);
    assert_ok(atomic_file_join(mine, folder, "epoch-0009"));
    for (int64_t round = 0; round < 2; round++) {
        Source source = source_new(SMALL, round);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            assert_ok(save(comm, folder, names[i], round > 0, &source));
        if (comm_rank(comm) == 0) assert_ok(atomic_file_make_folder(mine)); /* no trace */
        assert_ok(trace_take_up(comm, folder, 2));
        for (size_t i = 0; i < sizeof names / sizeof *names && comm_rank(comm) == 0; i++) {
            char aside[64]; /* of the second course, beside that of the first */
            const bool again = round > 0 && strncmp(left[i], ".bad-", 5) == 0;
            snprintf(aside, sizeof aside, "%s%s", left[i], again ? "-2" : "");
            assert_ok(atomic_file_join(path, folder, aside));
            assert_holds(path, &source);
            assert_ok(atomic_file_join(path, folder, names[i]));
            assert_int_equal(access(path, F_OK) == 0, strcmp(names[i], left[i]) == 0);
        }
        if (comm_rank(comm) == 0) assert_int_equal(access(mine, F_OK), 0);
        free(source.asked);
        comm_barrier(comm);
    }
    assert_refused(trace_take_up(comm, "/nowhere", 2), RAM_IO, "/nowhere");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_replacing),
        cmocka_unit_test(test_every_fault),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_no_descriptors),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_only_traces_are_replaced),
        cmocka_unit_test(test_one_writer),
        cmocka_unit_test(test_small_files),
        cmocka_unit_test(test_inspect),
        cmocka_unit_test(test_course_left),
    };
    return cmocka_run_group_tests(tests, open_comm, close_comm);
}
