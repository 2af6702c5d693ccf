#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/config.h"
#include "policy/log_filter.h"
#include "policy/log_output.h"
#include "policy/log_read.h"
#include "policy/log_summary.h"
#include "proxy/subcommand.h"

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_CEF };

struct request {
    const char *config;
    struct log_filter filter;
    enum format format;
    bool summarise;
};

/* What the reader hands on: through the filter, to the output. */
struct run {
    const struct request *request;
    struct log_summary *summary;
    struct log_counts counts;
    bool failed;
};

static int usage(FILE *to, int status)
{
    fprintf(to,
            "usage: countersign audit [--config FILE] [FILTER…] [--json|--cef] [--summary] [LOG…]\n"
            "\n"
            "Reads the audit log: each LOG (\"-\" is standard input), else the file that the\n"
            "configuration names with its rotated predecessors, compressed ones too. FILE is\n"
            "%s unless given.\n"
            "\n"
            "Filters, all of which must agree:\n"
            "  --event NAME      one of the events of docs/events.md; more than once: any of them\n"
            "  --client ADDRESS  or a network, like 192.0.2.0/24\n"
            "  --user NAME       without regard to upper and lower case; also who tried to become "
            "it\n"
            "  --since TIME      2024-05-06, 2024-05-06T07:08 (UTC), or so long ago: 30m, 12h, 7d\n"
            "  --until TIME      before it\n"
            "  --severity LEVEL  info, notice, warning or error, or worse\n"
            "\n"
            "Output is a table, or with\n"
            "  --json            the lines of the log, or with --summary one JSON object\n"
            "  --cef             ArcSight's Common Event Format, with --summary a line for each "
            "client\n"
            "  --summary         for each client what it can do, and who would break under which\n"
            "                    stricter rule\n"
            "\n"
            "Lines that are no events are counted and passed over. The exit status is 0, or 1\n"
            "when a file could not be read.\n",
            COMMAND_CONFIG_PATH);
    return status;
}

static void take(void *context, struct json_object *event)
{
    struct run *run = context;
    if (!log_filter_wants(&run->request->filter, event))
        return;
    if (run->summary) {
        log_summary_take(run->summary, event);
        return;
    }
    switch (run->request->format) {
    case FORMAT_TEXT: log_write_text(stdout, event); return;
    case FORMAT_JSON: log_write_json(stdout, event); return;
    case FORMAT_CEF: log_write_cef(stdout, event); return;
    }
}

/* One file that cannot be read does not keep the others from being. */
static bool read_one(void *context, const char *file)
{
    struct run *run = context;
    if (!log_read(file, &run->counts, take, run)) {
        fprintf(stderr, "countersign audit: %s: %s\n", file, strerror(errno));
        run->failed = true;
    }
    return true;
}

static void read_configured(struct run *run)
{
    struct config_error error;
    struct config *config = config_read(run->request->config, &error);
    const char *file = config ? config->audit.file : NULL;
    if (!config)
        fprintf(stderr, "countersign audit: %s: %s\n", run->request->config, error.text);
    else if (!file || !file[0])
        fprintf(stderr, "countersign audit: %s: it names no audit.file; name the log\n",
                run->request->config);
    run->failed = !file || !file[0] || !log_files(file, read_one, run) || run->failed;
    config_free(config);
}

static void conclude(const struct run *run)
{
    bool tells = run->summary && run->request->format != FORMAT_CEF;
    if (!tells && run->counts.damaged)
        fprintf(stderr, "countersign audit: %llu damaged line%s passed over\n",
                (unsigned long long)run->counts.damaged, run->counts.damaged == 1 ? "" : "s");
    if (!run->summary)
        return;
    switch (run->request->format) {
    case FORMAT_TEXT: log_summary_write_text(stdout, run->summary, &run->counts); return;
    case FORMAT_JSON: log_summary_write_json(stdout, run->summary, &run->counts); return;
    case FORMAT_CEF: log_summary_write_cef(stdout, run->summary); return;
    }
}

static int audit(const struct request *request, char **files)
{
    struct run run = {.request = request};
    if (request->summarise && !(run.summary = log_summary_new())) {
        fprintf(stderr, "countersign audit: out of memory\n");
        return COMMAND_FAILED;
    }
    if (request->format == FORMAT_TEXT && !request->summarise)
        log_write_heading(stdout);
    if (!*files)
        read_configured(&run);
    for (; *files; files++)
        read_one(&run, *files);
    conclude(&run);
    log_summary_free(run.summary);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "countersign audit: standard output: %s\n", strerror(errno));
        return COMMAND_FAILED;
    }
    return run.failed ? COMMAND_FAILED : COMMAND_OK;
}

static bool complain(const char *option, const char *value, const char *wanted)
{
    fprintf(stderr, "countersign audit: --%s %s: %s\n", option, value, wanted);
    return false;
}

static bool take_filter(struct log_filter *filter, int option, const char *value)
{
    switch (option) {
    case 'e':
        if (filter->events_count == LOG_EVENTS_MAX)
            return complain("event", value, "that is too many");
        filter->events[filter->events_count++] = value;
        return true;
    case 'C':
        filter->client = value;
        return log_network_read(value) || complain("client", value, "is no address or network");
    case 'u': filter->user = value; return true;
    case 's':
        return log_time_read(value, time(NULL), filter->since) ||
               complain("since", value, "is no time, like 2024-05-06 or 12h");
    case 'U':
        return log_time_read(value, time(NULL), filter->until) ||
               complain("until", value, "is no time, like 2024-05-06 or 12h");
    default:
        filter->severity = log_severity_read(value);
        return filter->severity >= 0 ||
               complain("severity", value, "must be info, notice, warning or error");
    }
}

int command_audit(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"event", required_argument, NULL, 'e'},
                                            {"client", required_argument, NULL, 'C'},
                                            {"user", required_argument, NULL, 'u'},
                                            {"since", required_argument, NULL, 's'},
                                            {"until", required_argument, NULL, 'U'},
                                            {"severity", required_argument, NULL, 'v'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"cef", no_argument, NULL, 'f'},
                                            {"summary", no_argument, NULL, 'S'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct request request = {.config = COMMAND_CONFIG_PATH};
    unsigned formats = 0;
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c': request.config = optarg; break;
        case 'j':
            request.format = FORMAT_JSON;
            formats++;
            break;
        case 'f':
            request.format = FORMAT_CEF;
            formats++;
            break;
        case 'S': request.summarise = true; break;
        case 'h': return usage(stdout, COMMAND_OK);
        case '?': return usage(stderr, COMMAND_USAGE);
        default:
            if (!take_filter(&request.filter, option, optarg))
                return COMMAND_USAGE;
        }
    }
    if (formats > 1)
        return usage(stderr, COMMAND_USAGE);
    return audit(&request, &argv[optind]);
}
