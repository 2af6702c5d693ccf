#include "proxy/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "crypto/kdf.h"
#include "crypto/siphash.h"
#include "crypto/text.h"
#include "proxy/source.h"
#include "proxy/table.h"

struct item {
    struct table_entry by_key;
    TAILQ_ENTRY(item) age; /* of its kind, the longest unseen first */
    struct remembered entry;
};

struct memory {
    struct siphash_key key;
    struct table items;
    TAILQ_HEAD(items_by_age, item) by_age[MEMORY_KINDS];
    size_t counts[MEMORY_KINDS];
    size_t most;
    bool changed;
};

struct memory *memory_new(size_t most)
{
    struct memory *memory = calloc(1, sizeof *memory);
    if (!memory || !siphash_key_make(&memory->key)) {
        free(memory);
        return NULL;
    }
    table_init(&memory->items);
    for (unsigned kind = 0; kind < MEMORY_KINDS; kind++)
        TAILQ_INIT(&memory->by_age[kind]);
    memory->most = most;
    return memory;
}

static void drop(struct memory *memory, struct item *item)
{
    TAILQ_REMOVE(&memory->by_age[item->entry.kind], item, age);
    memory->counts[item->entry.kind]--;
    table_remove(&memory->items, &item->by_key);
    free(item);
    memory->changed = true;
}

/* Of the kind of which there are most: strangers make up as many GUIDs as they like, but no other
 * addresses, and no file servers. */
static void drop_oldest(struct memory *memory)
{
    unsigned most = 0;
    for (unsigned kind = 1; kind < MEMORY_KINDS; kind++)
        if (memory->counts[kind] > memory->counts[most])
            most = kind;
    drop(memory, TAILQ_FIRST(&memory->by_age[most]));
}

void memory_free(struct memory *memory)
{
    if (!memory)
        return;
    while (memory->items.count)
        drop_oldest(memory);
    table_free(&memory->items);
    free(memory);
}

size_t memory_count(const struct memory *memory)
{
    return memory->items.count;
}

bool memory_take_changed(struct memory *memory)
{
    bool changed = memory->changed;
    memory->changed = false;
    return changed;
}

static uint64_t key_of(const struct memory *memory, enum memory_kind kind, const char *name)
{
    uint8_t bytes[MEMORY_NAME_MAX + 1];
    struct writer writer = writer_over(bytes, sizeof bytes);
    write_u8(&writer, (uint8_t)kind);
    write_bytes(&writer, name, strnlen(name, MEMORY_NAME_MAX));
    return siphash(&memory->key, bytes, writer_size(&writer));
}

static struct item *find(const struct memory *memory, enum memory_kind kind, const char *name)
{
    struct table_entry *entry = table_find(&memory->items, key_of(memory, kind, name));
    return entry ? CONTAINER_OF(entry, struct item, by_key) : NULL;
}

bool memory_enter(struct memory *memory, const struct remembered *entry)
{
    struct item *old = find(memory, entry->kind, entry->name);
    struct item *item = malloc(sizeof *item);
    if (!item)
        return false;
    if (old)
        drop(memory, old);
    else if (memory->items.count >= memory->most)
        drop_oldest(memory);
    item->entry = *entry;
    table_add(&memory->items, &item->by_key, key_of(memory, entry->kind, entry->name));
    TAILQ_INSERT_TAIL(&memory->by_age[entry->kind], item, age);
    memory->counts[entry->kind]++;
    memory->changed = true;
    return true;
}

bool memory_each(const struct memory *memory,
                 bool (*each)(void *context, const struct remembered *entry), void *context)
{
    const struct item *item;
    for (unsigned kind = 0; kind < MEMORY_KINDS; kind++)
        TAILQ_FOREACH(item, &memory->by_age[kind], age)
    if (!each(context, &item->entry))
        return false;
    return true;
}

/* Of a GUID, `name` is that of the address it was last seen at when `there`. */
static size_t forget(struct memory *memory, enum memory_kind kind, const char *name, bool there)
{
    struct item *item = TAILQ_FIRST(&memory->by_age[kind]), *next;
    size_t count = 0;
    for (; item; item = next) {
        const struct remembered *entry = &item->entry;
        next = TAILQ_NEXT(item, age);
        if (name && !text_same_name(there ? entry->other : entry->name, name))
            continue;
        drop(memory, item);
        count++;
    }
    return count;
}

