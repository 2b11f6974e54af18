/* The rules between keys: what is refused, in one line that names the key and the remedy, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

/* A usage error with both texts, or none where `part` is NULL. */
static void assert_rule(const char *const *settings, const char *part, const char *remedy) {
    Config config;
    config_default(&config);
    for (; *settings; settings++) assert_int_equal(config_set(&config, *settings).code, RAM_OK);
    const Status status = config_check(&config);
    assert_int_equal(status.code, part ? RAM_USAGE : RAM_OK);
    if (!part) return;
    assert_null(strpbrk(status.message, "\n\r\033"));
    if (!strstr(status.message, part) || !strstr(status.message, remedy))
        fail_msg("'%s' or '%s' is not in: %s", part, remedy, status.message);
}
#define SETTINGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_check(void **state) {
    (void)state;
    assert_rule(SETTINGS("train.lanes=6"), "train.lanes is 6", "4 or 8");
    assert_rule(SETTINGS("train.lanes=1023"), "train.lanes is 1023", "512 or 1024");
    assert_rule(SETTINGS("train.lanes=1"), NULL, NULL);
    assert_rule(SETTINGS("train.lanes=1024"), NULL, NULL);
    assert_rule(SETTINGS("train.baseline=others"), "train.samples", "2 or more");
    assert_rule(SETTINGS("train.baseline=others", "train.samples=2"), NULL, NULL);
    assert_rule(SETTINGS("model.patch=256", "model.scales=8", "model.scale=8"), "model.patch 256", "lower");
    assert_rule(SETTINGS("model.patch=128", "model.scales=4", "model.scale=8"), NULL, NULL);
    assert_rule(SETTINGS("model.patch=129", "model.scales=4", "model.scale=8"), "65536", "lower");
    assert_rule(SETTINGS("comm.backend=nccl", "train.reduction=tree", "device=cuda"), NULL, NULL);
    assert_rule(SETTINGS("comm.backend=mpi", "train.reduction=fast"), NULL, NULL);
    assert_rule(SETTINGS("comm.backend=self", "train.reduction=fast"), NULL, NULL);
    assert_rule(SETTINGS("comm.backend=nccl", "device=cpu"), "comm.backend", "GPUs");
    assert_rule(SETTINGS("train.reduction=fast", "device=cpu"), "train.reduction", "GPUs");
    assert_rule(SETTINGS("comm.backend=nccl", "train.reduction=fast", "device=cuda"), NULL, NULL);
    assert_rule(SETTINGS("train.reduction=tree", "comm.backend=mpi", "device=cpu"), NULL, NULL);
    assert_rule(SETTINGS("train.credit=gain"), "train.credit gain", "train.glimpse_nll above 0");
    assert_rule(SETTINGS("train.credit=gain", "train.glimpse_nll=1"), NULL, NULL);
    assert_rule(SETTINGS("train.credit=gain", "train.glimpse_nll=1", "train.baseline=moving_average"),
                "moving_average is one of final rewards", "another baseline");
    assert_rule(SETTINGS("train.nesterov=true"), "train.optimizer", "sgd");
    assert_rule(SETTINGS("train.nesterov=true", "train.optimizer=sgd"), NULL, NULL);
    assert_rule(SETTINGS("train.nesterov=true", "train.optimizer=sgd", "train.momentum=0"), "momentum", "above 0");
    assert_rule(SETTINGS("train.batch=1048576", "train.samples=17"), "roll-outs per step", "lower");
    assert_rule(SETTINGS("train.batch=1048576", "train.samples=16"), NULL, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_check)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
