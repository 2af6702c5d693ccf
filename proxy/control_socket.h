/*
 * Where `countersign reload` finds the running Countersign: a socket in the file system that only
 * root and the supervisor's own user may use.
 *
 * One message each way, as on a channel: CONTROL_ASK, with a byte that is 1 for --apply;
 * CONTROL_VERDICT, with a byte that is 1 for success, and a sentence.
 */
#ifndef COUNTERSIGN_PROXY_CONTROL_SOCKET_H
#define COUNTERSIGN_PROXY_CONTROL_SOCKET_H

#include <sys/socket.h>
#include <sys/un.h>

#include "proxy/reload.h"

#define CONTROL_PATH "/run/countersign/control"
enum { CONTROL_ASK = 96, CONTROL_VERDICT = 97 };

struct control_socket;

/* Listens at `path`, in place of a socket that nobody listens at any more. NULL with errno set. */
struct control_socket *control_socket_open(struct event_base *base, const char *path,
                                           struct reload *reload);
/* Removes it. NULL is allowed. */
void control_socket_close(struct control_socket *control);

/* False when the path is too long. */
MUST_USE bool control_address(const char *path, struct sockaddr_un *address);

#endif
