/* Manual: the man page and bash's completion, written from the tables of commands, options and keys. Owns their form,
 * and the words on exit codes and variables that no table has. Must not know what a command does. All print to stdout;
 * the caller prints the parts in order: begin, one part per command, end. Nothing here is collective. */
#ifndef RAM_CMD_MANUAL_H
#define RAM_CMD_MANUAL_H

#include "cmd/arguments.h"

void manual_begin(ManualForm form);

/* A command and all options that it takes, ended by {0}. */
void manual_command(ManualForm form, const ArgumentsSpec *spec, const struct argp_option *options);

/* Commands: their names with a blank between them. */
void manual_end(ManualForm form, const char *commands);

#endif
