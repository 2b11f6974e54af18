/* Command lines: the order in which values win, options of one command alone, and what is said about a wrong line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/arguments.h"
#include "mpi/launch.h"

enum { OPTION_LIMIT = OWN_OPTION, OPTION_VERIFY };
static const struct argp_option own_options[] = {
    {"limit", OPTION_LIMIT, "N", 0, "Stop after N", 0}, {"verify", OPTION_VERIFY, NULL, 0, "Verify", 0}, {0}};

typedef struct {
    char limit[32];
    bool verify;
} Own;

static Status take(void *input, int key, const char *value) {
    Own *own = input;
    if (key == OPTION_VERIFY) own->verify = true;
    if (key != OPTION_LIMIT) return status_ok();
    if (strcmp(value, "bad") == 0) return status_error(RAM_USAGE, "--limit is bad");
    snprintf(own->limit, sizeof own->limit, "%s", value);
    return status_ok();
}

/* Splits `line` at its spaces ("_" stands for an empty word) and parses it as the command `trace`. */
static Status parse(Arguments *arguments, Own *own, bool takes_all, const char *line) {
    static char words[1024]; /* arguments borrow from it */
    char *argv[32] = {(char *)"ram_dist"};
    int argc = 1;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = strcmp(word, "_") == 0 ? word + 1 : word;
    *own = (Own){.verify = false};
    ArgumentsSpec spec = {.command = "trace",
                          .summary = "Writes a trace.",
                          .operand = takes_all ? "CHECKPOINT" : NULL,
                          .takes = takes_all ? TAKES_NP | TAKES_RESUME | TAKES_DEVICE : 0,
                          .own = takes_all ? own_options : NULL,
                          .take = take,
                          .input = own};
    return arguments_parse(arguments, &spec, argc, argv);
}

static void assert_refused(bool takes_all, const char *line, const char *part, const char *remedy) {
    Arguments arguments;
    Own own;
    Status status = parse(&arguments, &own, takes_all, line);
    assert_int_equal(status.code, RAM_USAGE);
    if (!strstr(status.message, part) || !strstr(status.message, remedy))
        fail_msg("'%s' or '%s' is not in: %s", part, remedy, status.message);
    assert_null(strchr(status.message, '\n'));
}

static void test_values(void **state) {
    (void)state;
    Arguments arguments;
    Own own;
    Status status = parse(&arguments, &own, true, "");
    assert_int_equal(status.code, RAM_OK);
    assert_int_equal(arguments.np, 0);
    assert_int_equal(arguments.overrides, 0);
    assert_null(arguments.resume);
    assert_null(arguments.operand);
    assert_null(arguments.config_path);
    assert_string_equal(arguments.name, "default");
    assert_int_equal(arguments.config.train_batch, 128);

    status = parse(&arguments, &own, true,
                   "there --np 4 --set train.lr=1 --set=train.lr=2 --device cpu --comm mpi --run-dir=r --resume best "
                   "--limit 5 --verify --max-restarts 3");
    assert_int_equal(status.code, RAM_OK);
    assert_int_equal(arguments.np, 4);
    assert_int_equal(arguments.max_restarts, 3);
    assert_true(arguments.may_stop);
    assert_true(arguments.config.train_lr == 2);
    assert_int_equal(arguments.config._device, DEVICE_CPU);
    assert_int_equal(arguments.config.comm_backend, COMM_MPI);
    assert_string_equal(arguments.config.run_dir, "r");
    assert_string_equal(arguments.resume, "best");
    assert_string_equal(arguments.operand, "there");
    assert_string_equal(own.limit, "5");
    assert_true(own.verify);
    assert_int_equal(arguments.overrides, 5);
    assert_false(arguments.help);
}

/* Defaults, then the file wherever --config stands, then the line in its order. */
static void test_order(void **state) {
    (void)state;
    char path[] = "test_arguments_XXXXXX.yaml", line[256];
    int descriptor = mkstemps(path, 5);
    assert_true(descriptor >= 0);
    const char *yaml = "train: {lr: 0.5, lanes: 4}\ndevice: cuda\n";
    assert_int_equal(write(descriptor, yaml, strlen(yaml)), strlen(yaml));
    close(descriptor);
    Arguments arguments;
    Own own;
    snprintf(line, sizeof line, "--device auto --set device=cpu --set train.lr=0.25 --config %s", path);
    Status status = parse(&arguments, &own, true, line);
    unlink(path);
    assert_int_equal(status.code, RAM_OK);
    assert_int_equal(arguments.config._device, DEVICE_CPU);
    assert_true(arguments.config.train_lr == 0.25);
    assert_int_equal(arguments.config.train_lanes, 4);
    assert_memory_equal(arguments.name, path, strlen(path) - 5);
}

