#include "crypto/keeper_back_off.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/text.h"

struct back_off {
    TAILQ_ENTRY(back_off) by_use;
    enum login_kind login;
    uint64_t credential;
    uint64_t rest; /* after the newest refusal */
    uint64_t until;
    const char *address; /* behind `name` */
    char name[];
};

void back_offs_init(struct back_off_table *table)
{
    TAILQ_INIT(&table->by_use);
    table->count = 0;
}

static void drop(struct back_off_table *table, struct back_off *back_off)
{
    TAILQ_REMOVE(&table->by_use, back_off, by_use);
    table->count--;
    free(back_off);
}

void back_offs_clear(struct back_off_table *table)
{
    while (!TAILQ_EMPTY(&table->by_use))
        drop(table, TAILQ_FIRST(&table->by_use));
}

/* What is found has been used. */
static struct back_off *find(struct back_off_table *table, const struct back_off_account *account)
{
    struct back_off *back_off;
    TAILQ_FOREACH(back_off, &table->by_use, by_use)
    {
        if (back_off->credential == account->credential && back_off->login == account->login &&
            strcmp(back_off->address, account->address) == 0 &&
            text_same_name(back_off->name, account->name)) {
            TAILQ_REMOVE(&table->by_use, back_off, by_use);
            TAILQ_INSERT_TAIL(&table->by_use, back_off, by_use);
            return back_off;
        }
    }
    return NULL;
}

static struct back_off *add(struct back_off_table *table, const struct back_off_account *account)
{
    size_t size = strlen(account->name) + 1, address_size = strlen(account->address) + 1;
    struct back_off *back_off = malloc(sizeof *back_off + size + address_size);
    if (!back_off)
        return NULL;
    if (table->count == BACK_OFFS_MAX)
        drop(table, TAILQ_FIRST(&table->by_use));
    back_off->login = account->login;
    back_off->credential = account->credential;
    memcpy(back_off->name, account->name, size);
    memcpy(&back_off->name[size], account->address, address_size);
    back_off->address = &back_off->name[size];
    TAILQ_INSERT_TAIL(&table->by_use, back_off, by_use);
    table->count++;
    return back_off;
}

enum back_off_answer back_offs_ask(struct back_off_table *table,
                                   const struct back_off_account *account, uint64_t now)
{
    struct back_off *back_off = find(table, account);
    if (!back_off)
        return BACK_OFF_NONE;
    if (now < back_off->until)
        return BACK_OFF_RESTS;
    /* The others wait for the outcome; if none is ever told, not for longer than this. */
    back_off->until = now + BACK_OFF_FIRST_MS;
    return BACK_OFF_TRIAL;
}

bool back_offs_refused(struct back_off_table *table, const struct back_off_account *account,
                       bool trial, uint64_t now)
{
    struct back_off *back_off = find(table, account);
    if (back_off && !trial)
        return true;
    if (back_off) {
        back_off->rest = 2 * back_off->rest;
        if (back_off->rest > BACK_OFF_MOST_MS)
            back_off->rest = BACK_OFF_MOST_MS;
    } else {
        back_off = add(table, account);
        if (!back_off)
            return false;
        back_off->rest = BACK_OFF_FIRST_MS;
    }
    back_off->until = now + back_off->rest;
    return true;
}

void back_offs_accepted(struct back_off_table *table, const struct back_off_account *account)
{
    struct back_off *back_off = find(table, account);
    if (back_off)
        drop(table, back_off);
}
