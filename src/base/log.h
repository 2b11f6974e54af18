/* The log: what rank 0 tells the user, on the terminal and in the run folder's run.log; and fatal(), the end of a rank
 * in a state that cannot be. Owns the terminal's progress line. Must not know MPI: the launcher tells it rank and
 * abort. Nothing here is collective; all but fatal() and log_last_words() say nothing on ranks other than 0. */
#ifndef RAM_BASE_LOG_H
#define RAM_BASE_LOG_H

#include "base/status.h"

#include <stdbool.h>

/* Before this call the process counts as rank 0 of 1. `abort_all` ends all ranks with an exit code (NULL: exit).
 * `terminal`: the user looks at an interactive terminal. */
void log_open(int rank, int size, bool terminal, void (*abort_all)(int code));
bool log_is_terminal(void);
bool log_is_first(void); /* rank 0: whoever prints what is to be printed once */

/* From here on every line also goes to `path` (appended, with date and time). */
Status log_attach(const char *path);
void log_detach(void);

/* From here on stdout is for figures that programs read: log_info writes to stderr. */
void log_leave_stdout(void);

void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));    /* one line on stdout */
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2))); /* `ram_dist: warning: ...`, stderr */
void log_error(const Status *status);                                            /* `ram_dist: error: ...`, stderr */

/* An error of a state in which ranks cannot agree any more: any rank, any thread. */
void log_last_words(const Status *status);

/* Shows `format` on the terminal's last line in place of the one before; not on other outputs and not in run.log. */
void log_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The impossible: prints rank, host, file and line, and ends all ranks with RAM_INTERNAL. Any rank may call it. */
_Noreturn void log_fatal(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define fatal(...) log_fatal(__FILE__, __LINE__, __VA_ARGS__)
#define require(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) fatal("%s does not hold", #condition);                                                       \
    } while (0)

#endif
