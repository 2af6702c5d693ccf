/*
 * One question to a file server over a connection of its own: connect, send one frame, take one
 * frame, close. Blocking, but never longer than its time.
 */
#ifndef COUNTERSIGN_PROXY_PROBE_EXCHANGE_H
#define COUNTERSIGN_PROXY_PROBE_EXCHANGE_H

#include "proxy/probe.h"

enum { PROBE_FRAME_MAX = 64 * 1024 };

/* A message without its transport header. */
struct probe_frame {
    size_t size;
    uint8_t bytes[PROBE_FRAME_MAX];
};

/* PROBE_ANSWERED with `reply` filled. `error` gets an errno with PROBE_UNREACHABLE and
 * PROBE_INTERNAL, else 0. */
enum probe_outcome probe_exchange(const struct sockaddr *address, socklen_t size,
                                  unsigned timeout_ms, struct span request,
                                  struct probe_frame *reply, int *error);

#endif
