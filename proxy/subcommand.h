/*
 * The subcommands of the program. Each takes the arguments from its own name on (argv[0] is "user"
 * and so on) and answers the exit status.
 */
#ifndef COUNTERSIGN_PROXY_SUBCOMMAND_H
#define COUNTERSIGN_PROXY_SUBCOMMAND_H

enum command_status { COMMAND_OK = 0, COMMAND_FAILED = 1, COMMAND_USAGE = 2 };

#define COMMAND_CONFIG_PATH "/etc/countersign/proxy.yaml"

int command_run(int argc, char **argv);
int command_audit(int argc, char **argv);
int command_check(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_forget(int argc, char **argv);
int command_reload(int argc, char **argv);
int command_user(int argc, char **argv);
int command_group(int argc, char **argv);
int command_version(int argc, char **argv);

#endif
