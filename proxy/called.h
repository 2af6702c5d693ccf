/*
 * By which names a client calls us: where it looked us up (NETNAME, MS-SMB2 2.2.3.1.4), whom its
 * login was for (target name), and the server of its UNC paths. Clients take all three from what
 * the user wrote; a login that was relayed need not fit.
 */
#ifndef COUNTERSIGN_PROXY_CALLED_H
#define COUNTERSIGN_PROXY_CALLED_H

#include <stdbool.h>

/* True when two of them may be the same server: "cifs/files.example.com:445@EXAMPLE.COM",
 * "FILES" and "files.example.com." are. Case, service class, port, realm, brackets and a final dot
 * make no difference, nor does a domain that only one of them has. Empty is the same as anything.
 */
bool called_the_same(const char *a, const char *b);

#endif
