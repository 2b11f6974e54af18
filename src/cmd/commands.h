/* Commands: the entry of each subcommand; main.c holds their table. A command owns its arguments and its printing,
 * prints an error once with log_error, and returns the exit code. argv[0] is not read: what follows are the arguments.
 * Those that start ranks are collective. */
#ifndef RAM_CMD_COMMANDS_H
#define RAM_CMD_COMMANDS_H

int command_train(int argc, char **argv);
int command_eval(int argc, char **argv);
int command_trace(int argc, char **argv);
int command_report(int argc, char **argv);
int command_plot(int argc, char **argv);
int command_watch(int argc, char **argv);
int command_inspect(int argc, char **argv);
int command_data(int argc, char **argv);
int command_import(int argc, char **argv);
int command_export(int argc, char **argv);
int command_bench(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_config(int argc, char **argv);

#endif
