#include "mpi/mpirun_output.h"

#include <stdio.h>
#include <string.h>

/* A banner is a few lines between two lines of so many dashes or more. */
enum { DASHES = 60 };

/* Lines of its own that tell users nothing: it says so of every signal, stumbles over its own banner now and then when
 * ranks are aborted, and repeats that it aborts (with an empty line) for all that they still print to nobody, whereupon
 * libevent warns, or a third such print ends it in a crash, whose trace bears its process. */
static bool is_noise(MpirunOutput *output) {
    const char *line = output->text;
    const bool unread = strstr(line, "SIGPIPE detected on fd ");
    const bool rest = output->repeated && strcmp(line, "\n") == 0;
    output->unread |= unread;
    output->repeated = strncmp(line, "mpirun: abort is already in progress", 36) == 0;
    const bool event = output->unread && strncmp(line, "[warn] Epoll ", 13) == 0;
    int process = 0;
    const bool trace = output->unread && sscanf(line, "[%*[^]:]:%d]", &process) == 1 && process == output->process;
    return unread || rest || output->repeated || event || trace ||
           strncmp(line, "mpirun: Forwarding signal ", 26) == 0 ||
           (strstr(line, "ORTE_ERROR_LOG") && strstr(line, "orte/util/show_help.c"));
}

static void pass_on(MpirunOutput *output) {
    fwrite(output->text, 1, output->length, stderr);
    fflush(stderr);
    output->length = 0;
    output->banner = false;
}

static bool is_rule(const char *line, size_t length) {
    if (length > 0 && line[length - 1] == '\n') length--;
    for (size_t i = 0; i < length; i++)
        if (line[i] != '-') return false;
    return length >= DASHES;
}

/* Whether the banner only says what exit codes and our own lines say better. */
static bool is_understood(MpirunOutput *output) {
    static const char *const known[] = {"Primary job  terminated normally, but",
                                        "mpirun detected that one or more processes exited with non-zero status",
                                        "MPI_ABORT was invoked on rank"};
    const char *who = strstr(output->text, "noticed that process rank ");
    if (who && sscanf(who, "noticed that process rank %d with PID %*d on node %127s exited on signal %d", &output->rank,
                      output->host, &output->signal) == 3)
        return output->died = true;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strstr(output->text, known[i])) return true;
    return false;
}

/* With a whole line in `text` from `start` on. */
static void take_line(MpirunOutput *output, size_t start) {
    const bool rule = is_rule(output->text + start, output->length - start);
    if (!output->banner && rule) {
        output->banner = true;
    } else if (output->banner && rule) {
        output->text[output->length] = '\0';
        if (is_understood(output)) {
            output->length = 0;
            output->banner = false;
        } else {
            pass_on(output);
        }
    } else if (!output->banner) {
        output->text[output->length] = '\0';
        if (is_noise(output)) output->length = 0;
        pass_on(output);
    }
}

void mpirun_output_take(MpirunOutput *output, const char *data, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        output->text[output->length++] = data[i];
        if (data[i] == '\n') {
            size_t start = output->length - 1;
            while (start > 0 && output->text[start - 1] != '\n') start--;
            take_line(output, start);
        }
        if (output->length == MPIRUN_BANNER - 1) pass_on(output); /* no banner is as long */
    }
}

void mpirun_output_end(MpirunOutput *output) { pass_on(output); }
