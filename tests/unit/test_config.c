/* The table of keys and everything that is driven by it: defaults, YAML in and out, --set, help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/text.h"

#include <math.h>

static char path[] = "test_config_XXXXXX.yaml";

static int make_path(void **state) {
    (void)state;
    int descriptor = mkstemps(path, 5);
    return descriptor < 0 ? -1 : close(descriptor);
}

static int remove_path(void **state) {
    (void)state;
    return unlink(path);
}

static void write_bytes(const char *bytes, size_t count) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static Status read_text(Config *config, const char *yaml) {
    write_bytes(yaml, strlen(yaml));
    return config_read_file(config, path);
}

static void assert_same(const Config *a, const Config *b) {
    int key = config_next_difference(a, b, -1);
    if (key >= 0) fail_msg("%s differs", config_key(key)->name);
}

static void assert_ok(Status status) {
    if (status_failed(&status)) fail_msg("%s", status.message);
}

/* A usage error in one line that holds every part given, up to a NULL. */
static void assert_usage(Status status, ...) {
    assert_int_equal(status.code, RAM_USAGE);
    assert_null(strpbrk(status.message, "\n\r\033"));
    va_list parts;
    va_start(parts, status);
    for (const char *part; (part = va_arg(parts, const char *));)
        if (!strstr(status.message, part)) fail_msg("'%s' is not in: %s", part, status.message);
    va_end(parts);
}

/* `yaml` is refused at `line` with `part` in the message, and nothing of it is taken over. */
static void assert_refused(const char *yaml, int line, const char *part) {
    Config config, defaults;
    config_default(&config);
    config_default(&defaults);
    char where[64];
    snprintf(where, sizeof where, "%s:%d", path, line);
    assert_usage(read_text(&config, yaml), where, part, NULL);
    assert_same(&config, &defaults);
}

static void dump(const Config *config, bool only_changed) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    config_write_yaml(config, file, only_changed);
    assert_int_equal(ferror(file), 0);
    assert_int_equal(fclose(file), 0);
}

static void assert_dump_reads_back(const Config *config) {
    for (int only_changed = 0; only_changed < 2; only_changed++) {
        Config read;
        config_default(&read);
        dump(config, only_changed);
        assert_ok(config_read_file(&read, path));
        assert_same(&read, config);
    }
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state * 0x2545F4914F6CDD1DULL >> 8;
}

static void test_table(void **state) {
    (void)state;
    Config config, again;
    config_default(&config);
    config_default(&again);
    for (int key = 0; key < CONFIG_KEYS; key++) {
        const KeyInfo *info = config_key(key);
        assert_int_equal(config_find_key(info->name), key); /* names are unique */
        char text[CONFIG_TEXT];
        config_get_text(&config, key, text, sizeof text);
        assert_ok(config_set_value(&again, info->name, text, "test")); /* the default lies in its own range */
        size_t section = strlen(info->section);
        if (section > 0) assert_true(strncmp(info->name, info->section, section) == 0 && info->name[section] == '.');
        if (section == 0) assert_null(strchr(info->name, '.'));
        assert_int_equal(config_find_key(info->section), -1);
        assert_true(strlen(info->help) > 0 && strlen(info->help) <= 76); /* fits the list of keys */
        if (info->type == KEY_INT) assert_true(info->least_int <= info->most_int);
        if (info->type == KEY_INT && info->may_be_auto) assert_true(info->least_int > KEY_AUTO_INT);
        if (info->type == KEY_REAL) assert_true(info->least_real < info->most_real);
    }
    assert_same(&config, &again);
    assert_ok(config_check(&config));
    assert_int_equal(config_find_key("section.name"), -1);
    assert_int_equal(config_key(config_find_key("train.lr"))->change, CHANGE_FREE);
    assert_int_equal(config_key(config_find_key("train.batch"))->change, CHANGE_EPOCH);
    assert_int_equal(config_key(config_find_key("model.core"))->change, CHANGE_FIXED);
}

