#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>

#include "proxy/check.h"
#include "proxy/subcommand.h"

static int usage(FILE *to, int status)
{
    fprintf(
        to,
        "usage: countersign check [--config FILE] [--offline]\n"
        "\n"
        "Reads the configuration and the credentials file, looks at the keytabs, asks each file\n"
        "server what it offers, and says what is wrong and what to do. Nothing is changed, and\n"
        "nobody is logged in. FILE is %s unless given.\n"
        "\n"
        "  --config FILE  the configuration to check; it need not be in use\n"
        "  --offline      ask no file server\n"
        "\n"
        "The exit status is 0 when all is usable, warnings or not, else 1.\n",
        COMMAND_CONFIG_PATH);
    return status;
}

static void say(const char *mark, const char *format, va_list arguments)
{
    fputs(mark, stdout);
    vprintf(format, arguments);
    putchar('\n');
    fflush(stdout); /* the next file server may take its time */
}

void check_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say("", format, arguments);
    va_end(arguments);
}

void check_problem(struct check *check, const char *format, ...)
{
    va_list arguments;
    check->problems++;
    va_start(arguments, format);
    say("  PROBLEM: ", format, arguments);
    va_end(arguments);
}

void check_warning(struct check *check, const char *format, ...)
{
    va_list arguments;
    check->warnings++;
    va_start(arguments, format);
    say("  warning: ", format, arguments);
    va_end(arguments);
}

int check_conclude(const struct check *check)
{
    if (check->problems > 0)
        check_say("not usable: %u problem%s, %u warning%s", check->problems,
                  check->problems == 1 ? "" : "s", check->warnings,
                  check->warnings == 1 ? "" : "s");
    else
        check_say("all usable: %u warning%s", check->warnings, check->warnings == 1 ? "" : "s");
    return check->problems > 0 ? COMMAND_FAILED : COMMAND_OK;
}

struct config *check_config(const char *path)
{
    struct config_error error;
    struct config *config = config_read(path, &error);
    if (config)
        check_say("configuration: %s", path);
    else if (error.line)
        fprintf(stderr, "%s:%u: %s\n", path, error.line, error.text);
    else
        fprintf(stderr, "%s: %s\n", path, error.text);
    return config;
}

static int check_file(const char *path, bool offline)
{
    struct check check = {0};
    struct config *config = check_config(path);
    if (!config)
        return COMMAND_FAILED;
    check_users(&check, config);
    check_credentials(&check, config);
    check_kerberos(&check, config);
    check_winbind(&check, config, offline);
    check_state(&check, config);
    check_listeners(&check, config);
    check_rules(config);
    for (unsigned i = 0; i < config->upstreams_count && !offline; i++)
        check_upstream(&check, &config->upstreams[i]);
    config_free(config);
    return check_conclude(&check);
}

int command_check(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"offline", no_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *path = COMMAND_CONFIG_PATH;
    bool offline = false;
    int option;
    while ((option = getopt_long(argc, argv, "c:oh", options, NULL)) != -1) {
        switch (option) {
        case 'c': path = optarg; break;
        case 'o': offline = true; break;
        case 'h': return usage(stdout, COMMAND_OK);
        default: return usage(stderr, COMMAND_USAGE);
        }
    }
    if (optind != argc)
        return usage(stderr, COMMAND_USAGE);
    return check_file(path, offline);
}
