/*
 * Durable and resilient handles under the login `mapped`: the file server sees one owner, so who
 * may have a handle back after the connection was cut is ours to say. The recorder remembers who
 * opened what.
 */
#ifndef COUNTERSIGN_PROXY_DURABLE_H
#define COUNTERSIGN_PROXY_DURABLE_H

#include "proxy/body.h"
#include "proxy/link.h"

/* True when a CREATE request wants a durable handle back (DHnC, DH2C: MS-SMB2 2.2.13.2.4, .12); its
 * persistent id, the first one's where there are several. Malformed contexts are not looked for. */
bool durable_reconnects(struct span message, uint64_t *persistent_id);
/* A CREATE has succeeded: tells the recorder when it granted a durable handle (DHnQ, DH2Q) to a
 * session whose owner the file server cannot tell. True when the recorder knows of it. */
bool durable_note(struct session *session, const struct pending *create,
                  const struct create_response *body);
/* The same of an IOCTL that has succeeded: a handle that was made resilient (2.2.31.3) is had back
 * in the same way as a durable one. */
void durable_note_ioctl(struct session *session, struct span message);
/* True when a CREATE request wants a handle back that the recorder was asked about. */
bool durable_is_had_back(const struct session *session, struct span message);
/* Its client has closed a handle: the recorder may forget one that it knows of. */
void durable_closed(const struct link *link, const uint8_t file_id[FILE_ID_SIZE]);

/* True when a request of a session (NULL: of none) has to wait until the recorder has said whose
 * handle it wants back. */
bool durable_must_ask(struct link *link, struct session *session,
                      const struct smb2_message *message);
/* True when that is the session's own identity's, and one alone; otherwise there is an event. */
bool durable_may_have(struct link *link, struct session *session, struct span message);
/* The recorder's answer. */
void durable_answer(struct session *session, enum directory_answer answer);

#endif