/* The names in keys.def stand in the order of the enums in base/terms.h. */
static void test_choices(void **state) {
    (void)state;
    Config config;
    config_default(&config);
#define CHECK(member, key, value, number)                                                                              \
    assert_ok(config_set(&config, key "=" value));                                                                     \
    assert_int_equal(config.member, number)
    CHECK(_device, "device", "auto", DEVICE_AUTO);
    CHECK(_device, "device", "cpu", DEVICE_CPU);
    CHECK(_device, "device", "cuda", DEVICE_CUDA);
    CHECK(data_task, "data.task", "translated", TASK_TRANSLATED);
    CHECK(data_task, "data.task", "cluttered", TASK_CLUTTERED);
    CHECK(data_task, "data.task", "mnist", TASK_MNIST);
    CHECK(model_core, "model.core", "lstm", CORE_LSTM);
    CHECK(model_core, "model.core", "rnn", CORE_RNN);
    CHECK(model_locator, "model.locator", "linear", LOCATOR_LINEAR);
    CHECK(model_locator, "model.locator", "mlp", LOCATOR_MLP);
    CHECK(train_baseline, "train.baseline", "moving_average", BASELINE_MOVING_AVERAGE);
    CHECK(train_baseline, "train.baseline", "others", BASELINE_OTHERS);
    CHECK(train_baseline, "train.baseline", "none", BASELINE_NONE);
    CHECK(train_baseline, "train.baseline", "learned", BASELINE_LEARNED);
    CHECK(train_optimizer, "train.optimizer", "sgd", OPTIMIZER_SGD);
    CHECK(train_optimizer, "train.optimizer", "adam", OPTIMIZER_ADAM);
    CHECK(train_credit, "train.credit", "gain", CREDIT_GAIN);
    CHECK(train_nesterov, "train.nesterov", "true", true);
    CHECK(train_nesterov, "train.nesterov", "false", false);
    CHECK(schedule_kind, "schedule.kind", "plateau", SCHEDULE_PLATEAU);
    CHECK(schedule_kind, "schedule.kind", "cosine", SCHEDULE_COSINE);
    CHECK(schedule_kind, "schedule.kind", "linear", SCHEDULE_LINEAR);
    CHECK(schedule_kind, "schedule.kind", "constant", SCHEDULE_CONSTANT);
    CHECK(eval_policy, "eval.policy", "mean", POLICY_MEAN);
    CHECK(eval_policy, "eval.policy", "random", POLICY_RANDOM);
    CHECK(eval_policy, "eval.policy", "center", POLICY_CENTER);
    CHECK(eval_policy, "eval.policy", "sample", POLICY_SAMPLE);
    CHECK(comm_backend, "comm.backend", "self", COMM_SELF);
    CHECK(comm_backend, "comm.backend", "mpi", COMM_MPI);
    CHECK(comm_backend, "comm.backend", "nccl", COMM_NCCL);
    CHECK(train_reduction, "train.reduction", "tree", REDUCTION_TREE);
    CHECK(train_reduction, "train.reduction", "fast", REDUCTION_FAST);
#undef CHECK
}

/* Every key takes both ends of its range, every choice, and auto; refuses what is beyond; and all of it survives a
 * dump. */
