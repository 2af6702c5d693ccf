/*
 * Which credentials file a command is about, and whose it is or will be.
 */
#ifndef COUNTERSIGN_PROXY_USER_FILE_H
#define COUNTERSIGN_PROXY_USER_FILE_H

#include <stdbool.h>

struct user_file {
    char *path; /* for the caller to free, also when nothing was found */
    unsigned owner, group;
};

/* The file itself when `file` is given, else that of the configuration `config`, or of the one at
 * its usual place. False with a line on standard error; `command` is the command's name. */
bool user_file_find(const char *command, const char *config, const char *file,
                    struct user_file *found);

/* A line on standard error about `what`; `line` 0 means it as a whole. Always false. */
bool user_file_complain(const char *command, const char *what, unsigned line, const char *text);

#endif
