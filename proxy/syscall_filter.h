/*
 * The seccomp filter of each child process.
 */
#ifndef COUNTERSIGN_PROXY_SYSCALL_FILTER_H
#define COUNTERSIGN_PROXY_SYSCALL_FILTER_H

#include "crypto/keeper_message.h"

/*
 * Takes from the calling thread, and all threads it will make, the system calls that its role never
 * needs; they fail with EPERM. Every role loses: programs and other processes (execve, fork, kill,
 * ptrace), namespaces, mounts, kernel interfaces, changes to the file system's tree, new listeners.
 * Further:
 *
 *     worker     sockets of the families AF_INET and AF_INET6 only; opens no file for writing
 *     keeper     the same and AF_UNIX (winbind, resolver), streams and datagrams only; accepts no
 *                connection
 *     recorder   AF_UNIX only (syslog); may open its log again
 *
 * False with errno set when the kernel does not take the filter.
 */
MUST_USE bool syscall_filter_load(enum peer_role role);

#endif