static void test_every_key(void **state) {
    (void)state;
    for (int key = 0; key < CONFIG_KEYS; key++) {
        const KeyInfo *info = config_key(key);
        char values[16][CONFIG_TEXT] = {""};
        int count = 0;
        if (info->may_be_auto) strcpy(values[count++], "auto");
        if (info->type == KEY_INT) {
            snprintf(values[count++], CONFIG_TEXT, "%lld", (long long)info->least_int);
            snprintf(values[count++], CONFIG_TEXT, "%lld", (long long)info->most_int);
        } else if (info->type == KEY_REAL) {
            text_write_real(info->least_real, values[count++]);
            text_write_real(info->most_real, values[count++]);
            text_write_real(info->least_real + (info->most_real - info->least_real) / 3, values[count++]);
        } else if (info->type == KEY_CHOICE) {
            while (text_word(info->choices, count, values[count], CONFIG_TEXT)) count++;
        } else {
            strcpy(values[count++], "a b");
            strcpy(values[count++], "");
        }
        for (int i = 0; i < count; i++) {
            Config config;
            config_default(&config);
            assert_ok(config_set_value(&config, info->name, values[i], "test"));
            char text[CONFIG_TEXT];
            config_get_text(&config, key, text, sizeof text);
            assert_string_equal(text, values[i]);
            assert_dump_reads_back(&config);
        }
        Config config;
        config_default(&config);
        char beyond[TEXT_REAL] = "";
        if (info->type == KEY_REAL) text_write_real(nextafter(info->most_real, INFINITY), beyond);
        if (info->type == KEY_INT && info->most_int < INT64_MAX)
            snprintf(beyond, sizeof beyond, "%lld", (long long)info->most_int + 1);
        if (*beyond) assert_usage(config_set_value(&config, info->name, beyond, "test"), info->name, "range", NULL);
        if (info->type == KEY_INT || info->type == KEY_REAL)
            assert_usage(config_set_value(&config, info->name, "-11", "test"), info->name, "range (test)", NULL);
        if (info->type != KEY_TEXT) {
            assert_usage(config_set_value(&config, info->name, "", "test"), info->name, "(test)", NULL);
            assert_usage(config_set_value(&config, info->name, "nan", "test"), info->name, "(test)", NULL);
        }
    }
}

static void test_yaml_forms(void **state) {
    (void)state;
    Config config, defaults;
    config_default(&defaults);
    const char *empty[] = {
        "", "# nothing\n", "---\n", "~\n", "{}\n", "train:\nmodel:\n  # lr\n", "--- {}\n...\n", "\xEF\xBB\xBF"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        config_default(&config);
        assert_ok(read_text(&config, empty[i]));
        assert_same(&config, &defaults);
    }
    assert_ok(read_text(&config,
                        "seed: 7\ntrain:\n  lr: 1e-2\n  epochs: \"3\"\nmodel: {core: lstm}\ntrain.batch: 64\r\n"
                        "data.mean: auto\nthreads: 2\nrun.dir: 'a: b # c'\ndata:\n  dir:\n"));
    assert_int_equal(config._seed, 7);
    assert_true(config.train_lr == 0.01);
    assert_int_equal(config.train_epochs, 3);
    assert_int_equal(config.model_core, CORE_LSTM);
    assert_int_equal(config.train_batch, 64);
    assert_true(isnan(config.data_mean));
    assert_int_equal(config._threads, 2);
    assert_string_equal(config.run_dir, "a: b # c");
    assert_ok(read_text(&config, "threads: auto\nrun.dir: ~\n")); /* a file is read over what is there */
    assert_int_equal(config._threads, KEY_AUTO_INT);
    assert_string_equal(config.run_dir, "");
    assert_int_equal(config._seed, 7);
    assert_ok(read_text(&config, "run.dir: NULL\ndata.dir: Null\ndata.prefix: null\n"));
    assert_string_equal(config.run_dir, "");
    assert_string_equal(config.data_dir, "");
    assert_string_equal(config.data_prefix, "");
}

