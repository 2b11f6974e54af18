/* Checkpoints on any number of ranks: what is saved is what is loaded, what is wrong is refused alike on all ranks, and
 * a failing disk leaves the old set or the new one. */
#include "sample.h"
#include "base/hash.h"
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

static void join(char path[FILE_PATH], const char *folder, const char *name) {
    assert_ok(atomic_file_join(path, folder, name));
}

/* All ranks fail with this code and a message that holds these words. */
static void assert_refused(Status status, ExitCode code, const char *words) {
    assert_int_equal(status.code, code);
    if (!strstr(status.message, words)) fail_msg("'%s' does not say '%s'", status.message, words);
}

static void save(Comm *comm, const char *folder, int64_t step, int64_t seed) {
    Sample *sample = sample_new(seed);
    assert_ok(checkpoint_save(comm, folder, step, &sample->snapshot));
    sample_free(sample);
}

static void assert_loads(Comm *comm, const char *path, int64_t seed) {
    Sample *sample = sample_new(0);
    assert_ok(sample_load(comm, path, &sample->snapshot));
    assert_true(sample_is(sample, seed));
    sample_free(sample);
}

/* Finds `request` and checks that it is the set `name`. */
static void assert_finds(Comm *comm, const char *folder, const char *request, const char *name) {
    char path[FILE_PATH];
    assert_ok(checkpoint_find(comm, folder, request, path));
    assert_string_equal(strrchr(path, '/') ? strrchr(path, '/') + 1 : path, name);
}

static bool exists(const char *folder, const char *name) {
    char path[FILE_PATH];
    struct stat facts;
    join(path, folder, name);
    return lstat(path, &facts) == 0;
}

static void test_round_trip(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH], path[FILE_PATH];
    sample_folder(comm, "round-trip", folder);
    save(comm, folder, 17724, 3);
    assert_ok(checkpoint_find(comm, folder, "latest", path));
    assert_loads(comm, path, 3);
    assert_finds(comm, folder, "latest", "step-00017724");

    Checkpoint *checkpoint;
    assert_ok(checkpoint_open(comm, path, &checkpoint));
    assert_int_equal(checkpoint_step(checkpoint), 17724);
    assert_int_equal(checkpoint_shards(checkpoint), comm_size(comm));
    assert_true(checkpoint_has_vector(checkpoint, "adam/m"));
    assert_false(checkpoint_has_vector(checkpoint, "adam/n"));
    assert_false(checkpoint_has_vector(checkpoint, "average"));
    checkpoint_close(checkpoint);
}

/* A part of the vectors, as `eval` reads it, into a buffer whose padding held something. */
static void test_part(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH], path[FILE_PATH];
    sample_folder(comm, "part", folder);
    save(comm, folder, 1, 3);
    assert_ok(checkpoint_find(comm, folder, "latest", path));
    Sample *sample = sample_new(3), *loaded = sample_new(3);
    memset(loaded->vector[1].values, 0x55, loaded->layout.total * sizeof(float));
    Checkpoint *checkpoint;
    assert_ok(checkpoint_open(comm, path, &checkpoint));
    assert_ok(checkpoint_read_vectors(comm, checkpoint, &loaded->layout, 1, &loaded->vector[1]));
    assert_true(sample_is(loaded, 3));
    checkpoint_close(checkpoint);
    sample_free(loaded);
    sample_free(sample);
}

static void test_wrong_scalars(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH], path[FILE_PATH], small[4];
    sample_folder(comm, "scalars", folder);
    save(comm, folder, 1, 3);
    assert_ok(checkpoint_find(comm, folder, "latest", path));
    Checkpoint *checkpoint;
    assert_ok(checkpoint_open(comm, path, &checkpoint));
    int64_t integer = 42;
    StoreScalar absent = {.name = "state/age", .type = STORE_INT, .value = &integer};
    assert_refused(checkpoint_read_scalars(checkpoint, 1, &absent), RAM_DATA, "does not hold `state/age`");
    absent.name = "nowhere/age";
    assert_refused(checkpoint_read_scalars(checkpoint, 1, &absent), RAM_DATA, "does not hold `nowhere/age`");
    absent.optional = true;
    assert_ok(checkpoint_read_scalars(checkpoint, 1, &absent));
    assert_int_equal(integer, 42);
    StoreScalar mistaken = {.name = "config/train.lr", .type = STORE_INT, .value = &integer, .optional = true};
    assert_refused(checkpoint_read_scalars(checkpoint, 1, &mistaken), RAM_DATA,
                   "another kind of value as `config/train.lr`");
    StoreScalar narrow = {"provenance/host", STORE_TEXT, small, sizeof small, false};
    assert_refused(checkpoint_read_scalars(checkpoint, 1, &narrow), RAM_DATA, "provenance/host");
    checkpoint_close(checkpoint);
}