size_t memory_forget(struct memory *memory, enum memory_kind kind, const char *name)
{
    size_t count = forget(memory, kind, name, false);
    return kind == MEMORY_ADDRESS ? count + forget(memory, MEMORY_GUID, name, true) : count;
}

/* ---- comparing ---- */

/* Where it stands in the list of what is possible; its end when it does not. */
static unsigned rank(const uint16_t *list, unsigned count, uint16_t value)
{
    unsigned at = 0;
    while (at < count && list[at] != value)
        at++;
    return at;
}

static bool is_less(struct judgement *judgement, enum event_kind kind, const char *reason)
{
    judgement->less = true;
    judgement->kind = kind;
    judgement->reason = reason;
    return true;
}

static bool ciphers_less(const struct sighting *now, const struct spoken *best,
                         struct judgement *judgement)
{
    unsigned count = now->ciphers_count;
    unsigned before = rank(now->ciphers_possible, count, best->cipher);
    if (before == count || rank(now->ciphers_possible, count, now->spoken.cipher) <= before)
        return false;
    bool stripped = now->spoken.cipher == CIPHER_NONE && now->spoken.dialect == SMB_3_1_1;
    return is_less(judgement, stripped ? EVENT_CONTEXTS_STRIPPED : EVENT_DOWNGRADE, "cipher");
}

static bool signing_less(const struct sighting *now, const struct spoken *best,
                         struct judgement *judgement)
{
    unsigned count = now->signing_count;
    if (now->spoken.dialect != SMB_3_1_1 || !best->has_signing)
        return false;
    unsigned before = rank(now->signing_possible, count, best->signing);
    if (before == count)
        return false;
    if (!now->spoken.has_signing)
        return is_less(judgement, EVENT_CONTEXTS_STRIPPED, "signing");
    return rank(now->signing_possible, count, now->spoken.signing) > before &&
           is_less(judgement, EVENT_DOWNGRADE, "signing");
}

static bool kerberos_less(const struct sighting *now, const struct spoken *best,
                          struct judgement *judgement)
{
    return best->kerberos && !now->spoken.kerberos &&
           is_less(judgement, EVENT_DOWNGRADE, "kerberos");
}

static bool compare(const struct sighting *now, const struct spoken *best,
                    struct judgement *judgement)
{
    uint16_t before = best->dialect < now->dialect_possible ? best->dialect : now->dialect_possible;
    judgement->best = *best;
    if (now->login)
        return kerberos_less(now, best, judgement);
    if (now->spoken.dialect < before)
        return is_less(judgement, EVENT_DOWNGRADE, "dialect");
    return signing_less(now, best, judgement) || ciphers_less(now, best, judgement) ||
           (now->upstream && kerberos_less(now, best, judgement));
}

/* ---- remembering ---- */

static void improve(const struct sighting *now, struct spoken *best)
{
    const struct spoken *spoken = &now->spoken;
    if (spoken->dialect > best->dialect)
        best->dialect = spoken->dialect;
    if (spoken->has_signing &&
        (!best->has_signing ||
         rank(now->signing_possible, now->signing_count, spoken->signing) <
             rank(now->signing_possible, now->signing_count, best->signing))) {
        best->has_signing = true;
        best->signing = spoken->signing;
    }
    if (rank(now->ciphers_possible, now->ciphers_count, spoken->cipher) <
        rank(now->ciphers_possible, now->ciphers_count, best->cipher))
        best->cipher = spoken->cipher;
    best->kerberos = best->kerberos || spoken->kerberos;
}

/* A seen end is the last to be forgotten; only what is new is worth the file. */
static struct remembered *remember(struct memory *memory, const struct sighting *now,
                                   enum memory_kind kind, const char *name)
{
    struct item *item = find(memory, kind, name);
    if (!item) {
        struct remembered entry = {.kind = kind};
        snprintf(entry.name, sizeof entry.name, "%s", name);
        if (!memory_enter(memory, &entry))
            return NULL;
        item = find(memory, kind, name);
    }
    struct spoken before = item->entry.best;
    bool first_login = now->login && !now->upstream && !item->entry.logged_in;
    improve(now, &item->entry.best);
    item->entry.logged_in |= first_login;
    struct spoken *after = &item->entry.best;
    memory->changed = memory->changed || first_login || before.dialect != after->dialect ||
                      before.has_signing != after->has_signing ||
                      before.signing != after->signing || before.cipher != after->cipher ||
                      before.kerberos != after->kerberos;
    TAILQ_REMOVE(&memory->by_age[kind], item, age);
    TAILQ_INSERT_TAIL(&memory->by_age[kind], item, age);
    return &item->entry;
}