static void test_yaml_errors(void **state) {
    (void)state;
    assert_refused("seed: 1\n\ntrain:\n  lrr: 1\n", 4, "unknown key 'train.lrr'");
    assert_refused("train:\n  lrr: 1\n", 2, "did you mean 'train.lr'?");
    assert_refused("lr: 1\n", 1, "did you mean 'train.lr'?");
    assert_refused("zzzzzzzz: 1\n", 1, "unknown key 'zzzzzzzz'");
    assert_refused("seed: 1\ntrian:\n  lr: 1\n", 2, "did you mean 'train'?");
    assert_refused("seed:\n  lr: 1\n", 1, "seed is a key, not a section");
    assert_refused("train.lr: {a: 1}\n", 1, "train.lr is a key, not a section");
    assert_refused("train: 5\n", 1, "train is a section");
    assert_refused("train: ''\n", 1, "train is a section");
    assert_refused("train:\n  lr:\n    a: 1\n", 2, "do not nest");
    assert_refused("train:\n  schedule.kind: cosine\n", 2, "unknown key 'train.schedule.kind'");
    assert_refused("train:\n  lr: 1\n  batch: many\n", 3, "train.batch is 'many', not a whole number");
    assert_refused("train:\n  batch: 1e3\n", 2, "give 1 to 1048576 in digits");
    assert_refused("train.lr: 1001\n", 1, "give 0 to 1000");
    assert_refused("train.lr: .nan\n", 1, "not a number");
    assert_refused("train.lr:\n", 1, "train.lr has no value");
    assert_refused("seed: null\n", 1, "seed has no value");
    assert_refused("device: cdua\n", 1, "did you mean 'cuda'?");
    assert_refused("device: gpu\n", 1, "give one of: auto cpu cuda");
    assert_refused("device: CPU\n", 1, "did you mean 'cpu'?");
    assert_refused("data.mean: automatic\n", 1, "or auto");
    assert_refused("seed: 1\nseed: 1\n", 2, "key seed is given twice");
    assert_refused("train.lr: 1\nmodel:\n  core: rnn\ntrain:\n  lr: 1\n", 5, "first in line 1");
    assert_refused("train:\n  lr: 1\nseed: 2\ntrain:\n  batch: 1\n", 4, "section train is given twice");
    assert_refused("train:\ntrain:\n", 2, "section train is given twice");
    assert_refused("seed: [1, 2]\n", 1, "a list");
    assert_refused("- seed\n- 1\n", 1, "a list");
    assert_refused("train:\n  - lr: 1\n", 2, "a list");
    assert_refused("? [a]\n: 1\n", 1, "a list");
    assert_refused("? {a: b}\n: 1\n", 1, "a key is not a word");
    assert_refused("seed: &a 1\n", 1, "an anchor");
    assert_refused("seed: 1\ntrain: &a\n  lr: 1\n", 2, "an anchor");
    assert_refused("seed: 1\nthreads: *a\n", 2, "an alias");
    assert_refused("seed: !!int 1\n", 1, "a tag");
    assert_refused("train: !!map {lr: 1}\n", 1, "a tag");
    assert_refused("run.dir: \"a\\0b\"\n", 1, "a NUL character");
    assert_refused("hello\n", 1, "'hello' is not a key with a value");
    assert_refused("seed: 1\n---\nseed: 2\n", 2, "second document");
    assert_refused("seed: 1\n<<: {a: 1}\n", 2, "unknown section '<<'");
    assert_refused("seed: 1\ntrain:\n\tlr: 1\n", 3, "not YAML");
    assert_refused("seed: 1\ntrain: {lr: 1\n", 3, "not YAML");
    assert_refused("seed: 1\nrun.dir: \"abc\n", 3, "not YAML");
    assert_refused("seed: 1\nrun.dir: a\xFF\n", 2, "not YAML");
    assert_refused("seed: 1\nthreads: 2\n\x01: 2\n", 3, "not YAML");
    assert_refused("seed: \"1\\n2\"\n", 1, "seed is '1?2'");
    assert_refused("\"se\\e[31med\": 1\n", 1, "unknown key 'se?[31med'");
}

