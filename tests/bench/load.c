/*
 * Load of one kind, against a server, a relay or the proxy; at the end one line of JSON.
 *
 *   load ADDRESS PORT SIGNING CIPHER transfer DIRECTION CONNECTIONS DEPTH SIZE BYTES
 *   load ADDRESS PORT SIGNING CIPHER requests CONNECTIONS DEPTH COUNT
 *   load ADDRESS PORT SIGNING CIPHER latency COUNT
 *   load ADDRESS PORT SIGNING CIPHER logins CONNECTIONS COUNT
 *   load ADDRESS PORT SIGNING CIPHER idle LINKS
 *
 * SIGNING is gmac, cmac or hmac; CIPHER is none (signed only), 128-gcm, 256-gcm, 128-ccm or
 * 256-ccm; DIRECTION is read, write or mixed: every other connection. BYTES and COUNT are of all
 * connections together. `idle` says when its links are up and keeps them until its input ends.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/client.h"

struct load;

/* What one connection does. */
typedef void work(struct client *client, const struct load *load, unsigned index);

struct load {
    struct client_options options;
    work *work;
    const char *direction;
    unsigned connections;
    uint32_t depth;
    uint32_t size;
    uint64_t count; /* of each connection */
    uint64_t *times;
};

struct job {
    const struct load *load;
    unsigned index;
    pthread_t thread;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Keeps `depth` requests under way until `count` have been answered. */
static void pipeline(struct client *client, const struct load *load,
                     void (*send)(struct client *client, uint32_t size), size_t answer)
{
    uint64_t sent = 0;
    for (uint64_t done = 0; done < load->count; done++) {
        while (sent < load->count && sent - done < load->depth) {
            send(client, load->size);
            sent++;
        }
        (void)client_answer(client, answer);
    }
}

static void transfer(struct client *client, const struct load *load, unsigned index)
{
    bool writes = strcmp(load->direction, "write") == 0 ||
                  (strcmp(load->direction, "mixed") == 0 && index % 2);
    client_login(client);
    client_open(client);
    if (writes)
        pipeline(client, load, client_write, 16);
    else
        pipeline(client, load, client_read, READ_BODY + load->size);
}

static void query(struct client *client, uint32_t size)
{
    (void)size;
    client_query_info(client);
}

static void requests(struct client *client, const struct load *load, unsigned index)
{
    (void)index;
    client_login(client);
    client_open(client);
    pipeline(client, load, query, INFO_RESPONSE_BODY);
}

static void latency(struct client *client, const struct load *load, unsigned index)
{
    (void)index;
    client_login(client);
    client_open(client);
    for (uint64_t i = 0; i < load->count; i++) {
        uint64_t from = now_ns();
        client_query_info(client);
        (void)client_answer(client, INFO_RESPONSE_BODY);
        load->times[i] = now_ns() - from;
    }
}

static void logins(struct client *client, const struct load *load, unsigned index)
{
    (void)index;
    for (uint64_t i = 0; i < load->count; i++) {
        client_login(client);
        client_logoff(client);
    }
}

static void *run_job(void *context)
{
    const struct job *job = context;
    struct client client;
    client_connect(&client, &job->load->options);
    job->load->work(&client, job->load, job->index);
    client_close(&client);
    return NULL;
}

/* Nanoseconds that all connections took together, from the first to the last. */
static uint64_t run_jobs(const struct load *load)
{
    struct job *jobs = calloc(load->connections, sizeof *jobs);
    uint64_t from = now_ns();
    if (!jobs)
        fail("calloc");
    for (unsigned i = 0; i < load->connections; i++) {
        jobs[i] = (struct job){.load = load, .index = i};
        if (pthread_create(&jobs[i].thread, NULL, run_job, &jobs[i]) != 0)
            fail("pthread_create");
    }
    for (unsigned i = 0; i < load->connections; i++)
        pthread_join(jobs[i].thread, NULL);
    free(jobs);
    return now_ns() - from;
}

static int by_size(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void run_latency(struct load *load)
{
    uint64_t count = load->count;
    load->times = calloc(count, sizeof *load->times);
    if (!load->times || count == 0)
        fail("calloc");
    run_jobs(load);
    qsort(load->times, count, sizeof *load->times, by_size);
    printf("{\"p50_us\": %.2f, \"p99_us\": %.2f}\n", (double)load->times[count / 2] / 1e3,
           (double)load->times[count * 99 / 100] / 1e3);
    free(load->times);
}

static void run_idle(const struct load *load)
{
    struct client *clients = calloc(load->connections, sizeof *clients);
    char byte;
    if (!clients)
        fail("calloc");
    for (unsigned i = 0; i < load->connections; i++) {
        client_connect(&clients[i], &load->options);
        client_login(&clients[i]);
        client_open(&clients[i]);
    }
    printf("{\"links\": %u}\n", load->connections);
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    for (unsigned i = 0; i < load->connections; i++)
        client_close(&clients[i]);
    free(clients);
}

static unsigned find(const char *word, const char *const *words)
{
    for (unsigned i = 0; words[i]; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    fprintf(stderr, "load: what is \"%s\"?\n", word);
    exit(2);
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (*end || value == 0) {
        fprintf(stderr, "load: not a number: %s\n", text);
        exit(2);
    }
    return value;
}

enum { KIND_TRANSFER, KIND_REQUESTS, KIND_LATENCY, KIND_LOGINS, KIND_IDLE };
static const char *const kinds[] = {"transfer", "requests", "latency", "logins", "idle", NULL};
static const int kind_arguments[] = {5, 3, 1, 2, 1};

static struct load read_load(unsigned kind, char **arguments)
{
    static work *const works[] = {transfer, requests, latency, logins, NULL};
    struct load load = {.work = works[kind], .connections = 1, .depth = 1};
    if (kind == KIND_TRANSFER)
        load.direction = *arguments++;
    if (kind != KIND_LATENCY)
        load.connections = (unsigned)number(*arguments++);
    if (kind == KIND_TRANSFER || kind == KIND_REQUESTS)
        load.depth = (uint32_t)number(*arguments++);
    if (kind == KIND_TRANSFER)
        load.size = (uint32_t)number(*arguments++);
    if (kind == KIND_IDLE)
        return load;
    load.count = number(*arguments) / load.connections / (load.size ? load.size : 1);
    if (load.count == 0) {
        fprintf(stderr, "load: too little to do\n");
        exit(2);
    }
    return load;
}

int main(int argc, char **argv)
{
    static const char *const algorithms[] = {"hmac", "cmac", "gmac", NULL};
    static const char *const ciphers[] = {"none", "128-ccm", "128-gcm", "256-ccm", "256-gcm", NULL};
    unsigned kind = argc > 5 ? find(argv[5], kinds) : KIND_TRANSFER;
    if (argc < 6 || argc != 6 + kind_arguments[kind]) {
        fprintf(stderr, "usage: see the head of tests/bench/load.c\n");
        return 2;
    }
    struct load load = read_load(kind, &argv[6]);
    load.options.server = endpoint_read(argv[1], argv[2]);
    load.options.signing = (enum signing_algorithm)find(argv[3], algorithms);
    load.options.cipher = (enum cipher)find(argv[4], ciphers);
    client_prepare();
    if (kind == KIND_IDLE) {
        run_idle(&load);
        return 0;
    }
    if (kind == KIND_LATENCY) {
        run_latency(&load);
        return 0;
    }
    uint64_t ns = run_jobs(&load);
    uint64_t count = load.count * load.connections;
    printf("{\"seconds\": %.4f, \"requests\": %llu, \"bytes\": %llu}\n", (double)ns / 1e9,
           (unsigned long long)count, (unsigned long long)(count * load.size));
    return 0;
}
