/* metrics.jsonl, as report, plot and watch read it: any bytes are read or refused. */
#include "fuzz.h"
#include "view/run.h"

#include <fcntl.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static const char folder[] = "metrics-run", path[] = "metrics-run/metrics.jsonl";
    static int file = -1;
    Run run;
    if (file < 0) {
        mkdir(folder, 0755);
        file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    }
    if (file < 0 || ftruncate(file, 0) || pwrite(file, data, bytes, 0) != (ssize_t)bytes) abort();
    const Status status = run_open(folder, &run);
    if (status_failed(&status)) return 0;
    run_last_validation(&run);
    run_test(&run, "sample");
    run_best_eval(&run);
    run_is_finished(&run);
    run_close(&run);
    return 0;
}