static void test_files(void **state) {
    (void)state;
    Config config;
    config_default(&config);
    assert_usage(config_read_file(&config, "absent/none.yaml"), "absent/none.yaml", "No such file", NULL);
    assert_usage(config_read_file(&config, "."), "Is a directory", NULL);
    assert_usage(config_read_file(&config, "/dev/zero"), "too large", NULL);
    assert_usage(config_read_file(&config, ""), "cannot open", NULL);
    assert_ok(config_read_file(&config, "/dev/null"));
    char *long_path = malloc(3000);
    memset(long_path, 'x', 2999);
    memcpy(long_path + 2990, "e\n.yaml", 8);
    assert_usage(config_read_file(&config, long_path), "...xxx", "xxe?.yaml", "check the path", NULL);
    free(long_path);
    char *nested = malloc(60001);
    memset(nested, '{', 60000);
    nested[60000] = '\0';
    assert_usage(read_text(&config, nested), path, NULL);
    memset(nested, ' ', 60000);
    assert_ok(read_text(&config, nested));
    memset(nested, 'a', 60000);
    memcpy(nested, "run.dir: ", 9);
    assert_usage(read_text(&config, nested), "run.dir is 59991 bytes long", ":1", NULL);
    free(nested);
}

/* A key given as its default is given. */
static void test_given(void **state) {
    (void)state;
    Config config;
    bool given[CONFIG_KEYS] = {false};
    write_bytes("model: {patch: 8}", 17);
    config_default(&config);
    assert_ok(config_read_given(&config, path, given));
    for (int key = 0; key < CONFIG_KEYS; key++) assert_int_equal(given[key], key == config_find_key("model.patch"));
}

static void test_set(void **state) {
    (void)state;
    Config config;
    config_default(&config);
    assert_ok(config_set(&config, "run.dir=a=b"));
    assert_string_equal(config.run_dir, "a=b");
    assert_ok(config_set(&config, "run.dir="));
    assert_string_equal(config.run_dir, "");
    assert_usage(config_set(&config, "train.lr"), "--set train.lr is not an assignment", "KEY=VALUE", NULL);
    assert_usage(config_set(&config, "=1"), "is not an assignment", NULL);
    assert_usage(config_set(&config, ""), "is not an assignment", NULL);
    assert_usage(config_set(&config, "train.lr="), "not a number", "--set train.lr=", NULL);
    assert_usage(config_set(&config, "trian.lr=1"), "--set trian.lr=1", "did you mean 'train.lr'?", NULL);
    assert_usage(config_set(&config, "train.lr =1"), "did you mean 'train.lr'?", NULL);
    assert_usage(config_set(&config, "run.dir=caf\xE9"), "not UTF-8", NULL);
    assert_usage(config_set(&config, "run.dir=\xED\xA0\x80"), "not UTF-8", NULL);
    assert_usage(config_set(&config, "train.epochs=\033[31m1"), "'?[31m1'", NULL);
    assert_usage(config_set_value(&config, "device", "gpu", "--device"), "device is 'gpu' (--device)", NULL);
    char huge[3000];
    memset(huge, 'k', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    assert_usage(config_set(&config, huge), "KEY=VALUE", NULL);
    huge[600] = '=';
    assert_usage(config_set(&config, huge), "KEY=VALUE", NULL);
    huge[100] = '=';
    assert_usage(config_set(&config, huge), "unknown key", "lists all keys", NULL);
    memcpy(huge, "data.dir=", 9);
    huge[100] = 'k';
    huge[600] = 'k';
    assert_usage(config_set(&config, huge), "at most 511", NULL);
    huge[9 + CONFIG_TEXT] = '\0';
    assert_usage(config_set(&config, huge), "data.dir is 512 bytes long", "at most 511", NULL);
    huge[9 + CONFIG_TEXT - 1] = '\0';
    assert_ok(config_set(&config, huge));
    assert_int_equal(strlen(config.data_dir), CONFIG_TEXT - 1);
    assert_dump_reads_back(&config);
}

/* A text of random characters, many of them YAML's own, that is valid UTF-8. */
static void random_text(uint64_t *random, char text[CONFIG_TEXT]) {
    /* clang-format off */
    const char *const pieces[] = {
        " ", "  ", "\n", "\t", "\r", "'", "\"", "\\", ":", ": ", " #", "#",
        "- ", "---", "...", "&a", "*a", "!!s", "%", "@", "{", "}", "[", "]",
        ",", "|", ">", "?", "`", "~", "null", "yes", "1e3", "\x01", "\x7F", "é",
        "\xC2\x85", "\xE2\x80\xA8", "😀", "abc", "\033", "\xEF\xBB\xBF", "\xC2\xA0", "\xEF\xBF\xBF", "\xF4\x8F\xBF\xBF"};
    /* clang-format on */
    size_t length = 0, count = next_random(random) % 12;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const char *piece = pieces[next_random(random) % (sizeof pieces / sizeof *pieces)];
        length += (size_t)snprintf(text + length, CONFIG_TEXT - length, "%s", piece);
    }
}

