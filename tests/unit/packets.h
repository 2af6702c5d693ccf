/*
 * Recorded messages for tests: read from tests/vectors/, and copies of exactly their size, so that
 * AddressSanitizer sees every byte that is read beyond them.
 */
#ifndef COUNTERSIGN_TESTS_PACKETS_H
#define COUNTERSIGN_TESTS_PACKETS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "crypto/cursor.h"

/* Owned bytes. */
struct packet {
    uint8_t *at;
    size_t size;
};

/* A copy in memory of its own; malloc(0) gives a place of no bytes. */
static inline struct packet packet_copy(const void *bytes, size_t size)
{
    struct packet packet = {.at = malloc(size), .size = size};
    assert_non_null(packet.at);
    if (size)
        memcpy(packet.at, bytes, size);
    return packet;
}

static inline void packet_free(struct packet *packet)
{
    free(packet->at);
    packet->at = NULL;
}

static inline struct span packet_span(const struct packet *packet)
{
    return (struct span){packet->at, packet->size};
}

static inline uint8_t packet_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return (uint8_t)(digit - '0');
    if (digit >= 'a' && digit <= 'f')
        return (uint8_t)(digit - 'a' + 10);
    assert_in_range(digit, 'A', 'F');
    return (uint8_t)(digit - 'A' + 10);
}

static inline struct packet packet_from_hex(const char *hex)
{
    size_t size = strlen(hex) / 2;
    struct packet packet = {.at = malloc(size), .size = size};
    assert_non_null(packet.at);
    for (size_t i = 0; i < size; i++)
        packet.at[i] = (uint8_t)(packet_digit(hex[2 * i]) << 4 | packet_digit(hex[2 * i + 1]));
    return packet;
}

static inline struct json_object *packet_member(struct json_object *object, const char *name)
{
    struct json_object *member = NULL;
    assert_true(json_object_object_get_ex(object, name, &member));
    return member;
}

/* One of the messages of packets.json by its name. */
static inline struct packet packet_named(const char *name)
{
    struct json_object *root = json_object_from_file("tests/vectors/packets.json");
    assert_non_null(root);
    struct json_object *hex = packet_member(packet_member(root, "packets"), name);
    struct packet packet = packet_from_hex(json_object_get_string(hex));
    json_object_put(root);
    return packet;
}

/* The messages of one whole session in gmac_live.json, by number; false behind the last. */
static inline bool packet_live(size_t number, struct packet *packet)
{
    struct json_object *root = json_object_from_file("tests/vectors/gmac_live.json");
    assert_non_null(root);
    struct json_object *frames = packet_member(root, "frames");
    bool there = number < json_object_array_length(frames);
    if (there) {
        struct json_object *frame = json_object_array_get_idx(frames, number);
        *packet = packet_from_hex(json_object_get_string(packet_member(frame, "smb2")));
    }
    json_object_put(root);
    return there;
}

/* One that must be there. */
static inline struct packet live_packet(size_t number)
{
    struct packet packet = {0};
    assert_true(packet_live(number, &packet));
    return packet;
}

/* One of the single frames of gmac_live.json. */
static inline struct packet packet_special(const char *name)
{
    struct json_object *root = json_object_from_file("tests/vectors/gmac_live.json");
    assert_non_null(root);
    struct json_object *special = packet_member(packet_member(root, "special"), name);
    const char *hex = json_object_get_string(packet_member(special, "frame"));
    struct packet packet = packet_from_hex(hex);
    json_object_put(root);
    return packet;
}

#endif