static bool has_guid(const uint8_t guid[GUID_SIZE])
{
    static const uint8_t none[GUID_SIZE];
    return memcmp(guid, none, GUID_SIZE) != 0;
}

static void note_change(struct judgement *judgement, const char *reason, const char *before)
{
    judgement->changed = true;
    judgement->changed_reason = reason;
    snprintf(judgement->before, sizeof judgement->before, "%s", before);
}

/* Who a file server says it is. */
static void see_server(struct memory *memory, const struct sighting *now, struct remembered *entry,
                       struct judgement *judgement)
{
    char text[GUID_TEXT_SIZE];
    if (has_guid(now->guid) && memcmp(entry->guid, now->guid, GUID_SIZE) != 0) {
        guid_describe(entry->guid, text);
        if (has_guid(entry->guid))
            note_change(judgement, "guid", text);
        memcpy(entry->guid, now->guid, GUID_SIZE);
        memory->changed = true;
    }
    if (now->server_name[0] && !text_same_name(entry->other, now->server_name)) {
        if (entry->other[0])
            note_change(judgement, "name", entry->other);
        memcpy(entry->other, now->server_name, sizeof entry->other);
        memory->changed = true;
    }
}

static void see_upstream(struct memory *memory, const struct sighting *now,
                         struct judgement *judgement)
{
    struct item *item = find(memory, MEMORY_UPSTREAM, now->name);
    /* A name is learnt at a login, which says nothing of the rest. */
    if (item && !now->login && compare(now, &item->entry.best, judgement) && now->keep)
        return;
    struct remembered *entry = remember(memory, now, MEMORY_UPSTREAM, now->name);
    if (entry)
        see_server(memory, now, entry, judgement);
}

static void see_client(struct memory *memory, const struct sighting *now,
                       struct judgement *judgement)
{
    char guid[GUID_TEXT_SIZE], source[SOURCE_SIZE];
    bool named = has_guid(now->guid);
    guid_describe(now->guid, guid);
    source_of(now->name, source);
    const struct item *client = named ? find(memory, MEMORY_GUID, guid) : NULL;
    const struct item *known = client;
    if (!known || (now->login && !known->entry.logged_in))
        known = find(memory, MEMORY_ADDRESS, source);
    if (known && compare(now, &known->entry.best, judgement) && now->keep)
        return;
    (void)remember(memory, now, MEMORY_ADDRESS, source);
    /* A login does not tell what a client can do: who was not remembered for that is not here. */
    if (!named || (now->login && !client))
        return;
    struct remembered *entry = remember(memory, now, MEMORY_GUID, guid);
    if (entry && strcmp(entry->other, source) != 0) {
        snprintf(entry->other, sizeof entry->other, "%s", source);
        memory->changed = true;
    }
}

void memory_see(struct memory *memory, const struct sighting *sighting, struct judgement *judgement)
{
    memset(judgement, 0, sizeof *judgement);
    if (!sighting->name[0])
        return;
    if (sighting->upstream)
        see_upstream(memory, sighting, judgement);
    else
        see_client(memory, sighting, judgement);
}

void guid_describe(const uint8_t guid[GUID_SIZE], char text[GUID_TEXT_SIZE])
{
    snprintf(text, GUID_TEXT_SIZE, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             get_le32(guid), get_le16(guid + 4), get_le16(guid + 6), guid[8], guid[9], guid[10],
             guid[11], guid[12], guid[13], guid[14], guid[15]);
}

void spoken_describe(const struct spoken *spoken, char text[SPOKEN_TEXT_MAX])
{
    snprintf(
        text, SPOKEN_TEXT_MAX, "%s%s%s%s%s%s", smb2_dialect_name(spoken->dialect),
        spoken->has_signing ? " " : "",
        spoken->has_signing ? signing_algorithm_name((enum signing_algorithm)spoken->signing) : "",
        spoken->cipher ? " " : "", spoken->cipher ? cipher_name((enum cipher)spoken->cipher) : "",
        spoken->kerberos ? " kerberos" : "");
}
