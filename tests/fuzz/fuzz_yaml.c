/* Configuration files: any bytes are read or refused; what is read and checked can be written and read again. */
#include "config/config.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    Config config;
    config_default(&config);
    Status status = config_read_file(&config, fuzz_file(data, bytes));
    if (!status_failed(&status)) status = config_check(&config);
    if (status_failed(&status)) return 0;
    char *text = NULL;
    size_t length = 0;
    Config again;
    FILE *memory = open_memstream(&text, &length);
    config_write_yaml(&config, memory, false);
    fclose(memory);
    config_default(&again);
    status = config_read_file(&again, fuzz_file((const uint8_t *)text, length));
    if (status_failed(&status) || config_next_difference(&config, &again, -1) >= 0) abort();
    free(text);
    return 0;
}