/* A command may take several operands, wherever they stand. */
static void test_operands(void **state) {
    char *line[] = {"ram_dist", "one", "--set", "seed=4", "two", "three", NULL};
    ArgumentsSpec spec = {.command = "report", .summary = "Reports.", .operand = "RUN", .most_operands = 3};
    Arguments arguments;
    (void)state;
    assert_int_equal(arguments_parse(&arguments, &spec, 6, line).code, RAM_OK);
    assert_int_equal(arguments.operand_count, 3);
    assert_string_equal(arguments.operand, "one");
    assert_string_equal(arguments.operands[1], "two");
    assert_string_equal(arguments.operands[2], "three");
    spec.most_operands = 2;
    const Status status = arguments_parse(&arguments, &spec, 6, line);
    assert_int_equal(status.code, RAM_USAGE);
    assert_non_null(strstr(status.message, "more than 2 of RUN are given, 'three'"));
}

/* mpirun's users write -np; getopt's habits hold: abbreviations, and -- before operands. */
static void test_spellings(void **state) {
    (void)state;
    Arguments arguments;
    Own own;
    Status status = parse(&arguments, &own, true, "-np 3 --ver -- -odd");
    assert_int_equal(status.code, RAM_OK);
    assert_int_equal(arguments.np, 3);
    assert_true(own.verify);
    assert_string_equal(arguments.operand, "-odd");
    status = parse(&arguments, &own, true, "-n 1 --np=1024 -");
    assert_int_equal(status.code, RAM_OK);
    assert_int_equal(arguments.np, LAUNCH_NP_MOST);
    assert_string_equal(arguments.operand, "-");
}

static void test_errors(void **state) {
    (void)state;
    const char *const bad_np[] = {"0", "-1", "1025", "two", "1.5", "_", "99999999999999999999", "4x"};
    char line[64];
    for (size_t i = 0; i < sizeof bad_np / sizeof *bad_np; i++) {
        snprintf(line, sizeof line, "--np %s", bad_np[i]);
        assert_refused(true, line, "--np is '", "1 to 1024");
    }
    assert_refused(true, "--confg x", "unknown option '--confg'", "did you mean '--config'?");
    assert_refused(true, "--confg=x", "unknown option '--confg=x'", "did you mean '--config'?");
    assert_refused(true, "-q 4", "unknown option '-q'", "--help");
    assert_refused(true, "-qnp 4", "unknown option '-qnp'", "--help");
    assert_refused(true, "a -x b", "unknown option '-x'", "ram_dist trace --help");
    assert_refused(true, "--zzzzzzzz", "unknown option '--zzzzzzzz'", "ram_dist trace --help");
    assert_refused(true, "--limti 4", "unknown option", "did you mean '--limit'?");
    assert_refused(true, "--np", "option --np lacks its value", "write --np N");
    assert_refused(true, "--set", "option --set lacks its value", "KEY=VALUE");
    assert_refused(true, "--verify=1", "option --verify takes no value", "write --verify");
    assert_refused(true, "--r x", "option '--r' is ambiguous", "--help");
    assert_refused(true, "a b", "a second CHECKPOINT 'b' after 'a'", "give one");
    assert_refused(true, "--config a --config b", "--config is given twice", "--set");
    assert_refused(true, "--config absent.yaml", "absent.yaml", "check the path");
    assert_refused(true, "--comm gloo", "comm.backend is 'gloo' (--comm)", "auto self mpi nccl");
    assert_refused(true, "--device gpu", "device is 'gpu' (--device)", "auto cpu cuda");
    assert_refused(true, "--set lr=1", "--set lr=1", "did you mean 'train.lr'?");
    assert_refused(true, "--set train.lanes=3", "train.lanes is 3", "2 or 4");
    assert_refused(true, "--limit bad --np 0", "--limit is bad", "");
    assert_refused(false, "--np 2", "unknown option '--np'", "--help"); /* not of this command */
    assert_refused(false, "--device cpu", "unknown option '--device'", "--help");
    assert_refused(false, "--resume best", "unknown option '--resume'", "--help");
    assert_refused(false, "x", "unexpected argument 'x'", "ram_dist trace --help");
    assert_refused(false, "_", "unexpected argument ''", "--help");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_operands), cmocka_unit_test(test_values),
                                       cmocka_unit_test(test_order), cmocka_unit_test(test_spellings),
                                       cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
