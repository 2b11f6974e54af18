/* What a rank finds on its host: cores as text, and which GPUs it sees and takes by the variables of Slurm and CUDA. */
#define _GNU_SOURCE /* clearenv */
#include "mpi/cores.h"
#include "mpi/host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_cores_text(void **state) {
    (void)state;
    const struct {
        int cores[6]; /* ended by -1 */
        const char *text;
    } cases[] = {{{-1}, ""},
                 {{0, -1}, "0"},
                 {{0, 1, 2, 3, -1}, "0-3"},
                 {{0, 62, 63, 64, 65, -1}, "0,62-65"},
                 {{7, 4095, -1}, "7,4095"},
                 {{0, 2, 3, -1}, "0,2-3"}};
    char text[16];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CoreMask mask = {{0}};
        for (const int *core = cases[i].cores; *core >= 0; core++) mask.bits[*core / 64] |= (uint64_t)1 << *core % 64;
        cores_text(&mask, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
    const CoreMask odd = {{0x5555555555555555}};
    cores_text(&odd, text, sizeof text);
    assert_string_equal(text, "0,2,4,6,8,..."); /* what does not fit */
}

/* Each case: environment, local rank, what it sees, what it takes. */
static void test_devices(void **state) {
    (void)state;
    static const struct {
        char *variables[4];
        int local_rank;
        const char *visible, *device;
    } cases[] = {
        {{NULL}, 0, "none", ""},
        {{"CUDA_VISIBLE_DEVICES="}, 0, "none", ""},
        {{"CUDA_VISIBLE_DEVICES=-1"}, 0, "none", ""},
        {{"CUDA_VISIBLE_DEVICES=0,1,2,3"}, 2, "0,1,2,3", "2"},
        {{"CUDA_VISIBLE_DEVICES=3,1"}, 3, "3,1", "1"}, /* more ranks than GPUs go round */
        {{"CUDA_VISIBLE_DEVICES=2"}, 2, "2", "2"},
        {{"CUDA_VISIBLE_DEVICES=GPU-aa,MIG-bb"}, 1, "GPU-aa,MIG-bb", "MIG-bb"},
        /* confined to its GPU, a rank counts from 0; Slurm's list has the host's number */
        {{"CUDA_VISIBLE_DEVICES=0", "SLURM_STEP_GPUS=3"}, 3, "0", "3"},
        {{"CUDA_VISIBLE_DEVICES=0,1", "SLURM_STEP_GPUS=3", "SLURM_JOB_GPUS=2,3"}, 1, "0,1", "3"},
        {{"CUDA_VISIBLE_DEVICES=0,1", "SLURM_JOB_GPUS=0,1,2,3"}, 1, "0,1", "1"}, /* another count: of other ranks */
        {{"CUDA_VISIBLE_DEVICES=GPU-aa", "SLURM_STEP_GPUS=3"}, 0, "GPU-aa", "GPU-aa"},
        {{"SLURM_GPUS_ON_NODE=4"}, 2, "all", "2"}, /* --gpu-bind=none */
        {{"SLURM_GPUS_ON_NODE=nonsense"}, 2, "none", ""},
    };
    if (access("/proc/driver/nvidia/gpus", F_OK) == 0) skip(); /* the cases are those of a host without GPUs */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        HostFacts facts;
        clearenv();
        for (char *const *variable = cases[i].variables; *variable; variable++) putenv(*variable);
        host_facts(cases[i].local_rank, &facts);
        assert_string_equal(facts.visible, cases[i].visible);
        assert_string_equal(facts.device, cases[i].device);
    }
}

static void test_host(void **state) {
    (void)state;
    HostFacts facts;
    char name[HOST_TEXT] = "";
    clearenv();
    host_facts(0, &facts);
    gethostname(name, sizeof name - 1);
    assert_string_equal(facts.name, name);
    assert_true(*facts.cores != '\0' && facts.memory > 0);
    assert_true(facts.files == HOST_UNLIMITED || facts.files > 0);
    setenv("SLURMD_NODENAME", "n1", 1);
    host_facts(0, &facts);
    assert_string_equal(facts.name, "n1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cores_text),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
