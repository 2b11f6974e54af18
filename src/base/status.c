#include "base/status.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

Status status_ok(void) { return (Status){.code = RAM_OK}; }

Status status_error(ExitCode code, const char *format, ...) {
    Status status = {.code = code};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(status.message, sizeof status.message, format, arguments);
    va_end(arguments);
    /* names from files stand in messages: none may command a terminal or fake a second line */
    for (char *at = status.message; *at; at++)
        if (iscntrl((unsigned char)*at)) *at = '?';
    return status;
}
