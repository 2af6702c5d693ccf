#include "crypto/keeper_generation.h"

#include <stdio.h>
#include <stdlib.h>

#include "crypto/keeper_message.h"
#include "crypto/keeper_worker.h"

static void drop_fresh(struct keeper *keeper)
{
    struct keeper_generation *each;
    LIST_FOREACH(each, &keeper->generations, next)
    {
        secrets_release(each->fresh);
        each->fresh = NULL;
    }
}

static void free_one(struct keeper_generation *generation)
{
    LIST_REMOVE(generation, next);
    secrets_release(generation->secrets);
    secrets_release(generation->fresh);
    if (generation->settings->free)
        generation->settings->free((struct keeper_settings *)(uintptr_t)generation->settings);
    free(generation);
}

static struct keeper_generation *add(struct keeper *keeper, const struct keeper_settings *settings)
{
    struct keeper_generation *generation = calloc(1, sizeof *generation);
    if (generation) {
        generation->settings = settings;
        LIST_INSERT_HEAD(&keeper->generations, generation, next);
    }
    return generation;
}

bool generations_begin(struct keeper *keeper, char problem[KEEPER_PROBLEM_MAX])
{
    const struct keeper_settings *newest = keeper->settings;
    for (const struct keeper_settings *each = newest; each; each = each->earlier) {
        struct keeper_generation *generation = add(keeper, each);
        if (!generation) {
            (void)snprintf(problem, KEEPER_PROBLEM_MAX, "out of memory");
            return false;
        }
        if (each == newest)
            keeper->newest = generation;
        keeper->oldest = each->generation;
        generation->secrets =
            secrets_read(each, newest->credentials, keeper->domain, problem, KEEPER_PROBLEM_MAX);
        if (!generation->secrets)
            return false;
    }
    return true;
}

void generations_free(struct keeper *keeper)
{
    struct keeper_generation *first;
    while ((first = LIST_FIRST(&keeper->generations)))
        free_one(first);
}

static bool read_settings(struct keeper *keeper, uint32_t number, struct span text,
                          char problem[KEEPER_PROBLEM_MAX])
{
    struct keeper_settings *settings = NULL;
    (void)snprintf(problem, KEEPER_PROBLEM_MAX, "out of memory");
    if (keeper->settings->read)
        settings = keeper->settings->read(text, problem, KEEPER_PROBLEM_MAX);
    if (!settings)
        return false;
    settings->generation = number;
    keeper->candidate = add(keeper, settings);
    if (!keeper->candidate)
        settings->free(settings);
    return keeper->candidate != NULL;
}

bool generations_prepare(struct keeper *keeper, uint32_t number, struct span text,
                         char problem[KEEPER_PROBLEM_MAX])
{
    struct keeper_generation *each;
    generations_abort(keeper);
    if (text.size && !read_settings(keeper, number, text, problem))
        return false;
    const struct keeper_generation *newest = keeper->candidate ? keeper->candidate : keeper->newest;
    LIST_FOREACH(each, &keeper->generations, next)
    {
        each->fresh = secrets_read(each->settings, newest->settings->credentials, keeper->domain,
                                   problem, KEEPER_PROBLEM_MAX);
        if (!each->fresh) {
            generations_abort(keeper);
            return false;
        }
    }
    return true;
}

void generations_use(struct keeper *keeper)
{
    struct keeper_generation *each;
    LIST_FOREACH(each, &keeper->generations, next)
    {
        if (each->fresh) {
            secrets_release(each->secrets);
            each->secrets = each->fresh;
            each->fresh = NULL;
        }
    }
    if (keeper->candidate)
        keeper->newest = keeper->candidate;
    keeper->candidate = NULL;
    generations_sweep(keeper);
}

void generations_abort(struct keeper *keeper)
{
    if (keeper->candidate)
        keeper->candidate->dropped = true;
    keeper->candidate = NULL;
    drop_fresh(keeper);
    generations_sweep(keeper);
}

void generations_sweep(struct keeper *keeper)
{
    struct keeper_generation *next;
    for (struct keeper_generation *each = LIST_FIRST(&keeper->generations); each; each = next) {
        next = LIST_NEXT(each, next);
        bool over = each->dropped || each->settings->generation < keeper->oldest;
        if (over && each->attempts == 0 && each != keeper->newest && each != keeper->candidate)
            free_one(each);
    }
}

struct keeper_generation *generation_of(const struct keeper *keeper, uint32_t number)
{
    struct keeper_generation *each;
    LIST_FOREACH(each, &keeper->generations, next)
    {
        if (each->settings->generation == number >> KEEPER_INDEX_BITS && !each->dropped &&
            (each->secrets || each->fresh))
            return each;
    }
    return NULL;
}

struct secrets *generation_secrets(const struct keeper_generation *generation)
{
    if (generation->dropped)
        return NULL;
    return secrets_hold(generation->secrets ? generation->secrets : generation->fresh);
}
