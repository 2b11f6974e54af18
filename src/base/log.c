#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* The one global of the program: who speaks, and where to. */
static struct {
    int rank, size;
    bool terminal;
    bool progress_shown;
    bool figures_only; /* on stdout */
    void (*abort_all)(int code);
    FILE *file;
} the_log = {.rank = 0, .size = 1};

void log_open(int rank, int size, bool terminal, void (*abort_all)(int code)) {
    the_log.rank = rank;
    the_log.size = size;
    the_log.terminal = terminal;
    the_log.abort_all = abort_all;
}

bool log_is_terminal(void) { return the_log.terminal; }

bool log_is_first(void) { return the_log.rank == 0; }

Status log_attach(const char *path) {
    if (the_log.rank != 0) return status_ok();
    log_detach();
    the_log.file = fopen(path, "ae");
    if (!the_log.file)
        return status_error(RAM_IO, "cannot open the log %s: %s; make it writable or choose another folder", path,
                            strerror(errno));
    setvbuf(the_log.file, NULL, _IOLBF, 0);
    return status_ok();
}

void log_detach(void) {
    if (the_log.file) fclose(the_log.file);
    the_log.file = NULL;
}

static void write_file(const char *prefix, const char *text) {
    if (!the_log.file) return;
    char stamp[32];
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &local);
    fprintf(the_log.file, "%s %s%s\n", stamp, prefix, text);
}

/* Clears the progress line, so that a full line can take its place. */
static void clear_progress(void) {
    if (the_log.progress_shown) fputs("\r\033[K", stdout);
    the_log.progress_shown = false;
}

static void say(FILE *stream, const char *prefix, const char *text) {
    if (the_log.rank != 0) return;
    clear_progress();
    fflush(stdout);
    if (stream == stdout && the_log.figures_only) stream = stderr;
    fprintf(stream, "%s%s\n", prefix, text);
    fflush(stream);
    write_file(prefix, text);
}

void log_leave_stdout(void) {
    the_log.figures_only = true;
    the_log.terminal = false; /* no progress line either */
}

void log_info(const char *format, ...) {
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say(stdout, "", text);
}

void log_warning(const char *format, ...) {
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say(stderr, "ram_dist: warning: ", text);
}

void log_error(const Status *status) { say(stderr, "ram_dist: error: ", status->message); }

void log_last_words(const Status *status) {
    clear_progress();
    fflush(stdout);
    fprintf(stderr, "ram_dist: error: %s\n", status->message);
    fflush(stderr);
    write_file("ram_dist: error: ", status->message);
}

void log_progress(const char *format, ...) {
    if (the_log.rank != 0 || !the_log.terminal) return;
    char text[256];
    struct winsize size;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    /* what is wider would go on in a second line, which cannot be taken back */
    const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    printf("\r\033[K%.*s", known ? size.ws_col - 1 : 79, text);
    fflush(stdout);
    the_log.progress_shown = true;
}

void log_fatal(const char *file, int line, const char *format, ...) {
    char text[1024], host[256] = "?";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    gethostname(host, sizeof host - 1);
    clear_progress();
    fflush(stdout);
    fprintf(stderr, "ram_dist: internal error: %s (rank %d of %d on %s, %s:%d)\n", text, the_log.rank, the_log.size,
            host, file, line);
    fflush(stderr);
    write_file("internal error: ", text);
    if (the_log.abort_all) the_log.abort_all(RAM_INTERNAL);
    exit(RAM_INTERNAL);
}