static void test_any_text_round_trips(void **state) {
    (void)state;
    uint64_t random = 7;
    for (int i = 0; i < 1000; i++) {
        Config config, read;
        config_default(&config);
        config_default(&read);
        random_text(&random, config.run_dir);
        random_text(&random, config.data_dir);
        dump(&config, i % 2);
        assert_ok(config_read_file(&read, path));
        assert_string_equal(read.run_dir, config.run_dir);
        assert_string_equal(read.data_dir, config.data_dir);
    }
}

/* Whatever stands in a file, the answer is a Config that survives a dump, or a usage error that names the file. */
static void test_random_edits(void **state) {
    (void)state;
    const char marks[] = " \n\t:-{}[]\"'#&*!|>?%@~,.=\0\xFF\xC3\x01"
                         "a1";
    Config config;
    config_default(&config);
    snprintf(config.run_dir, CONFIG_TEXT, "%s", "a: \"b\"\nc");
    char original[8192], text[8192 + 64];
    dump(&config, false);
    FILE *file = fopen(path, "r");
    size_t size = fread(original, 1, sizeof original, file);
    fclose(file);
    assert_in_range(size, 500, sizeof original - 1);
    uint64_t random = 3;
    int accepted = 0;
    for (int i = 0; i < 3000; i++) {
        size_t length = size;
        memcpy(text, original, size);
        for (uint64_t edits = 1 + next_random(&random) % 4; edits > 0 && length > 0; edits--) {
            size_t at = next_random(&random) % length;
            char mark = marks[next_random(&random) % (sizeof marks - 1)];
            switch (next_random(&random) % 4) {
            case 0:
                text[at] = mark;
                break;
            case 1:
                memmove(text + at, text + at + 1, --length - at);
                break;
            case 2:
                length = at + 1;
                break;
            default:
                memmove(text + at + 1, text + at, length++ - at);
                text[at] = mark;
            }
        }
        write_bytes(text, length);
        Config read;
        config_default(&read);
        Status status = config_read_file(&read, path);
        if (status_failed(&status)) {
            assert_usage(status, path, NULL);
            continue;
        }
        accepted++;
        assert_dump_reads_back(&read);
    }
    assert_in_range(accepted, 100, 2900); /* both sides were met */
}

static void test_differences(void **state) {
    (void)state;
    Config a, b;
    config_default(&a);
    config_default(&b);
    assert_int_equal(config_next_difference(&a, &b, -1), -1);
    assert_ok(config_set(&a, "data.mean=auto"));
    assert_ok(config_set(&a, "model.core=lstm"));
    assert_ok(config_set(&a, "run.dir=x"));
    int key = config_next_difference(&a, &b, -1);
    assert_string_equal(config_key(key)->name, "run.dir");
    key = config_next_difference(&a, &b, key);
    assert_string_equal(config_key(key)->name, "data.mean");
    key = config_next_difference(&a, &b, key);
    assert_string_equal(config_key(key)->name, "model.core");
    assert_int_equal(config_next_difference(&a, &b, key), -1);
    assert_ok(config_set(&b, "data.mean=auto")); /* auto equals auto, though NaN does not equal NaN */
    key = config_next_difference(&a, &b, config_find_key("run.dir"));
    assert_string_equal(config_key(key)->name, "model.core");
}