/* The layout of another model: a field more, a field less, another shape, a vector where a matrix was. */
static void test_wrong_layout(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH], path[FILE_PATH];
    sample_folder(comm, "layout", folder);
    save(comm, folder, 1, 3);
    assert_ok(checkpoint_find(comm, folder, "latest", path));
    Sample *sample = sample_new(0);
    Layout right = sample->layout, *layout = &sample->layout;

    layout->fields--;
    assert_refused(sample_load(comm, path, &sample->snapshot), RAM_DATA, "/param/wide");
    *layout = right;
    snprintf(layout->field[2].name, LAYOUT_NAME, "other");
    assert_refused(sample_load(comm, path, &sample->snapshot), RAM_DATA, "has no /param/other");
    *layout = right;
    layout->field[0].shape[0] = 5;
    layout->field[0].shape[1] = 7;
    assert_refused(sample_load(comm, path, &sample->snapshot), RAM_DATA, "/param/rnn.i2h.weight is (7, 5)");
    *layout = right;
    layout->field[5].dimensions = 1;
    assert_refused(sample_load(comm, path, &sample->snapshot), RAM_DATA, "/param/wide is (3, 1)");
    *layout = right;
    sample->vector[2].group = "momentum";
    assert_refused(sample_load(comm, path, &sample->snapshot), RAM_DATA, "has no /momentum/rnn.i2h.weight");
    sample->vector[2].group = "adam";
    assert_refused(sample_load(comm, path, &sample->snapshot), RAM_DATA, "has no /adam/rnn.i2h.weight");
    sample_free(sample);
}

/* Damages a copy of a good set in every way a file system has been seen to. */
static void test_damaged_files(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH], path[FILE_PATH], file[FILE_PATH], name[64];
    for (int victim = 0; victim < comm_size(comm) + 2; victim++)
        for (int way = 0; way < 4; way++) {
            sample_folder(comm, "damaged", folder);
            save(comm, folder, 1, 3);
            save(comm, folder, 2, 4);
            join(path, folder, "step-00000002");
            snprintf(name, sizeof name, "shard-%05d-of-%05d.h5", victim, comm_size(comm));
            if (victim == comm_size(comm)) strcpy(name, "index.h5");
            if (victim == comm_size(comm) + 1) strcpy(name, "MANIFEST");
            join(file, path, name);
            if (comm_rank(comm) == 0) {
                if (way == 0) assert_int_equal(unlink(file), 0);
                if (way == 1) sample_truncate(file, 0);
                if (way == 2) sample_truncate(file, sample_file_bytes(file) - 1);
                if (way == 3) assert_true(unlink(file) == 0 && mkfifo(file, 0666) == 0); /* must not be waited for */
            }
            comm_barrier(comm);
            Sample *sample = sample_new(0);
            assert_refused(sample_load(comm, path, &sample->snapshot), RAM_DATA, name);
            sample_free(sample);
            assert_finds(comm, folder, "latest", "step-00000001");
        }
}

/* A shard of the same name, step and size from another run. */
static void test_foreign_shard(void **state) {
    Comm *comm = *state;
    char ours[FILE_PATH], theirs[FILE_PATH], from[FILE_PATH], to[FILE_PATH], name[96];
    sample_folder(comm, "ours", ours);
    sample_folder(comm, "theirs", theirs);
    save(comm, ours, 1, 3);
    save(comm, theirs, 1, 4);
    snprintf(name, sizeof name, "step-00000001/shard-%05d-of-%05d.h5", comm_size(comm) - 1, comm_size(comm));
    join(from, theirs, name);
    join(to, ours, name);
    if (comm_rank(comm) == 0) assert_int_equal(rename(from, to), 0);
    comm_barrier(comm);
    Sample *sample = sample_new(0);
    join(to, ours, "step-00000001");
    assert_refused(sample_load(comm, to, &sample->snapshot), RAM_DATA, strchr(name, '/') + 1);
    sample_free(sample);
}

