#include "proxy/credit.h"

#include <string.h>

/* More than this a server cannot grant us to any use. */
enum { PURSE_MAX = 1 << 20 };

void credit_window_init(struct credit_window *window)
{
    memset(window, 0, sizeof *window);
    window->high = 1;
    window->available = 1;
}

static bool is_used(const struct credit_window *window, uint64_t id)
{
    return window->used[id / 64 % (CREDIT_WINDOW / 64)] >> (id % 64) & 1;
}

static void mark(struct credit_window *window, uint64_t id, bool used)
{
    uint64_t bit = UINT64_C(1) << (id % 64);
    uint64_t *word = &window->used[id / 64 % (CREDIT_WINDOW / 64)];
    *word = used ? *word | bit : *word & ~bit;
}

bool credit_window_take(struct credit_window *window, uint64_t message_id, uint32_t charge)
{
    if (charge == 0 || message_id < window->low || message_id >= window->high ||
        charge > window->high - message_id)
        return false;
    for (uint32_t i = 0; i < charge; i++)
        if (is_used(window, message_id + i))
            return false;
    for (uint32_t i = 0; i < charge; i++)
        mark(window, message_id + i, true);
    while (window->low < window->high && is_used(window, window->low))
        mark(window, window->low++, false);
    window->available -= charge;
    return true;
}

bool credit_window_used(const struct credit_window *window, uint64_t message_id)
{
    return message_id < window->low || (message_id < window->high && is_used(window, message_id));
}

uint16_t credit_window_grant(struct credit_window *window, uint32_t wanted)
{
    uint64_t room = CREDIT_WINDOW - (window->high - window->low);
    uint32_t granted = wanted < room ? wanted : (uint32_t)room;
    if (granted > UINT16_MAX)
        granted = UINT16_MAX;
    window->high += granted;
    window->available += granted;
    return (uint16_t)granted;
}

void credit_purse_init(struct credit_purse *purse)
{
    *purse = (struct credit_purse){.available = 1};
}

uint64_t credit_purse_spend(struct credit_purse *purse, uint32_t charge)
{
    uint64_t first = purse->next_id;
    purse->next_id += charge;
    purse->available -= charge;
    purse->outstanding += charge;
    return first;
}

void credit_purse_settle(struct credit_purse *purse, uint32_t charge, uint32_t granted)
{
    purse->outstanding -= charge;
    purse->available += granted;
    if (purse->available > PURSE_MAX)
        purse->available = PURSE_MAX;
}