/* Only changed keys are written, section by section; a full disk is seen by the caller. */
static void test_writing(void **state) {
    (void)state;
    Config config;
    config_default(&config);
    assert_ok(config_set(&config, "train.lr=0.000001"));
    assert_ok(config_set(&config, "seed=3"));
    assert_ok(config_set(&config, "data.mean=auto"));
    assert_ok(config_set(&config, "run.dir=it's"));
    dump(&config, true);
    char text[512] = "";
    FILE *file = fopen(path, "r");
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    assert_string_equal(text, "seed: 3\nrun:\n  dir: 'it''s'\ndata:\n  mean: auto\ntrain:\n  lr: 1.0e-06\n");
    assert_ok(config_set(&config, "run.dir=caf\xC3\xA9")); /* in letters, not in escapes */
    dump(&config, true);
    file = fopen(path, "r");
    for (int line = 0; line < 3; line++) assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    assert_string_equal(text, "  dir: \"caf\xC3\xA9\"\n");
    for (int i = 0; i < 60; i++) strcpy(config.run_dir + 4 * i, "abc ");
    dump(&config, true); /* long texts are not folded over several lines */
    file = fopen(path, "r");
    for (int line = 0; line < 3; line++) assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    assert_true(strlen(text) > 240 && strchr(text, '\n'));
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    config_write_yaml(&config, full, false);
    assert_true(fflush(full) != 0 || ferror(full));
    fclose(full);
}

static void test_key_list(void **state) {
    (void)state;
    FILE *file = fopen(path, "w+");
    assert_non_null(file);
    config_print_keys(file);
    rewind(file);
    char line[512], first[512];
    int keys = 0, helps = 0;
    while (fgets(line, sizeof line, file)) {
        if (strlen(line) > 81) fail_msg("wider than a terminal: %s", line);
        if (sscanf(line, "%511s", first) == 1 && config_find_key(first) >= 0) keys++;
        for (int key = 0; key < CONFIG_KEYS; key++) helps += strstr(line, config_key(key)->help) && line[0] == ' ';
    }
    fclose(file);
    assert_true(keys >= CONFIG_KEYS && helps >= CONFIG_KEYS);
}

static void test_name(void **state) {
    (void)state;
    const struct {
        const char *path, *name;
    } cases[] = {{NULL, "default"}, {"configs/mnist.yaml", "mnist"},   {"mnist", "mnist"},
                 {"a.b/c", "c"},    {"/x/two.words.yml", "two.words"}, {"d/.hidden", ".hidden"}};
    char name[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        config_name(cases[i].path, name, sizeof name);
        assert_string_equal(name, cases[i].name);
    }
}

/* The files that users start from. */
static void test_shipped_files(void **state) {
    (void)state;
    const char *const names[] = {"quick", "mnist", "mnist_augmented", "translated", "cluttered60", "cluttered100"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char shipped[512];
        snprintf(shipped, sizeof shipped, "%s/configs/%s.yaml", SOURCE_DIR, names[i]);
        Config config;
        config_default(&config);
        assert_ok(config_read_file(&config, shipped));
        assert_ok(config_check(&config));
        assert_dump_reads_back(&config);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),         cmocka_unit_test(test_choices),
        cmocka_unit_test(test_every_key),     cmocka_unit_test(test_yaml_forms),
        cmocka_unit_test(test_yaml_errors),   cmocka_unit_test(test_files),
        cmocka_unit_test(test_set),           cmocka_unit_test(test_any_text_round_trips),
        cmocka_unit_test(test_random_edits),  cmocka_unit_test(test_differences),
        cmocka_unit_test(test_writing),       cmocka_unit_test(test_key_list),
        cmocka_unit_test(test_name),          cmocka_unit_test(test_given),
        cmocka_unit_test(test_shipped_files),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
