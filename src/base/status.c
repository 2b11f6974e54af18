#include "base/status.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

Status status_ok(void) { return (Status){.code = RAM_OK}; }

/* Names from files stand in messages: none may command a terminal or fake a second line. Beside ASCII's there are
 * controls of two bytes, U+0080 to U+009F. */
static void hide_controls(char *text) {
    for (; *text; text++) {
        const bool wide = *text == '\xC2' && (text[1] & 0xE0) == 0x80;
        if (iscntrl((unsigned char)*text) || wide) *text = '?';
        if (wide) *++text = '?';
    }
}

Status status_error(ExitCode code, const char *format, ...) {
    Status status = {.code = code};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(status.message, sizeof status.message, format, arguments);
    va_end(arguments);
    hide_controls(status.message);
    return status;
}
