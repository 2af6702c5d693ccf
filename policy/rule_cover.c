/*
 * Does one rule match all that another matches? Then the other, standing later, is never asked.
 */
#include <string.h>

#include "policy/network.h"
#include "policy/plain.h"
#include "policy/rule.h"
#include "policy/share_name.h"

/* True when the one text includes the other. */
typedef bool text_covers(const char *earlier, const char *later);

static bool same_exactly(const char *earlier, const char *later)
{
    return strcmp(earlier, later) == 0;
}

static bool network_text_covers(const char *earlier, const char *later)
{
    struct network outer, inner;
    return network_read(earlier, &outer) == NETWORK_GOOD &&
           network_read(later, &inner) == NETWORK_GOOD && network_covers(&outer, &inner);
}

/* A name without a domain is somebody of that name in any domain. */
static bool who_covers(const char *earlier, const char *later)
{
    const char *slash = strchr(later, '\\');
    if (earlier[0] == '@' || later[0] == '@')
        return plain_same(earlier, later);
    return plain_same(earlier, later) || (slash && plain_same(earlier, &slash[1]));
}

static bool pipe_covers(const char *earlier, const char *later)
{
    return strcmp(earlier, "*") == 0 || plain_same(earlier, later);
}

/* Each of the later ones is included in one of the earlier. */
static bool texts_cover(text_covers *covers, char *const *earlier, unsigned earlier_count,
                        char *const *later, unsigned later_count)
{
    for (unsigned i = 0; i < later_count; i++) {
        bool found = false;
        for (unsigned j = 0; j < earlier_count && !found; j++)
            found = covers(earlier[j], later[i]);
        if (!found)
            return earlier_count == 0;
    }
    return earlier_count == 0 || later_count > 0;
}

static bool numbers_cover(const uint32_t *earlier, unsigned earlier_count, const uint32_t *later,
                          unsigned later_count)
{
    for (unsigned i = 0; i < later_count; i++) {
        bool found = false;
        for (unsigned j = 0; j < earlier_count && !found; j++)
            found = earlier[j] == later[i];
        if (!found)
            return earlier_count == 0;
    }
    return earlier_count == 0 || later_count > 0;
}

static bool when_covers(const struct config_rule_when *earlier,
                        const struct config_rule_when *later)
{
    return numbers_cover(earlier->mechanism, earlier->mechanism_count, later->mechanism,
                         later->mechanism_count) &&
           numbers_cover(earlier->dialect, earlier->dialect_count, later->dialect,
                         later->dialect_count) &&
           numbers_cover(earlier->signing, earlier->signing_count, later->signing,
                         later->signing_count) &&
           numbers_cover(earlier->cipher, earlier->cipher_count, later->cipher,
                         later->cipher_count) &&
           numbers_cover(earlier->target_name, earlier->target_name_count, later->target_name,
                         later->target_name_count);
}

/* Pipes are opened in one share only. */
static bool to_covers(const struct config_rule_to *earlier, const struct config_rule_to *later)
{
    bool pipes_share = later->pipe_count && !later->share_count &&
                       config_share_listed(earlier->share, earlier->share_count, "IPC$");
    return texts_cover(same_exactly, earlier->upstream, earlier->upstream_count, later->upstream,
                       later->upstream_count) &&
           (pipes_share || texts_cover(share_name_same, earlier->share, earlier->share_count,
                                       later->share, later->share_count)) &&
           texts_cover(pipe_covers, earlier->pipe, earlier->pipe_count, later->pipe,
                       later->pipe_count);
}

bool rule_covers(const struct config_rule *earlier, const struct config_rule *later)
{
    const struct config_rule_from *from = &earlier->from, *later_from = &later->from;
    return texts_cover(who_covers, earlier->who, earlier->who_count, later->who,
                       later->who_count) &&
           texts_cover(network_text_covers, from->network, from->network_count, later_from->network,
                       later_from->network_count) &&
           texts_cover(same_exactly, from->listener, from->listener_count, later_from->listener,
                       later_from->listener_count) &&
           to_covers(&earlier->to, &later->to) && when_covers(&earlier->when, &later->when);
}