static void test_find(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH], path[FILE_PATH], file[FILE_PATH];
    sample_folder(comm, "find", folder);
    assert_refused(checkpoint_find(comm, folder, "latest", path), RAM_DATA, "there is no checkpoint");
    assert_ok(checkpoint_find(comm, folder, "auto", path));
    assert_string_equal(path, "");
    assert_ok(checkpoint_find(comm, "/nowhere/at/all", "auto", path));
    assert_string_equal(path, "");
    assert_refused(checkpoint_find(comm, folder, "/nowhere/at/all", path), RAM_DATA, "there is no checkpoint /nowhere");
    assert_refused(checkpoint_find(comm, folder, folder, path), RAM_DATA, "there is no checkpoint in /");

    save(comm, folder, 5, 5);
    save(comm, folder, 90, 9);
    save(comm, folder, 123456789012, 12);
    assert_ok(checkpoint_mark_best(comm, folder, 5));
    assert_finds(comm, folder, "auto", "step-123456789012");
    assert_finds(comm, folder, "best", "step-00000005");
    assert_finds(comm, "", folder, "step-123456789012");
    join(path, folder, "step-00000090");
    assert_finds(comm, "", path, "step-00000090");
    join(path, folder, "step-00000090/index.h5");
    assert_finds(comm, "", path, "step-00000090");
    join(path, folder, "best");
    assert_finds(comm, "", path, "step-00000005");

    join(file, folder, "step-00000005/index.h5");
    if (comm_rank(comm) == 0) sample_flip_bit(file, 1000, 0);
    comm_barrier(comm);
    assert_finds(comm, folder, "best", "step-123456789012");
    assert_refused(checkpoint_find(comm, folder, file, path), RAM_DATA, "index.h5 is damaged");
    join(file, folder, "step-123456789012/MANIFEST");
    if (comm_rank(comm) == 0) unlink(file);
    comm_barrier(comm);
    assert_finds(comm, folder, "auto", "step-00000090");
    join(file, folder, "step-00000090/MANIFEST");
    if (comm_rank(comm) == 0) unlink(file);
    comm_barrier(comm);
    assert_refused(checkpoint_find(comm, folder, "auto", path), RAM_DATA, "no checkpoint in");
}

/* A set under the name of another step is not opened as that one, though all its hashes are right. */
static void test_other_name(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH], own[FILE_PATH], other[FILE_PATH];
    sample_folder(comm, "name", folder);
    save(comm, folder, 5, 5);
    join(own, folder, "step-00000005");
    join(other, folder, "step-00000006");
    if (comm_rank(comm) == 0) assert_ok(atomic_file_rename(own, other));
    comm_barrier(comm);
    Sample *sample = sample_new(0);
    assert_refused(sample_load(comm, other, &sample->snapshot), RAM_DATA, "holds the checkpoint of step 5, not of 6");
    assert_refused(checkpoint_find(comm, folder, other, own), RAM_DATA, "holds the checkpoint of step 5, not of 6");
    sample_free(sample);
}

/* Going on from an older set: later ones belong to a course that was left, and must not win or crowd out the new. */
static void test_course_left(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH];
    sample_folder(comm, "course", folder);
    for (int64_t step = 10; step <= 40; step += 10) save(comm, folder, step, step);
    save(comm, folder, 20, 21);
    assert_finds(comm, folder, "latest", "step-00000020");
    assert_true(exists(folder, ".bad-step-00000020") && exists(folder, ".bad-step-00000040"));
    save(comm, folder, 20, 22);
    assert_true(exists(folder, ".bad-step-00000020-2"));
    assert_ok(checkpoint_prune(comm, folder, 1, 0));
    assert_finds(comm, folder, "latest", "step-00000020");
    assert_false(exists(folder, "step-00000010"));
    save(comm, folder, 50, 50);
    assert_ok(checkpoint_prune(comm, folder, 1, 0));
    assert_false(exists(folder, ".bad-step-00000020") || exists(folder, ".bad-step-00000020-2"));
    assert_false(exists(folder, ".bad-step-00000040"));
}

