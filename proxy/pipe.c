#include "proxy/pipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "crypto/text.h"

bool pipe_name_read(struct span utf16, char name[PIPE_NAME_MAX])
{
    static const char prefix[] = "pipe\\";
    char text[2 * PIPE_NAME_MAX];
    if (!text_from_utf16_strict(utf16, text, sizeof text))
        return false;
    size_t skip = text[0] == '\\' ? 1 : 0;
    if (strncasecmp(&text[skip], prefix, sizeof prefix - 1) == 0)
        skip += sizeof prefix - 1;
    return snprintf(name, PIPE_NAME_MAX, "%s", &text[skip]) < PIPE_NAME_MAX;
}

static void set_verdict(struct pipe *pipe, const struct rule_verdict *verdict)
{
    free(pipe->rule);
    pipe->rule = verdict->rule ? strdup(verdict->rule) : NULL;
    pipe->logins = !verdict->authenticated_rpc ? PIPE_LOGINS_REFUSED
                   : verdict->rpc_audit        ? PIPE_LOGINS_RECORDED
                                               : PIPE_LOGINS_ALLOWED;
    /* Whether the file server took a WRITE is not known when the next one comes. So where logins
     * are looked for, nothing may depend on it. */
    pipe->stream.whole = pipe->logins != PIPE_LOGINS_ALLOWED;
}

struct pipe *pipe_new(const char *name, const struct rule_verdict *verdict)
{
    struct pipe *pipe = calloc(1, sizeof *pipe);
    if (!pipe)
        return NULL;
    snprintf(pipe->name, sizeof pipe->name, "%s", name);
    set_verdict(pipe, verdict);
    return pipe;
}

bool pipe_bind_verdict(struct pipe *pipe, const struct rule_verdict *verdict)
{
    if ((pipe->left_alone || pipe->stream.pieces) && !verdict->authenticated_rpc)
        return false;
    set_verdict(pipe, verdict);
    return true;
}

void pipe_free(struct pipe *pipe)
{
    if (pipe)
        free(pipe->rule);
    free(pipe);
}