static void test_prune(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH], path[FILE_PATH];
    sample_folder(comm, "prune", folder);
    for (int64_t step = 1; step <= 5; step++) save(comm, folder, step, step);
    assert_ok(checkpoint_mark_best(comm, folder, 2));
    if (comm_rank(comm) == 0) {
        join(path, folder, ".trash-step-00000000");
        assert_ok(atomic_file_make_folder(path));
        join(path, folder, ".tmp-step-00000009");
        assert_ok(atomic_file_make_folder(path));
    }
    assert_ok(checkpoint_prune(comm, folder, 2, 0));
    assert_false(exists(folder, "step-00000001") || exists(folder, "step-00000003"));
    assert_true(exists(folder, "step-00000002") && exists(folder, "step-00000004") && exists(folder, "step-00000005"));
    assert_false(exists(folder, ".trash-step-00000000") || exists(folder, ".tmp-step-00000009"));
    assert_refused(checkpoint_mark_best(comm, folder, 3), RAM_IO, "step-00000003");
    assert_finds(comm, folder, "best", "step-00000002");
    assert_ok(checkpoint_prune(comm, folder, 1, 4)); /* the best, whose link could not be written */
    assert_true(exists(folder, "step-00000002") && exists(folder, "step-00000004"));
    assert_ok(checkpoint_mark_best(comm, folder, 4));
    assert_finds(comm, folder, "best", "step-00000004");
    assert_ok(checkpoint_prune(comm, folder, 1, 4));
    assert_false(exists(folder, "step-00000002"));
}

/* From its n-th operation on the disk of one rank is dead, for all n and ranks: an error on all ranks alike, and the
 * old set or the new one, whether the saved step is a new one or there already. */
static void test_every_fault(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH], path[FILE_PATH];
    static const FaultKind kinds[] = {FAULT_EIO, FAULT_ENOSPC};
    for (int victim = 0; victim < comm_size(comm); victim++)
        for (int way = 0; way < 4; way++) {
            bool failed = true, lasting = way % 2 == 0;
            for (int64_t n = 1; failed; n++) {
                sample_folder(comm, "faults", folder);
                save(comm, folder, 6, 6);
                FileFault fault = {kinds[lasting], n, lasting};
                if (comm_rank(comm) == victim) atomic_file_set_fault(fault);
                Sample *sample = sample_new(7), *loaded = sample_new(0);
                Status status = checkpoint_save(comm, folder, way < 2 ? 7 : 6, &sample->snapshot);
                int64_t operations = atomic_file_operations();
                atomic_file_set_fault((FileFault){.kind = FAULT_NONE});
                comm_broadcast(comm, &operations, sizeof operations, victim);
                failed = operations >= n;
                /* the link `latest` comes after the set has its name: where it fails, the set is saved all the same */
                if (status_failed(&status))
                    assert_refused(status, RAM_IO, lasting ? "No space left" : "Input/output error");
                if (!failed) assert_ok(status);
                assert_ok(checkpoint_find(comm, folder, "auto", path));
                assert_ok(sample_load(comm, path, &loaded->snapshot));
                assert_true((status_failed(&status) && sample_is(loaded, 6)) || sample_is(loaded, 7));
                save(comm, folder, 8, 8); /* and the run goes on */
                assert_finds(comm, folder, "latest", "step-00000008");
                sample_free(sample);
                sample_free(loaded);
            }
        }
}

/* Writes that take only half of what they are given, over and over, change nothing but the time. */
static void test_short_writes(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH], path[FILE_PATH];
    sample_folder(comm, "short", folder);
    atomic_file_set_fault((FileFault){FAULT_SHORT, 1, true});
    save(comm, folder, 1, 3);
    atomic_file_set_fault((FileFault){.kind = FAULT_NONE});
    join(path, folder, "step-00000001");
    assert_loads(comm, path, 3);
}

/* A place where nothing can be written: a file in the way, and a folder that takes none, even from root. */
static void test_impossible_folder(void **state) {
    Comm *comm = *state;
    char folder[FILE_PATH], file[FILE_PATH];
    Sample *sample = sample_new(3);
    sample_folder(comm, "impossible", folder);
    join(file, folder, "checkpoints");
    if (comm_rank(comm) == 0) assert_ok(atomic_file_write(file, "x", 1));
    comm_barrier(comm);
    assert_refused(checkpoint_save(comm, file, 1, &sample->snapshot), RAM_IO, "checkpoints");
    assert_refused(checkpoint_save(comm, "/proc", 1, &sample->snapshot), RAM_IO, "/proc");
    sample_free(sample);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_part),
        cmocka_unit_test(test_wrong_layout),
        cmocka_unit_test(test_wrong_scalars),
        cmocka_unit_test(test_damaged_files),
        cmocka_unit_test(test_foreign_shard),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_course_left),
        cmocka_unit_test(test_other_name),
        cmocka_unit_test(test_prune),
        cmocka_unit_test(test_every_fault),
        cmocka_unit_test(test_short_writes),
        cmocka_unit_test(test_impossible_folder),
    };
    return cmocka_run_group_tests(tests, open_comm, close_comm);
}
